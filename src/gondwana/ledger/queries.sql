-- name: account
SELECT id, limit_side, debits_posted, credits_posted, debits_pending, credits_pending FROM ledger_account WHERE name = :name;

-- name: accounts_named
SELECT name, debits_posted, credits_posted, debits_pending, credits_pending FROM ledger_account WHERE name IN (:keys);

-- name: account_ids
SELECT id, name FROM ledger_account WHERE name IN (:keys);

-- name: open_accounts
-- Accounts of a JSON list of [name, code, limit, asset], with the numbers that they are given.
INSERT INTO ledger_account (name, code, limit_side, asset)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'), json_extract(value, '$[3]')
FROM json_each(:accounts) WHERE true RETURNING id, name;

-- name: open_accounts (postgres)
INSERT INTO ledger_account (name, code, limit_side, asset)
SELECT one ->> 0, (one ->> 1)::INTEGER, one ->> 2, one ->> 3
FROM json_array_elements(:accounts::JSON) AS one RETURNING id, name;

-- name: account_names
SELECT id, name FROM ledger_account WHERE id IN (:keys);

-- name: accounts_of_code
-- Accounts of one line of the chart that hold something, at most :limit.
SELECT id, name, debits_posted, credits_posted, debits_pending, credits_pending FROM ledger_account
WHERE code = :code AND name > :after AND (credits_posted <> debits_posted OR debits_pending <> 0 OR credits_pending <> 0)
ORDER BY name LIMIT :limit;

-- name: totals
-- Credits less debits by line of the chart.
SELECT code, sum(credits_posted - debits_posted) AS micro_usd FROM ledger_account GROUP BY code ORDER BY code;

-- name: totals_since
-- By how much transfers numbered above :after changed that.
SELECT account.code, sum(CASE WHEN transfer.credit = account.id THEN transfer.amount ELSE -transfer.amount END) AS micro_usd
FROM ledger_transfer AS transfer JOIN ledger_account AS account ON account.id IN (transfer.debit, transfer.credit)
WHERE transfer.seq > :after AND transfer.kind IN (0, 2) GROUP BY account.code;

-- name: name_ids
SELECT id, name FROM ledger_name WHERE name IN (:keys);

-- name: add_names
-- The names of a JSON list, with the numbers that they are given.
INSERT INTO ledger_name (name) SELECT value FROM json_each(:names) WHERE true RETURNING id, name;

-- name: add_names (postgres)
INSERT INTO ledger_name (name)
SELECT name FROM json_array_elements_text(:names::JSON) AS name RETURNING id, name;

-- name: name_texts
SELECT id, name FROM ledger_name WHERE id IN (:keys);

-- name: entries_of_events
SELECT seq, event, legs FROM ledger_entry WHERE event IN (:keys);

-- name: entry_of_event
-- One entry with its names.
SELECT entry.seq, entry.legs, entry.at_ms, entry.facts, kind.name AS kind, subject.name AS subject, job.name AS job
FROM ledger_entry AS entry JOIN ledger_name AS kind ON kind.id = entry.kind
JOIN ledger_name AS subject ON subject.id = entry.subject LEFT JOIN ledger_name AS job ON job.id = entry.job
WHERE entry.event = :event;

-- name: last_entry
SELECT seq, legs, at_ms FROM ledger_entry ORDER BY seq DESC LIMIT 1;

-- name: last_transfer
SELECT max(seq) AS seq FROM ledger_transfer;

-- name: named_transfers_between
-- The transfers numbered :first to :last, in order, with their accounts' names.
SELECT transfer.seq, transfer.leg, debit.name AS debit, credit.name AS credit, transfer.amount, transfer.kind, transfer.pending
FROM ledger_transfer AS transfer
JOIN ledger_account AS debit ON debit.id = transfer.debit JOIN ledger_account AS credit ON credit.id = transfer.credit
WHERE transfer.seq BETWEEN :first AND :last ORDER BY transfer.seq;

-- name: moved_between
SELECT sum(transfer.amount) AS amount FROM ledger_transfer AS transfer
JOIN ledger_account AS debit ON debit.id = transfer.debit JOIN ledger_account AS credit ON credit.id = transfer.credit
WHERE debit.name = :debit AND credit.name = :credit AND transfer.kind IN (0, 2);

-- name: draws_of_escrow
-- Every leg of the entries that filled :escrow, the newest entry first: what came in, and which budgets it counted against.
SELECT leg.seq - leg.leg AS entry, debit.name AS debit, leg.amount, CASE WHEN leg.credit = filled.credit THEN 1 ELSE 0 END AS fills
FROM ledger_account AS escrow
JOIN ledger_transfer AS filled ON filled.credit = escrow.id AND filled.kind = 0
JOIN ledger_entry AS entry ON entry.seq = filled.seq - filled.leg
JOIN ledger_transfer AS leg ON leg.seq BETWEEN entry.seq AND entry.seq + entry.legs - 1
JOIN ledger_account AS debit ON debit.id = leg.debit
WHERE escrow.name = :escrow AND filled.seq = (
    SELECT min(first.seq) FROM ledger_transfer AS first
    WHERE first.credit = escrow.id AND first.seq BETWEEN entry.seq AND entry.seq + entry.legs - 1)
ORDER BY leg.seq - leg.leg DESC, leg.seq;

-- name: credited_since
-- What was posted into an account by transfers numbered :first or above.
SELECT sum(amount) AS amount FROM ledger_transfer WHERE credit = :account AND kind IN (0, 2) AND seq >= :first;

-- name: transfers_of_account
-- Transfers of :account numbered :from_seq or above and below :before, newest first, at most :limit, with the amount
-- held where one is resolved.
SELECT transfer.seq, entry.at_ms, entry.event, transfer.leg, kind.name AS entry_kind, transfer.kind,
    CASE WHEN transfer.debit = :account THEN 1 ELSE 0 END AS is_debit, other.name AS other_account, transfer.amount,
    coalesce(held.amount, 0) AS held, entry.facts, subject.name AS subject, job.name AS job
FROM (
    SELECT * FROM (SELECT * FROM ledger_transfer WHERE debit = :account AND seq < :before AND seq >= :from_seq
        ORDER BY seq DESC LIMIT :limit) AS debits
    UNION ALL
    SELECT * FROM (SELECT * FROM ledger_transfer WHERE credit = :account AND seq < :before AND seq >= :from_seq
        ORDER BY seq DESC LIMIT :limit) AS credits
    ORDER BY seq DESC LIMIT :limit) AS transfer
JOIN ledger_entry AS entry ON entry.seq = transfer.seq - transfer.leg
JOIN ledger_name AS kind ON kind.id = entry.kind
JOIN ledger_name AS subject ON subject.id = entry.subject
LEFT JOIN ledger_name AS job ON job.id = entry.job
JOIN ledger_account AS other ON other.id = CASE WHEN transfer.debit = :account THEN transfer.credit ELSE transfer.debit END
LEFT JOIN ledger_transfer AS held ON held.seq = transfer.pending
ORDER BY transfer.seq DESC;

-- name: entry_at_or_before
-- The newest entry numbered :seq or below.
SELECT seq, legs, at_ms FROM ledger_entry WHERE seq <= :seq ORDER BY seq DESC LIMIT 1;

-- name: change_since
-- By how much transfers of :account numbered :since or above changed what is available.
SELECT coalesce(sum(CASE
    WHEN transfer.credit = :account THEN CASE WHEN transfer.kind IN (0, 2) THEN transfer.amount ELSE 0 END
    WHEN transfer.kind IN (0, 1) THEN -transfer.amount
    WHEN transfer.kind = 2 THEN held.amount - transfer.amount
    ELSE transfer.amount END), 0) AS change
FROM ledger_transfer AS transfer LEFT JOIN ledger_transfer AS held ON held.seq = transfer.pending
WHERE transfer.seq >= :since AND (transfer.debit = :account OR transfer.credit = :account);

-- name: counts
SELECT (SELECT count(*) FROM ledger_account) AS accounts, (SELECT count(*) FROM ledger_entry) AS entries,
    (SELECT count(*) FROM ledger_transfer) AS transfers;

-- name: all_accounts
SELECT id, name, code, limit_side, asset, debits_posted, credits_posted, debits_pending, credits_pending
FROM ledger_account ORDER BY id;

-- name: all_names
SELECT id, name FROM ledger_name;

-- name: transfers_between
-- The transfers numbered :first to :last, in order.
SELECT seq, amount, pending, debit, credit, leg, kind FROM ledger_transfer WHERE seq BETWEEN :first AND :last ORDER BY seq;

-- name: entries_between
-- The entries whose transfers are numbered :first to :last, in order.
SELECT seq, event, kind, subject, job, legs, at_ms, facts FROM ledger_entry WHERE seq BETWEEN :first AND :last ORDER BY seq;

-- name: named_entries_between
-- The entries whose transfers are numbered :first to :last, in order, with their names.
SELECT entry.seq, entry.legs, entry.event, kind.name AS kind, subject.name AS subject, job.name AS job, entry.at_ms, entry.facts
FROM ledger_entry AS entry LEFT JOIN ledger_name AS kind ON kind.id = entry.kind
LEFT JOIN ledger_name AS subject ON subject.id = entry.subject LEFT JOIN ledger_name AS job ON job.id = entry.job
WHERE entry.seq BETWEEN :first AND :last ORDER BY entry.seq;

-- name: unsealed
-- The newest transfer, and the last batch: nulls where there is none.
SELECT newest.seq + newest.legs - 1 AS newest, batch.number, batch.last, batch.hash
FROM (SELECT seq, legs FROM ledger_entry ORDER BY seq DESC LIMIT 1) AS newest
LEFT JOIN (SELECT number, last, hash FROM ledger_batch ORDER BY number DESC LIMIT 1) AS batch ON 1 = 1;

-- name: batches_after
SELECT number, first, last, content, hash, at_ms FROM ledger_batch WHERE number > :after ORDER BY number LIMIT :limit;

-- name: batch_of_transfer
SELECT number, first, last, content, hash, at_ms FROM ledger_batch WHERE first <= :seq ORDER BY first DESC LIMIT 1;

-- name: batch
SELECT number, first, last, content, hash, at_ms FROM ledger_batch WHERE number = :number;

-- name: batch_hashes
SELECT hash FROM ledger_batch WHERE number BETWEEN :first AND :last ORDER BY number;

-- name: last_batch_before
-- The last batch made before :at_ms.
SELECT number, last FROM ledger_batch WHERE at_ms < :at_ms ORDER BY number DESC LIMIT 1;

-- name: last_root
SELECT day, first_batch, last_batch, content, totals, hash, at_ms FROM ledger_root ORDER BY day DESC LIMIT 1;

-- name: roots_from
-- Roots of :day and later, oldest first, at most :limit.
SELECT day, first_batch, last_batch, content, totals, hash, at_ms FROM ledger_root WHERE day >= :day ORDER BY day LIMIT :limit;

-- name: root_by_hash
SELECT day, first_batch, last_batch, content, totals, hash, at_ms FROM ledger_root WHERE hash = :hash;

-- name: root_before
SELECT hash FROM ledger_root WHERE day < :day ORDER BY day DESC LIMIT 1;

-- name: root_of_batch
SELECT day, first_batch, last_batch, content, totals, hash, at_ms FROM ledger_root
WHERE first_batch <= :number AND last_batch >= :number;

-- name: insert_root
INSERT INTO ledger_root (day, first_batch, last_batch, content, totals, hash, at_ms)
VALUES (:day, :first_batch, :last_batch, :content, :totals, :hash, :at_ms);
