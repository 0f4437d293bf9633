"""The books: double entry in integer micro-USD, holds in two phases, escrow, metering, stakes, funds, invoices.

What it owns: the chart of accounts, what each event posts, balances, statements, the hash chain, the audit.
Its invariants: one transfer has one debit account, one credit account, one positive amount and one asset, so debits
always equal credits; no account passes its limit, holds included; nothing is edited or deleted; posting the same event
again changes nothing; entries are numbered in the order of their times; each commit is sealed into a chain whose daily
root is published. The database refuses all this by itself, whatever the code says, and `audit` recomputes it.

    accounts    the chart; a function per account: tenant_available(id) lease_escrow(id) provider_holdback(id) …
    events      every kind of event, its words and what it moves
    model       Entry(event_id, kind, subject, legs, job_id=, facts=)  Leg  Balance  Posted  StatementLine  terms
    rules/      pure, a file per kind of thing, each returns the Entry to post
    store       post(tx, entry, now) -> Posted      post_all(tx, entries, now)      balance(reader, account) -> Balance
    statements  statement(reader, account, before=, limit=, since=, until=) -> list[StatementLine], newest first
    chain       seal(tx): give it to `Database.open(before_commit=seal)`      publish_roots(tx, now)
                prove_chain(reader, since)      prove_entry(reader, seq): anybody checks them with `wire.proofs`
    stakes      add_stake  unbond  release_due; reports: post_report  uphold_report  refuse_report
    slashes     open_slash  appeal  decide  settle  correct_case: each is one step of a `cases.Case`
    exposure    room_micro_usd(reader, owner, settings): how much more unverified work an owner may be given
    payments    values of payouts, deposits, promotions; `payouts` `deposits` `treasury` `frozen` store them
    rails       the seam for a bank, a card processor, a chain: what to send, what was received
    settings    setting(reader, name, Type); change_setting(tx, now, name, fields, by=): what an operator decides
    audit       audit(reader) -> AuditReport(.ok .differences)

In a transaction: `post(tx, meter(terms, proven_seconds, balance(tx, lease_escrow(terms.lease_id))), now)`.
`post` raises FundsTooLow where an account would pass its limit, Conflict where the event was posted with other content,
WrongState where a hold is already paid or released; then nothing of the entry remains and `tx` may go on.
"""
