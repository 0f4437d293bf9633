-- What of a machine is promised ahead: to orders, or to nobody while its owner works on it.

CREATE TABLE booking (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL, -- 'reservation' | 'maintenance'
    state TEXT NOT NULL, -- 'booked' until it is used, cancelled, broken, unused or over
    machine_id TEXT NOT NULL REFERENCES machine (id),
    order_id TEXT REFERENCES market_order (id), -- null: maintenance
    job_id TEXT, -- of that order
    devices INTEGER NOT NULL CHECK (devices > 0),
    price_micro_usd_per_device_hour INTEGER NOT NULL CHECK (price_micro_usd_per_device_hour >= 0),
    starts_at REAL NOT NULL,
    ends_at REAL NOT NULL,
    created_at REAL NOT NULL,
    ended_at REAL, -- when it was booked no more
    deposit_micro_usd INTEGER NOT NULL CHECK (deposit_micro_usd >= 0),
    kept_micro_usd INTEGER NOT NULL CHECK (kept_micro_usd BETWEEN 0 AND deposit_micro_usd), -- what of it was not given back
    CHECK (ends_at > starts_at),
    CHECK ((kind = 'reservation') = (order_id IS NOT NULL))
) STRICT;
CREATE INDEX booking_of_machine ON booking (machine_id) WHERE state = 'booked';
CREATE INDEX booking_of_order ON booking (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX booking_due ON booking (starts_at) WHERE state = 'booked';

ALTER TABLE offer ADD COLUMN reserve_seconds_max INTEGER NOT NULL DEFAULT 0 CHECK (reserve_seconds_max >= 0);
ALTER TABLE offer ADD COLUMN discounts TEXT NOT NULL DEFAULT '[]'; -- JSON: by the length of a lease
