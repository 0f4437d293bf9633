"""Traffic of a bank's day: a stream of entries made from a seed, and the client that posts it.

The stream of a seed is always the same, so whoever knows the seed and how many answers came knows what the client can
have sent at most, and what each account must hold.
"""

import collections
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.errors import FundsTooLow
from gondwana.core.values import replace
from gondwana.db.database import Database
from gondwana.ledger import rules
from gondwana.ledger.accounts import AccountName, lease_escrow, task_escrow
from gondwana.ledger.chain import seal
from gondwana.ledger.model import (
    Assignment,
    Balance,
    Entry,
    Evaluation,
    LeaseTerms,
    Shares,
    TaskTerms,
    TransferKind,
    leg_id,
)
from gondwana.ledger.store import post

NOW: Final = Instant(1_700_000_000.0)
STORIES_AT_ONCE: Final = 8  # leases and jobs whose entries are mixed with each other
SHARES: Final = Shares(fee_bps=200, insurance_bps=50, verification_bps=100, tax_bps=700)
USD: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One entry to post, and whether the books must refuse it."""

    entry: Entry
    refused: bool = False


class Books:
    """What every account must hold, added up by the simplest code there is."""

    def __init__(self) -> None:
        self.balances: dict[AccountName, Balance] = collections.defaultdict(Balance)
        self._held: dict[str, int] = {}

    def add(self, entry: Entry) -> None:
        """Take over all legs of an entry."""
        for number, leg in enumerate(entry.legs):
            posted = held = 0
            match leg.kind:
                case TransferKind.POST:
                    posted = leg.amount_micro_usd
                case TransferKind.PENDING:
                    held = self._held[leg_id(entry.event_id, number)] = leg.amount_micro_usd
                case TransferKind.POST_PENDING:
                    posted, held = leg.amount_micro_usd, -self._held.pop(leg.pending_id)
                case TransferKind.VOID_PENDING:
                    held = -self._held.pop(leg.pending_id)
            self._count(leg.debit, "debits", posted, held)
            self._count(leg.credit, "credits", posted, held)

    def _count(self, account: AccountName, side: str, posted: int, held: int) -> None:
        old = self.balances[account]
        grown = {f"{side}_posted": posted, f"{side}_pending": held}
        self.balances[account] = replace(
            old, **{name: getattr(old, name) + by for name, by in grown.items()}
        )


def traffic(seed: int) -> Iterator[Step]:
    """The endless stream of a seed; each lease's and job's entries come in order, mixed with those of others."""
    random, books, numbers = Random(seed), Books(), itertools.count()
    makers = (_lease, _lease, _job, _deposits, _overdraft)
    running: list[Iterator[Step]] = []
    while True:
        while len(running) < STORIES_AT_ONCE:
            running.append(random.choice(makers)(f"{seed}-{next(numbers)}", random, books))
        story = random.choice(running)
        step = next(story, None)
        if step is None:
            running.remove(story)
            continue
        if not step.refused:
            books.add(step.entry)
        yield step


def _lease(name: str, random: Random, books: Books) -> Iterator[Step]:
    terms = LeaseTerms(
        lease_id=f"lea_{name}", tenant_id=f"ten_{random.randrange(9)}", shares=SHARES,
        provider_id=f"own_{random.randrange(9)}", price_micro_usd_per_hour=random.randrange(USD, 9 * USD),
    )  # fmt: skip
    escrow, seconds = lease_escrow(terms.lease_id), 0
    funds = random.randrange(2 * USD, 5 * USD)
    yield Step(entry=rules.deposit("bank", terms.tenant_id, 2 * funds, key=name))
    yield Step(entry=rules.open_lease(terms, funds))
    for _ in range(random.randrange(6)):
        seconds += random.randrange(30, 90)
        yield Step(entry=rules.meter(terms, seconds, books.balances[escrow]))
    yield Step(entry=rules.top_up(terms, random.randrange(1, funds), key="more"))
    yield Step(entry=rules.close_lease(terms, seconds + 30, books.balances[escrow]))


def _job(name: str, random: Random, books: Books) -> Iterator[Step]:
    terms = TaskTerms(job_id=f"job_{name}", tenant_id=f"ten_{random.randrange(9)}", shares=SHARES)
    units = [
        Assignment(unit_id=f"uni_{name}-{number}", provider_id=f"own_{random.randrange(9)}",
                   price_micro_usd=random.randrange(100, USD))
        for number in range(random.randrange(1, 4))
    ]  # fmt: skip
    yield Step(entry=rules.deposit("card", terms.tenant_id, 9 * USD, key=name))
    yield Step(entry=rules.open_task(terms, 9 * USD))
    for unit in units:
        yield Step(entry=rules.assign_unit(terms, unit))
    for unit in units:
        ends = (
            rules.accept_unit(terms, unit),
            rules.reject_unit(terms, unit, reason="wrong"),
            rules.expire_unit(terms, unit),
        )
        yield Step(entry=random.choice(ends))
    evaluation = Evaluation(unit_id=f"{name}-eval", verifier_id="ver_1", price_micro_usd=77)
    yield Step(entry=rules.pay_evaluator(terms, evaluation))
    yield Step(entry=rules.close_task(terms, books.balances[task_escrow(terms.job_id)]))


def _deposits(name: str, random: Random, books: Books) -> Iterator[Step]:
    tenant, amount = f"ten_{random.randrange(9)}", random.randrange(1, 99 * USD)
    yield Step(entry=rules.deposit("bank", tenant, amount, key=name, pending=True))
    end = random.choice((rules.confirm_deposit, rules.void_deposit))
    yield Step(entry=end("bank", tenant, amount, key=name))


def _overdraft(name: str, random: Random, books: Books) -> Iterator[Step]:
    terms = TaskTerms(job_id=f"job_{name}", tenant_id="ten_without_money", shares=SHARES)
    yield Step(entry=rules.open_task(terms, 1), refused=True)


def open_books(where: str | Path) -> Database:
    """The database as a control plane opens it; waits for a killed one's session to end."""
    return Database.open(where, before_commit=seal, standing_by=lambda: None)


def post_traffic(
    database: Database, steps: Iterator[Step], *, in_flight: int, answer: Callable[[str], None]
) -> None:
    """Post `steps` with at most `in_flight` of them unanswered; `answer` the id of each when its future is done.

    A step that the books refuse is answered too: so the step after the last answer is the first unanswered one.
    """
    flying = collections.deque()
    while True:
        while len(flying) < in_flight and (step := next(steps, None)):
            flying.append((step, database.writer.submit(post, step.entry, NOW)))
        if not flying:
            return
        step, future = flying.popleft()
        try:
            future.result()
        except FundsTooLow:
            assert step.refused, step.entry.event_id
        answer(step.entry.event_id)
