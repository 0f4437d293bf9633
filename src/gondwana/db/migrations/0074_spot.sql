-- Spot: leases whose price changes while they run, and the calls that change it.

ALTER TABLE lease ADD COLUMN due_before_micro_usd INTEGER NOT NULL DEFAULT 0 CHECK (due_before_micro_usd >= 0);
ALTER TABLE lease ADD COLUMN priced_from_seconds INTEGER NOT NULL DEFAULT 0 CHECK (priced_from_seconds >= 0);
ALTER TABLE lease ADD COLUMN floor_micro_usd_per_device_hour INTEGER NOT NULL DEFAULT 0
    CHECK (floor_micro_usd_per_device_hour >= 0);
CREATE INDEX lease_on_spot ON lease (machine_id) WHERE mechanism = 'spot' AND state <> 'closed';
CREATE INDEX market_order_on_spot ON market_order (created_at, id) WHERE mechanism = 'spot' AND state = 'open';

CREATE TABLE spot_call (
    model TEXT NOT NULL,
    region TEXT NOT NULL,
    at REAL NOT NULL,
    price INTEGER NOT NULL CHECK (price >= 0), -- micro-USD per device-hour
    bids INTEGER NOT NULL CHECK (bids >= 0), -- devices, as are the next three
    asks INTEGER NOT NULL CHECK (asks >= 0),
    traded INTEGER NOT NULL CHECK (traded >= 0),
    evicted INTEGER NOT NULL CHECK (evicted >= 0),
    PRIMARY KEY (model, region, at)
) STRICT, WITHOUT ROWID;
CREATE INDEX spot_call_by_time ON spot_call (at);

CREATE TABLE spot_round (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    called_at REAL NOT NULL -- the last call: one a minute, whoever makes it
) STRICT;
