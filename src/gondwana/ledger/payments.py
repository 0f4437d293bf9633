"""The values of money in and out: payouts, deposits, promotional credit; and what decides about them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.errors import GondwanaError, InvalidValue
from gondwana.core.money import MICRO_USD_MAX
from gondwana.ledger import accounts
from gondwana.ledger.accounts import AccountName
from gondwana.ledger.rules.holdback import HOLDBACK_SECONDS

TEXT_CHARS_MAX: Final = 140  # of a reference or a reason, as of a bank transfer's text
_HOLDER: Final = re.compile(r"[^\W_][^\n\r\t\x00-\x1f\x7f-\x9f\u2028\u2029]{1,69}")  # SEPA's 70
_DESTINATION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 .:@/_-]{3,99}")
_RAIL: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
_SHOWN_CHARS: Final = 4  # of a destination: enough to recognise one's own account


class PayoutState(StrEnum):
    """Where a payout stands."""

    REQUESTED = "requested"  # the money is held; it waits for its rail
    SENT = "sent"  # the rail has it: it may arrive at any moment
    CONFIRMED = "confirmed"  # it arrived
    FAILED = "failed"  # it did not; the money is its owner's again


PAYOUT_TRANSITIONS: Final = {
    PayoutState.REQUESTED: {PayoutState.SENT, PayoutState.FAILED},
    PayoutState.SENT: {PayoutState.CONFIRMED, PayoutState.FAILED},
    PayoutState.CONFIRMED: set[PayoutState](),
    PayoutState.FAILED: set[PayoutState](),
}


class DepositState(StrEnum):
    """Where a payment that comes in stands."""

    EXPECTED = "expected"  # announced; it counts once it is confirmed
    CONFIRMED = "confirmed"  # it is the tenant's to spend
    VOID = "void"  # announced, and it never came
    UNCLEAR = "unclear"  # it came, and nobody knows whose it is
    CLEARED = "cleared"  # it was unclear, and found its owner
    RETURNED = "returned"  # it was unclear, and went back where it came from
    CHARGED_BACK = "charged_back"  # its sender took it back


DEPOSIT_TRANSITIONS: Final = {
    DepositState.EXPECTED: {DepositState.CONFIRMED, DepositState.VOID},
    DepositState.CONFIRMED: {DepositState.CHARGED_BACK},
    DepositState.VOID: set[DepositState](),
    DepositState.UNCLEAR: {DepositState.CLEARED, DepositState.RETURNED},
    DepositState.CLEARED: {DepositState.CHARGED_BACK},
    DepositState.RETURNED: set[DepositState](),
    DepositState.CHARGED_BACK: set[DepositState](),
}

PAYABLE_FROM: Final = {
    "payable": accounts.provider_payable,
    "verifier": accounts.verifier_payable,
    "reporter": accounts.reporter_payable,
    "available": accounts.tenant_available,
}
"""What a person calls an account that can be paid out, and the account."""


class Outcome(StrEnum):
    """What became of one line of a file."""

    APPLIED = "applied"  # it changed something, now
    REPEATED = "repeated"  # it was told before; nothing changed
    REFUSED = "refused"  # it is wrong; nothing changed


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """One line of a file, and what became of it."""

    line: int
    outcome: Outcome
    subject: str = ""  # the payout or deposit
    detail: str = ""  # why it was refused, or what it became


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutSettings:
    """The setting `payouts`: what an operator decides about payouts."""

    micro_usd_min: int = 25_000_000  # a bank transfer costs up to 12 cents: less than 0.5 % of it
    rails: tuple[str, ...] = ("manual", "csv")  # the first is what a destination is on by default

    def __post_init__(self) -> None:
        if not 1 <= self.micro_usd_min <= MICRO_USD_MAX:
            raise InvalidValue(
                field="payouts.micro_usd_min", value=self.micro_usd_min, hint="more than 0"
            )
        for rail in self.rails:
            check_rail_name(rail, field="payouts.rails")


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldbackSettings:
    """The setting `holdback`: how long earnings can be challenged before they can be paid out."""

    seconds: int = HOLDBACK_SECONDS

    def __post_init__(self) -> None:
        if not 0 <= self.seconds <= 366 * 86_400:
            raise InvalidValue(field="holdback.seconds", value=self.seconds, hint="0 to a year")


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where a person's payouts go."""

    principal_id: str
    rail: str
    destination: str = field(repr=False)  # never logged
    holder: str = field(repr=False)
    changed_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Payout:
    """Money on its way out of one account."""

    id: str
    principal_id: str
    account: AccountName
    rail: str
    destination: str = field(repr=False)  # never logged
    holder: str = field(repr=False)
    amount_micro_usd: int
    state: PayoutState
    requested_at: Instant
    reference: str = ""
    reason: str = ""
    batch_id: str | None = None
    sent_at: Instant | None = None
    ended_at: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Payouts that were handed to a rail together."""

    id: str
    rail: str
    made_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Deposit:
    """One payment that came in, or is to come."""

    id: str
    rail: str
    reference: str
    amount_micro_usd: int
    tenant_id: str | None
    state: DepositState
    made_at: Instant
    changed_at: Instant
    sender: str = ""
    paid_on: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoGrant:
    """Promotional credit that a tenant was given."""

    id: str
    tenant_id: str
    amount_micro_usd: int
    why: str
    granted_at: Instant
    expires_at: Instant | None = None  # none: it never expires


def refused(line: int, subject: str, error: GondwanaError) -> Imported:
    """A line that is wrong."""
    return Imported(line=line, outcome=Outcome.REFUSED, subject=subject, detail=error.message)


def check_amount(amount_micro_usd: int, *, field: str = "amount_micro_usd") -> int:
    """The amount, if it is one; raises InvalidValue."""
    if type(amount_micro_usd) is not int or not 0 < amount_micro_usd <= MICRO_USD_MAX:
        raise InvalidValue(field=field, value=amount_micro_usd, hint="whole micro-USD, more than 0")
    return amount_micro_usd


def check_rail_name(rail: str, *, field: str = "rail") -> str:
    """The name, if it can be a rail's; raises InvalidValue."""
    if not _RAIL.fullmatch(rail):
        raise InvalidValue(field=field, value=rail[:80], hint="a-z, 0-9 and '-', at most 32")
    return rail


def check_text(text: str, *, field: str) -> str:
    """The text, if it is one line of it; raises InvalidValue."""
    if len(text) > TEXT_CHARS_MAX or not text.isprintable():
        hint = f"one line of at most {TEXT_CHARS_MAX} characters"
        raise InvalidValue(field=field, value=ascii(text[:80]), hint=hint)
    return text


def check_destination(destination: str, holder: str) -> tuple[str, str]:
    """Both without blanks around them, if a batch file can name them.

    What starts like a formula is refused: a treasurer opens such files in a spreadsheet. No error repeats the number.
    """
    destination, holder = destination.strip(), holder.strip()
    if not _DESTINATION.fullmatch(destination):
        raise InvalidValue(
            "The destination is not one.",
            field="destination",
            hint="an IBAN, an account's number or an address: 4 to 100 letters, digits and . : @ / _ -",
        )
    if not _HOLDER.fullmatch(holder) or not holder.isprintable():
        raise InvalidValue(
            "The account holder's name is not one.", field="holder", hint="2 to 70 characters"
        )
    return destination, holder


def mask(destination: str) -> str:
    """A destination as it may be shown: `…3000`."""
    last = destination[-_SHOWN_CHARS:] if len(destination) > 2 * _SHOWN_CHARS else ""
    return f"…{last}"


def promo_to_expire(available_micro_usd: int, grants: Sequence[PromoGrant], now: Instant) -> int:
    """What is left of a tenant's expired grants in what he has of promotional credit now.

    Spending counts against what expires first, so what is still valid was spent last: all beyond it has expired. What
    an escrow gives back later, after its grant expired, is found the same way then.
    """
    valid = expired = 0
    for grant in grants:
        if grant.expires_at is None or grant.expires_at > now:
            valid += grant.amount_micro_usd
        else:
            expired += grant.amount_micro_usd
    return min(expired, max(0, available_micro_usd - valid))
