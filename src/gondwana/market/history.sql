-- name: leases_by_end
-- How the leases of these machines ended, and the time that they proved; what still runs has no reason.
SELECT machine_id, reason, count(*) AS leases, coalesce(sum(proven_ms), 0) AS proven_ms
FROM lease WHERE machine_id IN (:keys) GROUP BY machine_id, reason;

-- name: leases_since
-- What these machines' leases proved that were not over by then; when the network could not hear them is counted beside.
SELECT machine_id, reason, proven_ms, active_at, closed_at FROM lease
WHERE active_at IS NOT NULL AND (closed_at IS NULL OR closed_at > ?) AND machine_id IN (:keys);

-- name: ever_promised
-- Machines that were ever leased, or broke a reservation.
SELECT DISTINCT machine_id FROM lease WHERE machine_id > :after
UNION SELECT machine_id FROM booking WHERE state = 'broken' AND machine_id > :after
ORDER BY machine_id LIMIT :limit;

-- name: served_since
-- What these machines served since then.
SELECT machine_id, devices, active_at, closed_at FROM lease
WHERE active_at IS NOT NULL AND (closed_at IS NULL OR closed_at > ?) AND machine_id IN (:keys);
