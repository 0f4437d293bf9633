"""What owners put at stake: in, on its way out, out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gondwana.core.clock import Instant
from gondwana.ledger.accounts import AccountName, ext, provider_payable, stake, stake_unbonding
from gondwana.ledger.events import Fact
from gondwana.ledger.model import Balance, Entry, Leg

UNBONDING_SECONDS: Final = (
    14 * 86_400
)  # longer than any check takes: who leaves can still be slashed


@dataclass(frozen=True, slots=True, kw_only=True)
class Unbonding:
    """A part of a stake on its way out."""

    id: str
    provider_id: str
    amount_micro_usd: int
    unbonded_at: Instant
    released_at: Instant | None = None


def stake_from_payable(provider_id: str, amount_micro_usd: int, *, key: str) -> Entry:
    """Earnings put at stake; `key` tells one stake from the next."""
    leg = _leg(provider_payable(provider_id), stake(provider_id), amount_micro_usd)
    return _entry("stake", provider_id, leg, key=key)


def stake_from_rail(rail: str, provider_id: str, *, amount_micro_usd: int, key: str) -> Entry:
    """Money that arrived over `rail`, put at stake; `key` tells one payment of the rail from the next."""
    leg = _leg(ext(rail), stake(provider_id), amount_micro_usd)
    return _entry("stake", provider_id, leg, key=f"{rail}:{key}")


def unbond(provider_id: str, amount_micro_usd: int, *, key: str) -> Entry:
    """A stake, or a part of it, on its way out; it can be slashed until `release_stake` of the same key."""
    leg = _leg(stake(provider_id), stake_unbonding(provider_id), amount_micro_usd)
    return _entry("stake.unbond", provider_id, leg, key=key, facts=(UNBONDING_SECONDS,))


def may_release(unbonded_at: Instant, now: Instant) -> bool:
    """Whether a stake that was unbonded then has waited long enough."""
    return now - unbonded_at >= UNBONDING_SECONDS


def releasable(
    parts: Sequence[Unbonding], account: Balance, *, now: Instant
) -> list[tuple[Unbonding, int]]:
    """Which of an owner's parts are free now, and what is left of each; `parts` are all that are not released.

    Slashes took from the account, not from a part: they count as taken from the oldest parts. A part that a slash
    which may yet be reversed holds some of stays until it is known what is left.
    """
    parts = sorted(parts, key=lambda part: (part.unbonded_at, part.id))
    slashed = max(0, sum(part.amount_micro_usd for part in parts) - account.posted_micro_usd)
    left = _left(parts, slashed)
    least = _left(parts, slashed + account.held_micro_usd)
    return [
        (part, amount)
        for part, amount, at_least in zip(parts, left, least, strict=True)
        if may_release(part.unbonded_at, now) and amount == at_least
    ]


def _left(parts: Sequence[Unbonding], lost_micro_usd: int) -> list[int]:
    """What is left of each part when so much of all together is lost, the oldest first."""
    left: list[int] = []
    for part in parts:
        gone = min(part.amount_micro_usd, lost_micro_usd)
        lost_micro_usd -= gone
        left.append(part.amount_micro_usd - gone)
    return left


def release_stake(provider_id: str, amount_micro_usd: int, *, key: str) -> Entry:
    """What was unbonded under `key`, or what a slash left of it, ready to pay out.

    It posts once per key, so it waits while a slash that may yet be reversed holds a part of what is unbonding.
    """
    leg = _leg(stake_unbonding(provider_id), provider_payable(provider_id), amount_micro_usd)
    return _entry("stake.release", provider_id, leg, key=key)


def _leg(debit: AccountName, credit: AccountName, amount_micro_usd: int) -> Leg:
    return Leg(debit=debit, credit=credit, amount_micro_usd=amount_micro_usd)


def _entry(
    kind: str, provider_id: str, leg: Leg, *, key: str, facts: tuple[Fact, ...] = ()
) -> Entry:
    return Entry(
        event_id=f"{kind}:{provider_id}:{key}",
        kind=kind,
        subject=provider_id,
        legs=(leg,),
        facts=facts,
    )
