"""Post what proven seconds cost; top escrows up, warn, and stop the job before anybody works unpaid."""

from collections.abc import Sequence
from typing import Final

from gondwana.core.clock import Instant
from gondwana.jobs.context import Context
from gondwana.jobs.settle import settle
from gondwana.loops.each import AT_ONCE_MAX, write_parts
from gondwana.market import store as market
from gondwana.market.model import Lease

REST_SECONDS: Final = 10.0  # between two looks at a lease that has money, while there are few
METERED_MAX: Final = 2_000
"""Leases looked at in one pass; of more, the others have their turn in the next passes.

An escrow is topped up, or its tenant warned, while it lasts ten minutes more: up to 120,000 leases each is looked at in
time. A look costs the writer 0.1 ms, which orders wait for."""
DRAINING_REST_SECONDS: Final = 1.0  # between two looks at one that has hardly any money


def meter_leases(context: Context, now: Instant) -> int:
    """Returns how many leases were looked at."""
    reader, turn = context.database.reader(), context.metering
    found = market.metered(reader, after=turn.after, limit=METERED_MAX)
    if len(found) < METERED_MAX:
        first = market.metered(reader, limit=METERED_MAX - len(found))
        found += [lease for lease in first if lease.id <= turn.after]
    turn.after = found[-1].id if found else ""
    return _settle_all(context, now, found)


def meter_draining(context: Context, now: Instant) -> int:
    """The same for those that are about to be stopped; returns how many."""
    return _settle_all(context, now, market.draining(context.database.reader()))


def _settle_all(context: Context, now: Instant, leases: Sequence[Lease]) -> int:
    gap = DRAINING_REST_SECONDS + context.heartbeat_seconds
    ids = [lease.id for lease in leases]
    starts = range(0, len(ids), AT_ONCE_MAX)
    return sum(write_parts(context, settle, (now, gap), ids[n : n + AT_ONCE_MAX]) for n in starts)
