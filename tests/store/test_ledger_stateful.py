"""The books against a shadow: any sequence of posting, holding, resolving, replaying and restarting, on real SQLite."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from gondwana.core.clock import Instant
from gondwana.core.errors import FundsTooLow, WrongState
from gondwana.db.database import Database
from gondwana.ledger.accounts import (
    Limit,
    ext,
    income_fees,
    kind_of,
    provider_holdback,
    task_escrow,
    tenant_available,
)
from gondwana.ledger.audit import audit
from gondwana.ledger.model import Balance, Entry, Leg, TransferKind, leg_id
from gondwana.ledger.store import balance, post

ACCOUNTS = (
    ext("bank"),
    tenant_available("a"),
    tenant_available("b"),
    task_escrow("j"),
    provider_holdback("p"),
    income_fees(),
)
PAIRS = [(debit, credit) for debit in ACCOUNTS for credit in ACCOUNTS if debit != credit]
AMOUNTS = st.integers(1, 100)
LEGS = st.lists(st.tuples(st.sampled_from(PAIRS), AMOUNTS, st.booleans()), min_size=1, max_size=4)


class Shadow:
    """The books as ten lines of Python: four numbers per account."""

    def __init__(self):
        self.counters = {
            name: [0, 0, 0, 0] for name in ACCOUNTS
        }  # debits, credits, debits held, credits held

    def applied(self, changes):
        """The counters after these changes, or None where an account would pass its limit on the way."""
        after = {name: list(four) for name, four in self.counters.items()}
        for name, index, amount in changes:
            after[name][index] += amount
            debits, credited, debits_held, credits_held = after[name]
            limit = kind_of(name).limit
            if limit is Limit.DEBITS and debits + debits_held > credited:
                return None
            if limit is Limit.CREDITS and credited + credits_held > debits:
                return None
        return after


class Books(RuleBasedStateMachine):
    holds = Bundle("holds")
    posted = Bundle("posted")

    def __init__(self):
        super().__init__()
        self.database = Database.in_memory()
        self.shadow = Shadow()
        self.resolved = set()
        self.events = 0

    def teardown(self):
        report = audit(self.database.reader())
        self.database.close()
        assert report.ok, report.differences

    def put(self, entry, after):
        """Post; the books refuse exactly what the shadow refuses."""
        try:
            self.database.writer.call(post, entry, Instant(self.events))
        except FundsTooLow:
            assert after is None, "the books refused what the shadow allows"
            return False
        assert after is not None, "the books allowed what the shadow refuses"
        self.shadow.counters = after
        return True

    def entry(self, legs):
        self.events += 1
        return Entry(event_id=f"e{self.events}", kind="correction", subject="x", legs=tuple(legs))

    @rule(target=posted, amount=st.integers(1, 300), tenant=st.sampled_from(ACCOUNTS[1:3]))
    def deposit(self, amount, tenant):
        entry = self.entry([Leg(debit=ext("bank"), credit=tenant, amount_micro_usd=amount)])
        changes = [(ext("bank"), 0, amount), (tenant, 1, amount)]
        return entry if self.put(entry, self.shadow.applied(changes)) else multiple()

    @rule(target=holds, legs=LEGS)
    def post_and_hold(self, legs):
        kinds = {True: TransferKind.PENDING, False: TransferKind.POST}
        made = [
            Leg(debit=debit, credit=credit, amount_micro_usd=amount, kind=kinds[held])
            for (debit, credit), amount, held in legs
        ]
        changes = []
        for (debit, credit), amount, held in legs:
            changes += [(debit, 2 if held else 0, amount), (credit, 3 if held else 1, amount)]
        entry = self.entry(made)
        if not self.put(entry, self.shadow.applied(changes)):
            return multiple()
        return multiple(*(
            (leg_id(entry.event_id, number), leg)
            for number, leg in enumerate(made)
            if leg.kind is TransferKind.PENDING
        ))  # fmt: skip

    @rule(target=posted, hold=consumes(holds), pay=st.booleans(), part=st.floats(0, 1))
    def resolve(self, hold, pay, part):
        entry = self.resolving(hold, pay, part)
        leg, held = entry.legs[0], hold[1].amount_micro_usd
        paid = leg.amount_micro_usd if pay else 0
        changes = [
            (leg.debit, 2, -held),
            (leg.debit, 0, paid),
            (leg.credit, 3, -held),
            (leg.credit, 1, paid),
        ]
        after = self.shadow.applied(changes)
        assert after is not None, "resolving a hold never passes a limit"
        self.put(entry, after)
        self.resolved.add(hold)
        return entry

    def resolving(self, hold, pay, part):
        hold_id, leg = hold
        amount = max(1, int(leg.amount_micro_usd * part)) if pay else leg.amount_micro_usd
        kind = TransferKind.POST_PENDING if pay else TransferKind.VOID_PENDING
        return self.entry(
            [
                Leg(
                    debit=leg.debit,
                    credit=leg.credit,
                    amount_micro_usd=amount,
                    kind=kind,
                    pending_id=hold_id,
                )
            ]
        )

    @rule(pay=st.booleans(), data=st.data())
    def resolve_again(self, pay, data):
        if not self.resolved:
            return
        entry = self.resolving(data.draw(st.sampled_from(sorted(self.resolved, key=str))), pay, 1.0)
        try:
            self.database.writer.call(post, entry, Instant(0.0))
        except WrongState:
            return
        raise AssertionError("a hold was resolved twice")

    @rule(entry=posted)
    def replay(self, entry):
        assert self.database.writer.call(post, entry, Instant(9.0)).repeated

    @rule(legs=LEGS)
    def fail_after_posting(self, legs):
        """A call that posts and then fails leaves nothing, so its event may be posted later."""
        entry = self.entry(
            Leg(debit=debit, credit=credit, amount_micro_usd=n) for (debit, credit), n, _ in legs
        )

        def run(tx):
            post(tx, entry, Instant(0.0))
            raise ValueError("fails")

        error = self.database.writer.submit(run).exception()
        assert isinstance(error, ValueError | FundsTooLow)

    @invariant()
    def every_balance_is_the_shadow_s(self):
        for name, four in self.shadow.counters.items():
            debits, credited, debits_held, credits_held = four
            assert balance(self.database.reader(), name) == Balance(
                debits_posted=debits,
                credits_posted=credited,
                debits_pending=debits_held,
                credits_pending=credits_held,
            )


Books.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestBooks = Books.TestCase
