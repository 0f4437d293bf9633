-- name: report_by_id
-- One report.
SELECT * FROM report WHERE id = :id;

-- name: save_report
-- Write the whole row, new or changed.
INSERT INTO report (
    id, reporter_id, accused_id, machine_id, job_id, claim, bond_micro_usd, payer, state, at, case_id, verdict,
    decided_at
) VALUES (
    :id, :reporter_id, :accused_id, :machine_id, :job_id, :claim, :bond_micro_usd, :payer, :state, :at, :case_id,
    :verdict, :decided_at
) ON CONFLICT (id) DO UPDATE SET
    state = excluded.state, case_id = excluded.case_id, verdict = excluded.verdict, decided_at = excluded.decided_at;

-- name: reports
-- Reports of one reporter or of all, newest first.
SELECT * FROM report
WHERE (:reporter_id IS NULL OR reporter_id = :reporter_id) AND (:before IS NULL OR id < :before)
ORDER BY id DESC LIMIT :limit;

-- name: count_open_reports
-- How many reports of somebody wait for a judgement.
SELECT count(*) AS reports FROM report WHERE reporter_id = :reporter_id AND state = 'open';

-- name: open_reports_before
-- Reports made before :before that nobody judged, oldest first, at most :limit.
SELECT id FROM report WHERE state = 'open' AND at <= :before ORDER BY at, id LIMIT :limit;
