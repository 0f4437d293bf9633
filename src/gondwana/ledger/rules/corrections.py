"""Corrections: nothing is edited; the mirror of what was posted in error is posted, and names it."""

from typing import Final

from gondwana.core.errors import WrongState
from gondwana.ledger.model import Entry, Leg, TransferKind

_MOVED: Final = (TransferKind.POST, TransferKind.POST_PENDING)


def correct(original: Entry, *, why: str) -> Entry:
    """The mirror of all that an entry moved, last leg first, so that each step back finds what its step left.

    An entry is corrected once. Raises WrongState for one that moved nothing: a hold is released, not mirrored.
    """
    mirror = tuple(
        Leg(debit=leg.credit, credit=leg.debit, amount_micro_usd=leg.amount_micro_usd)
        for leg in reversed(original.legs)
        if leg.kind in _MOVED
    )
    if not mirror:
        raise WrongState(
            f"{original.event_id} moved nothing that could be moved back.",
            hint="release a hold by rejecting, failing or voiding what it is for",
        )
    return Entry(
        event_id=f"correction:{original.event_id}",
        kind="correction",
        subject=original.subject,
        legs=mirror,
        job_id=original.job_id,
        facts=(original.event_id, why),
    )
