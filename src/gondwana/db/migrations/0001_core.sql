-- The event log, answers to write calls, settings, and which tables may only grow.

CREATE TABLE event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, -- commit order
    at REAL NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    job_id TEXT,
    data TEXT NOT NULL -- JSON
) STRICT;
CREATE INDEX event_of_job ON event (job_id, seq) WHERE job_id IS NOT NULL;
CREATE INDEX event_of_subject ON event (subject, seq);

CREATE TABLE idempotency (
    principal TEXT NOT NULL,
    key TEXT NOT NULL,
    body_hash TEXT NOT NULL,
    response BLOB NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (principal, key)
) STRICT;

CREATE TABLE setting (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL, -- JSON
    at REAL NOT NULL
) STRICT;

-- Rows of these tables are never deleted, and change only inside the trigger named; with no trigger, never.
CREATE TABLE protected (
    table_name TEXT NOT NULL,
    trigger_name TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (table_name, trigger_name)
) STRICT;

INSERT INTO protected (table_name) VALUES ('event'), ('idempotency');
