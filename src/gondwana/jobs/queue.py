"""Who waits for machines: at posted prices in the order in which they will be served, then on spot and at auction."""

from collections import Counter
from dataclasses import dataclass
from typing import Final

from gondwana.core.clock import Instant
from gondwana.db.transaction import Reader
from gondwana.jobs import waits
from gondwana.jobs.context import Context
from gondwana.market import store as market
from gondwana.market.model import Order

BY_PRICE_MAX: Final = 1_000  # orders on spot or at auction that are listed, the oldest


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One order's place in the queue."""

    order: Order
    place: int  # 1 is next; 0: a quota keeps it out of the queue, or a price decides instead
    kept: int  # machines that are kept for it
    why: str  # what keeps it waiting


def queue(
    context: Context, reader: Reader, now: Instant, tenant_id: str | None = None
) -> list[Place]:
    """All who wait, or the orders of one tenant with their places among all; those that have no place come last."""
    ids = context.open_orders.ids(reader, now)
    by_turn = context.fairness.queue(reader, context.shelf, ids, now)
    kept = Counter(hold.order_id for hold in market.holds(reader))
    found = [
        Place(order=order, place=place, kept=kept[order.id], why=_why(kept[order.id], place))
        for place, order in enumerate(by_turn, start=1)
    ]
    in_turn = {each.id for each in by_turn}
    out = market.orders(reader, [each for each in ids if each not in in_turn]).values()
    found += [
        Place(order=order, place=0, kept=0, why=context.fairness.why(order.id)) for order in out
    ]
    found = [each for each in found if tenant_id in (None, each.order.tenant_id)]
    others = market.open_by_price(reader, tenant_id, limit=BY_PRICE_MAX)
    whys = waits.by_price(reader, others) if others else {}
    return found + [
        Place(order=order, place=0, kept=kept[order.id], why=whys[order.id]) for order in others
    ]


def _why(kept: int, place: int) -> str:
    if kept:
        return f"machines are kept for it until it has all: {kept} now"
    return "no machine that fits is free" if place == 1 else f"{place - 1} before it, or none fits"
