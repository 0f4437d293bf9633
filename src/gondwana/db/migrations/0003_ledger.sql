-- The books. Every rule of double entry holds here, whatever the code above says.
-- RAISE(ABORT) also stops a statement that carries a conflict clause of its own (INSERT OR IGNORE …), which would
-- otherwise skip half of a transfer's effect without an error.

CREATE TABLE ledger_account (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    code INTEGER NOT NULL, -- line of the chart of accounts
    limit_side TEXT NOT NULL CHECK (limit_side IN ('D', 'C', 'N')),
    debits_posted INTEGER NOT NULL DEFAULT 0,
    credits_posted INTEGER NOT NULL DEFAULT 0,
    debits_pending INTEGER NOT NULL DEFAULT 0,
    credits_pending INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE ledger_entry (
    seq INTEGER PRIMARY KEY,
    event_id TEXT NOT NULL UNIQUE, -- the same event posts once
    kind TEXT NOT NULL,
    reason TEXT NOT NULL,
    job_id TEXT,
    lease_id TEXT,
    unit_id TEXT,
    digest BLOB NOT NULL CHECK (length(digest) = 16), -- of the entry's content
    at REAL NOT NULL
) STRICT;

CREATE TABLE ledger_transfer (
    seq INTEGER PRIMARY KEY,
    entry INTEGER NOT NULL REFERENCES ledger_entry (seq),
    leg INTEGER NOT NULL CHECK (leg >= 0),
    debit INTEGER NOT NULL REFERENCES ledger_account (id),
    credit INTEGER NOT NULL REFERENCES ledger_account (id),
    amount INTEGER NOT NULL CHECK (amount BETWEEN 1 AND 4611686018427387904), -- micro-USD; 2^62
    kind TEXT NOT NULL CHECK (kind IN ('post', 'pending', 'post_pending', 'void_pending')),
    pending INTEGER UNIQUE REFERENCES ledger_transfer (seq), -- the hold this pays or releases; at most once
    UNIQUE (entry, leg),
    CHECK (debit <> credit),
    CHECK ((pending IS NULL) = (kind IN ('post', 'pending')))
) STRICT;
CREATE INDEX ledger_transfer_of_debit ON ledger_transfer (debit);
CREATE INDEX ledger_transfer_of_credit ON ledger_transfer (credit);

-- Accounts start empty, and their counters follow transfers only.

CREATE TRIGGER ledger_account_starts_empty BEFORE INSERT ON ledger_account BEGIN
    SELECT CASE
        WHEN EXISTS (SELECT 1 FROM ledger_account WHERE id = NEW.id OR name = NEW.name)
            THEN RAISE(ABORT, 'ledger.duplicate')
        WHEN NEW.debits_posted <> 0 OR NEW.credits_posted <> 0 OR NEW.debits_pending <> 0 OR NEW.credits_pending <> 0
            THEN RAISE(ABORT, 'ledger.not_empty')
    END;
END;

CREATE TRIGGER ledger_account_limits BEFORE UPDATE ON ledger_account BEGIN
    SELECT CASE
        WHEN NEW.id IS NOT OLD.id OR NEW.name IS NOT OLD.name OR NEW.code IS NOT OLD.code
            OR NEW.limit_side IS NOT OLD.limit_side
            THEN RAISE(ABORT, 'ledger.immutable')
        WHEN typeof(NEW.debits_posted) <> 'integer' OR typeof(NEW.credits_posted) <> 'integer'
            OR typeof(NEW.debits_pending) <> 'integer' OR typeof(NEW.credits_pending) <> 'integer'
            OR NEW.debits_posted NOT BETWEEN OLD.debits_posted AND 4611686018427387904
            OR NEW.credits_posted NOT BETWEEN OLD.credits_posted AND 4611686018427387904
            OR NEW.debits_pending NOT BETWEEN 0 AND 4611686018427387904
            OR NEW.credits_pending NOT BETWEEN 0 AND 4611686018427387904
            THEN RAISE(ABORT, 'ledger.overflow')
        WHEN NEW.limit_side = 'D' AND NEW.debits_posted + NEW.debits_pending > NEW.credits_posted
            THEN RAISE(ABORT, 'ledger.limit')
        WHEN NEW.limit_side = 'C' AND NEW.credits_posted + NEW.credits_pending > NEW.debits_posted
            THEN RAISE(ABORT, 'ledger.limit')
    END;
END;

CREATE TRIGGER ledger_account_stays BEFORE DELETE ON ledger_account BEGIN
    SELECT RAISE(ABORT, 'ledger.immutable');
END;

-- Entries and transfers are never edited, deleted or replaced: a correction is a mirror transfer.

CREATE TRIGGER ledger_entry_is_new BEFORE INSERT ON ledger_entry
WHEN EXISTS (SELECT 1 FROM ledger_entry WHERE seq = NEW.seq OR event_id = NEW.event_id) BEGIN
    SELECT RAISE(ABORT, 'ledger.duplicate');
END;

CREATE TRIGGER ledger_entry_is_fixed BEFORE UPDATE ON ledger_entry BEGIN
    SELECT RAISE(ABORT, 'ledger.immutable');
END;

CREATE TRIGGER ledger_entry_stays BEFORE DELETE ON ledger_entry BEGIN
    SELECT RAISE(ABORT, 'ledger.immutable');
END;

CREATE TRIGGER ledger_transfer_is_new BEFORE INSERT ON ledger_transfer
WHEN EXISTS (SELECT 1 FROM ledger_transfer WHERE seq = NEW.seq)
    OR EXISTS (SELECT 1 FROM ledger_transfer WHERE entry = NEW.entry AND leg = NEW.leg) BEGIN
    SELECT RAISE(ABORT, 'ledger.duplicate');
END;

CREATE TRIGGER ledger_transfer_is_fixed BEFORE UPDATE ON ledger_transfer BEGIN
    SELECT RAISE(ABORT, 'ledger.immutable');
END;

CREATE TRIGGER ledger_transfer_stays BEFORE DELETE ON ledger_transfer BEGIN
    SELECT RAISE(ABORT, 'ledger.immutable');
END;

-- A hold is paid or released at most once, between the same accounts, never above its amount.

CREATE TRIGGER ledger_transfer_resolves_a_hold BEFORE INSERT ON ledger_transfer WHEN NEW.pending IS NOT NULL BEGIN
    SELECT CASE
        WHEN EXISTS (SELECT 1 FROM ledger_transfer WHERE pending = NEW.pending)
            THEN RAISE(ABORT, 'ledger.resolved')
        WHEN NOT EXISTS (
            SELECT 1 FROM ledger_transfer AS held
            WHERE held.seq = NEW.pending AND held.kind = 'pending'
                AND held.debit = NEW.debit AND held.credit = NEW.credit
                AND (held.amount = NEW.amount OR (NEW.kind = 'post_pending' AND NEW.amount < held.amount)))
            THEN RAISE(ABORT, 'ledger.no_such_hold')
    END;
END;

-- The only place where counters change.

CREATE TRIGGER ledger_transfer_moves AFTER INSERT ON ledger_transfer WHEN NEW.kind = 'post' BEGIN
    UPDATE ledger_account SET debits_posted = debits_posted + NEW.amount WHERE id = NEW.debit;
    UPDATE ledger_account SET credits_posted = credits_posted + NEW.amount WHERE id = NEW.credit;
END;

CREATE TRIGGER ledger_transfer_holds AFTER INSERT ON ledger_transfer WHEN NEW.kind = 'pending' BEGIN
    UPDATE ledger_account SET debits_pending = debits_pending + NEW.amount WHERE id = NEW.debit;
    UPDATE ledger_account SET credits_pending = credits_pending + NEW.amount WHERE id = NEW.credit;
END;

CREATE TRIGGER ledger_transfer_pays_a_hold AFTER INSERT ON ledger_transfer WHEN NEW.kind = 'post_pending' BEGIN
    UPDATE ledger_account SET debits_posted = debits_posted + NEW.amount,
        debits_pending = debits_pending - (SELECT held.amount FROM ledger_transfer AS held WHERE held.seq = NEW.pending)
    WHERE id = NEW.debit;
    UPDATE ledger_account SET credits_posted = credits_posted + NEW.amount,
        credits_pending = credits_pending - (SELECT held.amount FROM ledger_transfer AS held WHERE held.seq = NEW.pending)
    WHERE id = NEW.credit;
END;

CREATE TRIGGER ledger_transfer_releases_a_hold AFTER INSERT ON ledger_transfer WHEN NEW.kind = 'void_pending' BEGIN
    UPDATE ledger_account SET debits_pending = debits_pending - NEW.amount WHERE id = NEW.debit;
    UPDATE ledger_account SET credits_pending = credits_pending - NEW.amount WHERE id = NEW.credit;
END;

INSERT INTO protected (table_name, trigger_name) VALUES
    ('ledger_account', 'ledger_transfer_moves'),
    ('ledger_account', 'ledger_transfer_holds'),
    ('ledger_account', 'ledger_transfer_pays_a_hold'),
    ('ledger_account', 'ledger_transfer_releases_a_hold'),
    ('ledger_entry', ''),
    ('ledger_transfer', '');
