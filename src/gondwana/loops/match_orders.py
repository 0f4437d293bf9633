"""Give open orders the machines they want, and make reservations active."""

import logging

from gondwana.core.clock import Instant
from gondwana.core.errors import GondwanaError
from gondwana.jobs import admit, place, store
from gondwana.jobs.context import Context
from gondwana.market import rules
from gondwana.market import store as market
from gondwana.market.model import OrderState

_log = logging.getLogger(__name__)


def match_orders(context: Context, now: Instant) -> int:
    """Reserve and confirm for every open order; returns how many leases became active."""
    reader, writer = context.database.reader(), context.database.writer
    for order in market.open_orders(reader):
        writer.call(place.reserve, context.random, now, order.id)
    active = 0
    for lease in market.reserved(reader):
        writer.call(place.confirm, context.random, now, lease.id)
        active += 1
    for order in market.open_orders(reader):
        held = market.held_by(market.leases_of_job(reader, order.job_id, live=True), order.id)
        if rules.order_state(order, held, now) is OrderState.EXPIRED:
            try:
                writer.call(_expire, now, order.id)
            except GondwanaError as error:
                _log.warning("order %s could not expire: %s", order.id, error)
    return active


def _expire(tx: admit.Transaction, now: Instant, order_id: str) -> None:
    order = market.order(tx, order_id)
    market.move_order(tx, now, order, OrderState.EXPIRED)
    admit.expire(tx, now, store.job(tx, order.job_id))
