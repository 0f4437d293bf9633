"""Give tenants back, unasked, what owners promised and did not keep. What cannot be paid is tried again."""

from gondwana.core.clock import Instant
from gondwana.jobs import service, service_credits
from gondwana.jobs.context import Context
from gondwana.jobs.rules.service import KEPT_SECONDS
from gondwana.loops.each import write_each

REMEMBERED_SECONDS = KEPT_SECONDS + 31 * 86_400  # gaps of the month in which a lease ended


def credit_breaches(context: Context, now: Instant) -> int:
    """Returns how many leases something was written of."""
    reader = context.database.reader()
    known = service.known(reader, since=Instant(now - REMEMBERED_SECONDS))
    if known is None:
        return 0
    due, pool = service_credits.plan(reader, now, known)
    return write_each(context, service_credits.settle, [(now, lease_id, pool) for lease_id in due])
