-- What was expected of a job when it was launched, and what became of it.

CREATE TABLE job_prediction (
    job_id TEXT PRIMARY KEY REFERENCES job (id),
    work_key TEXT NOT NULL, -- the same for jobs that do the same work
    bucket TEXT NOT NULL,
    basis TEXT NOT NULL,
    machines INTEGER NOT NULL,
    seconds REAL NOT NULL,
    cost_micro_usd INTEGER NOT NULL CHECK (cost_micro_usd >= 0),
    step_seconds REAL,
    utilisation REAL,
    settled_at REAL, -- when the rest was known
    succeeded INTEGER,
    actual_machines INTEGER,
    actual_seconds REAL,
    actual_cost_micro_usd INTEGER,
    actual_step_seconds REAL,
    reference_steps REAL,
    parameters INTEGER,
    steps_per_reference_step REAL,
    overhead_seconds REAL
) STRICT;
CREATE INDEX job_prediction_open ON job_prediction (job_id) WHERE settled_at IS NULL;
CREATE INDEX job_prediction_of_work ON job_prediction (work_key, settled_at) WHERE succeeded = 1;
CREATE INDEX job_prediction_settled ON job_prediction (settled_at) WHERE settled_at IS NOT NULL;
