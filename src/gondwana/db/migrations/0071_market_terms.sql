-- How an order buys, what a lease agreed, what an offer promises.

ALTER TABLE market_order ADD COLUMN mechanism TEXT NOT NULL DEFAULT 'posted';
ALTER TABLE market_order ADD COLUMN filters TEXT NOT NULL DEFAULT '';
ALTER TABLE market_order ADD COLUMN notice_seconds_min INTEGER NOT NULL DEFAULT 0 CHECK (notice_seconds_min >= 0);
ALTER TABLE market_order ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
ALTER TABLE market_order ADD COLUMN lease_seconds INTEGER CHECK (lease_seconds > 0);
ALTER TABLE market_order ADD COLUMN starts_at REAL;
ALTER TABLE market_order ADD COLUMN closes_at REAL;
ALTER TABLE market_order ADD COLUMN is_standing INTEGER NOT NULL DEFAULT 0 CHECK (is_standing IN (0, 1));
ALTER TABLE market_order ADD COLUMN manifest_hash TEXT NOT NULL DEFAULT '';

ALTER TABLE lease ADD COLUMN mechanism TEXT NOT NULL DEFAULT 'posted';
ALTER TABLE lease ADD COLUMN notice_seconds INTEGER NOT NULL DEFAULT 0 CHECK (notice_seconds >= 0);
ALTER TABLE lease ADD COLUMN reclaim_at REAL;
ALTER TABLE lease ADD COLUMN ends_at REAL;

ALTER TABLE offer ADD COLUMN notice_seconds INTEGER NOT NULL DEFAULT 0 CHECK (notice_seconds >= 0);
ALTER TABLE offer ADD COLUMN spot_floor_micro_usd_per_device_hour INTEGER
    CHECK (spot_floor_micro_usd_per_device_hour >= 0); -- null: not sold on spot
