"""What owners earned before the challenge window becomes payable."""

from gondwana.core.clock import Instant
from gondwana.jobs.context import Context
from gondwana.ledger.holdbacks import mature, ripe
from gondwana.loops.each import write_each


def mature_holdbacks(context: Context, now: Instant) -> int:
    """Returns how many owners have more to pay out now."""
    owners = ripe(context.database.reader(), now)
    return write_each(context, mature, [(now, owner) for owner in owners])
