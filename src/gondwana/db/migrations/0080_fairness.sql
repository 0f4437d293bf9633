-- What an account or a project may hold at once, and how much it weighs where supply is short.

CREATE TABLE quota (
    tenant_id TEXT NOT NULL REFERENCES principal (id),
    project TEXT NOT NULL, -- '': all of the tenant's jobs
    model TEXT NOT NULL, -- '': devices of any model
    is_operators INTEGER NOT NULL, -- 1: an operator's word; it stands beside the tenant's own
    devices_max INTEGER CHECK (devices_max >= 0),
    jobs_max INTEGER CHECK (jobs_max >= 0),
    weight INTEGER CHECK (weight BETWEEN 1 AND 1000),
    set_by TEXT NOT NULL REFERENCES principal (id),
    set_at REAL NOT NULL,
    PRIMARY KEY (tenant_id, project, model, is_operators)
) STRICT, WITHOUT ROWID;

-- What turns are reckoned by, without reading the job: its project, and how long it may hold a machine.

ALTER TABLE market_order ADD COLUMN project TEXT NOT NULL DEFAULT '';
ALTER TABLE market_order ADD COLUMN seconds_max REAL; -- null: nobody knows
CREATE INDEX lease_live_of_tenant ON lease (tenant_id) WHERE state <> 'closed';

-- Machines kept for an order that smaller ones would pass by for ever.

CREATE TABLE market_hold (
    machine_id TEXT PRIMARY KEY REFERENCES machine (id),
    order_id TEXT NOT NULL REFERENCES market_order (id),
    devices INTEGER NOT NULL CHECK (devices > 0),
    whole_at REAL, -- when all that the order needs is free at the latest; null: nobody knows
    since REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX market_hold_of_order ON market_hold (order_id);
