-- Invoices and credit notes, as issued: never edited or deleted, and numbered without a gap by seller, kind and year.

CREATE TABLE invoice (
    id INTEGER PRIMARY KEY, -- in the order of their issue
    number TEXT NOT NULL UNIQUE, -- 2026-000001; CN-2026-000001 is a credit note's
    seller TEXT NOT NULL, -- its code
    kind TEXT NOT NULL CHECK (kind IN ('invoice', 'credit_note')),
    year INTEGER NOT NULL, -- of its issue, UTC
    position INTEGER NOT NULL CHECK (position > 0),
    tenant TEXT NOT NULL,
    buyer TEXT NOT NULL, -- the tenant's name
    month TEXT NOT NULL, -- 2026-11, UTC
    corrects TEXT NOT NULL, -- the number of the invoice that a credit note is about
    total_micro_usd INTEGER NOT NULL CHECK (total_micro_usd > 0),
    document TEXT NOT NULL, -- canonical JSON
    sha256 TEXT NOT NULL CHECK (length(sha256) = 64), -- of its UTF-8
    at_ms INTEGER NOT NULL,
    UNIQUE (seller, kind, year, position),
    UNIQUE (tenant, month, kind, corrects)
) STRICT;
CREATE INDEX invoice_of_tenant ON invoice (tenant, id);

-- Months for which everybody has his invoice.
CREATE TABLE invoiced_month (
    month TEXT NOT NULL PRIMARY KEY,
    first INTEGER NOT NULL, -- transfers first to last
    last INTEGER NOT NULL,
    at_ms INTEGER NOT NULL
) STRICT;

CREATE TRIGGER invoice_is_next BEFORE INSERT ON invoice BEGIN
    SELECT CASE
        WHEN EXISTS (SELECT 1 FROM invoice WHERE id = NEW.id OR number = NEW.number
                OR (tenant = NEW.tenant AND month = NEW.month AND kind = NEW.kind AND corrects = NEW.corrects))
            THEN RAISE(ABORT, 'invoice.duplicate')
        WHEN NEW.position IS NOT 1 + coalesce((SELECT max(position) FROM invoice
                WHERE seller = NEW.seller AND kind = NEW.kind AND year = NEW.year), 0)
            THEN RAISE(ABORT, 'invoice.out_of_order')
    END;
END;
CREATE TRIGGER invoice_is_fixed BEFORE UPDATE ON invoice BEGIN SELECT RAISE(ABORT, 'invoice.immutable'); END;
CREATE TRIGGER invoice_stays BEFORE DELETE ON invoice BEGIN SELECT RAISE(ABORT, 'invoice.immutable'); END;

CREATE TRIGGER invoiced_month_is_new BEFORE INSERT ON invoiced_month
WHEN EXISTS (SELECT 1 FROM invoiced_month WHERE month = NEW.month) BEGIN
    SELECT RAISE(ABORT, 'invoice.duplicate');
END;
CREATE TRIGGER invoiced_month_is_fixed BEFORE UPDATE ON invoiced_month BEGIN SELECT RAISE(ABORT, 'invoice.immutable'); END;
CREATE TRIGGER invoiced_month_stays BEFORE DELETE ON invoiced_month BEGIN SELECT RAISE(ABORT, 'invoice.immutable'); END;

INSERT INTO protected (table_name) VALUES ('invoice'), ('invoiced_month');
