-- What a tenant allows himself, or is allowed, to spend: beside each job's own budget.

CREATE TABLE budget (
    id TEXT PRIMARY KEY,
    tenant_id TEXT NOT NULL REFERENCES principal (id),
    project TEXT NOT NULL, -- '': all of the tenant's jobs
    period TEXT NOT NULL CHECK (period IN ('month', 'ever')),
    limit_micro_usd INTEGER NOT NULL CHECK (limit_micro_usd >= 0),
    set_by TEXT NOT NULL REFERENCES principal (id),
    is_operators INTEGER NOT NULL, -- 1: only an operator changes it
    set_at REAL NOT NULL,
    UNIQUE (tenant_id, project, period)
) STRICT;

-- What the ledger granted of a budget in one period, less what it revoked: used is what of that is not left.

CREATE TABLE budget_period (
    budget_id TEXT NOT NULL,
    period TEXT NOT NULL, -- '2026-11', or 'ever'
    granted_micro_usd INTEGER NOT NULL CHECK (granted_micro_usd >= 0),
    PRIMARY KEY (budget_id, period)
) STRICT, WITHOUT ROWID;

-- A lease's tenant is warned once when its money runs low, and once before it is stopped.

ALTER TABLE lease ADD COLUMN notice TEXT NOT NULL DEFAULT '';
