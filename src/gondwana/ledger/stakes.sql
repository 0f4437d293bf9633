-- name: unbonding_by_id
-- One part of a stake on its way out.
SELECT * FROM unbonding WHERE id = :id;

-- name: save_unbonding
-- Write the whole row, new or changed.
INSERT INTO unbonding (
    id, provider_id, amount_micro_usd, unbonded_at, released_at
) VALUES (
    :id, :provider_id, :amount_micro_usd, :unbonded_at, :released_at
) ON CONFLICT (id) DO UPDATE SET released_at = excluded.released_at;

-- name: unbonding_of_provider
-- All parts of an owner's stake that are on their way out, oldest first.
SELECT * FROM unbonding WHERE provider_id = :provider_id AND released_at IS NULL ORDER BY unbonded_at, id;

-- name: providers_due
-- Owners with a part that was unbonded until :before, at most :limit.
SELECT DISTINCT provider_id FROM unbonding WHERE released_at IS NULL AND unbonded_at <= :before
ORDER BY provider_id LIMIT :limit;
