-- name: tenants_charged
-- Who filled the escrows that paid somebody between two transfers, and whose balances gave a credit back: the tenants'
-- accounts that did.
SELECT filler.name FROM (
    SELECT DISTINCT paid.debit FROM ledger_transfer AS paid
    WHERE paid.seq BETWEEN :first AND :last AND paid.kind IN (0, 2)
) AS used
JOIN ledger_account AS escrow ON escrow.id = used.debit AND escrow.code IN (2100, 2110)
JOIN ledger_transfer AS fill ON fill.credit = escrow.id
JOIN ledger_account AS filler ON filler.id = fill.debit AND filler.code IN (2000, 2010)
UNION
SELECT own.name FROM ledger_transfer AS paid
JOIN ledger_account AS own ON own.id = paid.debit AND own.code IN (2000, 2010)
JOIN ledger_account AS other ON other.id = paid.credit
    AND other.code IN (2200, 2210, 2300, 2310, 2500, 3000, 3050, 4000, 5000)
WHERE paid.seq BETWEEN :first AND :last AND paid.kind IN (0, 2)
ORDER BY 1;

-- name: tenants_credited
-- Whose balances got something from the accounts that charges go to, between two transfers. Not from 2400: what a
-- reporter earned may be paid into his balance, and is no credit.
SELECT DISTINCT own.name FROM ledger_transfer AS given
JOIN ledger_account AS own ON own.id = given.credit AND own.code IN (2000, 2010)
JOIN ledger_account AS other ON other.id = given.debit
    AND other.code IN (2200, 2210, 2300, 2310, 2500, 3000, 3050, 4000, 5000)
WHERE given.seq BETWEEN :first AND :last AND given.kind IN (0, 2)
ORDER BY own.name;

-- name: escrows_of
-- The escrows that the accounts of :keys ever filled.
SELECT DISTINCT escrow.id, escrow.name FROM ledger_transfer AS fill
JOIN ledger_account AS escrow ON escrow.id = fill.credit AND escrow.code IN (2100, 2110)
WHERE fill.debit IN (:keys);

-- name: charges
-- What transfers numbered ? to ? moved from the accounts of :keys to those that charges go to: by account, kind of
-- event, job and jurisdiction of a tax.
SELECT transfer.debit AS account, kind.name AS kind, job.name AS job,
    CASE WHEN other.code = 2500 THEN other.name ELSE '' END AS tax,
    sum(transfer.amount) AS amount, count(DISTINCT transfer.seq - transfer.leg) AS entries
FROM ledger_transfer AS transfer
JOIN ledger_account AS own ON own.id = transfer.debit
JOIN ledger_account AS other ON other.id = transfer.credit
    AND other.code IN (2200, 2210, 2300, 2310, 2400, 2500, 3000, 3050, 4000, 5000)
    AND (other.code <> 2400 OR own.code IN (2100, 2110))
JOIN ledger_entry AS entry ON entry.seq = transfer.seq - transfer.leg
JOIN ledger_name AS kind ON kind.id = entry.kind
LEFT JOIN ledger_name AS job ON job.id = entry.job
WHERE transfer.seq BETWEEN ? AND ? AND transfer.kind IN (0, 2) AND transfer.debit IN (:keys)
GROUP BY transfer.debit, kind.name, job.name, CASE WHEN other.code = 2500 THEN other.name ELSE '' END
ORDER BY 3, 1, 2, 4;

-- name: credits
-- What transfers numbered ? to ? moved back, by entry.
SELECT entry.seq, entry.at_ms, kind.name AS kind, subject.name AS subject, job.name AS job, entry.facts,
    CASE WHEN other.code = 2500 THEN other.name ELSE '' END AS tax, sum(transfer.amount) AS amount
FROM ledger_transfer AS transfer
JOIN ledger_account AS own ON own.id = transfer.credit
JOIN ledger_account AS other ON other.id = transfer.debit
    AND other.code IN (2200, 2210, 2300, 2310, 2400, 2500, 3000, 3050, 4000, 5000)
    AND (other.code <> 2400 OR own.code IN (2100, 2110))
JOIN ledger_entry AS entry ON entry.seq = transfer.seq - transfer.leg
JOIN ledger_name AS kind ON kind.id = entry.kind
JOIN ledger_name AS subject ON subject.id = entry.subject
LEFT JOIN ledger_name AS job ON job.id = entry.job
WHERE transfer.seq BETWEEN ? AND ? AND transfer.kind IN (0, 2) AND transfer.credit IN (:keys)
GROUP BY entry.seq, entry.at_ms, kind.name, subject.name, job.name, entry.facts,
    CASE WHEN other.code = 2500 THEN other.name ELSE '' END
ORDER BY entry.seq, 7;

-- name: left_for_others
-- The check: what transfers numbered ? to ? moved out of the escrows of :keys, but for what went back to a tenant.
SELECT coalesce(sum(transfer.amount), 0) AS amount FROM ledger_transfer AS transfer
JOIN ledger_account AS other ON other.id = transfer.credit AND other.code NOT IN (2000, 2010)
WHERE transfer.seq BETWEEN ? AND ? AND transfer.kind IN (0, 2) AND transfer.debit IN (:keys);

-- name: taken_back
-- The check: what transfers numbered ? to ? moved out of the balances of :keys to anybody but himself and an operator.
SELECT coalesce(sum(transfer.amount), 0) AS amount FROM ledger_transfer AS transfer
JOIN ledger_account AS other ON other.id = transfer.credit
    AND other.code NOT IN (1000, 1090, 2000, 2010, 2100, 2110, 2320, 2400, 3200)
WHERE transfer.seq BETWEEN ? AND ? AND transfer.kind IN (0, 2) AND transfer.debit IN (:keys);

-- name: came_from_others
-- The check: what transfers numbered ? to ? moved into the accounts of :keys from anybody but a tenant and an operator.
SELECT coalesce(sum(transfer.amount), 0) AS amount FROM ledger_transfer AS transfer
JOIN ledger_account AS own ON own.id = transfer.credit
JOIN ledger_account AS other ON other.id = transfer.debit
    AND other.code NOT IN (1000, 1090, 2000, 2010, 2100, 2110, 2320, 3200)
    AND (other.code <> 2400 OR own.code IN (2100, 2110))
WHERE transfer.seq BETWEEN ? AND ? AND transfer.kind IN (0, 2) AND transfer.credit IN (:keys);

-- name: metered
-- The facts of the last metering of a lease's escrow before the transfer numbered :end.
SELECT entry.facts FROM ledger_transfer AS transfer
JOIN ledger_entry AS entry ON entry.seq = transfer.seq - transfer.leg
JOIN ledger_name AS kind ON kind.id = entry.kind AND kind.name IN ('lease.meter', 'lease.close')
WHERE transfer.debit = :account AND transfer.seq < :end
ORDER BY transfer.seq DESC LIMIT 1;

-- name: entry_time
-- When an event was posted.
SELECT at_ms FROM ledger_entry WHERE event = :event;

-- name: first_entry
SELECT at_ms FROM ledger_entry ORDER BY seq LIMIT 1;

-- name: last_month
SELECT month FROM invoiced_month ORDER BY month DESC LIMIT 1;

-- name: finish_month
INSERT INTO invoiced_month (month, first, last, at_ms) VALUES (:month, :first, :last, :at_ms);

-- name: last_position
SELECT coalesce(max(position), 0) AS position FROM invoice WHERE seller = :seller AND kind = :kind AND year = :year;

-- name: insert_invoice
INSERT INTO invoice (number, seller, kind, year, position, tenant, buyer, month, corrects, total_micro_usd, document,
    sha256, at_ms)
VALUES (:number, :seller, :kind, :year, :position, :tenant, :buyer, :month, :corrects, :total_micro_usd, :document,
    :sha256, :at_ms);

-- name: invoices_of_month
-- What was issued to a tenant for a month: the invoice, then credit notes.
SELECT * FROM invoice WHERE tenant = :tenant AND month = :month ORDER BY kind DESC, number;

-- name: invoices_of
-- What was issued to a tenant before number :before, the newest first, at most :limit.
SELECT * FROM invoice WHERE tenant = :tenant AND id < :before ORDER BY id DESC LIMIT :limit;

-- name: invoices
-- The same of all tenants.
SELECT * FROM invoice WHERE id < :before ORDER BY id DESC LIMIT :limit;

-- name: invoice
SELECT * FROM invoice WHERE number = :number;
