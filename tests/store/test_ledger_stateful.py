"""The books against a shadow: any sequence of posting, holding, resolving, batching, replaying and failing.

The same machine runs on SQLite and on a real PostgreSQL; there, and between examples, one database is used with names
of their own. Each example ends with an audit, and with a proof of the chain from the start.
"""

import itertools
import os

import pytest
from bookkeeping import leg
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from gondwana.core.clock import Instant
from gondwana.core.errors import FundsTooLow, GondwanaError, WrongState
from gondwana.core.values import replace
from gondwana.db.database import Database
from gondwana.db.migrate import known_migrations
from gondwana.ledger.accounts import (
    Limit,
    expense,
    ext,
    kind_of,
    provider_holdback,
    task_escrow,
    tenant_available,
)
from gondwana.ledger.audit import audit
from gondwana.ledger.chain import prove_chain, publish_roots, seal
from gondwana.ledger.model import Balance, Entry, Leg, TransferKind, leg_id
from gondwana.ledger.store import balances, post, post_all
from gondwana.wire.proofs import check_chain

IS_NIGHT = "GONDWANA_NIGHTLY" in os.environ
EXAMPLES = {"sqlite": 2_000 if IS_NIGHT else 200, "postgres": 400 if IS_NIGHT else 40}
STEPS = 30
DAY = 86_400.0
NUMBERS = itertools.count()

RAIL, TENANT, OTHER, ESCROW, HOLDBACK, RESULT = range(6)
PAIRS = [(debit, credit) for debit in range(6) for credit in range(6) if debit != credit]
AMOUNTS = st.integers(1, 100)
LEGS = st.lists(st.tuples(st.sampled_from(PAIRS), AMOUNTS, st.booleans()), min_size=1, max_size=4)


class Shadow:
    """The books as ten lines of Python: four numbers per account."""

    def __init__(self, accounts):
        self.counters = {
            name: [0, 0, 0, 0] for name in accounts
        }  # debits, credits, debits held, credits held

    def applied(self, changes):
        """The counters after these changes, or None where an account would pass its limit on the way."""
        after = {name: list(four) for name, four in self.counters.items()}
        for name, amounts in changes:
            after[name] = [old + new for old, new in zip(after[name], amounts, strict=True)]
            debits, credited, debits_held, credits_held = after[name]
            limit = kind_of(name).limit
            if limit is Limit.DEBITS and debits + debits_held > credited:
                return None
            if limit is Limit.CREDITS and credited + credits_held > debits:
                return None
        return after


def changes_of(leg, held=0):
    """What one transfer does to the four numbers of its two accounts."""
    amount = leg.amount_micro_usd
    match leg.kind:
        case TransferKind.POST:
            return [(leg.debit, (amount, 0, 0, 0)), (leg.credit, (0, amount, 0, 0))]
        case TransferKind.PENDING:
            return [(leg.debit, (0, 0, amount, 0)), (leg.credit, (0, 0, 0, amount))]
        case TransferKind.POST_PENDING:
            return [(leg.debit, (amount, 0, -held, 0)), (leg.credit, (0, amount, 0, -held))]
        case TransferKind.VOID_PENDING:
            return [(leg.debit, (0, 0, -held, 0)), (leg.credit, (0, 0, 0, -held))]


class Books(RuleBasedStateMachine):
    """One example, in a database that others used before."""

    holds = Bundle("holds")  # (id of the hold, its leg)
    posted = Bundle("posted")

    def __init__(self, database):
        super().__init__()
        self.database = database
        self.name = f"x{next(NUMBERS)}"
        self.accounts = (
            ext(self.name), tenant_available(f"{self.name}a"), tenant_available(f"{self.name}b"),
            task_escrow(self.name), provider_holdback(self.name), expense(self.name),
        )  # fmt: skip
        self.shadow = Shadow(self.accounts)
        self.resolved = set()
        self.events = 0
        newest = database.reader().one("SELECT max(at_ms) AS at_ms FROM ledger_entry")["at_ms"]
        self.now = (newest or 0) / 1_000

    def teardown(self):
        report = audit(self.database.reader())
        assert report.ok, report.differences
        assert check_chain(prove_chain(self.database.reader())) is None

    def put(self, entries, changes):
        """Post in one call; the books refuse exactly what the shadow refuses, and then all of it."""
        after = self.shadow.applied(changes)
        try:
            self.database.writer.call(post_all, entries, Instant(self.now))
        except FundsTooLow:
            assert after is None, "the books refused what the shadow allows"
            return False
        assert after is not None, "the books allowed what the shadow refuses"
        self.shadow.counters = after
        return True

    def entry(self, legs):
        self.events += 1
        event_id = f"{self.name}.{self.events}"
        return Entry(event_id=event_id, kind="correction", subject=self.name, legs=tuple(legs))

    def legs(self, drawn):
        kinds = {True: TransferKind.PENDING, False: TransferKind.POST}
        return [
            leg(self.accounts[debit], self.accounts[credit], amount, kinds[held])
            for (debit, credit), amount, held in drawn
        ]

    def held_by(self, entry):
        return [
            (leg_id(entry.event_id, number), leg)
            for number, leg in enumerate(entry.legs)
            if leg.kind is TransferKind.PENDING
        ]

    @rule(target=posted, amount=st.integers(1, 300), tenant=st.sampled_from((TENANT, OTHER)))
    def deposit(self, amount, tenant):
        entry = self.entry([leg(self.accounts[RAIL], self.accounts[tenant], amount)])
        assert self.put([entry], changes_of(entry.legs[0]))
        return entry

    @rule(target=holds, drawn=LEGS)
    def post_and_hold(self, drawn):
        entry = self.entry(self.legs(drawn))
        changes = [change for each in entry.legs for change in changes_of(each)]
        return multiple(*self.held_by(entry)) if self.put([entry], changes) else multiple()

    @rule(target=posted, hold=consumes(holds), pay=st.booleans(), part=st.floats(0, 1))
    def resolve(self, hold, pay, part):
        entry = self.resolving(hold, pay, part)
        changes = changes_of(entry.legs[0], held=hold[1].amount_micro_usd)
        assert self.put([entry], changes), "resolving a hold never passes a limit"
        self.resolved.add(hold)
        return entry

    def resolving(self, hold, pay, part):
        hold_id, leg = hold
        amount = max(1, int(leg.amount_micro_usd * part)) if pay else leg.amount_micro_usd
        kind = TransferKind.POST_PENDING if pay else TransferKind.VOID_PENDING
        resolution = Leg(debit=leg.debit, credit=leg.credit, amount_micro_usd=amount, kind=kind,
                         pending_id=hold_id)  # fmt: skip
        return self.entry([resolution])

    @rule(
        target=holds,
        drawn=st.lists(LEGS, min_size=2, max_size=5),
        ends=st.lists(st.sampled_from(["pay", "void", "keep"]), min_size=5, max_size=5),
    )
    def batch(self, drawn, ends):
        """Many entries in one call, whose holds are paid or released in it too."""
        entries, changes, kept = [], [], []
        for each, end in zip(drawn, ends, strict=False):
            entry = self.entry(self.legs(each))
            entries.append(entry)
            changes += [change for leg in entry.legs for change in changes_of(leg)]
            for hold in self.held_by(entry):
                if end == "keep":
                    kept.append(hold)
                    continue
                resolution = self.resolving(hold, end == "pay", 0.5)
                entries.append(resolution)
                changes += changes_of(resolution.legs[0], held=hold[1].amount_micro_usd)
        return multiple(*kept) if self.put(entries, changes) else multiple()

    @rule(pay=st.booleans(), data=st.data())
    def resolve_again(self, pay, data):
        if not self.resolved:
            return
        entry = self.resolving(data.draw(st.sampled_from(sorted(self.resolved, key=str))), pay, 1.0)
        with pytest.raises(WrongState):
            self.database.writer.call(post, entry, Instant(0.0))

    @rule(entry=posted)
    def replay(self, entry):
        assert self.database.writer.call(post, entry, Instant(9.0)).repeated

    @rule(drawn=LEGS)
    def fail_after_posting(self, drawn):
        """A call that posts and then fails leaves nothing, so its event may be posted later."""
        entry = self.entry(self.legs(drawn))

        def run(tx):
            post(tx, entry, Instant(0.0))
            raise ValueError("fails")

        error = self.database.writer.submit(run).exception()
        assert isinstance(error, ValueError | FundsTooLow)

    @rule(seconds=st.sampled_from([0.001, 1.0, DAY / 2, 3 * DAY, -1.0, -2 * DAY]))
    def let_time_pass(self, seconds):
        """Also backwards: a call that waited, a clock that was set."""
        self.now = max(0.0, self.now + seconds)

    @rule()
    def publish(self):
        self.database.writer.call(publish_roots, Instant(self.now))

    @invariant()
    def every_balance_is_the_shadow_s(self):
        found = balances(self.database.reader(), self.accounts)
        for name, (debits, credited, debits_held, credits_held) in self.shadow.counters.items():
            assert found[name] == Balance(
                debits_posted=debits, credits_posted=credited, debits_pending=debits_held,
                credits_pending=credits_held,
            )  # fmt: skip


def follow(database, examples):
    run_state_machine_as_test(
        lambda: Books(database),
        settings=settings(
            max_examples=examples, stateful_step_count=STEPS, deadline=None, database=None
        ),
    )


EXAMPLES_OF_ONE_DATABASE = 20  # each audits all of it


@pytest.mark.parametrize("part", range(EXAMPLES["sqlite"] // EXAMPLES_OF_ONE_DATABASE))
def test_the_books_follow_their_shadow_on_sqlite(part):
    with Database.in_memory(before_commit=seal) as database:
        follow(database, EXAMPLES_OF_ONE_DATABASE)


@pytest.mark.parametrize("part", range(EXAMPLES["postgres"] // EXAMPLES_OF_ONE_DATABASE))
def test_the_books_follow_their_shadow_on_postgres(postgres_url, part):
    with Database.open(postgres_url, inline=True, before_commit=seal) as database:
        follow(database, EXAMPLES_OF_ONE_DATABASE)


# The machine can fail: each of these, planted into the triggers, is noticed.

HELD = "(SELECT held.amount FROM ledger_transfer AS held WHERE held.seq = NEW.pending)"
PLANTED = {
    "what is held is not counted in an overdraft": (
        "NEW.debits_posted + NEW.debits_pending > NEW.credits_posted",
        "NEW.debits_posted > NEW.credits_posted",
    ),
    "of a hold that is paid in part the rest stays held": (
        f"debits_pending = debits_pending - {HELD}",
        "debits_pending = debits_pending - NEW.amount",
    ),
    "a hold that is released stays expected": (
        "SET credits_pending = credits_pending - NEW.amount WHERE id = NEW.credit",
        "SET credits_pending = credits_pending WHERE id = NEW.credit",
    ),
    "what is expected can be spent": (
        "SET credits_pending = credits_pending + NEW.amount WHERE id = NEW.credit",
        "SET credits_posted = credits_posted + NEW.amount WHERE id = NEW.credit",
    ),
    "a hold is resolved again": (
        "WHEN EXISTS (SELECT 1 FROM ledger_transfer WHERE pending = NEW.pending)",
        "WHEN FALSE",
    ),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_a_bug_planted_into_the_triggers_is_noticed(monkeypatch, planted):
    old, new = PLANTED[planted]
    changed = [
        replace(each, sql=each.sql.replace(old, new).replace("CREATE UNIQUE INDEX ledger_transfer_p", "CREATE INDEX p"))
        for each in known_migrations()
    ]  # fmt: skip
    assert any(old in each.sql for each in known_migrations())
    monkeypatch.setattr("gondwana.db.database.known_migrations", lambda: changed)
    with (
        Database.in_memory(before_commit=seal) as database,
        pytest.raises((AssertionError, pytest.fail.Exception, GondwanaError)),
    ):
        run_state_machine_as_test(
            lambda: Books(database),
            settings=settings(
                max_examples=EXAMPLES["sqlite"], stateful_step_count=STEPS, deadline=None, database=None,
                phases=[Phase.generate], derandomize=True,
            ),
        )  # fmt: skip
