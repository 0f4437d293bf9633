"""How much more unverified work an owner may be given, from what the books say he has and holds now.

Unverified is what is held for him: the prices of units that he was given or delivered and nobody has judged yet, which
are just the pending credits of his holdback. Leases by the second are not limited: heartbeats prove them.
"""

from gondwana.core.errors import ExposureTooHigh
from gondwana.core.money import format_usd
from gondwana.db.transaction import Reader
from gondwana.ledger.accounts import provider_holdback, stake, stake_unbonding
from gondwana.ledger.rules import (
    RiskSettings,
    collateral_micro_usd,
    unverified_work_max_micro_usd,
)
from gondwana.ledger.settings import setting
from gondwana.ledger.store import balances


def collateral_of(reader: Reader, provider_id: str, settings: RiskSettings) -> int:
    """What an owner has at stake for new work, in micro-USD."""
    accounts = provider_holdback(provider_id), stake(provider_id), stake_unbonding(provider_id)
    found = balances(reader, accounts)
    holdback, staked, unbonding = (found[account] for account in accounts)
    return collateral_micro_usd(settings, holdback=holdback, stake=staked, unbonding=unbonding)


def unverified_micro_usd(reader: Reader, provider_id: str) -> int:
    """What an owner's unverified work is worth to him, in micro-USD."""
    account = provider_holdback(provider_id)
    return balances(reader, [account])[account].credits_pending


def room_micro_usd(reader: Reader, provider_id: str, settings: RiskSettings) -> int:
    """How much more unverified work an owner may be given; zero where he holds all he may, or more by now."""
    collateral = collateral_of(reader, provider_id, settings)
    most = unverified_work_max_micro_usd(collateral, settings)
    return max(0, most - unverified_micro_usd(reader, provider_id))


def may_hold(reader: Reader, provider_id: str, more_micro_usd: int, settings: RiskSettings) -> bool:
    """Whether an owner may be given so much more unverified work."""
    return more_micro_usd <= room_micro_usd(reader, provider_id, settings)


def check_exposure(reader: Reader, provider_id: str, more_micro_usd: int) -> None:
    """Raise ExposureTooHigh where an owner may not be given so much more unverified work."""
    settings = setting(reader, "risk", RiskSettings)
    if may_hold(reader, provider_id, more_micro_usd, settings):
        return
    room = room_micro_usd(reader, provider_id, settings)
    raise ExposureTooHigh(
        f"The owner may be given {format_usd(room)} more of unverified work; this is worth "
        f"{format_usd(more_micro_usd)}.",
        hint="gondwana stake add",
    )
