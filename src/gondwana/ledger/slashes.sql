-- name: case_by_id
-- One case.
SELECT * FROM slash_case WHERE id = :id;

-- name: save_case
-- Write the whole row, new or changed; what was proposed stays.
INSERT INTO slash_case (
    id, provider_id, tenant_id, machine_id, job_id, unit_id, amount_micro_usd, held_micro_usd, made_whole_micro_usd,
    verification_cost_micro_usd, reports, bounty_bps, reason, evidence, evidence_hash, state, proposed_at, appeal,
    appealed_at, verdict, ended_at
) VALUES (
    :id, :provider_id, :tenant_id, :machine_id, :job_id, :unit_id, :amount_micro_usd, :held_micro_usd,
    :made_whole_micro_usd, :verification_cost_micro_usd, :reports, :bounty_bps, :reason, :evidence, :evidence_hash,
    :state, :proposed_at, :appeal, :appealed_at, :verdict, :ended_at
) ON CONFLICT (id) DO UPDATE SET
    state = excluded.state, appeal = excluded.appeal, appealed_at = excluded.appealed_at, verdict = excluded.verdict,
    ended_at = excluded.ended_at;

-- name: cases
-- Cases that accuse somebody or make him whole, or all when :principal_id is null; newest first.
SELECT * FROM slash_case
WHERE (:principal_id IS NULL OR provider_id = :principal_id OR tenant_id = :principal_id)
    AND (:before IS NULL OR id < :before)
ORDER BY id DESC LIMIT :limit;

-- name: cases_to_settle
-- Cases that nobody appealed since :proposed_before, or nobody judged since :appealed_before; at most :limit.
SELECT id FROM slash_case WHERE ended_at IS NULL AND (
    (state = 'proposed' AND proposed_at <= :proposed_before) OR (state = 'appealed' AND appealed_at <= :appealed_before))
ORDER BY proposed_at LIMIT :limit;
