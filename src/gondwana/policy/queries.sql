-- name: save_principal
-- Write the whole row, new or changed.
INSERT INTO principal (
    id, name, created_at
) VALUES (
    :id, :name, :created_at
) ON CONFLICT (id) DO UPDATE SET
    name = excluded.name, created_at = excluded.created_at;

-- name: save_token
-- Write the whole row, new or changed.
INSERT INTO token (
    id, hash, principal_id, scopes, created_at, revoked_at
) VALUES (
    :id, :hash, :principal_id, :scopes, :created_at, :revoked_at
) ON CONFLICT (id) DO UPDATE SET
    hash = excluded.hash, principal_id = excluded.principal_id, scopes = excluded.scopes,
    created_at = excluded.created_at, revoked_at = excluded.revoked_at;

-- name: token_by_hash
-- The token with this hash, revoked or not.
SELECT * FROM token WHERE hash = :hash;

-- name: token_by_id
-- One token.
SELECT * FROM token WHERE id = :id;

-- name: tokens
-- All tokens, newest last.
SELECT * FROM token ORDER BY created_at LIMIT :limit;

-- name: principal_by_id
-- One principal.
SELECT * FROM principal WHERE id = :id;

-- name: principal_by_name
-- One principal.
SELECT * FROM principal WHERE name = :name;

-- name: save_quota
-- Write the whole row, new or changed.
INSERT INTO quota (
    tenant_id, project, model, is_operators, devices_max, jobs_max, weight, set_by, set_at
) VALUES (
    :tenant_id, :project, :model, :is_operators, :devices_max, :jobs_max, :weight, :set_by, :set_at
) ON CONFLICT (tenant_id, project, model, is_operators) DO UPDATE SET
    devices_max = excluded.devices_max, jobs_max = excluded.jobs_max, weight = excluded.weight,
    set_by = excluded.set_by, set_at = excluded.set_at;

-- name: remove_quota
-- Lift it.
DELETE FROM quota WHERE tenant_id = :tenant_id AND project = :project AND model = :model
    AND is_operators = :is_operators;

-- name: quotas_of
-- The quotas of these tenants.
SELECT * FROM quota WHERE tenant_id IN (:keys) ORDER BY tenant_id, project, model, is_operators;

-- name: quotas
-- All quotas.
SELECT * FROM quota ORDER BY tenant_id, project, model, is_operators LIMIT :limit;
