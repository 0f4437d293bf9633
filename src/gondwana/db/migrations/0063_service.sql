-- What owners promise, what was measured of it, what was credited for it, and when the network itself was away.

ALTER TABLE machine ADD COLUMN sla TEXT NOT NULL DEFAULT 'home';

ALTER TABLE lease ADD COLUMN sla TEXT NOT NULL DEFAULT 'home'; -- the machine's when the lease was made
ALTER TABLE lease ADD COLUMN lived_at REAL; -- when its worker was first proven to live
ALTER TABLE lease ADD COLUMN serviced_at REAL; -- when its last credit was settled: nothing of it changes any more
UPDATE lease SET lived_at = proven_at - proven_ms / 1000.0 WHERE proven_ms > 0;
UPDATE lease SET serviced_at = closed_at WHERE closed_at IS NOT NULL; -- before there were credits
CREATE INDEX lease_to_service ON lease (id) WHERE charge = 'second' AND serviced_at IS NULL;

-- One lease in one calendar month (UTC), once it has more than one or something is credited.

CREATE TABLE service_month (
    lease_id TEXT NOT NULL REFERENCES lease (id),
    month TEXT NOT NULL, -- '2026-11'
    proven_before_ms INTEGER NOT NULL, -- of the lease, before the month began
    paid_before_micro_usd INTEGER NOT NULL, -- by the lease's escrow, before the month began
    outage_ms INTEGER NOT NULL, -- when something was last credited
    due_micro_usd INTEGER NOT NULL, -- in all, when it was last looked at
    credited_micro_usd INTEGER NOT NULL, -- in all: what the ledger's entries of this lease and month come to
    credited_at REAL,
    settled_at REAL, -- the month is over, and all that was due is credited
    PRIMARY KEY (lease_id, month)
) STRICT, WITHOUT ROWID;
CREATE INDEX service_month_open ON service_month (lease_id) WHERE settled_at IS NULL;

-- What each credit follows from. Never changed: its hash is in the books.

CREATE TABLE sla_evidence (
    lease_id TEXT NOT NULL REFERENCES lease (id),
    month TEXT NOT NULL,
    credited_micro_usd INTEGER NOT NULL, -- in all, with this credit
    provider_id TEXT NOT NULL REFERENCES principal (id),
    evidence TEXT NOT NULL, -- JSON with sorted keys and no spaces: the hash is of these bytes
    hash TEXT NOT NULL, -- BLAKE2b-256, hexadecimal
    live_ms INTEGER NOT NULL, -- promised = live + unserved, each less what was excused
    unserved_ms INTEGER NOT NULL,
    excused_ms INTEGER NOT NULL, -- the network itself was away
    from_holdback_micro_usd INTEGER NOT NULL,
    from_stake_micro_usd INTEGER NOT NULL,
    from_fund_micro_usd INTEGER NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (lease_id, month, credited_micro_usd)
) STRICT;
CREATE INDEX sla_evidence_of_provider ON sla_evidence (provider_id);
INSERT INTO protected (table_name) VALUES ('sla_evidence');

-- Until when the network is known to have heard its machines, and between which instants it did not.

CREATE TABLE network_heard (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    until REAL NOT NULL,
    is_deaf INTEGER NOT NULL CHECK (is_deaf IN (0, 1)) -- all of several owners' machines are silent
) STRICT;

CREATE TABLE network_gap (
    since REAL NOT NULL PRIMARY KEY,
    until REAL NOT NULL
) STRICT;

-- The insurance fund as published, a row a day.

CREATE TABLE solvency_report (
    day TEXT NOT NULL PRIMARY KEY, -- '2026-11-25', UTC
    at REAL NOT NULL,
    premiums_micro_usd INTEGER NOT NULL, -- that ever came into the fund, by then
    report TEXT NOT NULL -- JSON
) STRICT;
