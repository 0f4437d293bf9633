-- name: save
-- What an owner states of a machine's price; what was known of it before is forgotten.
INSERT INTO price_policy (machine_id, policy, set_at, changed_at, reason, answer, answered_at, answer_error)
VALUES (:machine_id, :policy, :set_at, :changed_at, :reason, :answer, :answered_at, :answer_error)
ON CONFLICT (machine_id) DO UPDATE SET policy = excluded.policy, set_at = excluded.set_at,
    changed_at = excluded.changed_at, reason = excluded.reason, answer = excluded.answer,
    answered_at = excluded.answered_at, answer_error = excluded.answer_error;

-- name: of_machine
-- How a machine's price is set.
SELECT * FROM price_policy WHERE machine_id = :machine_id;

-- name: standing
-- The policies of machines that have not left, by machine.
SELECT price_policy.* FROM price_policy JOIN offer ON offer.machine_id = price_policy.machine_id
WHERE offer.state <> 'withdrawn' AND price_policy.machine_id > :after ORDER BY price_policy.machine_id LIMIT :limit;

-- name: forget
-- The owner types his price again.
DELETE FROM price_policy WHERE machine_id = :machine_id;
