"""Bugs of the ledger that were planted on purpose, each caught by the worlds of `gondwana.sim.books`.

Each test prints the first seed that catches its bug; `pytest -s tests/sim/test_sim_books_mutants.py` shows them all.
"""

import functools

import pytest

from gondwana.core.money import due_micro_usd, split_cumulative
from gondwana.core.values import replace
from gondwana.db.sqlite import SqliteConnection
from gondwana.ledger import budgets, chain, rules, store
from gondwana.ledger.accounts import (
    fund_insurance,
    fund_verification,
    income_fees,
    lease_escrow,
    tax,
)
from gondwana.ledger.rules import (
    funding,
    insurance,
    leases,
    payouts,
    slashes,
    stakes,
    subsidies,
    units,
)
from gondwana.ledger.rules.entries import Move
from gondwana.sim.books import bank, world
from gondwana.sim.books.world import run

SEEDS_MAX = 200  # of the thousand worlds that are played; the rarest bug shows in one of a hundred


def patch_sql(patch, *changes):
    """Worlds whose migrations say something else."""
    original = bank.known_migrations()
    text = "".join(each.sql for each in original)
    for old, _ in changes:
        assert old in text, f"the migrations say no longer: {old}"

    def changed():
        made = []
        for each in original:
            sql = each.sql
            for old, new in changes:
                sql = sql.replace(old, new)
            made.append(replace(each, sql=sql))
        return made

    patch.setattr(bank, "known_migrations", changed)
    patch.setattr(bank, "template", functools.cache(bank.made))


# In the database


def spend_what_is_held(patch):
    """What is held is not counted when an overdraft is looked for."""
    patch_sql(
        patch,
        ("NEW.debits_posted + NEW.debits_pending > NEW.credits_posted", "NEW.debits_posted > NEW.credits_posted"),
    )  # fmt: skip


def skip_what_is_refused(patch):
    """INSERT OR IGNORE on transfers, and a guard that skips half of one instead of stopping it."""
    patch_sql(patch, ("THEN RAISE(ABORT, 'ledger.limit')", "THEN RAISE(IGNORE)"))
    insert_rows = SqliteConnection.insert_rows

    def or_ignore(self, table, columns, rows):
        if table != "ledger_transfer":
            insert_rows(self, table, columns, rows)
            return
        places = ", ".join("?" * len(columns))
        self.raw.executemany(
            f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({places})", rows
        )

    patch.setattr(SqliteConnection, "insert_rows", or_ignore)


def release_only_what_is_paid(patch):
    """Of a hold that is paid in part the rest stays held."""
    held = "(SELECT held.amount FROM ledger_transfer AS held WHERE held.seq = NEW.pending)"
    counted = "debits_pending = debits_pending - "
    patch_sql(patch, (f"{counted}{held}", f"{counted}NEW.amount"))


def release_on_one_side(patch):
    """A hold that is released stays on the side of who expected it."""
    update = "UPDATE ledger_account SET credits_pending = credits_pending - NEW.amount WHERE id = NEW.credit;"
    patch_sql(patch, (update, ""))


def resolve_twice(patch):
    """Nothing keeps a hold from being paid again."""
    patch_sql(
        patch,
        ("WHEN EXISTS (SELECT 1 FROM ledger_transfer WHERE pending = NEW.pending)", "WHEN FALSE"),
        ("CREATE UNIQUE INDEX ledger_transfer_pending", "CREATE INDEX ledger_transfer_pending"),
    )


def raise_a_balance(patch):
    """Somebody's balance grows beside the transfers."""
    patch.setattr(bank, "protect", lambda connection: None)
    post_all = store.post_all

    def and_more(tx, entries, now):
        posted = post_all(tx, entries, now)
        tx.execute(
            "UPDATE ledger_account SET credits_posted = credits_posted + 1 WHERE code = 2000"
        )
        return posted

    patch.setattr(store, "post_all", and_more)


def let_anybody_lead(patch):
    """A leader of an older term is not fenced."""

    def begin_batch(self):
        self.raw.execute("BEGIN IMMEDIATE")

    patch.setattr(SqliteConnection, "begin_batch", begin_batch)


# In the store and the chain


def ask_under_a_fresh_key(patch):
    """Whoever hears no answer asks again under another key."""
    patch.setattr(world, "key_of", lambda request: f"{request.number}.{request.attempts}")


def forget_the_answer(patch):
    """The bank does not keep what it answered: a request happens each time it arrives."""
    patch.setattr(bank, "idempotent", lambda tx, key, run, *, at: run(tx))


def seal_all_but_one(patch):
    """The seal leaves out the last entry of a commit with several."""
    entries = chain._entries
    patch.setattr(
        chain, "_entries", lambda *args: list(entries(*args))[:-1] or list(entries(*args))
    )


def seal_later(patch):
    """A commit is sealed only where its first entry is even: some entries wait for the next."""
    seal = chain.seal

    def sometimes(tx):
        last = tx.one("SELECT max(seq) AS seq FROM ledger_entry")["seq"]
        if last is None or last % 2 == 0:
            seal(tx)

    patch.setattr(chain, "seal", sometimes)


def publish_what_came_after(patch):
    """The totals of a day are those of the moment they are published."""
    totals = chain.totals
    patch.setattr(chain, "totals", lambda reader, *, until=None: totals(reader))


def stop_at_late_entries(patch):
    """An entry that comes after its day's root is left out of the next one."""
    patch.setattr(chain, "_end_of", lambda day: 0)


def take_times_as_they_come(patch):
    """Entries have the time of a clock that may step back."""
    insert = store._insert

    def backwards(tx, entries, keys, now):
        one = tx.one

        def forgetful(sql, params=()):
            row = one(sql, params)
            if sql == store.SQL.last_entry and row is not None:
                return {**dict(row), "at_ms": 0}
            return row

        tx.one = forgetful
        try:
            insert(tx, entries, keys, now)
        finally:
            del tx.one

    patch.setattr(store, "_insert", backwards)


# In the rules


def floor_each_time(patch):
    """Metering pays the floor of what was added, not the growth of a floor of all."""

    def total_payable(terms, proven_seconds, escrow):
        total, paid_for = 0, 0
        steps = max(1, proven_seconds // 1_000)
        for step in range(1, steps + 1):
            until = proven_seconds * step // steps
            total += due_micro_usd(terms.price_micro_usd_per_hour, until - paid_for)
            paid_for = until
        return max(escrow.debits_posted, min(total, escrow.credits_posted))

    patch.setattr(leases, "_total_payable", total_payable)


def split_the_whole(patch):
    """Each part is a floor of the whole payment, the rest is the owner's."""

    def split(total, terms, *, provider):
        shares = terms.shares
        parts = [
            (income_fees(), split_cumulative(total, shares.fee_bps)),
            (fund_insurance(), split_cumulative(total, shares.insurance_bps)),
            (fund_verification(), split_cumulative(total, shares.verification_bps)),
            (tax(terms.jurisdiction), split_cumulative(total, shares.tax_bps)),
        ]
        return [*parts, (provider, total - sum(amount for _, amount in parts))]

    patch.setattr(leases, "split", split)
    patch.setattr(units, "split", split)


def keep_the_rest(patch):
    """A closed lease gives a micro-unit less back than is left."""
    close = rules.close_lease

    def short(terms, proven_seconds, escrow, draws=()):
        made = close(terms, proven_seconds, escrow, draws)
        back = [
            leg
            for leg in made.legs
            if leg.debit == lease_escrow(terms.lease_id) and leg.credit.startswith("tenant")
        ]
        legs = tuple(leg for leg in made.legs if leg not in back[-1:])
        return replace(made, legs=legs)

    patch.setattr(rules, "close_lease", short)


def mature_again(patch):
    """What already left the holdback matures once more."""

    def mature(provider_id, *, credited_before_window, holdback):
        made = original(
            provider_id, credited_before_window=credited_before_window,
            holdback=replace(holdback, debits_posted=0, debits_pending=0),
        )  # fmt: skip
        return replace(made, event_id=f"{made.event_id}:{holdback.debits_posted}")

    original = rules.mature
    patch.setattr(rules, "mature", mature)


def mature_at_once(patch):
    """Earnings are free without waiting for the challenge window."""
    patch.setattr(rules, "HOLDBACK_SECONDS", 0)


def mature_what_is_held(patch):
    """Earnings that a slash holds are freed."""

    def mature(provider_id, *, credited_before_window, holdback):
        free = replace(holdback, debits_pending=0)
        return original(provider_id, credited_before_window=credited_before_window, holdback=free)

    original = rules.mature
    patch.setattr(rules, "mature", mature)


def slash_the_stake_first(patch):
    """A slash takes the stake before the earnings that are held back."""
    pour = slashes.pour
    patch.setattr(
        slashes, "pour", lambda sources, payees: pour([sources[1], sources[0], *sources[2:]], payees)
    )  # fmt: skip


def pay_reporters_before_the_tenant(patch):
    """The bounty is paid although the tenant is not made whole."""
    payees = slashes._payees

    def reordered(terms, collected):
        found = payees(terms, collected)
        if terms.tenant_id is None or not terms.reporters:
            return found
        bounty = split_cumulative(collected, terms.bounty_bps)
        tenant = min(collected - bounty, terms.made_whole_micro_usd)
        shares = slashes.bounty_shares(bounty, len(terms.reporters))
        names = [payee for payee, _ in found[1 : 1 + len(shares)]]
        rest = collected - bounty - tenant
        return [(found[0][0], tenant), *zip(names, shares, strict=True), (fund_insurance(), rest)]

    patch.setattr(slashes, "_payees", reordered)


def earn_by_slashing(patch):
    """What is left of a slash is the operator's income."""
    patch.setattr(slashes, "fund_insurance", income_fees)


def uphold_at_once(patch):
    """A slash is paid out before it could be appealed."""
    patch.setattr(slashes, "APPEAL_SECONDS", 0)


def release_at_once(patch):
    """A stake is free as soon as it is unbonded."""
    patch.setattr(stakes, "UNBONDING_SECONDS", 0)


def release_what_a_slash_took(patch):
    """A part of a stake is released whole, whatever a slash took of it."""

    def releasable(parts, account, *, now):
        return [
            (part, part.amount_micro_usd)
            for part in parts
            if stakes.may_release(part.unbonded_at, now)
        ]

    patch.setattr(rules, "releasable", releasable)


def return_promo_as_money(patch):
    """Promotional credit that a job did not need comes back as money to take out."""
    give_back = funding.give_back

    def as_money(escrow, tenant_id, rest, draws, *, paid):
        own = [replace(draw, promo_micro_usd=0) for draw in draws]
        return give_back(escrow, tenant_id, rest, own, paid=paid)

    patch.setattr(leases, "give_back", as_money)
    patch.setattr(units, "give_back", as_money)


def spend_own_money_first(patch):
    """Promotional credit is spent last: what was not spent of it is given back in full."""

    def give_back(escrow, tenant_id, rest, draws, *, paid):
        moves = original(escrow, tenant_id, rest, draws, paid=paid)
        promo = min(rest, sum(draw.promo_micro_usd for draw in draws))
        first, second, *others = moves
        return [Move(*first[:2], promo), Move(*second[:2], rest - promo), *others]

    original = funding.give_back
    patch.setattr(leases, "give_back", give_back)
    patch.setattr(units, "give_back", give_back)


def forget_the_budget(patch):
    """A lease or a job is funded without counting it against the budgets."""

    def fill(escrow, tenant_id, amount, given):
        return original(escrow, tenant_id, amount, replace(given, budgets=()))

    original = funding.fill
    patch.setattr(leases, "fill", fill)
    patch.setattr(units, "fill", fill)


def never_give_a_budget_back(patch):
    """What an escrow gives back stays used."""

    def draws(reader, escrow):
        return [replace(draw, budgets=()) for draw in original(reader, escrow)]

    original = budgets.draws
    patch.setattr(budgets, "draws", draws)


def pay_out_promo(patch):
    """Promotional credit can be taken out."""
    patch.setattr(payouts, "PAID_OUT", payouts.PAID_OUT | {"tenant:<id>:promo"})


def pay_for_rejected_units(patch):
    """A rejected unit is paid."""
    patch.setattr(
        rules, "reject_unit", lambda terms, unit, *, reason: rules.accept_unit(terms, unit)
    )


def vest_at_once(patch):
    """A subsidy is its owner's at once."""
    patch.setattr(subsidies, "_unvested", lambda award, now: 0)


def lose_a_bond_to_the_fund(patch):
    """The accused gets nothing of the bond of who was wrong."""

    def forfeit(case_id, accused_id, *, amount_micro_usd):
        made = original(case_id, accused_id, amount_micro_usd=amount_micro_usd)
        whole = replace(made.legs[-1], amount_micro_usd=amount_micro_usd)
        return replace(made, legs=(whole,))

    original = rules.forfeit_bond
    patch.setattr(rules, "forfeit_bond", forfeit)


def credit_without_a_haircut(patch):
    """The insurance fund pays a claim whole although it has to keep some for the others."""
    credit = rules.sla_credit
    patch.setattr(rules, "sla_credit", lambda *args, cover, **named: credit(
        *args, cover=replace(cover, haircut_ppm=0), **named
    ))  # fmt: skip


def empty_the_fund(patch):
    """The insurance fund gives out what it has to keep."""
    patch.setattr(insurance, "may_withdraw", lambda state, amount: True)


def mirror_half(patch):
    """A correction forgets the last leg."""
    correct = rules.correct

    def half(original, *, why):
        made = correct(original, why=why)
        return replace(made, legs=made.legs[:-1] or made.legs) if len(made.legs) > 1 else made  # fmt: skip

    patch.setattr(rules, "correct", half)


MUTANTS = [
    spend_what_is_held,
    skip_what_is_refused,
    release_only_what_is_paid,
    release_on_one_side,
    resolve_twice,
    raise_a_balance,
    let_anybody_lead,
    ask_under_a_fresh_key,
    forget_the_answer,
    seal_all_but_one,
    seal_later,
    publish_what_came_after,
    stop_at_late_entries,
    take_times_as_they_come,
    floor_each_time,
    split_the_whole,
    keep_the_rest,
    mature_again,
    mature_at_once,
    mature_what_is_held,
    slash_the_stake_first,
    pay_reporters_before_the_tenant,
    earn_by_slashing,
    uphold_at_once,
    release_at_once,
    release_what_a_slash_took,
    return_promo_as_money,
    spend_own_money_first,
    forget_the_budget,
    never_give_a_budget_back,
    pay_out_promo,
    pay_for_rejected_units,
    vest_at_once,
    lose_a_bond_to_the_fund,
    credit_without_a_haircut,
    empty_the_fund,
    mirror_half,
]


@pytest.mark.parametrize("plant", MUTANTS, ids=lambda one: one.__name__)
def test_a_planted_bug_of_the_ledger_is_caught(monkeypatch, record_property, plant):
    plant(monkeypatch)
    for seed in range(SEEDS_MAX):
        outcome = run(seed)
        if outcome.violations:
            record_property("caught by seed", seed)
            print(f"\n{plant.__name__}: seed {seed}: {outcome.violations[0][:160]}")
            return
    pytest.fail(f"{plant.__name__} went unnoticed in {SEEDS_MAX} worlds")
