"""Post what proven seconds cost; top escrows up, warn, and stop the job before anybody works unpaid."""

from collections.abc import Sequence
from typing import Final

from gondwana.core.clock import Instant
from gondwana.jobs.context import Context
from gondwana.jobs.rules.batch import Runway
from gondwana.jobs.settle import settle
from gondwana.loops.each import write_each
from gondwana.market import store as market
from gondwana.market.model import Lease

REST_SECONDS: Final = 10.0  # between two looks at a lease that has money
DRAINING_REST_SECONDS: Final = 1.0  # at one that has hardly any


def meter_leases(context: Context, now: Instant) -> int:
    """Returns how many leases were looked at."""
    return _settle_all(context, now, market.metered(context.database.reader()))


def meter_draining(context: Context, now: Instant) -> int:
    """The same for those that are about to be stopped; returns how many."""
    return _settle_all(context, now, market.metered(context.database.reader(), notice=Runway.DRAIN))


def _settle_all(context: Context, now: Instant, leases: Sequence[Lease]) -> int:
    gap = DRAINING_REST_SECONDS + context.heartbeat_seconds
    return write_each(context, settle, [(now, lease.id, gap) for lease in leases])
