"""Slashes that silence decides: upheld where nobody appealed in time, reversed where nobody judged the appeal."""

from gondwana.core.clock import Instant
from gondwana.jobs.context import Context
from gondwana.ledger import slashes
from gondwana.loops.each import write_each


def settle_cases(context: Context, now: Instant) -> int:
    """Returns how many cases ended."""
    due = slashes.to_settle(context.database.reader(), now)
    return write_each(context, slashes.settle, [(now, case_id) for case_id in due])
