"""End the orders that nothing fitted while they stood, and their jobs."""

from gondwana.core.clock import Instant
from gondwana.db.transaction import Transaction
from gondwana.jobs import rounds, store
from gondwana.jobs.context import Context
from gondwana.jobs.model import JobReason
from gondwana.loops import merge_round
from gondwana.loops.each import write_each
from gondwana.market import rules
from gondwana.market import store as market
from gondwana.market.model import OrderState


def expire_orders(context: Context, now: Instant) -> int:
    """Returns how many orders had no more time. It looks at all that are open, so it is no part of a matcher's pass."""
    reader, expired = context.database.reader(), 0
    overdue = market.overdue_orders(reader, now)
    leases = market.leases_of_jobs(reader, [order.job_id for order in overdue])
    for order in overdue:
        held = market.held_by(leases[order.job_id], order.id)
        if rules.order_state(order, held, now) is OrderState.EXPIRED:
            expired += _expire_alone(context, now, order.id)
    return expired


def _expire_alone(context: Context, now: Instant, order_id: str) -> int:
    """End a job for which nothing fitted while its order stood; the model it has so far stays."""
    reader = context.database.reader()
    training = store.training(reader, market.order(reader, order_id).job_id)
    artifact = merge_round.artifact(context, training) if training else None
    return write_each(context, _expire, [(now, order_id, artifact)])


def _expire(tx: Transaction, now: Instant, order_id: str, artifact: str | None) -> None:
    order = market.order(tx, order_id)
    market.move_order(tx, now, order, OrderState.EXPIRED)
    job, why = store.job(tx, order.job_id), "no machine fitted in time"
    rounds.give_up(tx, now, job, JobReason.NOTHING_FITS, why, artifact=artifact)
