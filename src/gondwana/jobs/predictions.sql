-- name: of_job
-- What was expected of a job.
SELECT * FROM job_prediction WHERE job_id = :job_id;

-- name: past
-- The newest job that did the same work and went well.
SELECT * FROM job_prediction WHERE work_key = :work_key AND succeeded = 1 ORDER BY settled_at DESC, job_id DESC LIMIT 1;

-- name: ended
-- Jobs that have ended, of which it is not yet written what became of them.
SELECT job_prediction.job_id FROM job_prediction JOIN job ON job.id = job_prediction.job_id
WHERE job_prediction.settled_at IS NULL AND job.ended_at IS NOT NULL ORDER BY job_prediction.job_id LIMIT :limit;

-- name: settle
-- What became of a job, once.
UPDATE job_prediction SET settled_at = :settled_at, succeeded = :succeeded, actual_machines = :actual_machines,
    actual_seconds = :actual_seconds, actual_cost_micro_usd = :actual_cost_micro_usd,
    actual_step_seconds = :actual_step_seconds, reference_steps = :reference_steps, parameters = :parameters,
    steps_per_reference_step = :steps_per_reference_step, overhead_seconds = :overhead_seconds,
    start_seconds = :start_seconds
WHERE job_id = :job_id AND settled_at IS NULL;

-- name: settled
-- The newest jobs of which it is known what became of them.
SELECT * FROM job_prediction WHERE settled_at IS NOT NULL ORDER BY settled_at DESC, job_id DESC LIMIT :limit;

-- name: islands
-- Every island that a job ever had; its leases are closed by the time it is compared.
SELECT * FROM island WHERE job_id = :job_id ORDER BY lease_id;
