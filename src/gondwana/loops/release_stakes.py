"""Stakes that have been on their way out for long enough are paid back into what their owner can take out."""

from gondwana.core.clock import Instant
from gondwana.jobs.context import Context
from gondwana.ledger import stakes
from gondwana.loops.each import write_each


def release_stakes(context: Context, now: Instant) -> int:
    """Returns how many owners were looked at; what a slash holds waits for its end."""
    due = stakes.owners_due(context.database.reader(), now)
    return write_each(context, stakes.release_due, [(now, owner_id) for owner_id in due])
