"""Close the reservations that nobody confirmed in time."""

from gondwana.core.clock import Instant
from gondwana.db.transaction import Transaction
from gondwana.jobs import end
from gondwana.jobs.context import Context
from gondwana.loops.each import write_each
from gondwana.market import rules
from gondwana.market import store as market
from gondwana.market.model import CloseReason, LeaseState


def lapse_reservations(context: Context, now: Instant) -> int:
    """Returns how many reservations lapsed."""
    before = Instant(now - rules.RESERVATION_SECONDS_MAX)
    due = market.reserved(context.database.reader(), before=before)
    return write_each(context, _lapse, [(now, lease.id) for lease in due])


def _lapse(tx: Transaction, now: Instant, lease_id: str) -> None:
    lease = market.lease(tx, lease_id)
    if lease.state is LeaseState.RESERVED and rules.has_lapsed(lease, now):
        end.close_lease(tx, now, lease, CloseReason.RESERVATION_LAPSED)
