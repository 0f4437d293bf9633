-- Programs that bring scarce machines in, what each epoch gave whom, and what proves that a machine is there.

CREATE TABLE subsidy_program (
    id TEXT NOT NULL PRIMARY KEY,
    settings TEXT NOT NULL, -- JSON; fixed while it runs
    state TEXT NOT NULL,
    began_at REAL NOT NULL,
    stopped_at REAL
) STRICT;

CREATE TABLE subsidy_epoch (
    program_id TEXT NOT NULL REFERENCES subsidy_program (id),
    number INTEGER NOT NULL CHECK (number >= 0),
    state TEXT NOT NULL,
    began_at REAL NOT NULL,
    ended_at REAL NOT NULL,
    budget_micro_usd INTEGER NOT NULL, -- what the program allowed
    funded_micro_usd INTEGER NOT NULL, -- what the treasury had of it
    awarded_micro_usd INTEGER NOT NULL,
    PRIMARY KEY (program_id, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE subsidy_award (
    program_id TEXT NOT NULL REFERENCES subsidy_program (id),
    epoch INTEGER NOT NULL,
    provider_id TEXT NOT NULL REFERENCES principal (id),
    micro_usd INTEGER NOT NULL CHECK (micro_usd > 0),
    vesting_micro_usd INTEGER NOT NULL, -- of it
    vest_seconds INTEGER NOT NULL,
    awarded_at REAL, -- when it was posted
    PRIMARY KEY (program_id, epoch, provider_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX subsidy_award_of_provider ON subsidy_award (provider_id, awarded_at);

-- A challenge that ran at one instant on all machines of a class: a card that answers for one cannot answer for two.

CREATE TABLE capacity_check (
    id TEXT NOT NULL PRIMARY KEY,
    device_class TEXT NOT NULL,
    at REAL NOT NULL,
    seconds REAL NOT NULL -- that it took
) STRICT;
CREATE INDEX capacity_check_of_class ON capacity_check (device_class, at);

CREATE TABLE capacity_result (
    check_id TEXT NOT NULL REFERENCES capacity_check (id),
    machine_id TEXT NOT NULL REFERENCES machine (id),
    passed INTEGER NOT NULL CHECK (passed IN (0, 1)),
    PRIMARY KEY (check_id, machine_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX unit_accepted ON unit (delivered_at) WHERE kind = 'train' AND state = 'accepted';
INSERT INTO protected (table_name) VALUES ('capacity_check'), ('capacity_result');
