-- name: leader
-- The present term.
SELECT term FROM leadership;

-- name: leader (postgres)
-- The same; whoever would take over waits until this transaction has ended.
SELECT term FROM leadership FOR SHARE;

-- name: take_over
-- The new term, one higher than the last.
UPDATE leadership SET term = term + 1, holder = :holder, taken_at = :at RETURNING term;
