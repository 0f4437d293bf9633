-- Stakes on their way out, slashes with their evidence and appeals, reports with their bonds. The money is in the books;
-- a row says why it moved, and where the matter stands.

CREATE TABLE unbonding (
    id TEXT PRIMARY KEY,
    provider_id TEXT NOT NULL REFERENCES principal (id),
    amount_micro_usd INTEGER NOT NULL CHECK (amount_micro_usd > 0),
    unbonded_at REAL NOT NULL,
    released_at REAL
) STRICT;
CREATE INDEX unbonding_of_provider ON unbonding (provider_id, unbonded_at) WHERE released_at IS NULL;
CREATE INDEX unbonding_by_time ON unbonding (unbonded_at) WHERE released_at IS NULL;

CREATE TABLE slash_case (
    id TEXT PRIMARY KEY,
    provider_id TEXT NOT NULL REFERENCES principal (id), -- the accused
    tenant_id TEXT REFERENCES principal (id), -- who is made whole
    machine_id TEXT REFERENCES machine (id),
    job_id TEXT REFERENCES job (id),
    unit_id TEXT REFERENCES unit (id),
    amount_micro_usd INTEGER NOT NULL CHECK (amount_micro_usd >= 0),
    held_micro_usd INTEGER NOT NULL CHECK (held_micro_usd BETWEEN 0 AND amount_micro_usd),
    made_whole_micro_usd INTEGER NOT NULL CHECK (made_whole_micro_usd >= 0),
    verification_cost_micro_usd INTEGER NOT NULL CHECK (verification_cost_micro_usd >= 0),
    reports TEXT NOT NULL, -- JSON list of ids, in the order in which they share the bounty
    bounty_bps INTEGER NOT NULL,
    reason TEXT NOT NULL,
    evidence TEXT NOT NULL, -- JSON
    evidence_hash TEXT NOT NULL, -- SHA-256 of that text, hexadecimal
    state TEXT NOT NULL,
    proposed_at REAL NOT NULL,
    appeal TEXT NOT NULL,
    appealed_at REAL,
    verdict TEXT NOT NULL,
    ended_at REAL
) STRICT;
CREATE INDEX slash_case_of_provider ON slash_case (provider_id, id);
CREATE INDEX slash_case_of_tenant ON slash_case (tenant_id, id) WHERE tenant_id IS NOT NULL;
CREATE INDEX slash_case_live ON slash_case (proposed_at) WHERE ended_at IS NULL;

CREATE TABLE report (
    id TEXT PRIMARY KEY,
    reporter_id TEXT NOT NULL REFERENCES principal (id),
    accused_id TEXT NOT NULL REFERENCES principal (id),
    machine_id TEXT REFERENCES machine (id),
    job_id TEXT REFERENCES job (id),
    claim TEXT NOT NULL,
    bond_micro_usd INTEGER NOT NULL CHECK (bond_micro_usd > 0),
    payer TEXT NOT NULL, -- the account that the bond came from
    state TEXT NOT NULL,
    at REAL NOT NULL,
    case_id TEXT REFERENCES slash_case (id),
    verdict TEXT NOT NULL,
    decided_at REAL,
    CHECK (reporter_id <> accused_id)
) STRICT;
CREATE INDEX report_of_reporter ON report (reporter_id, id);
CREATE INDEX report_by_state ON report (state, id);
