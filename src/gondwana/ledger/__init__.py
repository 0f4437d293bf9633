"""The books: double entry in integer micro-USD, holds in two phases, escrow, metering, payment of units.

What it owns: the chart of accounts, what each event posts, balances, statements, the audit.
Its invariants: one transfer has one debit account, one credit account, one positive amount, so debits always equal
credits; no account passes its limit, holds included; nothing is edited or deleted; posting the same event again changes
nothing; the database refuses all this by itself, whatever the code says, and `audit` recomputes it from the transfers.

    accounts   tenant_available(id) lease_escrow(id) task_escrow(job_id) provider_holdback(id) provider_payable(id)
               verifier_payable(id) fund_insurance() fund_verification() income_fees() tax(jurisdiction) ext(rail) …
    model      Shares(fee_bps=200, insurance_bps=0, verification_bps=100, tax_bps=0)  LeaseTerms  TaskTerms
               Assignment  Leg  Entry  Balance(.available_micro_usd .held_micro_usd)  Posted  StatementLine
    rules      pure, each returns the Entry to post:
               deposit(rail, tenant_id, amount, key=)   confirm_deposit(…)   void_deposit(…)
               open_lease(terms, escrow_micro_usd)   top_up(terms, amount, key=)   meter(terms, proven_seconds, escrow)
               close_lease(terms, proven_seconds, escrow)   escrow_to_open(…)   runway_seconds(…)
               open_task(terms, budget_micro_usd)   assign_unit(terms, assignment)   accept_unit(terms, assignment)
               reject_unit(terms, assignment, reason=)   expire_unit(terms, assignment)
               pay_evaluator(terms, evaluation)   close_task(terms, escrow)
    store      post(tx, entry, now) -> Posted      balance(reader, account) -> Balance
               statement(reader, account, before=, limit=) -> list[StatementLine], newest first
    audit      audit(reader) -> AuditReport(.ok .differences)

In a transaction: `post(tx, meter(terms, proven_seconds, balance(tx, lease_escrow(terms.lease_id))), now)`.
`post` raises FundsTooLow where an account would pass its limit, Conflict where the event was posted with other content,
WrongState where a hold is already paid or released; then nothing of the entry remains and `tx` may go on.
"""
