"""The market's book as the control plane keeps it: filled from the database, then following what is committed.

It is a cache and proposes only: whoever reserves looks at the database again, in the transaction that writes.
"""

import functools
import gc
import threading
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, NamedTuple

from gondwana.core.clock import Instant
from gondwana.core.ids import MachineId, OrderId
from gondwana.core.values import replace
from gondwana.db.events import StoredEvent
from gondwana.db.transaction import Reader
from gondwana.jobs.heard import noun
from gondwana.jobs.idle import ANYTHING, Idle
from gondwana.jobs.listings import (
    HAS_SANDBOX,
    IS_OPEN,
    listings,
    listings_of,
    rows,
    to_row,
)
from gondwana.jobs.preferred import preferred
from gondwana.jobs.verdicts import Verdicts
from gondwana.jobs.wants import masks_of, want_of, wish_of
from gondwana.market.book import CPUS, DEVICES, FREE, MEMORY, NOTICE, PRICE, TAGS, Book, Numbers
from gondwana.market.model import Listing, Order
from gondwana.market.nearest import nearest, witnesses
from gondwana.market.prices import Bucket, buckets_of
from gondwana.market.search import Want, cheapest
from gondwana.supply import store as supply

LISTINGS_MAX: Final = 20_000  # looked at one by one for one question
LOOKS_MAX: Final = 32  # for one order: owners who promise nearly what it wants are passed over
_OF_WISHES: Final = frozenset({"quota", "booking"})  # what fitted nothing may fit now
_OF_WORK: Final = frozenset({"job", "run", "unit"})
"""Events that change nothing of what a machine sells, though they may name it."""
# so many stay: the collector of cycles need not look at them again and again
FREEZE_OFFERS_MIN: Final = 10_000
CANDIDATES_MAX: Final = 1_024  # machines that one gang chooses from


class Shelved(NamedTuple):
    """An offer as the book has it; what is proposed counts as leased."""

    machine_id: MachineId
    accelerator: str
    devices: int
    devices_free: int
    cpus: float
    memory_bytes: int


@dataclass(slots=True)
class _Looks:
    """One question to the shelf, and whether what a filter left open was all looked at."""

    reader: Reader
    now: Instant
    in_pass: bool = False  # of the matcher, whose looks are counted together
    saw_all: bool = True


class Shelf:
    """A book that several threads ask, one at a time.

    It holds the numbers that a search needs. What people are told beside that is read when somebody asks first, and
    followed from then on.
    """

    def __init__(self) -> None:
        self._book: Book | None = None
        self._listings: dict[str, Listing] | None = None  # by machine: what people are told
        self._missed: set[str] | None = None  # machines that changed while those were read
        self._reading = threading.Lock()  # them, by one thread
        self._lock = threading.Lock()
        self._news = threading.Lock()
        self._changed: set[str] = set()  # machines whose rows in the book may be old
        self._leased: set[str] = set()  # of which only the free devices may be
        self._taken: set[str] = set()  # proposed: what may be on its way to the database counts
        self._wishes_changed = False
        self._has_news = True
        self._idle = Idle()  # orders that nothing fitted
        self._verdicts = Verdicts()
        self._now = Instant(0.0)  # when somebody asked last
        self._is_trying = False  # the pass asks for one of an order's alternatives
        self._more_to_try = False  # and not for the last
        self._unseen: set[str] = (
            set()
        )  # orders that an alternative asked before may fit after more looks

    def hears(self, noun: str) -> bool:
        """Whether it follows events about that: all that may name a machine, but for its work."""
        return noun not in _OF_WORK

    def follow(self, events: Sequence[StoredEvent]) -> None:
        """Hear what was committed; called on the writer's thread, so it only remembers."""
        named: dict[bool, set[str]] = {True: set(), False: set()}
        wishes_changed = False
        for event in (each.event for each in events):
            about = noun(event.kind)
            wishes_changed |= about in _OF_WISHES or event.kind == "order.resized"
            if machine_id := event.data.get("machine_id"):
                named[about == "lease"].add(str(machine_id))
        with self._news:
            self._wishes_changed |= wishes_changed
            self._leased |= named[True]
            self._changed |= named[False]
            self._has_news = True

    def propose(
        self, reader: Reader, order: Order, held: int, not_machines: Sequence[str], now: Instant
    ) -> list[str]:
        """The machines that an order with `held` leases might get now, cheapest per work first; they count as taken.

        None of them where a gang would not be whole; at once for an order that nothing fitted before, as long as no
        offer has become better since.
        """
        with self._lock:
            book = self._fresh(reader)
            if order.id in self._idle:
                return []
            looks = _Looks(reader, now, in_pass=True)
            want = want_of(order, not_machines)
            lacking = order.count_max - held
            book.demand.add(want.models, want.devices, lacking)
            found = self._cheapest(book, want, order, lacking, looks)
            if not found or held + len(found) < order.count_min:
                self._remember_idle(order, looks)
                return []
            for machine_id in found:
                self._take(book, machine_id, order.devices)
            return found

    def propose_chosen(
        self, reader: Reader, order: Order, held: int, not_machines: Sequence[str], now: Instant,
        choose: Callable[[Sequence[Listing]], Sequence[Listing] | None],
    ) -> list[str]:  # fmt: skip
        """The same where `choose` picks among many that fit: None where the order waits for what may be better."""
        with self._lock:
            book = self._fresh(reader)
            if order.id in self._idle:
                return []
            looks = _Looks(reader, now, in_pass=True)
            least = order.count_min - held
            want = want_of(order, not_machines)
            book.demand.add(want.models, want.devices, order.count_max - held)
            names = self._candidates(book, order, want, looks)
            # a gang that cannot be whole costs no look at their listings
            found = listings_of(reader, names) if len(names) >= least else ()
            chosen = choose(found)
            if chosen is None:
                return []
            if not chosen or held + len(chosen) < order.count_min:
                self._remember_idle(order, looks, lacking=least - len(names))
                return []
            for each in chosen:
                self._take(book, each.machine_id, order.devices)
            return [str(each.machine_id) for each in chosen]

    def candidates(
        self,
        reader: Reader,
        order: Order,
        now: Instant,
        not_machines: Sequence[str] = (),
        *,
        taken_too: bool = False,
    ) -> list[Listing]:
        """The machines that an order may choose from now, or if nothing were leased; takes nothing."""
        with self._lock:
            book, looks = self._fresh(reader), _Looks(reader, now)
            want = replace(want_of(order, not_machines), taken_too=taken_too)
            found = self._candidates(book, order, want, looks)
            return listings_of(reader, found)

    def _candidates(self, book: Book, order: Order, want: Want, looks: _Looks) -> Collection[str]:
        """The cheapest of all, and of each region, so that no region is hidden behind a cheaper one."""
        names = dict.fromkeys(self._cheapest(book, want, order, CANDIDATES_MAX // 2, looks))
        if len(names) == CANDIDATES_MAX // 2:
            of_region = max(order.count_max, CANDIDATES_MAX // 2 // len(book.by_region))
            for region in sorted(book.by_region):
                if len(names) >= CANDIDATES_MAX:
                    break
                here = replace(want, regions=(region,))
                names |= dict.fromkeys(self._cheapest(book, here, order, of_region, looks))
        return names

    def without_idle(
        self, reader: Reader, order_ids: Sequence[OrderId], now: Instant
    ) -> list[OrderId]:
        """The orders that something may fit now: no offer has become better since nothing fitted the others."""
        self.begin_pass()
        with self._lock:
            self._now = now
            book = self._fresh(reader)
            if self._verdicts.outdated(book, now):
                self._idle.better_for_all()
            return self._idle.awake(order_ids)

    def returned(self, machine_ids: Collection[str]) -> None:
        """What became of these proposals is committed, or never will be: look at their machines again."""
        with self._news:
            self._taken.difference_update(machine_ids)
            self._leased.update(machine_ids)
            self._has_news = True

    def refused(self, order: Order, machine_ids: Sequence[str]) -> None:
        """An order may not have what it was just proposed: in this pass others may."""
        with self._lock:
            book = self._book
            assert book is not None, "it proposed them"
            for machine_id in machine_ids:
                if book.row_of(machine_id) is not None:
                    book.set_free(machine_id, book.number(FREE, machine_id) + order.devices)
            self._idle.better_for_all()
            self._idle.remember(order.id, ANYTHING)

    def reconsider(self) -> None:
        """Something else than an offer became better: what nothing fitted may be served now."""
        with self._lock:
            self._idle.better_for_all()

    def wake(self, order_ids: Collection[str]) -> None:
        """Their tenants may have more by now: look at these orders again."""
        with self._lock:
            self._idle.forget(order_ids)

    @contextmanager
    def trying(self, order_id: str, *, is_last: bool) -> Generator[None]:
        """One of an order's alternatives is asked for; only when all were asked for does nothing fit it."""
        self._is_trying, self._more_to_try = True, not is_last
        try:
            yield
        finally:
            self._is_trying = self._more_to_try = False
            if is_last:
                self._unseen.discard(order_id)

    def prices(self, machine_ids: Sequence[str]) -> list[int]:
        """What these machines ask for a device-hour, as it was when somebody asked last; gone ones are left out."""
        with self._lock:
            book = self._book
            if book is None:
                return []
            places = [row for each in machine_ids if (row := book.row_of(each)) is not None]
            return [int(book.columns[PRICE, place]) for place in places]

    def begin_pass(self) -> None:
        """A reconciler begins to ask: what it may look at in all, for filters, is whole again."""
        with self._lock:
            self._verdicts.begin_pass()

    def find(
        self, reader: Reader, order: Order, now: Instant, *, taken_too: bool = False, in_pass: bool = False
    ) -> list[str]:  # fmt: skip
        """The machines that an order would get now, or if nothing were leased; takes nothing."""
        want = replace(want_of(order, ()), taken_too=taken_too)
        return self._search(want, order, order.count_max, _Looks(reader, now, in_pass=in_pass))

    def fitting(
        self, reader: Reader, order: Order, not_machines: Sequence[str], limit: int, now: Instant
    ) -> list[Listing]:
        """The standing offers, as they are committed, that may serve an order, at most `limit`; takes nothing."""
        looks = _Looks(reader, now, in_pass=True)
        found = self._search(want_of(order, not_machines), order, limit, looks)
        return listings_of(reader, found)

    def _search(self, want: Want, order: Order, count: int, looks: _Looks) -> list[str]:
        """What `_cheapest` finds; outside of a pass it looks at more, and others have their turn between two looks."""
        found: list[str] = []
        for _ in range(1 if looks.in_pass else LOOKS_MAX):
            looks.saw_all = True
            with self._lock:
                found = self._cheapest(self._fresh(looks.reader), want, order, count, looks)
            if looks.saw_all:
                break
        return found

    def book(self, reader: Reader) -> Book:
        """The book as it is now; for one thread at a time."""
        with self._lock:
            return self._fresh(reader)

    def listings(self, reader: Reader) -> list[Listing]:
        """Every standing offer as it is committed, in no order that means anything; nothing proposed counts."""
        with self._reading:
            with self._lock:
                self._fresh(reader)
                if self._listings is not None:
                    return list(self._listings.values())
                self._missed = set()
            found = {
                str(each.machine_id): each for each in listings(reader)
            }  # others go on meanwhile
            with self._lock:
                self._fresh(reader)
                missed, self._missed = self._missed, None
                for machine_id in missed:
                    found.pop(machine_id, None)
                found |= {str(each.machine_id): each for each in listings_of(reader, missed)}
                self._listings = found
                self._freeze()
                return list(found.values())

    def is_small(self, reader: Reader) -> bool:
        """Whether there are so few offers that each may be looked at for one question."""
        with self._lock:
            return len(self._fresh(reader)) <= LISTINGS_MAX

    def nearest(self, reader: Reader, order: Order, limit: int) -> list[Listing]:
        """At most `limit` offers: of an order's models first, then the cheapest per work, whatever else it asks."""
        models = {each.name for each in order.resources.accelerators}
        with self._lock:
            found = nearest(self._fresh(reader), models, limit)
        return listings_of(reader, found)

    def witnesses(
        self, reader: Reader, order: Order, *, all_free: bool
    ) -> tuple[list[Listing], list[int]]:
        """Offers among which the same constraint of a posted order leaves nothing as among all; how many come to each.

        By `market.screening.screen`, for an order without a filter. `all_free`: as if nothing were leased.
        """
        with self._lock:
            book = self._fresh(reader)
            found, counts = witnesses(book, masks_of(book, order, all_free=all_free))
        return listings_of(reader, found), counts

    def buckets(self, reader: Reader) -> Iterator[Bucket]:
        """What the market holds now by model and region; what is proposed counts as leased."""
        with self._lock:
            book = self._fresh(reader).depth()
        return buckets_of(book, IS_OPEN | HAS_SANDBOX)

    def listing(self, machine_id: str) -> Shelved | None:
        """A machine's offer as it was when somebody asked last; None where it has none."""
        with self._lock:
            book = self._book
            place = None if book is None else book.row_of(machine_id)
            if book is None or place is None:
                return None
            numbers = book.columns[:, place].tolist()
            return Shelved(
                machine_id=MachineId(machine_id),
                accelerator=book.key_at(place).model,
                devices=numbers[DEVICES],
                devices_free=numbers[FREE],
                cpus=numbers[CPUS] / 1_000,
                memory_bytes=numbers[MEMORY],
            )

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
            wishes_changed, self._wishes_changed = self._wishes_changed, False
            changed, self._changed = self._changed, set()
            leased = self._leased - changed - self._taken
            self._leased &= self._taken  # until they are returned
        if wishes_changed:
            self._idle.better_for_all()
        try:
            if self._book is None:
                self._verdicts.forget()
                self._book = Book(rows(reader))
                self._idle.better_for_all()
                self._freeze()
                return self._book
            standing = {str(each.machine_id): each for each in listings_of(reader, changed)}
            book = self._book
            held = supply.held(reader, [each for each in leased if book.row_of(each) is not None])
        except BaseException:  # what could not be read is still to be looked at
            with self._news:
                self._changed |= changed
                self._leased |= leased
                self._has_news = True
            raise
        if self._missed is not None:
            self._missed |= changed | leased
        for machine_id in changed:
            self._update(self._book, machine_id, standing.get(machine_id))
        for machine_id, (epoch, devices) in held.items():
            self._hold(self._book, machine_id, epoch, devices)
        return self._book

    def _cheapest(
        self, book: Book, want: Want, order: Order, count: int, looks: _Looks
    ) -> list[str]:
        """The cheapest that fit; of what that means, see `jobs.preferred`."""

        def fitting(want: Want, count: int) -> list[str]:
            return self._fitting(book, want, order, count, looks)

        return preferred(order, want, count, fitting, functools.partial(book.number, PRICE))

    def _fitting(
        self, book: Book, want: Want, order: Order, count: int, looks: _Looks
    ) -> list[str]:
        """The cheapest per work that fit, also by what the book's numbers tell only roughly, and by the filter."""
        for _ in range(LOOKS_MAX):
            if order.filters:
                found, saw_all = self._verdicts.cheapest(
                    book, want, order, count, functools.partial(self._listed, looks.reader), looks.now,
                    in_pass=looks.in_pass,
                )  # fmt: skip
                looks.saw_all &= saw_all
            else:
                found = cheapest(book, want, count)
            unfit = [each for each in found if not _promises_enough(book, each, order)]
            if not unfit:
                return found
            want = replace(want, not_machines=(*want.not_machines, *unfit))
        return []

    def _listed(self, reader: Reader, machine_ids: Iterable[str]) -> Mapping[str, Listing]:
        """The listings of machines; without asking the database where all of them are known."""
        if self._listings is not None:
            return self._listings
        return {str(each.machine_id): each for each in listings_of(reader, machine_ids)}

    def _hold(self, book: Book, machine_id: str, epoch: int, devices: int) -> None:
        """So many devices of a standing offer are leased now."""
        place = book.row_of(machine_id)
        assert place is not None, "it was there when this was read"
        free, before = int(book.columns[DEVICES, place]) - devices, book.columns[FREE, place]
        if self._listings is not None and machine_id in self._listings:
            listing = self._listings[machine_id]
            self._listings[machine_id] = replace(listing, devices_free=free, epoch=epoch)
        if free != before:
            book.set_free(machine_id, free)
            if free > before:
                self._better(book, place)

    def _update(self, book: Book, machine_id: str, listing: Listing | None) -> None:
        place = book.row_of(machine_id)
        if listing is None:
            book.remove(machine_id)
            if self._listings is not None:
                self._listings.pop(machine_id, None)
            return
        if self._listings is not None:
            self._listings[machine_id] = listing
        before = None if place is None else book.columns[:, place].copy()
        row = to_row(listing)
        book.put(row._replace(tags=row.tags | self._verdicts.bits_of(listing, self._now)))
        place = book.row_of(machine_id)
        assert place is not None
        if before is None or _is_better(book.columns[:, place], before):
            self._better(book, place)

    def _better(self, book: Book, place: int) -> None:
        self._idle.better(book.key_at(place).model, int(book.columns[PRICE, place]))

    def _take(self, book: Book, machine_id: str, devices: int) -> None:
        book.set_free(machine_id, book.number(FREE, machine_id) - devices)
        with self._news:
            self._taken.add(machine_id)

    def _freeze(self) -> None:
        if self._book is not None and len(self._book) >= FREEZE_OFFERS_MIN:
            gc.freeze()

    def _remember_idle(self, order: Order, looks: _Looks, *, lacking: int = 1) -> None:
        if self._more_to_try and not looks.saw_all:
            self._unseen.add(order.id)
        if self._more_to_try or not looks.saw_all or order.id in self._unseen:
            return
        if self._is_trying:  # it has alternatives, each of another kind
            self._idle.remember(order.id, ANYTHING)
        else:
            self._idle.remember(order.id, wish_of(order), lacking=max(1, lacking))


def _promises_enough(book: Book, machine_id: str, order: Order) -> bool:
    wanted = order.notice_seconds_min
    return not wanted or book.number(NOTICE, machine_id) >= wanted


def _is_better(row: Numbers, before: Numbers) -> bool:
    """Whether an offer may fit an order now that it did not fit before."""
    more = any(row[column] > before[column] for column in (FREE, CPUS, MEMORY, NOTICE))
    return bool(more or row[PRICE] < before[PRICE] or row[TAGS] & ~before[TAGS])
