-- name: filled_by
-- The escrows and bonds that the accounts of :keys ever put money into.
SELECT DISTINCT filled.id, filled.name, filled.code FROM ledger_transfer AS fill
JOIN ledger_account AS filled ON filled.id = fill.credit
WHERE filled.code IN (2100, 2110, 2320) AND fill.debit IN (:keys);

-- name: entries_out_of
-- Entries with a transfer numbered ? to ? out of the accounts of :keys.
SELECT DISTINCT seq - leg AS seq FROM ledger_transfer WHERE seq BETWEEN ? AND ? AND debit IN (:keys);

-- name: entries_into
-- Entries with a transfer numbered ? to ? into the accounts of :keys.
SELECT DISTINCT seq - leg AS seq FROM ledger_transfer WHERE seq BETWEEN ? AND ? AND credit IN (:keys);

-- name: entry_numbers
-- The entries numbered :first or above, in order, at most :limit.
SELECT seq FROM ledger_entry WHERE seq >= :first ORDER BY seq LIMIT :limit;

-- name: entry
-- One entry.
SELECT seq, event, kind, subject, job, legs, at_ms, facts FROM ledger_entry WHERE seq = :seq;
