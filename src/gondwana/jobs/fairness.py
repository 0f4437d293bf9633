"""Who holds how much, and whose turn it is, as the control plane keeps it in memory beside the shelf.

It follows what is committed and proposes only: whoever reserves looks at the quotas again, in the transaction that
writes (`jobs.quotas.Limits`).
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.values import grouped
from gondwana.db.events import StoredEvent
from gondwana.db.transaction import Reader
from gondwana.jobs import quotas as rules
from gondwana.jobs.heard import noun
from gondwana.jobs.next_in_quotas import NextInQuotas
from gondwana.jobs.open_orders import ReadOrder
from gondwana.jobs.shelf import Shelf
from gondwana.market import store as market
from gondwana.market.alternatives import has_kinds
from gondwana.market.fairness import (
    ANY,
    CPUS,
    MEMORY,
    Amounts,
    Holding,
    Holdings,
    Turns,
    Waiting,
    waiting,
)
from gondwana.market.keeping import Hold
from gondwana.market.model import Order, Sold
from gondwana.policy import quotas
from gondwana.policy.model import Quota

TOTALS_SECONDS: Final = 10.0  # between two looks at all there is: shares need not be exact
REMEMBERED_MAX: Final = 20_000  # open orders; past it all are read again
TURNS_AT_ONCE: Final = 64  # of a queue that nobody is served from
LEASES_AT_ONCE: Final = 64  # looked at while others write
_SAME: Final = frozenset({"lease.active", "lease.runway_low", "lease.runway_drain"})
"""Events of a lease that change nothing of what it holds."""
NOTHING_READ: Final[Mapping[str, ReadOrder]] = {}
_Born = tuple[str, str]  # the job of a new lease, and its machine


class Fairness:
    """Whose turn it is. Several threads may ask, one at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._news = threading.Lock()
        # leases that may hold otherwise now; of those that are only new it is known whose they are
        self._changed: dict[str, _Born | None] = {}
        self._moved: dict[str, int] = {}  # orders that are not what they were, by which event
        self._quotas_changed = True
        self._holdings = Holdings()
        self._is_filled = False
        self._leases: dict[str, tuple[Holding, Amounts]] = {}
        self._quotas: dict[str, list[Quota]] = {}
        self._totals_at: Instant | None = None
        self._remembered: dict[str, Waiting] = {}
        self._why: dict[str, str] = {}  # orders that quotas keep waiting, as of the last pass
        self._turns: Turns | None = None
        self._now = Instant(0.0)  # of the last pass
        self._next = NextInQuotas()
        # what orders of one machine get in this pass
        self._given: dict[_Born, tuple[Order, Amounts]] = {}
        # by tenant the orders that were asked for without models that quotas left them none of
        self._narrowed: dict[str, set[str]] = {}
        self._freed: set[str] = set()  # of these tenants those who hold less now
        self._hopeless: dict[str, Instant] = {}
        self._holds: set[tuple[str, str]] = set()

    def hears(self, noun: str) -> bool:
        """Whether it follows events about that."""
        return noun in ("lease", "order", "quota")

    def follow(self, events: Sequence[StoredEvent]) -> None:
        """Hear what was committed; called on the writer's thread, so it only remembers."""
        leases: dict[str, _Born | None] = {}
        moved: dict[str, int] = {}
        are_quotas = False
        for event, seq in ((each.event, each.seq) for each in events):
            about = noun(event.kind)
            if about == "order":
                moved[event.subject] = seq
            elif about == "quota":
                are_quotas = True
            elif event.kind not in _SAME:
                is_new = event.kind == "lease.reserved" and event.subject not in leases
                born = (event.job_id or "", str(event.data.get("machine_id"))) if is_new else None
                leases[event.subject] = born
        with self._news:
            self._note(leases)
            self._moved |= moved
            self._quotas_changed |= are_quotas

    def _note(self, changed: Mapping[str, _Born | None]) -> None:
        """These leases are still to be looked at; of what is noted already more happened than that it is new."""
        for lease_id, born in changed.items():
            self._changed[lease_id] = None if lease_id in self._changed else born

    def turns(
        self, reader: Reader, shelf: Shelf, order_ids: Sequence[str], now: Instant,
        read: Mapping[str, ReadOrder] = NOTHING_READ,
    ) -> Iterator[Waiting]:  # fmt: skip
        """Those of these orders that no quota keeps waiting, by their turns.

        Each is to be settled, and the pass ended by `end`. `read`: orders that somebody has just read.
        """
        with self._lock:
            holdings = self._fresh(reader, shelf, now)
            self._why.clear()
            self._now = now
            waits = self._waiting(reader, order_ids, read)
            self._next.forget(lambda order: self.is_hopeless(order.id, now))
            if self._next.look(self._quotas, holdings):
                shelf.reconsider()
            self._turns = turns = Turns(waits, holdings, now)
        return self._each(turns)

    def _each(self, turns: Turns) -> Iterator[Waiting]:
        while True:
            with self._lock:
                each = next(turns, None)
                if each is not None and self._is_blocked(each.order):
                    self._note_waiting(each.order)
                    turns.settle(each, None)
                    continue
            if each is None:
                return
            yield each

    def asked(self, waiting: Waiting) -> Order | None:
        """The order as the shelf is asked for it, or None where a quota keeps it waiting by now."""
        order = waiting.order
        with self._lock:
            if self._is_blocked(order):
                return None
            mine = self._quotas.get(order.tenant_id)
            found = rules.within(order, mine, self._holdings) if mine else order
            if found.resources != order.resources:
                self._note_narrowed(order)
            return found

    def freed(self, reader: Reader, shelf: Shelf, now: Instant) -> list[str]:
        """Orders that were asked for without some of their models, and whose tenants hold less since."""
        with self._lock:
            self._fresh(reader, shelf, now)
            found = [each for whose in self._freed for each in self._narrowed.pop(whose, ())]
            self._freed.clear()
            return found

    def _note_narrowed(self, order: Order) -> None:
        mine = self._narrowed.setdefault(order.tenant_id, set())
        mine.add(order.id)
        if len(mine) > REMEMBERED_MAX:  # most have ended
            self._freed.add(order.tenant_id)

    def settle(self, waiting: Waiting, held: int, offered: Sequence[Sold]) -> list[str]:
        """Of the machines offered those that quotas allow; they count as held from the next turn on."""
        order = waiting.order
        with self._lock:
            assert self._turns is not None, "a pass is on"
            if not offered:
                self._turns.settle(waiting, None)
                self._next.found_nothing(order)
                return []
            mine = self._quotas.get(order.tenant_id, ())
            kept, why = rules.trim(order, held, offered, mine, self._holdings)
            if why and not kept:
                self._why[order.id] = why
                self._note_waiting(order)
            amounts: dict[str, int] = {}
            for each in kept:
                for name, amount in amounts_of(each, order.devices).items():
                    amounts[name] = amounts.get(name, 0) + amount
            self._turns.settle(waiting, amounts)
            if len(kept) == 1 and not has_kinds(order):
                self._given[order.job_id, kept[0].machine_id] = order, amounts
            return [each.machine_id for each in kept]

    def _is_blocked(self, order: Order) -> bool:
        why = rules.blocking(order, self._quotas.get(order.tenant_id, ()), self._holdings)
        why = why or self._next.why_not(order)
        if why:
            self._why[order.id] = why
        return bool(why)

    def _note_waiting(self, order: Order) -> None:
        """A quota keeps an order waiting: if for long, it may be the next to get room there."""
        if not self.is_hopeless(order.id, self._now):
            of_tenant = self._quotas.get(order.tenant_id, ())
            self._next.note(order, of_tenant, self._holdings, self._now)

    def queue(
        self, reader: Reader, shelf: Shelf, order_ids: Sequence[str], now: Instant
    ) -> list[Order]:
        """Those of these orders that no quota keeps waiting, by their turns; nothing counts as served."""
        with self._lock:
            holdings = self._fresh(reader, shelf, now)
            waiting = self._waiting(reader, order_ids)
            free = [each for each in waiting if not self._is_blocked(each.order)]
            turns = Turns(free, holdings, now)
        found: list[Order] = []
        while len(found) < len(free):
            with self._lock:  # in steps: whoever serves orders does not wait for a long queue
                found += [each.order for each in islice(turns, TURNS_AT_ONCE)]
        return found

    def is_hopeless(self, order_id: str, now: Instant) -> bool:
        """Whether nothing could be kept for an order a short while ago."""
        return self._hopeless.get(order_id, now) > now

    def give_up(self, order_id: str, until: Instant) -> None:
        """Nothing can be kept for an order; it is not looked at before `until`."""
        if len(self._hopeless) >= REMEMBERED_MAX:
            self._hopeless.clear()
        self._hopeless[order_id] = until

    def held_back(self, holds: Sequence[Hold]) -> bool:
        """Note what is kept now; whether more may be had than the last time."""
        before, self._holds = self._holds, {(each.machine_id, each.order_id) for each in holds}
        return bool(before - self._holds)

    def end(self) -> None:
        """The pass is over: what came of it is counted when it is committed."""
        with self._lock:
            if self._turns is not None:
                self._turns.close()
                self._turns = None
                self._given.clear()

    def catch_up(self, reader: Reader, shelf: Shelf, rest: Callable[[], None]) -> None:
        """Look at the leases that were committed meanwhile, so that the next pass need not; `rest` after every few."""
        while True:
            with self._news:
                few = list(islice(self._changed, LEASES_AT_ONCE))
                part = {each: self._changed.pop(each) for each in few}
            if not part:
                return
            try:
                with self._lock:
                    self._follow_leases(reader, shelf, part)
            except BaseException:  # what could not be read is still to be looked at
                with self._news:
                    self._note(part)
                raise
            rest()

    def why(self, order_id: str) -> str:
        """Which quota kept an order waiting in the last pass; empty where none did."""
        with self._lock:
            return self._why.get(order_id, "")

    def _fresh(self, reader: Reader, shelf: Shelf, now: Instant) -> Holdings:
        with self._news:
            changed, self._changed = self._changed, {}
            quotas_changed, self._quotas_changed = self._quotas_changed, False
        try:
            self._follow_leases(reader, shelf, changed)
            if quotas_changed:
                self._read_quotas(reader)
        except BaseException:  # what could not be read is still to be looked at
            with self._news:
                self._note(changed)
                self._quotas_changed |= quotas_changed
            raise
        if self._totals_at is None or not 0 <= now - self._totals_at < TOTALS_SECONDS:
            totals, self._totals_at = shelf.totals(reader), now
            if totals.keys() - self._holdings.totals.keys():  # who takes any model may want these
                self._freed.update(self._narrowed)
            self._holdings.totals = totals
        return self._holdings

    def _follow_leases(
        self, reader: Reader, shelf: Shelf, changed: Mapping[str, _Born | None]
    ) -> None:
        if not self._is_filled:
            shelf.refresh(reader)
            self._holdings, self._leases = Holdings(), {}
            for each in market.live_holdings(reader):
                self._add(each, shelf)
            self._is_filled = True
            return
        read = [
            lease_id
            for lease_id, born in changed.items()
            if born is None or not self._counts_on(lease_id, born)
        ]
        live = {each.id: each for each in market.holdings_of_leases(reader, read)} if read else {}
        for lease_id in read:
            self._drop(lease_id)
            if lease_id in live:
                self._add(live[lease_id], shelf)

    def _counts_on(self, lease_id: str, born: _Born) -> bool:
        """Whether a new lease is what was settled for its order, which then need not be counted anew."""
        given = self._given.pop(born, None)
        if given is None or self._turns is None or not self._turns.counts_on(born[0]):
            return False
        order, amounts = given
        holding = Holding(
            id=lease_id, tenant_id=order.tenant_id, project=order.project, job_id=born[0], machine_id=born[1],
            devices=order.devices,
        )  # fmt: skip
        self._leases[lease_id] = (holding, amounts)
        return True

    def _read_quotas(self, reader: Reader) -> None:
        standing = quotas.all_quotas(reader)
        self._quotas = grouped(standing, lambda each: str(each.tenant_id))
        self._holdings.weights = quotas.weights(standing)

    def _add(self, each: Holding, shelf: Shelf) -> None:
        listing = shelf.listing(each.machine_id)
        amounts = amounts_of(listing, each.devices) if listing else {ANY: each.devices}
        self._leases[each.id] = (each, amounts)
        if self._turns is not None:
            self._turns.committed(each.job_id)
        self._holdings.add(each.tenant_id, each.project, amounts, job_id=each.job_id)

    def _drop(self, lease_id: str) -> None:
        known = self._leases.pop(lease_id, None)
        if known is not None:
            each, amounts = known
            if each.tenant_id in self._narrowed:
                self._freed.add(each.tenant_id)
            self._holdings.add(each.tenant_id, each.project, amounts, job_id=each.job_id, sign=-1)

    def _waiting(
        self, reader: Reader, order_ids: Sequence[str], read: Mapping[str, ReadOrder] = NOTHING_READ
    ) -> list[Waiting]:
        with self._news:
            moved, self._moved = self._moved, {}
        if len(self._remembered) > REMEMBERED_MAX:
            self._remembered.clear()
            read = NOTHING_READ  # of what was forgotten nobody knows whether it moved since
        for order_id in moved:
            self._remembered.pop(order_id, None)
        self._next.forget(lambda order: order.id in moved)
        new = [each for each in order_ids if each not in self._remembered]
        known = {each: found.order for each in new
                 if (found := read.get(each)) and found.seq >= moved.get(each, 0)}  # fmt: skip
        unread = [each for each in new if each not in known]
        for order in (*known.values(), *market.orders(reader, unread).values()):
            self._remembered[order.id] = waiting(order)
        return [self._remembered[each] for each in order_ids if each in self._remembered]


def amounts_of(listing: Sold, devices: int) -> Amounts:
    """What so many devices of a machine are, with their part of its CPUs and memory."""
    return {
        listing.accelerator: devices,
        CPUS: round(listing.cpus * 1_000) * devices // listing.devices,
        MEMORY: listing.memory_bytes * devices // listing.devices,
    }
