-- name: save_destination
INSERT INTO payout_destination (principal_id, rail, destination, holder, changed_at)
VALUES (:principal_id, :rail, :destination, :holder, :changed_at)
ON CONFLICT (principal_id) DO UPDATE SET rail = excluded.rail, destination = excluded.destination,
    holder = excluded.holder, changed_at = excluded.changed_at;

-- name: destination
SELECT * FROM payout_destination WHERE principal_id = :principal_id;

-- name: save_payout
INSERT INTO payout (id, principal_id, account, rail, destination, holder, amount_micro_usd, state, reference, reason, batch_id,
    requested_at, sent_at, ended_at)
VALUES (:id, :principal_id, :account, :rail, :destination, :holder, :amount_micro_usd, :state, :reference, :reason, :batch_id,
    :requested_at, :sent_at, :ended_at)
ON CONFLICT (id) DO UPDATE SET state = excluded.state, reference = excluded.reference, reason = excluded.reason,
    batch_id = excluded.batch_id, sent_at = excluded.sent_at, ended_at = excluded.ended_at;

-- name: payout
SELECT * FROM payout WHERE id = :id;

-- name: payouts
-- Everybody's payouts in :state ('' for any) from before :before, newest first.
SELECT * FROM payout WHERE (:state = '' OR state = :state) AND id < :before ORDER BY id DESC LIMIT :limit;

-- name: payouts_of
-- One principal's payouts from before :before, newest first.
SELECT * FROM payout WHERE principal_id = :principal_id AND id < :before ORDER BY id DESC LIMIT :limit;

-- name: live_payouts_of
SELECT * FROM payout WHERE principal_id = :principal_id AND state IN ('requested', 'sent') ORDER BY id LIMIT :limit;

-- name: payouts_of_batch
SELECT * FROM payout WHERE batch_id = :batch_id ORDER BY id;

-- name: put_out
INSERT INTO rail_outbox (payout_id, rail, at) VALUES (:payout_id, :rail, :at);

-- name: waiting
-- Payouts that wait for a rail, oldest first, at most :limit.
SELECT payout.* FROM rail_outbox JOIN payout ON payout.id = rail_outbox.payout_id
WHERE rail_outbox.rail = :rail ORDER BY rail_outbox.payout_id LIMIT :limit;

-- name: take_out
DELETE FROM rail_outbox WHERE payout_id = :payout_id;

-- name: insert_batch
INSERT INTO payout_batch (id, rail, made_at) VALUES (:id, :rail, :made_at);

-- name: batch
SELECT * FROM payout_batch WHERE id = :id;

-- name: told
SELECT content, subject FROM rail_inbox WHERE rail = :rail AND reference = :reference;

-- name: take_in
INSERT INTO rail_inbox (rail, reference, content, subject, at) VALUES (:rail, :reference, :content, :subject, :at);

-- name: save_deposit
INSERT INTO deposit (id, rail, reference, amount_micro_usd, tenant_id, sender, paid_on, state, reason, made_at, changed_at)
VALUES (:id, :rail, :reference, :amount_micro_usd, :tenant_id, :sender, :paid_on, :state, :reason, :made_at, :changed_at)
ON CONFLICT (id) DO UPDATE SET tenant_id = excluded.tenant_id, sender = excluded.sender, paid_on = excluded.paid_on,
    state = excluded.state, reason = excluded.reason, changed_at = excluded.changed_at;

-- name: deposit
SELECT * FROM deposit WHERE id = :id;

-- name: deposits
-- Everybody's deposits in :state ('' for any) from before :before, newest first.
SELECT * FROM deposit WHERE (:state = '' OR state = :state) AND id < :before ORDER BY id DESC LIMIT :limit;

-- name: deposits_of
-- One tenant's deposits from before :before, newest first.
SELECT * FROM deposit WHERE tenant_id = :tenant_id AND id < :before ORDER BY id DESC LIMIT :limit;

-- name: expected
-- Deposits of this amount that are expected over a rail, oldest first.
SELECT * FROM deposit WHERE state = 'expected' AND rail = :rail AND amount_micro_usd = :amount_micro_usd
ORDER BY id LIMIT :limit;

-- name: code_of
SELECT code FROM deposit_code WHERE tenant_id = :tenant_id;

-- name: holder_of_code
SELECT tenant_id FROM deposit_code WHERE code = :code;

-- name: insert_code
INSERT INTO deposit_code (tenant_id, code, made_at) VALUES (:tenant_id, :code, :made_at) ON CONFLICT DO NOTHING;

-- name: insert_grant
INSERT INTO promo_grant (id, tenant_id, amount_micro_usd, why, granted_at, expires_at)
VALUES (:id, :tenant_id, :amount_micro_usd, :why, :granted_at, :expires_at);

-- name: grants_of
SELECT * FROM promo_grant WHERE tenant_id = :tenant_id ORDER BY id LIMIT :limit;

-- name: grants
SELECT * FROM promo_grant WHERE id < :before ORDER BY id DESC LIMIT :limit;

-- name: frozen
SELECT reason, at FROM frozen_account WHERE principal_id = :principal_id;

-- name: freeze
INSERT INTO frozen_account (principal_id, reason, at) VALUES (:principal_id, :reason, :at) ON CONFLICT DO NOTHING;

-- name: unfreeze
DELETE FROM frozen_account WHERE principal_id = :principal_id;

-- name: entry_around
-- The entry that the transfer numbered :seq is part of.
SELECT entry.seq, entry.event, entry.legs, entry.facts, kind.name AS kind, subject.name AS subject, job.name AS job
FROM ledger_transfer AS transfer JOIN ledger_entry AS entry ON entry.seq = transfer.seq - transfer.leg
JOIN ledger_name AS kind ON kind.id = entry.kind
JOIN ledger_name AS subject ON subject.id = entry.subject LEFT JOIN ledger_name AS job ON job.id = entry.job
WHERE transfer.seq = :seq;

-- name: ripe_holdbacks
-- Owners' holdbacks to which more was credited by transfers numbered below :first than ever left them, holds included.
SELECT name FROM (
    SELECT account.name, account.credits_posted - account.debits_posted - account.debits_pending AS left_over,
        (SELECT coalesce(sum(transfer.amount), 0) FROM ledger_transfer AS transfer
         WHERE transfer.credit = account.id AND transfer.kind IN (0, 2) AND transfer.seq >= :first) AS young
    FROM ledger_account AS account WHERE account.code = 2200 AND account.credits_posted > account.debits_posted + account.debits_pending
) AS holdback WHERE left_over > young ORDER BY name LIMIT :limit;

-- name: tenants_with_expired_promo
-- Tenants who have promotional credit and were granted some that expired by :now.
SELECT DISTINCT promo_grant.tenant_id FROM promo_grant
JOIN ledger_account AS account ON account.name = 'tenant:' || promo_grant.tenant_id || ':promo'
WHERE promo_grant.expires_at <= :now AND account.credits_posted > account.debits_posted + account.debits_pending
ORDER BY promo_grant.tenant_id LIMIT :limit;

-- name: charged_back_of
SELECT * FROM deposit WHERE tenant_id = :tenant_id AND state = 'charged_back';

-- name: events_posted
SELECT event FROM ledger_entry WHERE event IN (:keys);
