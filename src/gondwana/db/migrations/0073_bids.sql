-- What owners ask in auctions. An open bid holds devices of its machine.

CREATE TABLE bid (
    id TEXT PRIMARY KEY,
    order_id TEXT NOT NULL REFERENCES market_order (id),
    machine_id TEXT NOT NULL REFERENCES machine (id),
    owner_id TEXT NOT NULL REFERENCES principal (id),
    state TEXT NOT NULL CHECK (state IN ('open', 'won', 'lost', 'withdrawn', 'expired')),
    devices INTEGER NOT NULL CHECK (devices > 0),
    ask_micro_usd_per_device_hour INTEGER NOT NULL CHECK (ask_micro_usd_per_device_hour >= 0),
    limit_micro_usd_per_device_hour INTEGER NOT NULL
        CHECK (limit_micro_usd_per_device_hour >= ask_micro_usd_per_device_hour),
    created_at REAL NOT NULL,
    expires_at REAL NOT NULL,
    ended_at REAL,
    reason TEXT,
    price_micro_usd_per_device_hour INTEGER
        CHECK (price_micro_usd_per_device_hour >= ask_micro_usd_per_device_hour)
) STRICT;
CREATE UNIQUE INDEX bid_open_once ON bid (order_id, machine_id) WHERE state = 'open';
CREATE INDEX bid_open_of_machine ON bid (machine_id) WHERE state = 'open';
CREATE INDEX bid_open_by_end ON bid (expires_at) WHERE state = 'open';
CREATE INDEX bid_of_order ON bid (order_id, state);
CREATE INDEX bid_of_owner ON bid (owner_id, id);
CREATE INDEX market_order_auctions ON market_order (closes_at) WHERE state = 'open' AND mechanism = 'auction';
