-- name: save_order
-- Write the whole row, new or changed.
INSERT INTO market_order (
    id, job_id, tenant_id, state, count_min, count_max, devices, resources,
    price_cap_micro_usd_per_device_hour, charge, created_at, expires_at, mechanism, filters,
    notice_seconds_min, priority, lease_seconds, starts_at, closes_at, is_standing, manifest_hash,
    project, seconds_max
) VALUES (
    :id, :job_id, :tenant_id, :state, :count_min, :count_max, :devices, :resources,
    :price_cap_micro_usd_per_device_hour, :charge, :created_at, :expires_at, :mechanism, :filters,
    :notice_seconds_min, :priority, :lease_seconds, :starts_at, :closes_at, :is_standing, :manifest_hash,
    :project, :seconds_max
) ON CONFLICT (id) DO UPDATE SET
    job_id = excluded.job_id, tenant_id = excluded.tenant_id, state = excluded.state,
    count_min = excluded.count_min, count_max = excluded.count_max, devices = excluded.devices,
    resources = excluded.resources,
    price_cap_micro_usd_per_device_hour = excluded.price_cap_micro_usd_per_device_hour,
    charge = excluded.charge, created_at = excluded.created_at, expires_at = excluded.expires_at,
    mechanism = excluded.mechanism, filters = excluded.filters,
    notice_seconds_min = excluded.notice_seconds_min, priority = excluded.priority,
    lease_seconds = excluded.lease_seconds, starts_at = excluded.starts_at, closes_at = excluded.closes_at,
    is_standing = excluded.is_standing, manifest_hash = excluded.manifest_hash,
    project = excluded.project, seconds_max = excluded.seconds_max;

-- name: save_lease
-- Write the whole row, new or changed.
INSERT INTO lease (
    id, order_id, job_id, tenant_id, machine_id, offer_id, state, devices,
    price_micro_usd_per_device_hour, charge, epoch, rank, sla, reserved_at, active_at, closed_at,
    reason, proven_ms, proven_at, lived_at, mechanism, notice_seconds, reclaim_at, ends_at,
    due_before_micro_usd, priced_from_seconds, floor_micro_usd_per_device_hour
) VALUES (
    :id, :order_id, :job_id, :tenant_id, :machine_id, :offer_id, :state, :devices,
    :price_micro_usd_per_device_hour, :charge, :epoch, :rank, :sla, :reserved_at, :active_at,
    :closed_at, :reason, :proven_ms, :proven_at, :lived_at, :mechanism, :notice_seconds, :reclaim_at, :ends_at,
    :due_before_micro_usd, :priced_from_seconds, :floor_micro_usd_per_device_hour
) ON CONFLICT (id) DO UPDATE SET
    order_id = excluded.order_id, job_id = excluded.job_id, tenant_id = excluded.tenant_id,
    machine_id = excluded.machine_id, offer_id = excluded.offer_id, state = excluded.state,
    devices = excluded.devices,
    price_micro_usd_per_device_hour = excluded.price_micro_usd_per_device_hour,
    charge = excluded.charge, epoch = excluded.epoch, rank = excluded.rank, sla = excluded.sla,
    reserved_at = excluded.reserved_at, active_at = excluded.active_at,
    closed_at = excluded.closed_at, reason = excluded.reason, proven_ms = excluded.proven_ms,
    proven_at = excluded.proven_at, lived_at = excluded.lived_at, mechanism = excluded.mechanism,
    notice_seconds = excluded.notice_seconds, reclaim_at = excluded.reclaim_at, ends_at = excluded.ends_at,
    due_before_micro_usd = excluded.due_before_micro_usd, priced_from_seconds = excluded.priced_from_seconds,
    floor_micro_usd_per_device_hour = excluded.floor_micro_usd_per_device_hour;

-- name: order_by_id
-- One order.
SELECT * FROM market_order WHERE id = :id;

-- name: overdue_orders
-- Orders that want machines and looked for them until :now, oldest first.
SELECT * FROM market_order WHERE state = 'open' AND expires_at <= :now AND is_standing = 0 ORDER BY created_at, id LIMIT :limit;

-- name: lease_by_id
-- One lease.
SELECT * FROM lease WHERE id = :id;

-- name: leases_of_job
-- All leases of a job, oldest first.
SELECT * FROM lease WHERE job_id = :job_id ORDER BY reserved_at, id;

-- name: live_leases_of_job
-- Leases of a job that are not closed.
SELECT * FROM lease WHERE job_id = :job_id AND state <> 'closed' ORDER BY rank, id;

-- name: live_leases_of_machine
-- Leases that a machine serves.
SELECT * FROM lease WHERE machine_id = :machine_id AND state <> 'closed' ORDER BY id;

-- name: reserved_before
-- Reservations made at or before :instant, oldest first.
SELECT * FROM lease WHERE state = 'reserved' AND reserved_at <= :instant ORDER BY reserved_at LIMIT :limit;

-- name: reserved
-- Reservations that wait to be confirmed.
SELECT * FROM lease WHERE state = 'reserved' ORDER BY reserved_at, id LIMIT :limit;

-- name: metered
-- Live leases after :after that are paid by the second.
SELECT * FROM lease WHERE state IN ('active', 'reclaiming') AND charge = 'second' AND id > :after ORDER BY id LIMIT :limit;

-- name: draining
-- Those of them whose tenants were told that they are about to be stopped.
SELECT * FROM lease WHERE state IN ('active', 'reclaiming') AND charge = 'second' AND notice = 'drain'
ORDER BY id LIMIT :limit;

-- name: prove_lease
-- Proven time of a lease after a heartbeat.
UPDATE lease SET proven_ms = :proven_ms, proven_at = :proven_at, lived_at = :lived_at WHERE id = :id AND state <> 'closed';

-- name: notice_lease
-- What a lease's tenant was told of its money; a whole row's save leaves it as it is.
UPDATE lease SET notice = :notice WHERE id = :id;

-- name: service_settled
-- Nothing of the lease's service changes any more.
UPDATE lease SET serviced_at = :at WHERE id = :id AND state = 'closed';

-- name: served_again
-- When the same place of the same order was served again, after a lease of it ended.
SELECT min(active_at) AS at FROM lease
WHERE job_id = :job_id AND order_id = :order_id AND rank = :rank AND id <> :id AND active_at >= :closed_at;

-- name: seconds_proven_of_machine
-- Whole seconds that a machine proved over all its leases.
SELECT coalesce(sum(proven_ms / 1000), 0) AS seconds FROM lease WHERE machine_id = :machine_id;

-- name: orders_by_id
-- These orders.
SELECT * FROM market_order WHERE id IN (:keys);

-- name: still_open
-- Those of these orders that want machines. (|| '': found by their ids, not by going through all that are open.)
SELECT id FROM market_order WHERE state || '' = 'open' AND id IN (:keys);

-- name: open_orders
-- Orders that want machines at posted prices, now or later, oldest first, those after :created_at and :id.
SELECT created_at, id, starts_at FROM market_order
WHERE state = 'open' AND mechanism = 'posted' AND (created_at, id) > (:created_at, :id)
ORDER BY created_at, id LIMIT :limit;

-- name: open_by_price
-- Orders that want machines on spot or at auction, or those of :tenant_id, oldest first.
SELECT * FROM market_order
WHERE state = 'open' AND mechanism <> 'posted' AND (:tenant_id IS NULL OR tenant_id = :tenant_id)
ORDER BY created_at, id LIMIT :limit;

-- name: move_orders
-- These orders in their next state, where they stand in the one given.
UPDATE market_order SET state = ? WHERE state || '' = ? AND id IN (:keys);

-- name: leases_by_id
-- These leases, oldest first.
SELECT * FROM lease WHERE id IN (:keys) ORDER BY reserved_at, id;

-- name: leases_of_jobs
-- All leases of these jobs, oldest first.
SELECT * FROM lease WHERE job_id IN (:keys) ORDER BY reserved_at, id;

-- name: activate
-- These reservations, serving and proven from :now on.
UPDATE lease SET state = 'active', active_at = ?, proven_at = ? WHERE state = 'reserved' AND id IN (:keys);

-- name: live_holdings
-- What every live lease holds, and for whom, by id, at most :limit.
SELECT lease.id, lease.tenant_id, market_order.project, lease.job_id, lease.machine_id, lease.devices
FROM lease JOIN market_order ON market_order.id = lease.order_id
WHERE lease.state <> 'closed' AND lease.id > :after ORDER BY lease.id LIMIT :limit;

-- name: holdings_of_leases
-- The same of these leases, where they live.
SELECT lease.id, lease.tenant_id, market_order.project, lease.job_id, lease.machine_id, lease.devices
FROM lease JOIN market_order ON market_order.id = lease.order_id
WHERE lease.state <> 'closed' AND lease.id IN (:keys);

-- name: holdings_of_tenants
-- The same of these tenants.
SELECT lease.id, lease.tenant_id, market_order.project, lease.job_id, lease.machine_id, lease.devices
FROM job JOIN lease ON lease.job_id = job.id JOIN market_order ON market_order.id = lease.order_id
WHERE job.tenant_id IN (:keys) AND job.ended_at IS NULL AND lease.state <> 'closed';

-- name: reclaim
-- These leases with a notice: they serve until :reclaim_at.
UPDATE lease SET state = 'reclaiming', reclaim_at = ?, reason = ? WHERE state = 'active' AND id IN (:keys);

-- name: ending_leases
-- Leases whose notice or whose agreed time is over by :now, the longest over first.
SELECT * FROM (
    SELECT * FROM lease WHERE state = 'reclaiming' AND reclaim_at <= :now
    UNION SELECT * FROM lease WHERE state <> 'closed' AND state <> 'reserved' AND ends_at <= :now
) AS ending ORDER BY coalesce(reclaim_at, ends_at), id LIMIT :limit;

-- name: timed_out_orders
-- Orders that seek machines again after the time is over that they had them for, the longest waiting first.
SELECT * FROM market_order WHERE state = 'open' AND lease_seconds IS NOT NULL AND :now >= (
    SELECT max(lease.ends_at) FROM lease WHERE lease.job_id = market_order.job_id AND lease.active_at IS NOT NULL)
ORDER BY created_at, id LIMIT :limit;

-- name: holds
-- Machines kept for orders that still want them.
SELECT market_hold.* FROM market_hold JOIN market_order ON market_order.id = market_hold.order_id
WHERE market_order.state = 'open' ORDER BY market_hold.machine_id;

-- name: holds_on
-- Of these machines those that are kept.
SELECT * FROM market_hold WHERE machine_id IN (:keys)
    AND EXISTS (SELECT 1 FROM market_order WHERE market_order.id = market_hold.order_id AND market_order.state = 'open');

-- name: drop_holds
-- Nothing is kept.
DELETE FROM market_hold;

-- name: serving
-- The live leases of these machines, and what says when they end.
SELECT lease.*, market_order.seconds_max FROM lease JOIN market_order ON market_order.id = lease.order_id
WHERE lease.state <> 'closed' AND lease.machine_id IN (:keys) ORDER BY lease.id;

-- name: count_standing_orders
-- How many orders of a tenant wait, or are served, until he cancels them.
SELECT count(*) AS orders FROM market_order WHERE tenant_id = :tenant_id AND is_standing = 1
    AND state IN ('open', 'matched');

-- name: extend
-- These live leases with so many seconds more.
UPDATE lease SET ends_at = ends_at + ? WHERE state <> 'closed' AND id IN (:keys);
