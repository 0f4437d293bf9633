"""Rails: the ways money goes out of the network and comes in. The seam for a bank, a card processor or a chain.

A rail is handed payouts by an outbox row, written in the transaction that holds their money; what it tells comes in
with a reference of its own and is applied once (`inbox`). What a rail does here is pure: it writes what is to be sent
and reads what was received. Whoever calls it does the I/O.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from gondwana.core.errors import InvalidValue, NoSuchThing
from gondwana.ledger.rail_files import Line, Table, dollars, read_table, write_table


class ResultStatus(StrEnum):
    """What a rail says became of a payout."""

    CONFIRMED = "confirmed"  # it arrived
    FAILED = "failed"  # it did not, and will not


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutOrder:
    """One payout as a rail is handed it."""

    id: str
    holder: str = field(repr=False)
    destination: str = field(repr=False)
    amount_micro_usd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutResult:
    """What a rail told of one payout."""

    line: int  # where it was told
    payout_id: str
    status: ResultStatus
    reference: str = ""  # the rail's own
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingPayment:
    """One payment that came in over a rail."""

    line: int  # where it was told
    id: str  # the rail's own number of it: two payments that look alike differ in this
    reference: str  # what the payer wrote
    amount_micro_usd: int
    paid_on: str  # 2026-11-23
    sender: str = ""


class Rail(Protocol):
    """One way that money goes out and comes in."""

    @property
    def name(self) -> str:
        """What it is called; its account in the books is `ext:<name>`."""
        ...

    def submit(self, payouts: Sequence[PayoutOrder]) -> str:
        """What is to be sent to pay these: a file, a message. The same for the same payouts, however often asked."""
        ...

    def read_results(self, text: str) -> list[PayoutResult]:
        """What the rail told of payouts; raises InvalidValue, naming line and column."""
        ...

    def read_payments(self, text: str) -> list[IncomingPayment]:
        """What came in; raises InvalidValue, naming line and column."""
        ...


class CsvRail:
    """A bank that takes and gives files: a batch to pay, its results, a statement of what came in."""

    name: str = "csv"

    def submit(self, payouts: Sequence[PayoutOrder]) -> str:
        """The batch file: id, name, destination, amount in dollars, reference (what the payee reads: the id)."""
        rows = [
            (order.id, order.holder, order.destination, dollars(order.amount_micro_usd), order.id)
            for order in payouts
        ]
        return write_table(("id", "name", "destination", "amount", "reference"), rows)

    def read_results(self, text: str) -> list[PayoutResult]:
        """Of a file `id,status,reference,reason`; a reason is needed where a payout failed."""
        found = read_table(text, Table(needed=("id", "status"), other=("reference", "reason")))
        return [_result(line) for line in found]

    def read_payments(self, text: str) -> list[IncomingPayment]:
        """Of a file `id,reference,amount,date,sender`; the id is the bank's own number of the payment."""
        columns = Table(needed=("id", "reference", "amount", "date"), other=("sender",))
        return [
            IncomingPayment(
                line=line.number,
                id=line.filled("id"),
                reference=line.text("reference"),
                amount_micro_usd=line.micro_usd("amount"),
                paid_on=line.date("date"),
                sender=line.text("sender"),
            )
            for line in read_table(text, columns)
        ]


class ManualRail(CsvRail):
    """An operator who pays by hand, from the same list, and records each result."""

    name: str = "manual"

    def read_results(self, text: str) -> list[PayoutResult]:
        """None: an operator records results one by one."""
        raise _by_hand("gondwana treasury payouts confirm ID --reference REF")

    def read_payments(self, text: str) -> list[IncomingPayment]:
        """None: an operator records deposits one by one."""
        raise _by_hand("gondwana account deposit AMOUNT --to NAME")


RAILS: Final[dict[str, Rail]] = {rail.name: rail for rail in (ManualRail(), CsvRail())}


def rail_named(name: str) -> Rail:
    """The rail; raises NoSuchThing."""
    if name not in RAILS:
        raise NoSuchThing(rail=name[:80], hint=f"one of: {', '.join(RAILS)}")
    return RAILS[name]


def _result(line: Line) -> PayoutResult:
    status = line.one_of("status", [each.value for each in ResultStatus])
    failed = status == ResultStatus.FAILED
    return PayoutResult(
        line=line.number,
        payout_id=line.filled("id"),
        status=ResultStatus(status),
        reference=line.text("reference"),
        reason=line.filled("reason") if failed else line.text("reason"),
    )


def _by_hand(hint: str) -> InvalidValue:
    return InvalidValue("The manual rail reads no files.", field="rail", hint=hint)
