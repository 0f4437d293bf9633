-- The books, second form: facts instead of sentences, names written once, an entry numbered by its first transfer,
-- a hash chain over all of it. Half the bytes of the first form; every rule of double entry still holds here, whatever
-- the code above says. RAISE(ABORT) also stops a statement that carries a conflict clause of its own
-- (INSERT OR IGNORE …), which would otherwise skip half of a transfer's effect without an error.

-- Kinds of events and the ids they are about, each written once.

CREATE TABLE ledger_name (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

ALTER TABLE ledger_account ADD COLUMN asset TEXT NOT NULL DEFAULT 'USD';

CREATE TABLE ledger_entry_2 (
    seq INTEGER PRIMARY KEY, -- of its first transfer; the others follow without a gap
    event BLOB NOT NULL UNIQUE CHECK (length(event) = 16), -- BLAKE2b-128 of the event's id: the same event posts once
    kind INTEGER NOT NULL REFERENCES ledger_name (id),
    subject INTEGER NOT NULL REFERENCES ledger_name (id),
    job INTEGER REFERENCES ledger_name (id),
    legs INTEGER NOT NULL CHECK (legs BETWEEN 1 AND 64), -- how many transfers it has
    at_ms INTEGER NOT NULL, -- milliseconds since 1970
    facts TEXT CHECK (facts IS NULL OR json_valid(facts)) -- JSON list
) STRICT;

CREATE TABLE ledger_transfer_2 (
    seq INTEGER PRIMARY KEY, -- without gaps: given by the writer
    amount INTEGER NOT NULL CHECK (amount BETWEEN 1 AND 4611686018427387904), -- micro-USD; 2^62
    pending INTEGER REFERENCES ledger_transfer_2 (seq), -- the hold this pays or releases
    debit INTEGER NOT NULL REFERENCES ledger_account (id),
    credit INTEGER NOT NULL REFERENCES ledger_account (id),
    leg INTEGER NOT NULL CHECK (leg >= 0), -- its entry is the one numbered seq - leg
    kind INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 3), -- post, pending, post_pending, void_pending
    CHECK (debit <> credit),
    CHECK ((pending IS NULL) = (kind < 2))
) STRICT;

INSERT INTO ledger_name (name) SELECT kind FROM ledger_entry
    UNION SELECT coalesce(unit_id, lease_id, job_id, substr(event_id, instr(event_id, ':') + 1)) FROM ledger_entry
    UNION SELECT job_id FROM ledger_entry WHERE job_id IS NOT NULL;

INSERT INTO ledger_entry_2 (seq, event, kind, subject, job, legs, at_ms, facts)
SELECT (SELECT min(transfer.seq) FROM ledger_transfer AS transfer WHERE transfer.entry = entry.seq), event_key(entry.event_id),
    (SELECT id FROM ledger_name WHERE name = entry.kind),
    (SELECT id FROM ledger_name WHERE name = coalesce(entry.unit_id, entry.lease_id, entry.job_id,
        substr(entry.event_id, instr(entry.event_id, ':') + 1))),
    (SELECT id FROM ledger_name WHERE name = entry.job_id),
    (SELECT count(*) FROM ledger_transfer AS transfer WHERE transfer.entry = entry.seq),
    max(CAST(entry.at * 1000 AS INTEGER)) OVER (ORDER BY entry.seq), -- times only grow, from here on and before
    json_array('', entry.reason)
FROM ledger_entry AS entry;

INSERT INTO ledger_transfer_2 (seq, amount, pending, debit, credit, leg, kind)
SELECT seq, amount, pending, debit, credit, leg,
    CASE kind WHEN 'post' THEN 0 WHEN 'pending' THEN 1 WHEN 'post_pending' THEN 2 ELSE 3 END
FROM ledger_transfer ORDER BY seq;

DROP TABLE ledger_transfer;
DROP TABLE ledger_entry;
ALTER TABLE ledger_transfer_2 RENAME TO ledger_transfer;
ALTER TABLE ledger_entry_2 RENAME TO ledger_entry;

CREATE UNIQUE INDEX ledger_transfer_pending ON ledger_transfer (pending) WHERE pending IS NOT NULL; -- at most once
CREATE INDEX ledger_transfer_of_debit ON ledger_transfer (debit);
CREATE INDEX ledger_transfer_of_credit ON ledger_transfer (credit);

-- One row per commit that posted: its transfers' Merkle root, chained to the commit before.

CREATE TABLE ledger_batch (
    number INTEGER PRIMARY KEY,
    first INTEGER NOT NULL, -- transfers first to last
    last INTEGER NOT NULL CHECK (last >= first),
    content BLOB NOT NULL CHECK (length(content) = 32),
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    at_ms INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX ledger_batch_by_first ON ledger_batch (first);

-- What was published at the end of each day.

CREATE TABLE ledger_root (
    day TEXT PRIMARY KEY, -- 2026-11-25, UTC
    first_batch INTEGER NOT NULL REFERENCES ledger_batch (number), -- the day's commits, first to last
    last_batch INTEGER NOT NULL REFERENCES ledger_batch (number),
    content BLOB NOT NULL CHECK (length(content) = 32), -- Merkle root of their hashes
    totals TEXT NOT NULL, -- JSON: line of the chart -> credits less debits, at the end of the day
    hash BLOB NOT NULL CHECK (length(hash) = 32), -- of all this and the root before
    at_ms INTEGER NOT NULL
) STRICT;

-- Accounts start empty, and their counters follow transfers only.

DROP TRIGGER ledger_account_limits;
CREATE TRIGGER ledger_account_limits BEFORE UPDATE ON ledger_account BEGIN
    SELECT CASE
        WHEN NEW.id IS NOT OLD.id OR NEW.name IS NOT OLD.name OR NEW.code IS NOT OLD.code
            OR NEW.limit_side IS NOT OLD.limit_side OR NEW.asset IS NOT OLD.asset
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

-- Names, entries, transfers, batches and roots are never edited, deleted or replaced: a correction is a mirror transfer.

CREATE TRIGGER ledger_name_is_new BEFORE INSERT ON ledger_name
WHEN EXISTS (SELECT 1 FROM ledger_name WHERE id = NEW.id OR name = NEW.name) BEGIN
    SELECT RAISE(ABORT, 'ledger.duplicate');
END;
CREATE TRIGGER ledger_name_is_fixed BEFORE UPDATE ON ledger_name BEGIN SELECT RAISE(ABORT, 'ledger.immutable'); END;
CREATE TRIGGER ledger_name_stays BEFORE DELETE ON ledger_name BEGIN SELECT RAISE(ABORT, 'ledger.immutable'); END;

CREATE TRIGGER ledger_entry_is_new BEFORE INSERT ON ledger_entry BEGIN
    SELECT CASE
        WHEN EXISTS (SELECT 1 FROM ledger_entry WHERE seq = NEW.seq OR event = NEW.event)
            THEN RAISE(ABORT, 'ledger.duplicate')
        WHEN NEW.seq <= coalesce((SELECT last FROM ledger_batch ORDER BY number DESC LIMIT 1), 0) THEN RAISE(ABORT, 'ledger.sealed')
    END;
END;
CREATE TRIGGER ledger_entry_is_fixed BEFORE UPDATE ON ledger_entry BEGIN SELECT RAISE(ABORT, 'ledger.immutable'); END;
CREATE TRIGGER ledger_entry_stays BEFORE DELETE ON ledger_entry BEGIN SELECT RAISE(ABORT, 'ledger.immutable'); END;

CREATE TRIGGER ledger_transfer_is_new BEFORE INSERT ON ledger_transfer BEGIN
    SELECT CASE
        WHEN EXISTS (SELECT 1 FROM ledger_transfer WHERE seq = NEW.seq) THEN RAISE(ABORT, 'ledger.duplicate')
        WHEN NOT EXISTS (SELECT 1 FROM ledger_entry WHERE seq = NEW.seq - NEW.leg AND legs > NEW.leg)
            THEN RAISE(ABORT, 'ledger.no_entry')
    END;
    SELECT CASE
        WHEN debit.asset IS NULL OR credit.asset IS NULL THEN RAISE(ABORT, 'ledger.no_account')
        WHEN debit.asset <> credit.asset THEN RAISE(ABORT, 'ledger.cross_asset')
    END FROM (SELECT 1) LEFT JOIN ledger_account AS debit ON debit.id = NEW.debit
        LEFT JOIN ledger_account AS credit ON credit.id = NEW.credit;
END;
CREATE TRIGGER ledger_transfer_is_fixed BEFORE UPDATE ON ledger_transfer BEGIN SELECT RAISE(ABORT, 'ledger.immutable'); END;
CREATE TRIGGER ledger_transfer_stays BEFORE DELETE ON ledger_transfer BEGIN SELECT RAISE(ABORT, 'ledger.immutable'); END;

CREATE TRIGGER ledger_batch_is_next BEFORE INSERT ON ledger_batch
WHEN NEW.number IS NOT coalesce((SELECT max(number) FROM ledger_batch), 0) + 1
    OR NEW.first IS NOT coalesce((SELECT last FROM ledger_batch ORDER BY number DESC LIMIT 1), 0) + 1
    OR NEW.last > coalesce((SELECT max(seq) FROM ledger_transfer), 0) BEGIN
    SELECT RAISE(ABORT, 'ledger.out_of_order');
END;
CREATE TRIGGER ledger_batch_is_fixed BEFORE UPDATE ON ledger_batch BEGIN SELECT RAISE(ABORT, 'ledger.immutable'); END;
CREATE TRIGGER ledger_batch_stays BEFORE DELETE ON ledger_batch BEGIN SELECT RAISE(ABORT, 'ledger.immutable'); END;

CREATE TRIGGER ledger_root_is_new BEFORE INSERT ON ledger_root
WHEN EXISTS (SELECT 1 FROM ledger_root WHERE day = NEW.day) BEGIN
    SELECT RAISE(ABORT, 'ledger.duplicate');
END;
CREATE TRIGGER ledger_root_is_fixed BEFORE UPDATE ON ledger_root BEGIN SELECT RAISE(ABORT, 'ledger.immutable'); END;
CREATE TRIGGER ledger_root_stays BEFORE DELETE ON ledger_root BEGIN SELECT RAISE(ABORT, 'ledger.immutable'); END;

-- A hold is paid or released at most once, between the same accounts, never above its amount.

CREATE TRIGGER ledger_transfer_resolves_a_hold BEFORE INSERT ON ledger_transfer WHEN NEW.pending IS NOT NULL BEGIN
    SELECT CASE
        WHEN EXISTS (SELECT 1 FROM ledger_transfer WHERE pending = NEW.pending)
            THEN RAISE(ABORT, 'ledger.resolved')
        WHEN NOT EXISTS (
            SELECT 1 FROM ledger_transfer AS held
            WHERE held.seq = NEW.pending AND held.kind = 1
                AND held.debit = NEW.debit AND held.credit = NEW.credit
                AND (held.amount = NEW.amount OR (NEW.kind = 2 AND NEW.amount < held.amount)))
            THEN RAISE(ABORT, 'ledger.no_such_hold')
    END;
END;

-- The only place where counters change.

CREATE TRIGGER ledger_transfer_moves AFTER INSERT ON ledger_transfer WHEN NEW.kind = 0 BEGIN
    UPDATE ledger_account SET debits_posted = debits_posted + NEW.amount WHERE id = NEW.debit;
    UPDATE ledger_account SET credits_posted = credits_posted + NEW.amount WHERE id = NEW.credit;
END;

CREATE TRIGGER ledger_transfer_holds AFTER INSERT ON ledger_transfer WHEN NEW.kind = 1 BEGIN
    UPDATE ledger_account SET debits_pending = debits_pending + NEW.amount WHERE id = NEW.debit;
    UPDATE ledger_account SET credits_pending = credits_pending + NEW.amount WHERE id = NEW.credit;
END;

CREATE TRIGGER ledger_transfer_pays_a_hold AFTER INSERT ON ledger_transfer WHEN NEW.kind = 2 BEGIN
    UPDATE ledger_account SET debits_posted = debits_posted + NEW.amount,
        debits_pending = debits_pending - (SELECT held.amount FROM ledger_transfer AS held WHERE held.seq = NEW.pending)
    WHERE id = NEW.debit;
    UPDATE ledger_account SET credits_posted = credits_posted + NEW.amount,
        credits_pending = credits_pending - (SELECT held.amount FROM ledger_transfer AS held WHERE held.seq = NEW.pending)
    WHERE id = NEW.credit;
END;

CREATE TRIGGER ledger_transfer_releases_a_hold AFTER INSERT ON ledger_transfer WHEN NEW.kind = 3 BEGIN
    UPDATE ledger_account SET debits_pending = debits_pending - NEW.amount WHERE id = NEW.debit;
    UPDATE ledger_account SET credits_pending = credits_pending - NEW.amount WHERE id = NEW.credit;
END;

INSERT INTO protected (table_name) VALUES ('ledger_name'), ('ledger_batch'), ('ledger_root');
