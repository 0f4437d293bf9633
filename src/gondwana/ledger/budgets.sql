-- name: save_budget
-- Write the whole row, new or changed.
INSERT INTO budget (id, tenant_id, project, period, limit_micro_usd, set_by, is_operators, set_at)
VALUES (:id, :tenant_id, :project, :period, :limit_micro_usd, :set_by, :is_operators, :set_at)
ON CONFLICT (id) DO UPDATE SET
    tenant_id = excluded.tenant_id, project = excluded.project, period = excluded.period,
    limit_micro_usd = excluded.limit_micro_usd, set_by = excluded.set_by, is_operators = excluded.is_operators,
    set_at = excluded.set_at;

-- name: budgets_of_tenant
SELECT * FROM budget WHERE tenant_id = :tenant_id ORDER BY project, period;

-- name: budget_of
SELECT * FROM budget WHERE tenant_id = :tenant_id AND project = :project AND period = :period;

-- name: remove_budget
DELETE FROM budget WHERE id = :id;

-- name: granted
SELECT granted_micro_usd FROM budget_period WHERE budget_id = :budget_id AND period = :period;

-- name: save_granted
INSERT INTO budget_period (budget_id, period, granted_micro_usd) VALUES (:budget_id, :period, :granted_micro_usd)
ON CONFLICT (budget_id, period) DO UPDATE SET granted_micro_usd = excluded.granted_micro_usd;
