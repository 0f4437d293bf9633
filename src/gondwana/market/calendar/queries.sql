-- name: booking_by_id
-- One booking.
SELECT * FROM booking WHERE id = :id;

-- name: booked_on
-- What of these machines is promised ahead.
SELECT * FROM booking WHERE state = 'booked' AND machine_id IN (:keys) ORDER BY starts_at, id;

-- name: of_machine
-- A machine's bookings that stand, the soonest first.
SELECT * FROM booking WHERE machine_id = :machine_id AND state = 'booked' ORDER BY starts_at, id LIMIT :limit;

-- name: of_orders
-- All bookings of these orders.
SELECT * FROM booking WHERE order_id IN (:keys) ORDER BY starts_at, id;

-- name: of_job
-- All bookings of a job.
SELECT * FROM booking WHERE job_id = :job_id AND order_id IS NOT NULL ORDER BY starts_at, id;

-- name: promised_to
-- What a tenant will surely hold between :start and :end: reservations, and leases with an agreed end.
SELECT booking.machine_id, market_order.project, booking.devices, booking.starts_at, booking.ends_at
FROM booking JOIN market_order ON market_order.id = booking.order_id
WHERE booking.state = 'booked' AND booking.starts_at < :end AND booking.ends_at > :start
    AND market_order.tenant_id = :tenant_id
UNION ALL SELECT lease.machine_id, market_order.project, lease.devices, lease.reserved_at, lease.ends_at
FROM job JOIN lease ON lease.job_id = job.id JOIN market_order ON market_order.id = lease.order_id
WHERE job.tenant_id = :tenant_id AND job.ended_at IS NULL AND lease.state <> 'closed' AND lease.ends_at > :start
LIMIT :limit;

-- name: all_booked
-- All that is booked.
SELECT * FROM booking WHERE state = 'booked' ORDER BY starts_at, id LIMIT :limit;

-- name: due
-- Bookings that begin by :until, the soonest first.
SELECT * FROM booking WHERE state = 'booked' AND starts_at <= :until ORDER BY starts_at, id LIMIT :limit;

-- name: broken_since
-- Reservations that these machines broke since then.
SELECT * FROM booking WHERE state = 'broken' AND ended_at > ? AND machine_id IN (:keys) ORDER BY starts_at, id;

-- name: end
-- These bookings, booked no more.
UPDATE booking SET state = ?, ended_at = ? WHERE state = 'booked' AND id IN (:keys);

-- name: keep
-- What of a deposit its owner was paid.
UPDATE booking SET kept_micro_usd = :kept WHERE id = :id;
