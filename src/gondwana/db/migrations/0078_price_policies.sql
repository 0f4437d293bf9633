-- How owners have their prices set.

CREATE TABLE price_policy (
    machine_id TEXT PRIMARY KEY REFERENCES machine (id),
    policy TEXT NOT NULL, -- JSON
    set_at REAL NOT NULL,
    changed_at REAL NOT NULL, -- when the price last moved
    reason TEXT NOT NULL, -- of that move
    answer INTEGER, -- of the owner's script
    answered_at REAL,
    answer_error TEXT NOT NULL
) STRICT;

-- What a training took beside its rounds.
ALTER TABLE job_prediction ADD COLUMN start_seconds REAL;
