-- Machines and what they sell.

CREATE TABLE machine (
    id TEXT PRIMARY KEY,
    owner_id TEXT NOT NULL REFERENCES principal (id),
    name TEXT NOT NULL,
    region TEXT NOT NULL,
    public_key TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    devices INTEGER NOT NULL CHECK (devices > 0),
    cpus_max REAL,
    memory_bytes_max INTEGER,
    inventory TEXT, -- JSON
    speed TEXT, -- JSON
    isolation TEXT NOT NULL,
    address TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    joined_at REAL NOT NULL,
    proven_at REAL,
    rejections_in_row INTEGER NOT NULL,
    UNIQUE (owner_id, name)
) STRICT;
CREATE INDEX machine_by_state ON machine (state, proven_at);

CREATE TABLE offer (
    id TEXT PRIMARY KEY,
    machine_id TEXT NOT NULL UNIQUE REFERENCES machine (id),
    state TEXT NOT NULL,
    price_micro_usd_per_device_hour INTEGER NOT NULL CHECK (price_micro_usd_per_device_hour >= 0)
) STRICT;
