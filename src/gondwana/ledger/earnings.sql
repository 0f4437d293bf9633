-- name: credited_by_day
-- What was posted into :account by transfers numbered :first or above, by day (UTC), the newest day first.
SELECT entry.at_ms / 86400000 AS day, sum(transfer.amount) AS amount, min(entry.at_ms) AS at_ms
FROM ledger_transfer AS transfer JOIN ledger_entry AS entry ON entry.seq = transfer.seq - transfer.leg
WHERE transfer.credit = :account AND transfer.kind IN (0, 2) AND transfer.seq >= :first
GROUP BY entry.at_ms / 86400000 ORDER BY 1 DESC;

-- name: paid_out
-- What was ever posted out of the accounts of :keys to the outside world.
SELECT sum(transfer.amount) AS amount FROM ledger_transfer AS transfer
JOIN ledger_account AS outside ON outside.id = transfer.credit AND outside.code = 1000
WHERE transfer.kind IN (0, 2) AND transfer.debit IN (:keys);
