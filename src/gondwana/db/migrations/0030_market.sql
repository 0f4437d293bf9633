-- What jobs want, and who serves them. `order` is a word of SQL, so its table is `market_order`.

CREATE TABLE market_order (
    id TEXT PRIMARY KEY,
    job_id TEXT NOT NULL,
    tenant_id TEXT NOT NULL REFERENCES principal (id),
    state TEXT NOT NULL,
    count_min INTEGER NOT NULL CHECK (count_min > 0),
    count_max INTEGER NOT NULL CHECK (count_max >= count_min),
    devices INTEGER NOT NULL CHECK (devices > 0),
    resources TEXT NOT NULL, -- JSON
    price_cap_micro_usd_per_device_hour INTEGER,
    charge TEXT NOT NULL,
    created_at REAL NOT NULL,
    expires_at REAL NOT NULL
) STRICT;
CREATE INDEX market_order_by_state ON market_order (state, created_at);

CREATE TABLE lease (
    id TEXT PRIMARY KEY,
    order_id TEXT NOT NULL REFERENCES market_order (id),
    job_id TEXT NOT NULL,
    tenant_id TEXT NOT NULL REFERENCES principal (id),
    machine_id TEXT NOT NULL REFERENCES machine (id),
    offer_id TEXT NOT NULL REFERENCES offer (id),
    state TEXT NOT NULL,
    devices INTEGER NOT NULL CHECK (devices > 0),
    price_micro_usd_per_device_hour INTEGER NOT NULL CHECK (price_micro_usd_per_device_hour >= 0),
    charge TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    rank INTEGER NOT NULL,
    reserved_at REAL NOT NULL,
    active_at REAL,
    closed_at REAL,
    reason TEXT,
    proven_ms INTEGER NOT NULL CHECK (proven_ms >= 0),
    proven_at REAL,
    UNIQUE (machine_id, epoch)
) STRICT;
CREATE INDEX lease_live_of_machine ON lease (machine_id) WHERE state <> 'closed';
CREATE INDEX lease_of_job ON lease (job_id, state);
CREATE INDEX lease_reserved ON lease (reserved_at) WHERE state = 'reserved';
