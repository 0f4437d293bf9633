-- name: accepted_units
-- Training units that were accepted and worked on in a time, with who made and who bought them.
SELECT unit.id, unit.job_id, unit.round, unit.machine_id, unit.assigned_at, unit.delivered_at, job.tenant_id
FROM unit JOIN job ON job.id = unit.job_id
WHERE unit.kind = 'train' AND unit.state = 'accepted' AND unit.delivered_at > :since AND unit.assigned_at < :until
ORDER BY unit.job_id, unit.round, unit.id;

-- name: earned_by_machine
-- What an account was credited for each machine's leases and units by transfers numbered :first and above, below :end.
SELECT coalesce(lease.machine_id, unit.machine_id) AS machine_id, sum(transfer.amount) AS amount
FROM ledger_account AS account JOIN ledger_transfer AS transfer ON transfer.credit = account.id
JOIN ledger_entry AS entry ON entry.seq = transfer.seq - transfer.leg
JOIN ledger_name AS subject ON subject.id = entry.subject
LEFT JOIN lease ON lease.id = subject.name LEFT JOIN unit ON unit.id = subject.name
WHERE account.name = :account AND transfer.kind IN (0, 2) AND transfer.seq >= :first AND transfer.seq < :end
GROUP BY coalesce(lease.machine_id, unit.machine_id);
