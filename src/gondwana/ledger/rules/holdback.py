"""Earnings pass a challenge window before their owner can take them out."""

from typing import Final

from gondwana.core.errors import InvalidValue
from gondwana.ledger.accounts import provider_holdback, provider_payable
from gondwana.ledger.model import Balance, Entry
from gondwana.ledger.rules.entries import Move, legs

HOLDBACK_SECONDS: Final = 7 * 86_400  # at full load as good as a stake of seven days' revenue


def mature(provider_id: str, *, credited_before_window: int, holdback: Balance) -> Entry:
    """Free what an owner earned before the window, less what already left the holdback, holds included.

    `credited_before_window` is all that was ever credited to the holdback up to HOLDBACK_SECONDS ago. First in, first
    out: what was slashed counts as the oldest earnings. The event is named by all that left, so a repeat posts nothing.
    """
    if not 0 <= credited_before_window <= holdback.credits_posted:
        raise InvalidValue(
            field="credited_before_window",
            value=credited_before_window,
            hint=f"between 0 and the {holdback.credits_posted} ever credited",
        )
    gone = holdback.debits_posted + holdback.debits_pending
    amount = max(0, credited_before_window - gone)
    move = Move(provider_holdback(provider_id), provider_payable(provider_id), amount)
    return Entry(
        event_id=f"holdback.mature:{provider_id}:{holdback.debits_posted + amount}",
        kind="holdback.mature",
        subject=provider_id,
        legs=legs([move]),
    )
