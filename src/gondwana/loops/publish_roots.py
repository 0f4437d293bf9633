"""Publish what the books came to at the end of each day."""

from gondwana.core.clock import Instant
from gondwana.jobs.context import Context
from gondwana.ledger import chain


def publish_roots(context: Context, now: Instant) -> int:
    """Returns how many roots were published."""
    return context.database.writer.call(chain.publish_roots, now)
