"""The market's book as the control plane keeps it: filled from the database, then following what is committed.

It is a cache and proposes only: whoever reserves looks at the database again, in the transaction that writes.
"""

import gc
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from gondwana.core.devices import CPU
from gondwana.core.ids import OrderId
from gondwana.db.events import StoredEvent
from gondwana.db.transaction import Reader
from gondwana.jobs.listings import listings, listings_of
from gondwana.market.book import CPUS, FREE, MEMORY, PRICE, TAGS, Book, Numbers, Row
from gondwana.market.model import Listing, Order
from gondwana.market.rules import COST_MAX, cost_of, promises_enough, serial_of
from gondwana.market.search import Want, cheapest
from gondwana.supply import store as supply

HAS_ACCELERATOR, RUNS_WORK, HAS_SANDBOX, IS_OPEN = (1 << bit for bit in range(4))
NOTICE_STEPS_HOURS: Final = (1, 2, 4, 8, 24, 72, 168, 720)
NOTICE_BIT_FIRST: Final = 40  # of a row's tags
LOOKS_MAX: Final = 32  # for one order: owners who promise nearly what it wants are passed over
_OF_WORK: Final = ("run.", "unit.")  # events of a machine that change nothing of what it sells
# so many stay: the collector of cycles need not look at them again and again
FREEZE_OFFERS_MIN: Final = 10_000
CANDIDATES_MAX: Final = 2_048  # machines that one gang chooses from
IDLE_ORDERS_MAX: Final = 100_000  # remembered as fitting nowhere; past it they are looked at again


class Shelf:
    """A book that several threads ask, one at a time."""

    def __init__(self) -> None:
        self._book: Book | None = None
        self._listings: dict[str, Listing] = {}  # by machine: what is committed, told to people
        self._lock = threading.Lock()
        self._news = threading.Lock()
        self._changed: set[str] = set()  # machines whose rows in the book may be old
        self._leased: set[str] = set()  # of which only the free devices may be
        self._taken: set[str] = set()  # proposed: what may be on its way to the database counts
        self._has_news = True
        self._version = 0  # grows whenever an offer becomes better for somebody
        self._idle: dict[str, int] = {}  # orders that nothing fitted -> the version then

    def follow(self, events: Sequence[StoredEvent]) -> None:
        """Hear what was committed; called on the writer's thread, so it only remembers."""
        named: dict[bool, set[str]] = {True: set(), False: set()}
        for event in (each.event for each in events):
            machine_id = event.data.get("machine_id")
            if machine_id and not event.kind.startswith(_OF_WORK):
                named[event.kind.startswith("lease.")].add(str(machine_id))
        with self._news:
            self._leased |= named[True]
            self._changed |= named[False]
            self._has_news = True

    def propose(
        self, reader: Reader, order: Order, held: int, not_machines: Sequence[str]
    ) -> list[str]:
        """The machines that an order with `held` leases might get now, cheapest per work first; they count as taken.

        None of them where a gang would not be whole; at once for an order that nothing fitted before, as long as no
        offer has become better since.
        """
        with self._lock:
            book = self._fresh(reader)
            if self._idle.get(order.id) == self._version:
                return []
            want = want_of(order, not_machines)
            found = self._cheapest(book, want, order, order.count_max - held)
            if not found or held + len(found) < order.count_min:
                self._remember_idle(order.id)
                return []
            for machine_id in found:
                self._take(book, machine_id, order.devices)
            return found

    def propose_chosen(
        self, reader: Reader, order: Order, held: int, not_machines: Sequence[str],
        choose: Callable[[Sequence[Listing]], Sequence[Listing] | None],
    ) -> list[str]:  # fmt: skip
        """The same where `choose` picks among many that fit: None where the order waits for what may be better."""
        with self._lock:
            book = self._fresh(reader)
            if self._idle.get(order.id) == self._version:
                return []
            found = self._candidates(book, order, not_machines)
            chosen = choose(found)
            if chosen is None:
                return []
            if not chosen or held + len(chosen) < order.count_min:
                self._remember_idle(order.id)
                return []
            for each in chosen:
                self._take(book, each.machine_id, order.devices)
            return [str(each.machine_id) for each in chosen]

    def candidates(
        self,
        reader: Reader,
        order: Order,
        not_machines: Sequence[str] = (),
        *,
        taken_too: bool = False,
    ) -> list[Listing]:
        """The machines that an order may choose from now, or if nothing were leased; takes nothing."""
        with self._lock:
            return self._candidates(self._fresh(reader), order, not_machines, taken_too=taken_too)

    def _candidates(
        self, book: Book, order: Order, not_machines: Sequence[str], *, taken_too: bool = False
    ) -> list[Listing]:
        """The cheapest of all, and of each region, so that no region is hidden behind a cheaper one."""
        want = replace(want_of(order, not_machines), taken_too=taken_too)
        names = dict.fromkeys(self._cheapest(book, want, order, CANDIDATES_MAX // 2))
        if len(names) == CANDIDATES_MAX // 2:
            of_region = max(order.count_max, CANDIDATES_MAX // 2 // len(book.by_region))
            for region in sorted(book.by_region):
                if len(names) >= CANDIDATES_MAX:
                    break
                here = replace(want, regions=(region,))
                names |= dict.fromkeys(self._cheapest(book, here, order, of_region))
        return [self._listings[each] for each in names]

    def without_idle(self, reader: Reader, order_ids: Sequence[OrderId]) -> list[OrderId]:
        """The orders that something may fit now: no offer has become better since nothing fitted the others."""
        with self._lock:
            self._fresh(reader)
            return [each for each in order_ids if self._idle.get(each) != self._version]

    def returned(self, machine_ids: Sequence[str]) -> None:
        """What became of these proposals is committed, or never will be: look at their machines again."""
        with self._news:
            self._taken.difference_update(machine_ids)
            self._leased.update(machine_ids)
            self._has_news = True

    def reconsider(self) -> None:
        """Something else than an offer became better: what nothing fitted may be served now."""
        with self._lock:
            self._version += 1

    def find(self, reader: Reader, order: Order, *, taken_too: bool = False) -> list[str]:
        """The machines that an order would get now, or if nothing were leased; takes nothing."""
        want = replace(want_of(order, ()), taken_too=taken_too)
        with self._lock:
            return self._cheapest(self._fresh(reader), want, order, order.count_max)

    def fitting(
        self, reader: Reader, order: Order, not_machines: Sequence[str], limit: int
    ) -> list[Listing]:
        """The standing offers, as they are committed, that may serve an order, at most `limit`; takes nothing."""
        with self._lock:
            found = cheapest(self._fresh(reader), want_of(order, not_machines), limit)
            return [self._listings[each] for each in found]

    def book(self, reader: Reader) -> Book:
        """The book as it is now; for one thread at a time."""
        with self._lock:
            return self._fresh(reader)

    def listings(self, reader: Reader) -> list[Listing]:
        """Every standing offer as it is committed, in no order that means anything; nothing proposed counts."""
        with self._lock:
            self._fresh(reader)
            return list(self._listings.values())

    def listing(self, machine_id: str) -> Listing | None:
        """A machine's offer as it was when somebody asked last; None where it has none."""
        return self._listings.get(machine_id)

    def refresh(self, reader: Reader) -> None:
        """Look at what was committed meanwhile."""
        with self._lock:
            self._fresh(reader)

    def totals(self, reader: Reader) -> dict[str, int]:
        """All there is, leased or not: devices by model, thousandths of CPUs, bytes of memory."""
        with self._lock:
            return self._fresh(reader).totals()

    def _fresh(self, reader: Reader) -> Book:
        if self._book is not None and not self._has_news:
            return self._book
        with self._news:
            self._has_news = False
            changed, self._changed = self._changed, set()
            leased = self._leased - changed - self._taken
            self._leased &= self._taken  # until they are returned
        try:
            if self._book is None:
                self._listings = {str(each.machine_id): each for each in listings(reader)}
                self._book = Book(map(to_row, self._listings.values()))
                self._version += 1
                if len(self._book) >= FREEZE_OFFERS_MIN:
                    gc.freeze()
                return self._book
            standing = {str(each.machine_id): each for each in listings_of(reader, changed)}
            held = supply.held(reader, [each for each in leased if each in self._listings])
        except BaseException:  # what could not be read is still to be looked at
            with self._news:
                self._changed |= changed
                self._leased |= leased
                self._has_news = True
            raise
        for machine_id in changed:
            self._update(self._book, machine_id, standing.get(machine_id))
        for machine_id, (epoch, devices) in held.items():
            self._hold(self._book, machine_id, epoch, devices)
        return self._book

    def _cheapest(self, book: Book, want: Want, order: Order, count: int) -> list[str]:
        """The cheapest that fit, also by what the book's numbers tell only roughly."""
        for _ in range(LOOKS_MAX):
            found = cheapest(book, want, count)
            unfit = [each for each in found if not promises_enough(order, self._listings[each])]
            if not unfit:
                return found
            want = replace(want, not_machines=(*want.not_machines, *unfit))
        return []

    def _hold(self, book: Book, machine_id: str, epoch: int, devices: int) -> None:
        """So many devices of a standing offer are leased now."""
        listing, place = self._listings[machine_id], book.row_of(machine_id)
        assert place is not None, "what is listed is in the book"
        free, before = listing.devices - devices, book.columns[FREE, place]
        self._listings[machine_id] = replace(listing, devices_free=free, epoch=epoch)
        if free != before:
            book.set_free(machine_id, free)
            self._version += bool(free > before)

    def _update(self, book: Book, machine_id: str, listing: Listing | None) -> None:
        place = book.row_of(machine_id)
        if listing is None:
            book.remove(machine_id)
            self._listings.pop(machine_id, None)
            return
        known = self._listings.get(machine_id)
        self._listings[machine_id] = listing
        if known is not None and listing.notice_seconds > known.notice_seconds:
            self._version += 1
        before = None if place is None else book.columns[:, place].copy()
        book.put(to_row(listing))
        place = book.row_of(machine_id)
        assert place is not None
        if before is None or _is_better(book.columns[:, place], before):
            self._version += 1

    def _take(self, book: Book, machine_id: str, devices: int) -> None:
        place = book.row_of(machine_id)
        assert place is not None
        book.set_free(machine_id, int(book.columns[FREE, place]) - devices)
        with self._news:
            self._taken.add(machine_id)

    def _remember_idle(self, order_id: str) -> None:
        if len(self._idle) >= IDLE_ORDERS_MAX:
            self._idle.clear()
        self._idle[order_id] = self._version


def _notice_tags(seconds: int) -> int:
    """A bit for each step that a notice reaches; what lies between two steps is looked at exactly."""
    reached = (hours * 3_600 <= seconds for hours in NOTICE_STEPS_HOURS)
    return sum(1 << (NOTICE_BIT_FIRST + step) for step, is_on in enumerate(reached) if is_on)


def _is_better(row: Numbers, before: Numbers) -> bool:
    """Whether an offer may fit an order now that it did not fit before."""
    more = any(row[column] > before[column] for column in (FREE, CPUS, MEMORY))
    return bool(more or row[PRICE] < before[PRICE] or row[TAGS] & ~before[TAGS])


def to_row(listing: Listing) -> Row:
    """A standing offer as the book holds it."""
    price = listing.price_micro_usd_per_device_hour
    tags = (
        (HAS_ACCELERATOR if listing.accelerator != CPU else 0)
        | (RUNS_WORK if listing.isolation in ("sandbox", "plain") else 0)
        | (HAS_SANDBOX if listing.isolation == "sandbox" else 0)
        | (IS_OPEN if listing.is_open else 0)
        | _notice_tags(listing.notice_seconds)
    )
    return Row(
        machine_id=listing.machine_id,
        model=listing.accelerator,
        region=listing.region,
        cost=cost_of(price, listing.steps_per_second),
        price=price,
        free=listing.devices_free,
        devices=listing.devices,
        cpu_milli=round(listing.cpus * 1_000),
        memory_bytes=listing.memory_bytes,
        tags=tags,
        owner=listing.owner_id,
        serial=serial_of(listing),
    )


def want_of(order: Order, not_machines: Sequence[str]) -> Want:
    """What an order asks, in the book's numbers; what it cannot say exactly is looked at again when it is reserved."""
    wanted = order.resources.accelerators
    any_model = any(not each.name for each in wanted)
    cap = order.price_cap_micro_usd_per_device_hour
    return Want(
        models=() if any_model else tuple(sorted({each.name for each in wanted})),
        devices=order.devices,
        price_max=COST_MAX if cap is None else cap,
        cpu_milli=round(order.resources.cpus_min * 1_000),
        memory_bytes=order.resources.memory_bytes_min,
        tags=IS_OPEN
        | RUNS_WORK
        | HAS_SANDBOX
        | (HAS_ACCELERATOR if wanted else 0)
        | _notice_tags(order.notice_seconds_min),
        own_tags=HAS_SANDBOX,
        owner=order.tenant_id,
        not_machines=tuple(not_machines),
    )
