"""The values of the books; all amounts are whole micro-USD."""

from enum import StrEnum
from typing import Final

from msgspec import Struct

from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidValue
from gondwana.core.money import MICRO_USD_MAX, due_micro_usd
from gondwana.ledger.accounts import USD, AccountName, kind_of
from gondwana.ledger.events import Fact, event_type, words

BASIS_POINTS: Final = 10_000
EVENT_ID_CHARS_MAX: Final = 200
SUBJECT_CHARS_MAX: Final = 128
FACT_CHARS_MAX: Final = 200
LEGS_MAX: Final = 64  # of one entry; enough for a gang's shares


class TransferKind(StrEnum):
    """What one transfer does to the counters of its two accounts."""

    POST = "post"  # moves the amount
    PENDING = "pending"  # holds the amount
    POST_PENDING = (
        "post_pending"  # moves a held amount, or less of it; the rest of the hold is released
    )
    VOID_PENDING = "void_pending"  # releases a held amount


TRANSFER_CODES: Final = {
    TransferKind.POST: 0,
    TransferKind.PENDING: 1,
    TransferKind.POST_PENDING: 2,
    TransferKind.VOID_PENDING: 3,
}
"""How the database writes them."""
TRANSFER_KINDS: Final = tuple(TRANSFER_CODES)


class Leg(Struct, frozen=True, kw_only=True):
    """One transfer to make: debit one account, credit another, by a positive amount."""

    debit: AccountName
    credit: AccountName
    amount_micro_usd: int
    kind: TransferKind = TransferKind.POST
    pending_id: str | None = None  # the hold that is paid or released: `leg_id` of its entry

    def __post_init__(self) -> None:
        if kind_of(self.debit).asset != kind_of(self.credit).asset:
            raise InvalidValue(
                field="asset", value=f"{self.debit} → {self.credit}", hint="one asset"
            )
        amount = self.amount_micro_usd
        if type(amount) is not int or not 0 < amount <= MICRO_USD_MAX:
            raise InvalidValue(field="amount", value=amount, hint="whole micro-USD above zero")
        if self.debit == self.credit:
            raise InvalidValue(field="account", value=self.debit, hint="debit and credit differ")
        resolves = self.kind in (TransferKind.POST_PENDING, TransferKind.VOID_PENDING)
        if resolves != (self.pending_id is not None):
            raise InvalidValue(field="pending_id", value=self.pending_id)


class Entry(Struct, frozen=True, kw_only=True):
    """What one event posts: all legs or none. An entry without legs posts nothing."""

    event_id: str  # of what happened; the same event posts once, however often it is tried
    kind: str  # one of `events.EVENTS`
    subject: str  # the id of what it is about: a lease, a unit, a job, a tenant
    legs: tuple[Leg, ...]
    job_id: str | None = None
    facts: tuple[Fact, ...] = ()  # what the sentence of `events` needs

    def __post_init__(self) -> None:
        event_type(self.kind)
        if not 0 < len(self.event_id) <= EVENT_ID_CHARS_MAX:
            raise InvalidValue(field="event_id", value=self.event_id)
        if not 0 < len(self.subject) <= SUBJECT_CHARS_MAX:
            raise InvalidValue(field="subject", value=self.subject)
        if len(self.legs) > LEGS_MAX:
            raise InvalidValue(field="legs", value=len(self.legs))
        if any(isinstance(fact, str) and len(fact) > FACT_CHARS_MAX for fact in self.facts):
            raise InvalidValue(field="facts", hint=f"at most {FACT_CHARS_MAX} characters each")

    @property
    def reason(self) -> str:
        """What happened, in words."""
        return words(self.kind, self.subject, self.facts)

    def total_micro_usd(self) -> int:
        """The sum of all legs' amounts in money; legs of budgets move none."""
        return sum(leg.amount_micro_usd for leg in self.legs if kind_of(leg.debit).asset == USD)


def leg_id(event_id: str, number: int) -> str:
    """The id of a leg, derived, so that no retry can post it twice."""
    return f"{event_id}#{number}"


class Balance(Struct, frozen=True, kw_only=True):
    """The four counters of an account."""

    debits_posted: int = 0
    credits_posted: int = 0
    debits_pending: int = 0
    credits_pending: int = 0

    @property
    def posted_micro_usd(self) -> int:
        """Credits less debits, holds left aside: what the account's owner has."""
        return self.credits_posted - self.debits_posted

    @property
    def held_micro_usd(self) -> int:
        """What is held for payments out of the account."""
        return self.debits_pending

    @property
    def available_micro_usd(self) -> int:
        """What the account's owner has and nothing holds."""
        return self.credits_posted - self.debits_posted - self.debits_pending


class Shares(Struct, frozen=True, kw_only=True):
    """What goes where out of each payment, in basis points; the owner of the machine gets the rest."""

    fee_bps: int = 200
    insurance_bps: int = 0
    verification_bps: int = 100
    tax_bps: int = 0

    def __post_init__(self) -> None:
        parts = (self.fee_bps, self.insurance_bps, self.verification_bps, self.tax_bps)
        if any(type(part) is not int or part < 0 for part in parts) or sum(parts) > BASIS_POINTS:
            raise InvalidValue(field="shares", value=parts, hint="0 to 10000 basis points in all")


class LeaseTerms(Struct, frozen=True, kw_only=True):
    """What metering a lease needs to know; only the price changes while a lease runs, and only on spot."""

    lease_id: str
    tenant_id: str
    provider_id: str
    price_micro_usd_per_hour: int  # for all devices of the lease together
    shares: Shares
    jurisdiction: str = "none"  # who the tax is owed to
    job_id: str | None = None
    due_before_micro_usd: int = 0  # what the seconds cost that had another price
    priced_from_seconds: int = 0  # proven seconds from which on this price holds

    def due_micro_usd(self, proven_seconds: int) -> int:
        """What so many proven seconds cost in all, each at the price that it had."""
        return self.due_before_micro_usd + due_micro_usd(
            self.price_micro_usd_per_hour, proven_seconds - self.priced_from_seconds
        )


class TaskTerms(Struct, frozen=True, kw_only=True):
    """What paying a job's units needs to know; fixed when the job is funded."""

    job_id: str
    tenant_id: str
    shares: Shares
    jurisdiction: str = "none"


class Funding(Struct, frozen=True, kw_only=True):
    """Where an escrow's money comes from, beside the tenant's balance, and which budgets it counts against."""

    promo_micro_usd: int = 0  # of the amount: spent first, returned last, never withdrawn
    budgets: tuple[AccountName, ...] = ()  # `budget_left` of each that limits this job now


class BudgetPeriod(StrEnum):
    """How long a budget lasts."""

    MONTH = "month"  # the calendar month, UTC; full again in the next
    EVER = "ever"  # until somebody changes it


class Budget(Struct, frozen=True, kw_only=True):
    """The most that a tenant's jobs, or those of one project, may set aside and spend in a period."""

    id: str
    tenant_id: str
    project: str  # "": all jobs of the tenant
    period: BudgetPeriod
    limit_micro_usd: int
    set_by: str
    is_operators: bool  # only an operator changes it
    set_at: Instant


class Draw(Struct, frozen=True, kw_only=True):
    """One filling of an escrow, as it was posted."""

    amount_micro_usd: int
    promo_micro_usd: int = 0  # of it
    budgets: tuple[AccountName, ...] = ()


class Assignment(Struct, frozen=True, kw_only=True):
    """One unit given to one provider at a fixed price."""

    unit_id: str
    provider_id: str
    price_micro_usd: int
    attempt: int = 1  # grows each time the unit is given out again


class Evaluation(Struct, frozen=True, kw_only=True):
    """One finished evaluation to pay for."""

    unit_id: str
    verifier_id: str
    price_micro_usd: int
    from_fund: bool = False  # paid by fund:verification, where what it judged was rejected


class Posted(Struct, frozen=True, kw_only=True):
    """What became of an entry."""

    event_id: str
    transfer_ids: tuple[str, ...]  # one per leg
    repeated: bool = False  # it was posted before; nothing changed now


class StatementLine(Struct, frozen=True, kw_only=True):
    """One transfer as the owner of one of its accounts sees it."""

    seq: int  # the cursor: ask for what is before it
    at: Instant
    transfer_id: str  # the event's key and the leg's number
    event: str  # 32 hexadecimal characters
    entry_kind: str
    transfer_kind: TransferKind
    other_account: AccountName
    amount_micro_usd: int  # of the transfer
    change_micro_usd: int  # of what is available: negative when it went out or was held
    available_micro_usd: int  # after it
    text: str
    subject: str
    job_id: str | None
