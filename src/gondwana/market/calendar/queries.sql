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
