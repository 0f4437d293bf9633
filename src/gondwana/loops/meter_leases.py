"""Post what proven seconds cost; top escrows up, warn, and stop the job before anybody works unpaid."""

from collections.abc import Sequence
from typing import Final

from gondwana.core.clock import Instant
from gondwana.jobs.context import Context
from gondwana.jobs.settle import settle
from gondwana.loops.each import AT_ONCE_MAX, write_parts
from gondwana.market import store as market
from gondwana.market.model import Lease

TURN_SECONDS: Final = 10.0  # between two looks at a lease that has money, while there are few
REST_SECONDS: Final = 1.0  # between two passes
METERED_MAX: Final = 200
"""Leases looked at in one pass; of more, the others have their turn in the next passes.

An escrow is topped up, or its tenant warned, while it lasts ten minutes more: up to 120,000 leases each is looked at in
time. A look costs the writer 0.1 ms, which orders wait for: no order waits long."""
DRAINING_REST_SECONDS: Final = 1.0  # between two looks at one that has hardly any money


def meter_leases(context: Context, now: Instant) -> int:
    """Returns how many leases were looked at."""
    turn = context.metering
    if not turn.after:
        if turn.began_at is not None and 0 <= now - turn.began_at < TURN_SECONDS:
            return 0
        turn.began_at = now
    found = market.metered(context.database.reader(), after=turn.after, limit=METERED_MAX)
    turn.after = found[-1].id if len(found) == METERED_MAX else ""
    return _settle_all(context, now, found)


def meter_draining(context: Context, now: Instant) -> int:
    """The same for those that are about to be stopped; returns how many."""
    return _settle_all(context, now, market.draining(context.database.reader()))


def _settle_all(context: Context, now: Instant, leases: Sequence[Lease]) -> int:
    gap = DRAINING_REST_SECONDS + context.heartbeat_seconds
    ids = [lease.id for lease in leases]
    starts = range(0, len(ids), AT_ONCE_MAX)
    return sum(write_parts(context, settle, (now, gap), ids[n : n + AT_ONCE_MAX]) for n in starts)
