-- name: save_job
-- Write the whole row, new or changed.
INSERT INTO job (
    id, tenant_id, name, state, spec, shares, order_id, created_at, ended_at, reason, detail, exit_code
) VALUES (
    :id, :tenant_id, :name, :state, :spec, :shares, :order_id, :created_at, :ended_at, :reason, :detail,
    :exit_code
) ON CONFLICT (id) DO UPDATE SET
    tenant_id = excluded.tenant_id, name = excluded.name, state = excluded.state,
    spec = excluded.spec, shares = excluded.shares, order_id = excluded.order_id, created_at = excluded.created_at,
    ended_at = excluded.ended_at, reason = excluded.reason, detail = excluded.detail,
    exit_code = excluded.exit_code;

-- name: save_run
-- Write the whole row, new or changed.
INSERT INTO run (
    id, job_id, lease_id, rank, state, exit_code, reason, output, checkpoint, created_at, started_at,
    ended_at
) VALUES (
    :id, :job_id, :lease_id, :rank, :state, :exit_code, :reason, :output, :checkpoint, :created_at,
    :started_at, :ended_at
) ON CONFLICT (id) DO UPDATE SET
    job_id = excluded.job_id, lease_id = excluded.lease_id, rank = excluded.rank,
    state = excluded.state, exit_code = excluded.exit_code, reason = excluded.reason,
    output = excluded.output, checkpoint = excluded.checkpoint, created_at = excluded.created_at,
    started_at = excluded.started_at, ended_at = excluded.ended_at;

-- name: save_training
-- Write the whole row, new or changed.
INSERT INTO training (
    job_id, phase, round, parameters, layout, "outer", params, state, started_at, deadline,
    heldout_loss, tokens, bytes_up, bytes_down, bytes_data_parallel, failures_in_row, sample,
    artifact
) VALUES (
    :job_id, :phase, :round, :parameters, :layout, :outer, :params, :state, :started_at,
    :deadline, :heldout_loss, :tokens, :bytes_up, :bytes_down, :bytes_data_parallel,
    :failures_in_row, :sample, :artifact
) ON CONFLICT (job_id) DO UPDATE SET
    phase = excluded.phase, round = excluded.round, parameters = excluded.parameters,
    layout = excluded.layout, "outer" = excluded."outer", params = excluded.params,
    state = excluded.state, started_at = excluded.started_at, deadline = excluded.deadline,
    heldout_loss = excluded.heldout_loss, tokens = excluded.tokens,
    bytes_up = excluded.bytes_up, bytes_down = excluded.bytes_down,
    bytes_data_parallel = excluded.bytes_data_parallel,
    failures_in_row = excluded.failures_in_row, sample = excluded.sample,
    artifact = excluded.artifact;

-- name: save_round
-- Write the whole row, new or changed.
INSERT INTO training_round (
    job_id, round, heldout_loss, islands, accepted, rejected, expired, tokens, seconds,
    bytes_up, bytes_down, bytes_data_parallel
) VALUES (
    :job_id, :round, :heldout_loss, :islands, :accepted, :rejected, :expired, :tokens,
    :seconds, :bytes_up, :bytes_down, :bytes_data_parallel
) ON CONFLICT (job_id, round) DO UPDATE SET
    heldout_loss = excluded.heldout_loss, islands = excluded.islands,
    accepted = excluded.accepted, rejected = excluded.rejected, expired = excluded.expired,
    tokens = excluded.tokens, seconds = excluded.seconds, bytes_up = excluded.bytes_up,
    bytes_down = excluded.bytes_down, bytes_data_parallel = excluded.bytes_data_parallel;

-- name: save_island
-- Write the whole row, new or changed.
INSERT INTO island (
    lease_id, job_id, machine_id, epoch, price_micro_usd_per_hour, reference_steps_per_second,
    steps_per_second, priced_steps_per_second
) VALUES (
    :lease_id, :job_id, :machine_id, :epoch, :price_micro_usd_per_hour,
    :reference_steps_per_second, :steps_per_second, :priced_steps_per_second
) ON CONFLICT (lease_id) DO UPDATE SET
    job_id = excluded.job_id, machine_id = excluded.machine_id, epoch = excluded.epoch,
    price_micro_usd_per_hour = excluded.price_micro_usd_per_hour,
    reference_steps_per_second = excluded.reference_steps_per_second,
    steps_per_second = excluded.steps_per_second,
    priced_steps_per_second = excluded.priced_steps_per_second;

-- name: save_unit
-- Write the whole row, new or changed.
INSERT INTO unit (
    id, job_id, kind, round, state, lease_id, machine_id, spec, price_micro_usd, assigned_at,
    expires_at, delivered_at, output, output_bytes, result, verdict, norm, cosine, doubted_by
) VALUES (
    :id, :job_id, :kind, :round, :state, :lease_id, :machine_id, :spec, :price_micro_usd,
    :assigned_at, :expires_at, :delivered_at, :output, :output_bytes, :result, :verdict, :norm,
    :cosine, :doubted_by
) ON CONFLICT (id) DO UPDATE SET
    job_id = excluded.job_id, kind = excluded.kind, round = excluded.round,
    state = excluded.state, lease_id = excluded.lease_id, machine_id = excluded.machine_id,
    spec = excluded.spec, price_micro_usd = excluded.price_micro_usd,
    assigned_at = excluded.assigned_at, expires_at = excluded.expires_at,
    delivered_at = excluded.delivered_at, output = excluded.output,
    output_bytes = excluded.output_bytes, result = excluded.result, verdict = excluded.verdict,
    norm = excluded.norm, cosine = excluded.cosine, doubted_by = excluded.doubted_by;

-- name: job_by_id
-- One job.
SELECT * FROM job WHERE id = :id;

-- name: jobs_by_id
-- These jobs.
SELECT * FROM job WHERE id IN (:keys);

-- name: move_jobs
-- These jobs in their next state, where they stand in the one given.
UPDATE job SET state = ? WHERE state = ? AND id IN (:keys);

-- name: leases_with_runs
-- The leases of these jobs that have run something.
SELECT lease_id FROM run WHERE job_id IN (:keys);

-- name: frozen_among
-- Those of these principals that may neither spend nor take out.
SELECT principal_id FROM frozen_account WHERE principal_id IN (:keys);

-- name: with_budgets
-- Those of these tenants that limited what they spend.
SELECT DISTINCT tenant_id FROM budget WHERE tenant_id IN (:keys);

-- name: job_by_name
-- A tenant's newest job of this name.
SELECT * FROM job WHERE tenant_id = :tenant_id AND name = :name ORDER BY id DESC LIMIT 1;

-- name: jobs
-- All jobs before :before, newest first.
SELECT * FROM job WHERE :before IS NULL OR id < :before ORDER BY id DESC LIMIT :limit;

-- name: jobs_of_tenant
-- The same of one tenant.
SELECT * FROM job WHERE tenant_id = :tenant_id AND (:before IS NULL OR id < :before) ORDER BY id DESC LIMIT :limit;

-- name: live_jobs
-- Jobs that have not ended, oldest first.
SELECT * FROM job WHERE ended_at IS NULL ORDER BY created_at, id LIMIT :limit;

-- name: jobs_with_ended_runs
-- Jobs that have not ended, though a run of theirs has, oldest first.
SELECT job.* FROM job WHERE job.ended_at IS NULL
    AND EXISTS (SELECT 1 FROM run WHERE run.job_id = job.id AND run.state IN ('exited', 'lost'))
ORDER BY job.created_at, job.id LIMIT :limit;

-- name: jobs_in_training
-- Jobs that have not ended and whose training has begun, oldest first.
SELECT job.* FROM job JOIN training ON training.job_id = job.id
WHERE job.ended_at IS NULL ORDER BY job.created_at, job.id LIMIT :limit;

-- name: count_live_jobs
-- How many of a tenant's jobs have not ended.
SELECT count(*) AS jobs FROM job WHERE tenant_id = :tenant_id AND ended_at IS NULL;

-- name: run_by_id
-- One run.
SELECT * FROM run WHERE id = :id;

-- name: overdue_runs
-- Runs of batch jobs that were over their limit at :before, or may have been: an order made before limits were written
-- into it has none. The oldest first.
SELECT run.* FROM job JOIN run ON run.job_id = job.id JOIN market_order ON market_order.id = job.order_id
WHERE job.ended_at IS NULL AND job.created_at < :before AND run.state IN ('assigned', 'preparing', 'running')
    AND coalesce(run.started_at, run.created_at) + coalesce(market_order.seconds_max, 0) < :before
ORDER BY job.created_at, job.id, run.id LIMIT :limit;

-- name: untaken_runs
-- Runs that were assigned until :before and not begun, whose machines never said that they serve the lease.
SELECT run.* FROM run JOIN lease ON lease.id = run.lease_id
WHERE run.state = 'assigned' AND run.created_at <= :before AND lease.proven_at <= lease.active_at
ORDER BY run.created_at, run.id LIMIT :limit;

-- name: save_checkpoint
-- What the next attempt of a run's node goes on from.
UPDATE run SET checkpoint = :checkpoint WHERE id = :id;

-- name: runs_of_job
-- All attempts of all nodes.
SELECT * FROM run WHERE job_id = :job_id ORDER BY created_at, id;

-- name: runs_of_lease
-- What a lease ran.
SELECT * FROM run WHERE lease_id = :lease_id ORDER BY created_at, id;

-- name: log_end
-- How many bytes of log a run has.
SELECT start + length(data) AS bytes FROM log_chunk WHERE run_id = :run_id ORDER BY start DESC LIMIT 1;

-- name: add_log
-- One more piece.
INSERT INTO log_chunk (run_id, start, data) VALUES (:run_id, :start, :data) ON CONFLICT (run_id, start) DO NOTHING;

-- name: read_log
-- The pieces from byte :offset on.
SELECT start, data FROM log_chunk WHERE run_id = :run_id AND start >= coalesce(
    (SELECT max(start) FROM log_chunk WHERE run_id = :run_id AND start <= :offset), 0)
ORDER BY start LIMIT :limit;

-- name: training_of_job
-- How far a job's training has come.
SELECT * FROM training WHERE job_id = :job_id;

-- name: rounds_of_job
-- What became of each round.
SELECT * FROM training_round WHERE job_id = :job_id ORDER BY round;

-- name: islands_of_job
-- A job's islands whose leases are live and whose owners do not want them back.
SELECT island.* FROM island JOIN lease ON lease.id = island.lease_id JOIN machine ON machine.id = island.machine_id
WHERE island.job_id = :job_id AND lease.state IN ('active', 'reclaiming') AND machine.state <> 'draining'
ORDER BY island.lease_id;

-- name: leaving_islands
-- When the leases of a job's islands end, as far as it is known: by notice, or by what was agreed.
SELECT island.lease_id, lease.reclaim_at, lease.ends_at FROM island JOIN lease ON lease.id = island.lease_id
WHERE island.job_id = :job_id AND lease.state IN ('active', 'reclaiming')
    AND (lease.reclaim_at IS NOT NULL OR lease.ends_at IS NOT NULL);

-- name: island_of_lease
-- One island.
SELECT * FROM island WHERE lease_id = :lease_id;

-- name: unit_by_id
-- One unit.
SELECT * FROM unit WHERE id = :id;

-- name: units_of_round
-- All units of one round.
SELECT * FROM unit WHERE job_id = :job_id AND round = :round ORDER BY id;

-- name: units_of_job
-- All units of a job.
SELECT * FROM unit WHERE job_id = :job_id ORDER BY id;

-- name: units_delivered_of_job
-- Units of a job that wait for a verdict.
SELECT * FROM unit WHERE job_id = :job_id AND state = 'delivered' ORDER BY id;

-- name: units_assigned_to_lease
-- What a lease's machine should be working on.
SELECT * FROM unit WHERE lease_id = :lease_id AND state = 'assigned' ORDER BY assigned_at, id;

-- name: unit_counts_of_job
-- How many units of each lease came to which end.
SELECT lease_id, machine_id, kind, state, count(*) AS units, sum(price_micro_usd) AS price_micro_usd FROM unit
WHERE job_id = :job_id GROUP BY lease_id, machine_id, kind, state;

-- name: unit_counts_of_machine
-- How many training units of a machine came to which end.
SELECT state, count(*) AS units FROM unit WHERE machine_id = :machine_id AND kind = 'train' GROUP BY state;

-- name: count_bytes_down
-- More bytes went to a training run's islands.
UPDATE training SET bytes_down = bytes_down + :bytes WHERE job_id = :job_id;

-- name: overdue_units
-- Units that should have been delivered by :now.
SELECT * FROM unit WHERE state = 'assigned' AND expires_at <= :now ORDER BY expires_at LIMIT :limit;

-- name: earned_by_units
-- What is left to its owner of a machine's accepted units (ledger: the residual after the network's parts).
SELECT coalesce(sum(unit.price_micro_usd - CASE WHEN unit.kind = 'evaluate' THEN 0 ELSE unit.price_micro_usd
        * (json_extract(job.shares, '$.fee_bps') + json_extract(job.shares, '$.insurance_bps')
        + json_extract(job.shares, '$.verification_bps') + json_extract(job.shares, '$.tax_bps')) / 10000 END), 0) AS micro_usd
FROM unit JOIN job ON job.id = unit.job_id WHERE unit.machine_id = :machine_id AND unit.state = 'accepted';

-- name: earned_by_units (postgres)
SELECT coalesce(sum(unit.price_micro_usd - CASE WHEN unit.kind = 'evaluate' THEN 0 ELSE unit.price_micro_usd
        * ((job.shares::JSON ->> 'fee_bps')::BIGINT + (job.shares::JSON ->> 'insurance_bps')::BIGINT
        + (job.shares::JSON ->> 'verification_bps')::BIGINT + (job.shares::JSON ->> 'tax_bps')::BIGINT) / 10000 END), 0) AS micro_usd
FROM unit JOIN job ON job.id = unit.job_id WHERE unit.machine_id = :machine_id AND unit.state = 'accepted';

-- name: earned_by_seconds
-- The same of its leases by the second, as far as their escrows reached.
SELECT coalesce(sum(due - due * bps / 10000), 0) AS micro_usd FROM (
    SELECT min(lease.due_before_micro_usd + lease.price_micro_usd_per_device_hour * lease.devices
                * (lease.proven_ms / 1000 - lease.priced_from_seconds) / 3600,
            coalesce((SELECT credits_posted FROM ledger_account
                      WHERE name = 'lease:' || lease.id || ':escrow'), 0)) AS due,
        (json_extract(job.shares, '$.fee_bps') + json_extract(job.shares, '$.insurance_bps')
        + json_extract(job.shares, '$.verification_bps') + json_extract(job.shares, '$.tax_bps')) AS bps
    FROM lease JOIN job ON job.id = lease.job_id WHERE lease.machine_id = :machine_id AND lease.charge = 'second');

-- name: earned_by_seconds (postgres)
SELECT coalesce(sum(due - due * bps / 10000), 0) AS micro_usd FROM (
    SELECT least(lease.due_before_micro_usd + lease.price_micro_usd_per_device_hour * lease.devices
                * (lease.proven_ms / 1000 - lease.priced_from_seconds) / 3600,
            coalesce((SELECT credits_posted FROM ledger_account
                      WHERE name = 'lease:' || lease.id || ':escrow'), 0)) AS due,
        ((job.shares::JSON ->> 'fee_bps')::BIGINT + (job.shares::JSON ->> 'insurance_bps')::BIGINT
        + (job.shares::JSON ->> 'verification_bps')::BIGINT + (job.shares::JSON ->> 'tax_bps')::BIGINT) AS bps
    FROM lease JOIN job ON job.id = lease.job_id WHERE lease.machine_id = :machine_id AND lease.charge = 'second') AS earned;
