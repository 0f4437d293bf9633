"""What owners put at stake: in, on its way out, out."""

from typing import Final

from gondwana.core.clock import Instant
from gondwana.ledger.accounts import AccountName, ext, provider_payable, stake, stake_unbonding
from gondwana.ledger.events import Fact
from gondwana.ledger.model import Entry, Leg

UNBONDING_SECONDS: Final = (
    14 * 86_400
)  # longer than any check takes: who leaves can still be slashed


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
