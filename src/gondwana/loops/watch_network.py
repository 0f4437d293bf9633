"""Note until when the network hears its machines: what it cannot hear, it charges to no owner."""

from gondwana.core.clock import Instant
from gondwana.db.transaction import Transaction
from gondwana.jobs import service
from gondwana.jobs.context import Context
from gondwana.jobs.rules.presence import Heard


def watch_network(context: Context, now: Instant) -> int:
    """Returns how many times it had been deaf: 0 or 1."""
    heard = service.heard(context.database.reader(), now)
    return context.database.writer.call(
        _look, now, heard, context.listening_since, context.down_after_seconds
    )


def _look(
    tx: Transaction, now: Instant, heard: Heard, listening_since: Instant, down_after: float
) -> int:
    return int(service.look(tx, now, heard, listening_since, down_after) is not None)
