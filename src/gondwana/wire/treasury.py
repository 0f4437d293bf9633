"""Money in and out as it crosses the network: payouts, deposits, the treasury, settings.

Amounts are whole micro-USD. A destination is masked in every answer but a batch's file.
"""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationRequest:
    """Where the caller's payouts are to go."""

    destination: str = field(repr=False)  # an IBAN, an account's number, an address
    holder: str = field(repr=False)  # the name of whoever it belongs to
    rail: str = ""  # "" is the network's usual one


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationView:
    """Where the caller's payouts go."""

    rail: str
    destination: str  # masked: "…3000"
    holder: str
    changed_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutRequest:
    """What the caller wants to be paid."""

    account: str  # "payable" | "verifier" | "reporter" | "available"
    amount_micro_usd: int | None  # None: all of it


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutView:
    """One payout."""

    id: str
    principal: str
    account: str
    rail: str
    destination: str  # masked
    amount_micro_usd: int
    state: str
    reference: str = ""  # the rail's own
    reason: str = ""
    batch: str | None = None
    requested_at: float
    sent_at: float | None = None
    ended_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SendRequest:
    """Payouts that a rail is handed now."""

    rail: str
    payouts: tuple[str, ...] = ()  # none: all that wait for it


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchView:
    """Payouts that were handed to a rail together."""

    id: str | None  # None: nothing waited
    rail: str
    made_at: float
    payouts: tuple[PayoutView, ...] = ()
    file: str = field(default="", repr=False)  # what the rail is sent; only where a batch is read


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultRequest:
    """What became of a payout, or why a deposit changes."""

    reference: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRequest:
    """A file that a rail gave: results of payouts, or a statement of what came in."""

    rail: str
    content: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedLine:
    """What became of one line."""

    line: int
    outcome: str  # "applied" | "repeated" | "refused"
    subject: str = ""  # the payout or deposit
    detail: str = ""  # why it was refused, or what it became


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportView:
    """What became of a file."""

    applied: int
    repeated: int  # told before: nothing changed
    refused: int
    lines: tuple[ImportedLine, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentRequest:
    """One payment that came in or is to come, as an operator tells it."""

    principal: str  # "" where nobody knows whose it is
    rail: str
    amount_micro_usd: int
    reference: str = ""
    sender: str = ""
    expected: bool = False  # it has not come yet


@dataclass(frozen=True, slots=True, kw_only=True)
class DepositView:
    """One payment that came in or is to come."""

    id: str
    principal: str  # "" while nobody knows
    rail: str
    reference: str
    amount_micro_usd: int
    state: str
    sender: str = ""
    paid_on: str = ""
    reason: str = ""
    made_at: float
    changed_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DepositCodeView:
    """What the caller writes on a bank transfer, so that it finds this account."""

    code: str  # "GW-7K3M9-QX24H"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearRequest:
    """Whose an unclear payment is."""

    principal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RailAmountRequest:
    """So much over a rail."""

    rail: str
    amount_micro_usd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AmountRequest:
    """So much."""

    amount_micro_usd: int | None  # None: all of it, where that has a meaning


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoRequest:
    """Promotional credit for a tenant."""

    principal: str
    amount_micro_usd: int
    why: str  # the tenant's statement says it
    expires_at: float | None = None  # Unix time; None: never


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoView:
    """Promotional credit as it was granted."""

    id: str
    principal: str
    amount_micro_usd: int
    why: str
    granted_at: float
    expires_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionRequest:
    """Post the mirror of an entry."""

    transfer: int  # the number of one of its transfers
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SumView:
    """So much in one account, or in all accounts of one kind."""

    name: str
    micro_usd: int
    pending_out_micro_usd: int = 0  # of it, held for payouts
    pending_in_micro_usd: int = 0  # expected, not of it


@dataclass(frozen=True, slots=True, kw_only=True)
class TreasuryView:
    """Where all money is: what the rails hold is what is owed, in doubt, and the operator's."""

    rails: tuple[SumView, ...]
    owed: tuple[SumView, ...]
    unclear: tuple[SumView, ...]
    operator: tuple[SumView, ...]
    held_micro_usd: int  # what all rails hold together
    owed_micro_usd: int
    difference_micro_usd: int = 0  # anything else means that the books are broken


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeRequest:
    """Stop an account from spending and taking out."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenView:
    """Whether an account may spend and take out."""

    principal: str
    frozen: bool
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingView:
    """One setting as it is now."""

    name: str
    value: dict[str, Any]
