-- name: leader
-- The present term. PostgreSQL has the function hold_term (0089_fence_at_commit.postgres.sql).
SELECT term FROM leadership;

-- name: take_over
-- The new term, one higher than the last.
UPDATE leadership SET term = term + 1, holder = :holder, taken_at = :at RETURNING term;
