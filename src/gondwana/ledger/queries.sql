-- name: account
SELECT id, limit_side, debits_posted, credits_posted, debits_pending, credits_pending FROM ledger_account WHERE name = :name;

-- name: account_id
SELECT id FROM ledger_account WHERE name = ?;

-- name: insert_account
INSERT INTO ledger_account (name, code, limit_side) VALUES (?, ?, ?);

-- name: entry_of_event
SELECT seq, digest FROM ledger_entry WHERE event_id = ?;

-- name: insert_entry
INSERT INTO ledger_entry (event_id, kind, reason, job_id, lease_id, unit_id, digest, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: insert_transfer
INSERT INTO ledger_transfer (entry, leg, debit, credit, amount, kind, pending) VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: transfer_seq
-- The row of the transfer whose id is (:event_id, :leg).
SELECT transfer.seq FROM ledger_transfer AS transfer JOIN ledger_entry AS entry ON entry.seq = transfer.entry
WHERE entry.event_id = :event_id AND transfer.leg = :leg;

-- name: transfers_of_account
-- Transfers of :account numbered below :before, newest first, at most :limit, with the amount held where one is resolved.
SELECT transfer.seq, entry.at, entry.event_id, transfer.leg, entry.kind AS entry_kind, transfer.kind,
    transfer.debit = :account AS is_debit, other.name AS other_account, transfer.amount,
    coalesce(held.amount, 0) AS held, entry.reason, entry.job_id, entry.lease_id, entry.unit_id
FROM ledger_transfer AS transfer
JOIN ledger_entry AS entry ON entry.seq = transfer.entry
JOIN ledger_account AS other ON other.id = iif(transfer.debit = :account, transfer.credit, transfer.debit)
LEFT JOIN ledger_transfer AS held ON held.seq = transfer.pending
WHERE transfer.seq IN (
    SELECT seq FROM (
        SELECT seq FROM (SELECT seq FROM ledger_transfer WHERE debit = :account AND seq < :before
            ORDER BY seq DESC LIMIT :limit)
        UNION ALL
        SELECT seq FROM (SELECT seq FROM ledger_transfer WHERE credit = :account AND seq < :before
            ORDER BY seq DESC LIMIT :limit))
    ORDER BY seq DESC LIMIT :limit)
ORDER BY transfer.seq DESC;

-- name: change_since
-- By how much transfers of :account numbered :since or above changed what is available.
SELECT coalesce(sum(CASE
    WHEN transfer.credit = :account THEN iif(transfer.kind IN ('post', 'post_pending'), transfer.amount, 0)
    WHEN transfer.kind IN ('post', 'pending') THEN -transfer.amount
    WHEN transfer.kind = 'post_pending' THEN held.amount - transfer.amount
    ELSE transfer.amount END), 0) AS change
FROM ledger_transfer AS transfer LEFT JOIN ledger_transfer AS held ON held.seq = transfer.pending
WHERE transfer.seq >= :since AND (transfer.debit = :account OR transfer.credit = :account);

-- name: counts
SELECT (SELECT count(*) FROM ledger_account) AS accounts, (SELECT count(*) FROM ledger_entry) AS entries,
    (SELECT count(*) FROM ledger_transfer) AS transfers;

-- name: recomputed_balances
-- Every account beside what its transfers add up to.
WITH effect AS (
    SELECT transfer.debit AS account,
        iif(transfer.kind IN ('post', 'post_pending'), transfer.amount, 0) AS debits_posted, 0 AS credits_posted,
        CASE transfer.kind WHEN 'pending' THEN transfer.amount WHEN 'post' THEN 0 ELSE -held.amount END AS debits_pending,
        0 AS credits_pending
    FROM ledger_transfer AS transfer LEFT JOIN ledger_transfer AS held ON held.seq = transfer.pending
    UNION ALL
    SELECT transfer.credit, 0, iif(transfer.kind IN ('post', 'post_pending'), transfer.amount, 0), 0,
        CASE transfer.kind WHEN 'pending' THEN transfer.amount WHEN 'post' THEN 0 ELSE -held.amount END
    FROM ledger_transfer AS transfer LEFT JOIN ledger_transfer AS held ON held.seq = transfer.pending
), summed AS (
    SELECT account, sum(debits_posted) AS debits_posted, sum(credits_posted) AS credits_posted,
        sum(debits_pending) AS debits_pending, sum(credits_pending) AS credits_pending
    FROM effect GROUP BY account
)
SELECT account.name, account.code, account.limit_side, account.debits_posted, account.credits_posted,
    account.debits_pending, account.credits_pending,
    coalesce(summed.debits_posted, 0) AS debits_posted_found, coalesce(summed.credits_posted, 0) AS credits_posted_found,
    coalesce(summed.debits_pending, 0) AS debits_pending_found, coalesce(summed.credits_pending, 0) AS credits_pending_found
FROM ledger_account AS account LEFT JOIN summed ON summed.account = account.id
ORDER BY account.id;

-- name: broken_transfers
-- Transfers that the rules forbid, with what is wrong, at most :limit.
SELECT transfer.seq, CASE
    WHEN debit.id IS NULL OR credit.id IS NULL THEN 'names an account that does not exist'
    WHEN entry.seq IS NULL THEN 'belongs to no entry'
    WHEN transfer.debit = transfer.credit THEN 'debits and credits the same account'
    WHEN transfer.amount <= 0 THEN 'moves no positive amount'
    WHEN (transfer.pending IS NULL) <> (transfer.kind IN ('post', 'pending')) THEN 'resolves a hold, or does not, against its kind'
    WHEN transfer.pending IS NOT NULL AND (held.seq IS NULL OR held.kind <> 'pending') THEN 'resolves what is not a hold'
    WHEN transfer.pending IS NOT NULL AND (held.debit <> transfer.debit OR held.credit <> transfer.credit)
        THEN 'resolves a hold between other accounts'
    WHEN transfer.amount > held.amount THEN 'pays more than was held'
    WHEN transfer.kind = 'void_pending' AND transfer.amount <> held.amount THEN 'releases another amount than was held'
    ELSE 'resolves a hold that another transfer resolves too' END AS wrong
FROM ledger_transfer AS transfer
LEFT JOIN ledger_account AS debit ON debit.id = transfer.debit
LEFT JOIN ledger_account AS credit ON credit.id = transfer.credit
LEFT JOIN ledger_entry AS entry ON entry.seq = transfer.entry
LEFT JOIN ledger_transfer AS held ON held.seq = transfer.pending
WHERE debit.id IS NULL OR credit.id IS NULL OR entry.seq IS NULL OR transfer.debit = transfer.credit OR transfer.amount <= 0
    OR (transfer.pending IS NULL) <> (transfer.kind IN ('post', 'pending'))
    OR (transfer.pending IS NOT NULL AND (held.seq IS NULL OR held.kind <> 'pending' OR held.debit <> transfer.debit
        OR held.credit <> transfer.credit OR transfer.amount > held.amount
        OR (transfer.kind = 'void_pending' AND transfer.amount <> held.amount)
        OR EXISTS (SELECT 1 FROM ledger_transfer AS twin WHERE twin.pending = transfer.pending AND twin.seq <> transfer.seq)))
ORDER BY transfer.seq LIMIT :limit;

-- name: entries_after
-- Entries numbered above :after, in order, at most :limit.
SELECT seq, event_id, kind, reason, job_id, lease_id, unit_id, digest FROM ledger_entry
WHERE seq > :after ORDER BY seq LIMIT :limit;

-- name: legs_of_entries
-- The legs of the entries numbered :first to :last, in order.
SELECT transfer.entry, transfer.leg, debit.name AS debit, credit.name AS credit, transfer.amount, transfer.kind,
    held_entry.event_id AS held_event_id, held.leg AS held_leg
FROM ledger_transfer AS transfer
JOIN ledger_account AS debit ON debit.id = transfer.debit
JOIN ledger_account AS credit ON credit.id = transfer.credit
LEFT JOIN ledger_transfer AS held ON held.seq = transfer.pending
LEFT JOIN ledger_entry AS held_entry ON held_entry.seq = held.entry
WHERE transfer.entry BETWEEN :first AND :last ORDER BY transfer.entry, transfer.leg;
