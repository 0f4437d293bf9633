-- name: save_program
INSERT INTO subsidy_program (id, settings, state, began_at, stopped_at)
VALUES (:id, :settings, :state, :began_at, :stopped_at)
ON CONFLICT (id) DO UPDATE SET state = excluded.state, stopped_at = excluded.stopped_at;

-- name: program_by_id
SELECT * FROM subsidy_program WHERE id = :id;

-- name: programs
SELECT * FROM subsidy_program ORDER BY began_at, id LIMIT :limit;

-- name: save_epoch
INSERT INTO subsidy_epoch (
    program_id, number, state, began_at, ended_at, budget_micro_usd, funded_micro_usd, awarded_micro_usd
) VALUES (
    :program_id, :number, :state, :began_at, :ended_at, :budget_micro_usd, :funded_micro_usd, :awarded_micro_usd
) ON CONFLICT (program_id, number) DO UPDATE SET state = excluded.state;

-- name: epoch_of_program
SELECT * FROM subsidy_epoch WHERE program_id = :program_id AND number = :number;

-- name: epochs
-- The epochs of a program that have ended, newest first.
SELECT * FROM subsidy_epoch WHERE program_id = :program_id ORDER BY number DESC LIMIT :limit;

-- name: epochs_open
-- Epochs whose money is still on its way.
SELECT * FROM subsidy_epoch WHERE state <> 'closed' ORDER BY program_id, number LIMIT :limit;

-- name: add_award
INSERT INTO subsidy_award (program_id, epoch, provider_id, micro_usd, vesting_micro_usd, vest_seconds, awarded_at)
VALUES (:program_id, :epoch, :provider_id, :micro_usd, :vesting_micro_usd, :vest_seconds, :awarded_at);

-- name: awards_of_epoch
SELECT * FROM subsidy_award WHERE program_id = :program_id AND epoch = :epoch ORDER BY provider_id LIMIT :limit;

-- name: awards_to_post
SELECT * FROM subsidy_award WHERE program_id = :program_id AND epoch = :epoch AND awarded_at IS NULL
ORDER BY provider_id LIMIT :limit;

-- name: award_posted
UPDATE subsidy_award SET awarded_at = :at WHERE program_id = :program_id AND epoch = :epoch AND provider_id = :provider_id;

-- name: awards_vesting
-- An owner's awards that still vest at :now.
SELECT * FROM subsidy_award WHERE provider_id = :provider_id AND awarded_at + vest_seconds > :now LIMIT :limit;

-- name: add_check
INSERT INTO capacity_check (id, device_class, at, seconds) VALUES (:id, :device_class, :at, :seconds);

-- name: check_by_id
SELECT * FROM capacity_check WHERE id = :id;

-- name: checks
-- The checks of a class in a time, oldest first.
SELECT * FROM capacity_check WHERE device_class = :device_class AND at >= :since AND at <= :until
ORDER BY at, id LIMIT :limit;

-- name: passed
-- The machines that passed a check.
SELECT machine_id FROM capacity_result WHERE check_id = :check_id AND passed = 1 ORDER BY machine_id;

-- name: fees_between
-- The operator's fees by transfers numbered :first and above, below :end.
SELECT coalesce(sum(transfer.amount), 0) AS amount
FROM ledger_account AS fees JOIN ledger_transfer AS transfer ON transfer.credit = fees.id
WHERE fees.name = :fees AND transfer.seq >= :first AND transfer.seq < :end AND transfer.kind IN (0, 2);
