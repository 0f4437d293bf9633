"""Which orders want machines at posted prices, as the control plane keeps them in memory: read once, then followed.

A pass of the matcher runs every few milliseconds while orders come in; it reads of the database what changed, however
many orders wait for machines that nobody has.
"""

import threading
from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import Final, NamedTuple

from gondwana.core.clock import Instant
from gondwana.core.ids import OrderId
from gondwana.db.events import StoredEvent
from gondwana.db.transaction import Reader
from gondwana.market import store as market
from gondwana.market.model import Order
from gondwana.market.store import OpenOrder

MANY: Final = 500  # changes at once, after which sorting all again is quicker
_OVER: Final = frozenset({"order.matched", "order.closed", "order.expired"})
"""Events of an order after which it wants no machines, until another event."""


class _Moved(NamedTuple):
    kind: str  # what happened to an order last
    seq: int  # the event's number


class ReadOrder(NamedTuple):
    """An order as it was after an event about it, or later."""

    order: Order
    seq: int  # the event's number


class OpenOrders:
    """The orders that want machines at posted prices, oldest first. Several threads may ask, one at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._news = threading.Lock()
        self._moved: dict[str, _Moved] = {}  # orders that are not what they were
        self._read: dict[str, ReadOrder] = {}  # by the last look at what moved
        self._known: dict[str, OpenOrder] | None = None
        self._by_age: list[OpenOrder] = []

    def hears(self, noun: str) -> bool:
        """Whether it follows events about that."""
        return noun == "order"

    def follow(self, events: Sequence[StoredEvent]) -> None:
        """Hear what was committed; called on the writer's thread, so it only remembers."""
        moved = {each.event.subject: _Moved(each.event.kind, each.seq) for each in events}
        with self._news:
            self._moved.update(moved)

    def ids(self, reader: Reader, now: Instant) -> list[OrderId]:
        """All that want machines now; those whose own time is later are left out."""
        with self._lock:
            self._refresh(reader)
            return [
                name for _, name, starts_at in self._by_age if starts_at is None or starts_at <= now
            ]

    def take_read(self) -> dict[str, ReadOrder]:
        """The orders that the last look read, by their ids: who needs them need not read them again."""
        with self._lock:
            read, self._read = self._read, {}
            return read

    def _refresh(self, reader: Reader) -> None:
        with self._news:
            moved, self._moved = self._moved, {}
        try:
            if self._known is None:
                self._by_age = list(market.all_open_orders(reader))
                self._known = {each.id: each for each in self._by_age}
                return
            may_be = [order_id for order_id, last in moved.items() if last.kind not in _OVER]
            read = market.orders(reader, may_be) if may_be else {}
        except BaseException:  # what could not be read is still to be looked at
            with self._news:
                self._moved = moved | self._moved
            raise
        self._read = {name: ReadOrder(each, moved[name].seq) for name, each in read.items()}
        found = {name: known for name, each in read.items() if (known := market.open_order(each))}
        if len(moved) > MANY:
            kept = {name: each for name, each in self._known.items() if name not in moved}
            self._known = kept | found
            self._by_age = sorted(self._known.values())
            return
        for order_id in moved:
            self._put(self._known, order_id, found.get(order_id))

    def _put(self, known: dict[str, OpenOrder], order_id: str, now: OpenOrder | None) -> None:
        before = known.pop(order_id, None)
        if before is not None:
            del self._by_age[bisect_left(self._by_age, before)]
        if now is not None:
            known[order_id] = now
            insort(self._by_age, now)
