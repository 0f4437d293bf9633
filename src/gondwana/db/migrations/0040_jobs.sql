-- Jobs, what runs of them, and how far training has come.

CREATE TABLE job (
    id TEXT PRIMARY KEY,
    tenant_id TEXT NOT NULL REFERENCES principal (id),
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    spec TEXT NOT NULL, -- JSON
    shares TEXT NOT NULL, -- JSON
    order_id TEXT,
    created_at REAL NOT NULL,
    ended_at REAL,
    reason TEXT,
    detail TEXT NOT NULL,
    exit_code INTEGER
) STRICT;
CREATE INDEX job_by_state ON job (state, created_at);
CREATE INDEX job_of_tenant ON job (tenant_id, created_at);

CREATE TABLE run (
    id TEXT PRIMARY KEY,
    job_id TEXT NOT NULL REFERENCES job (id),
    lease_id TEXT NOT NULL REFERENCES lease (id),
    rank INTEGER NOT NULL,
    state TEXT NOT NULL,
    exit_code INTEGER,
    reason TEXT NOT NULL,
    output TEXT,
    created_at REAL NOT NULL,
    started_at REAL,
    ended_at REAL
) STRICT;
CREATE INDEX run_of_job ON run (job_id);
CREATE INDEX run_of_lease ON run (lease_id);

CREATE TABLE log_chunk (
    run_id TEXT NOT NULL REFERENCES run (id),
    start INTEGER NOT NULL, -- bytes before it
    data BLOB NOT NULL,
    PRIMARY KEY (run_id, start)
) STRICT, WITHOUT ROWID;

CREATE TABLE training (
    job_id TEXT PRIMARY KEY REFERENCES job (id),
    phase TEXT NOT NULL,
    round INTEGER NOT NULL,
    parameters INTEGER NOT NULL,
    layout TEXT NOT NULL,
    outer TEXT,
    params TEXT, -- JSON
    state TEXT,
    started_at REAL NOT NULL,
    deadline REAL,
    heldout_loss REAL,
    tokens INTEGER NOT NULL,
    bytes_up INTEGER NOT NULL,
    bytes_down INTEGER NOT NULL,
    bytes_data_parallel INTEGER NOT NULL,
    failures_in_row INTEGER NOT NULL,
    sample TEXT NOT NULL,
    artifact TEXT
) STRICT;

CREATE TABLE training_round (
    job_id TEXT NOT NULL REFERENCES job (id),
    round INTEGER NOT NULL,
    heldout_loss REAL,
    islands INTEGER NOT NULL,
    accepted INTEGER NOT NULL,
    rejected INTEGER NOT NULL,
    expired INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    seconds REAL NOT NULL,
    bytes_up INTEGER NOT NULL,
    bytes_down INTEGER NOT NULL,
    bytes_data_parallel INTEGER NOT NULL,
    PRIMARY KEY (job_id, round)
) STRICT, WITHOUT ROWID;

CREATE TABLE island (
    lease_id TEXT PRIMARY KEY REFERENCES lease (id),
    job_id TEXT NOT NULL REFERENCES job (id),
    machine_id TEXT NOT NULL REFERENCES machine (id),
    epoch INTEGER NOT NULL,
    price_micro_usd_per_hour INTEGER NOT NULL,
    reference_steps_per_second REAL NOT NULL,
    steps_per_second REAL,
    priced_steps_per_second REAL
) STRICT;
CREATE INDEX island_of_job ON island (job_id);

CREATE TABLE unit (
    id TEXT PRIMARY KEY,
    job_id TEXT NOT NULL REFERENCES job (id),
    kind TEXT NOT NULL,
    round INTEGER NOT NULL,
    state TEXT NOT NULL,
    lease_id TEXT REFERENCES lease (id),
    machine_id TEXT REFERENCES machine (id),
    spec TEXT NOT NULL, -- JSON
    price_micro_usd INTEGER NOT NULL CHECK (price_micro_usd >= 0),
    assigned_at REAL,
    expires_at REAL,
    delivered_at REAL,
    output TEXT,
    output_bytes INTEGER NOT NULL,
    result TEXT, -- JSON
    verdict TEXT NOT NULL,
    norm REAL,
    cosine REAL,
    doubted_by TEXT
) STRICT;
CREATE INDEX unit_of_job ON unit (job_id, round);
CREATE INDEX unit_live_of_lease ON unit (lease_id) WHERE state = 'assigned';
