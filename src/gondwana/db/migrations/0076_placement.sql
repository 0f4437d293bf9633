-- Where machines are in the network, and what was measured between two of them.

ALTER TABLE machine ADD COLUMN network TEXT; -- JSON
ALTER TABLE machine ADD COLUMN site TEXT NOT NULL DEFAULT ''; -- the least name of those it stands with
CREATE INDEX machine_of_site ON machine (site) WHERE site <> '';

CREATE TABLE machine_pair (
    low_id TEXT NOT NULL REFERENCES machine (id),
    high_id TEXT NOT NULL REFERENCES machine (id),
    round_trip_seconds REAL CHECK (round_trip_seconds > 0), -- null: they do not reach each other
    up_bits_per_second INTEGER NOT NULL CHECK (up_bits_per_second >= 0), -- from low to high
    down_bits_per_second INTEGER NOT NULL CHECK (down_bits_per_second >= 0),
    measured_at REAL NOT NULL,
    PRIMARY KEY (low_id, high_id),
    CHECK (low_id < high_id)
) STRICT;
CREATE INDEX machine_pair_of_high ON machine_pair (high_id, measured_at);
CREATE INDEX machine_pair_by_age ON machine_pair (measured_at);
