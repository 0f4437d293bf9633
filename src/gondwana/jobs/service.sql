-- name: owner_heard
-- An owner of a machine that proved to be alive at :since or later, other than :but.
SELECT owner_id FROM machine WHERE proven_at >= :since AND owner_id <> :but LIMIT 1;

-- name: network_heard
SELECT until, is_deaf FROM network_heard WHERE one = 1;

-- name: save_network_heard
INSERT INTO network_heard (one, until, is_deaf) VALUES (1, :until, :is_deaf)
ON CONFLICT (one) DO UPDATE SET until = excluded.until, is_deaf = excluded.is_deaf;

-- name: add_gap
INSERT INTO network_gap (since, until) VALUES (:since, :until) ON CONFLICT (since) DO NOTHING;

-- name: gaps
-- Gaps that ended after :after, at most :limit, the newest first.
SELECT since, until FROM network_gap WHERE until > :after ORDER BY since DESC LIMIT :limit;

-- name: service_months
-- What is stored of a lease's months.
SELECT * FROM service_month WHERE lease_id = :lease_id ORDER BY month;

-- name: save_service_month
-- Write the whole row, new or changed.
INSERT INTO service_month (
    lease_id, month, proven_before_ms, paid_before_micro_usd, outage_ms, due_micro_usd, credited_micro_usd,
    credited_at, settled_at
) VALUES (
    :lease_id, :month, :proven_before_ms, :paid_before_micro_usd, :outage_ms, :due_micro_usd, :credited_micro_usd,
    :credited_at, :settled_at
) ON CONFLICT (lease_id, month) DO UPDATE SET
    outage_ms = excluded.outage_ms, due_micro_usd = excluded.due_micro_usd,
    credited_micro_usd = excluded.credited_micro_usd, credited_at = excluded.credited_at,
    settled_at = excluded.settled_at;

-- name: suspects
-- Leases by the second after :after that may owe their tenants a credit, by id: those that are over; of those that live
-- the ones of whose time in :month, which began at :begins, so much is unproven at :until, and those of which an earlier
-- month is not settled.
SELECT * FROM lease WHERE state = 'closed' AND charge = 'second' AND serviced_at IS NULL AND id > :after
UNION ALL
SELECT lease.* FROM lease LEFT JOIN service_month ON service_month.lease_id = lease.id AND service_month.month = :month
WHERE lease.state IN ('active', 'reclaiming') AND lease.charge = 'second' AND lease.id > :after AND (
    (lease.lived_at >= :begins AND (:until - lease.lived_at) * 1000 - lease.proven_ms >= :missing_ms)
    OR (lease.lived_at < :begins AND (
        service_month.lease_id IS NULL
        OR :of_month_ms - (lease.proven_ms - service_month.proven_before_ms) >= :missing_ms
        OR EXISTS (SELECT 1 FROM service_month AS earlier
                   WHERE earlier.lease_id = lease.id AND earlier.month < :month AND earlier.settled_at IS NULL))))
ORDER BY id LIMIT :limit;

-- name: command_ended
-- When the command of a lease ended by itself.
SELECT max(ended_at) AS at FROM run WHERE lease_id = :lease_id AND state = 'exited';

-- name: paid_since
-- What an escrow paid, not counting what went back to its tenant, by transfers numbered :first or above.
SELECT coalesce(sum(transfer.amount), 0) AS amount
FROM ledger_account AS escrow JOIN ledger_transfer AS transfer ON transfer.debit = escrow.id
JOIN ledger_account AS credit ON credit.id = transfer.credit
WHERE escrow.name = :escrow AND transfer.seq >= :first AND transfer.kind IN (0, 2) AND credit.code NOT IN (2000, 2010);

-- name: add_evidence
INSERT INTO sla_evidence (
    lease_id, month, credited_micro_usd, provider_id, evidence, hash, live_ms, unserved_ms, excused_ms,
    from_holdback_micro_usd, from_stake_micro_usd, from_fund_micro_usd, at
) VALUES (
    :lease_id, :month, :credited_micro_usd, :provider_id, :evidence, :hash, :live_ms, :unserved_ms, :excused_ms,
    :from_holdback_micro_usd, :from_stake_micro_usd, :from_fund_micro_usd, :at
);

-- name: evidence_of_lease
-- The credits of a lease with what they follow from, oldest first, at most :limit.
SELECT * FROM sla_evidence WHERE lease_id = :lease_id ORDER BY month, credited_micro_usd LIMIT :limit;

-- name: credited_of_lease
SELECT coalesce(sum(credited_micro_usd), 0) AS amount FROM service_month WHERE lease_id = :lease_id;

-- name: credited_of_job
SELECT coalesce(sum(service.credited_micro_usd), 0) AS amount
FROM lease JOIN service_month AS service ON service.lease_id = lease.id WHERE lease.job_id = :job_id;

-- name: drawn_by_owner
-- What an owner's failures took: of his stake since :since, of the fund ever.
SELECT coalesce(sum(CASE WHEN at >= :since THEN from_stake_micro_usd ELSE 0 END), 0) AS from_stake,
    coalesce(sum(from_fund_micro_usd), 0) AS from_fund
FROM sla_evidence WHERE provider_id = :provider_id;

-- name: paid_in_by_owner
-- What an owner's leases by the second ever brought in fees and premiums, as far as their escrows reached.
SELECT coalesce(sum(due * bps / 10000), 0) AS amount FROM (
    SELECT min(lease.due_before_micro_usd + lease.price_micro_usd_per_device_hour * lease.devices
                * (lease.proven_ms / 1000 - lease.priced_from_seconds) / 3600,
            coalesce((SELECT credits_posted FROM ledger_account
                      WHERE name = 'lease:' || lease.id || ':escrow'), 0)) AS due,
        json_extract(job.shares, '$.fee_bps') + json_extract(job.shares, '$.insurance_bps') AS bps
    FROM machine JOIN lease ON lease.machine_id = machine.id JOIN job ON job.id = lease.job_id
    WHERE machine.owner_id = :provider_id AND lease.charge = 'second');

-- name: paid_in_by_owner (postgres)
SELECT coalesce(sum(due * bps / 10000), 0) AS amount FROM (
    SELECT least(lease.due_before_micro_usd + lease.price_micro_usd_per_device_hour * lease.devices
                * (lease.proven_ms / 1000 - lease.priced_from_seconds) / 3600,
            coalesce((SELECT credits_posted FROM ledger_account
                      WHERE name = 'lease:' || lease.id || ':escrow'), 0)) AS due,
        (job.shares::JSON ->> 'fee_bps')::BIGINT + (job.shares::JSON ->> 'insurance_bps')::BIGINT AS bps
    FROM machine JOIN lease ON lease.machine_id = machine.id JOIN job ON job.id = lease.job_id
    WHERE machine.owner_id = :provider_id AND lease.charge = 'second') AS paid;

-- name: open_claims
-- What is due and not credited of months that are not settled.
SELECT coalesce(sum(due_micro_usd - credited_micro_usd), 0) AS amount FROM service_month
WHERE settled_at IS NULL AND due_micro_usd > credited_micro_usd;
