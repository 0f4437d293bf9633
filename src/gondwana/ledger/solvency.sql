-- name: claims_since
-- What the fund paid tenants by transfers numbered :first or above.
SELECT coalesce(sum(transfer.amount), 0) AS amount
FROM ledger_account AS fund JOIN ledger_transfer AS transfer ON transfer.debit = fund.id
JOIN ledger_account AS tenant ON tenant.id = transfer.credit
WHERE fund.name = :fund AND transfer.seq >= :first AND transfer.kind IN (0, 2) AND tenant.code = 2000;

-- name: last_report
SELECT day, at, premiums_micro_usd, report FROM solvency_report ORDER BY day DESC LIMIT 1;

-- name: report_before
-- The newest report of :day or before.
SELECT day, at, premiums_micro_usd, report FROM solvency_report WHERE day <= :day ORDER BY day DESC LIMIT 1;

-- name: save_report
INSERT INTO solvency_report (day, at, premiums_micro_usd, report) VALUES (:day, :at, :premiums_micro_usd, :report)
ON CONFLICT (day) DO UPDATE SET
    at = excluded.at, premiums_micro_usd = excluded.premiums_micro_usd, report = excluded.report;
