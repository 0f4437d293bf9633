"""What the API says of the books: statements, earnings, invoices, entries, the audit; proofs are in `wire.proofs`."""

import re
from dataclasses import dataclass, field
from typing import Final

from gondwana.core.errors import InvalidValue

SELLER_CHARS_MAX: Final = 200  # of a name or a line: what fits on paper
ADDRESS_LINES_MAX: Final = 8
_CODE: Final = re.compile(r"[A-Z0-9]{0,12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementLine:
    """One transfer on one account, in words."""

    at: float
    account: str  # "available", "holdback", …
    event: str  # "lease.meter"
    words: str
    amount_micro_usd: int  # signed: what it did to what is available
    balance_micro_usd: int  # what is available in this account after it
    transfer: int  # its number in the books: gondwana ledger proof NUMBER


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountPeriod:
    """What was available in one account at both ends of a period."""

    account: str
    opening_micro_usd: int
    closing_micro_usd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodView:
    """A period, and what the accounts asked for held at both ends of it."""

    since: float | None  # None: from the start
    until: float | None  # the first instant after it; None: up to now
    opening_micro_usd: int
    closing_micro_usd: int
    accounts: tuple[AccountPeriod, ...]  # those that have lines, ever


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementPage:
    """Some lines of a statement, newest first."""

    period: PeriodView
    items: tuple[StatementLine, ...]
    cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Maturing:
    """What becomes payable on one day, if nobody disputes it."""

    day: str  # UTC
    at: float  # the first of it
    amount_micro_usd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineEarnings:
    """What one machine earned its owner."""

    machine: str
    state: str
    seconds_proven: int
    units_accepted: int
    units_rejected: int
    earned_micro_usd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EarningsView:
    """What an owner earned, and where that money is."""

    accrued_micro_usd: int  # proven, not metered yet
    in_work_micro_usd: int  # the price of units in work; paid if they are accepted
    holdback_micro_usd: int  # earned; can still be disputed
    maturing: tuple[Maturing, ...]  # of the holdback, the earliest first
    payable_micro_usd: int  # of machines
    evaluations_micro_usd: int  # payable too, for evaluations
    reports_micro_usd: int  # payable too, for reports that were right
    paying_out_micro_usd: int  # on its way
    paid_out_micro_usd: int
    staked_micro_usd: int
    unbonding_micro_usd: int  # on its way out of the stake
    vesting_micro_usd: int  # subsidies
    machines: tuple[MachineEarnings, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seller:
    """Who stands on an invoice as its seller."""

    name: str = ""  # while it is empty, nothing is issued
    address: tuple[str, ...] = ()  # by line
    tax_id: str = ""
    code: str = ""  # in its invoices' numbers, where a network has had several sellers

    def __post_init__(self) -> None:
        if not _CODE.fullmatch(self.code) or self.code == "CN":
            hint = "A-Z and 0-9, at most 12, not CN"
            raise InvalidValue(field="seller.code", value=self.code[:80], hint=hint)
        if len(self.address) > ADDRESS_LINES_MAX:
            raise InvalidValue(field="seller.address", hint=f"at most {ADDRESS_LINES_MAX} lines")
        lines = (("address", line) for line in self.address)
        for field_, text in (("name", self.name), ("tax_id", self.tax_id), *lines):
            if len(text) > SELLER_CHARS_MAX or not text.isprintable():
                hint = f"printable, at most {SELLER_CHARS_MAX} characters"
                raise InvalidValue(field=f"seller.{field_}", value=text[:80], hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Buyer:
    """Who is charged."""

    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceLine:
    """One kind of charge of one job, without tax."""

    kind: str  # "compute" | "units" | "evaluations" | "credit" | "other"
    words: str
    quantity: int | None  # seconds, units, evaluations; None where it is not known
    unit: str  # "s", "units", …; "" where nothing is counted
    price_micro_usd_per_hour: int | None = None
    amount_micro_usd: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceJob:
    """What one job came to."""

    job: str  # id; "" for what belongs to none
    name: str
    lines: tuple[InvoiceLine, ...]
    net_micro_usd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceTax:
    """The tax of one jurisdiction."""

    jurisdiction: str
    amount_micro_usd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceDocument:
    """An invoice or a credit note, as issued: its canonical JSON (sorted keys, no spaces, UTF-8) is what is hashed."""

    version: int
    kind: str  # "invoice" | "credit_note"
    number: str
    corrects: str  # the invoice that a credit note is about; "" for an invoice
    issued_at: str  # 2026-12-01T01:00:00Z
    month: str  # 2026-11, UTC
    first_transfer: int  # the month, as a span of the books
    last_transfer: int
    currency: str
    seller: Seller
    buyer: Buyer
    jobs: tuple[InvoiceJob, ...]
    taxes: tuple[InvoiceTax, ...]
    net_micro_usd: int
    tax_micro_usd: int
    total_micro_usd: int  # what the books say, to the micro-unit


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceView:
    """One invoice or credit note in a list."""

    number: str
    kind: str
    buyer: str
    month: str
    issued_at: float
    total_micro_usd: int
    corrects: str
    sha256: str  # of the document


@dataclass(frozen=True, slots=True, kw_only=True)
class LegView:
    """One transfer of an entry."""

    transfer: int
    debit: str
    credit: str
    amount_micro_usd: int
    kind: str  # "post" | "pending" | "post_pending" | "void_pending"
    pending: int | None  # the transfer whose hold it pays or releases


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryView:
    """What one event posted."""

    number: int  # of its first transfer; the next entry's is larger
    at: float
    event: str  # "lease.meter"
    event_key: str  # 32 hexadecimal characters; the same event posts once
    subject: str
    job: str | None
    words: str
    facts: tuple[int | str, ...]
    legs: tuple[LegView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditView:
    """The books, recomputed from every transfer."""

    ok: bool
    accounts: int
    entries: int
    transfers: int
    batches: int  # commits sealed into the chain
    roots: int  # days published
    head: str  # hash of the newest batch; "" while nothing is sealed
    root: str  # hash of the newest published root; "" before the first day is over
    root_day: str
    held_micro_usd: int  # money inside: what came in less what went out
    unclear_micro_usd: int  # payments whose owner is not known; must be 0 at close
    sums_micro: dict[str, int]  # asset -> credits less debits over all accounts: 0
    posted_micro_usd_by_code: dict[str, int] = field(
        default_factory=dict[str, int]
    )  # line of the chart -> credits less debits
    differences: tuple[str, ...] = ()
