"""Who is served in a call, at what price, and who has to go; pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from gondwana.core.clock import Instant
from gondwana.core.values import replace
from gondwana.market.book import Key
from gondwana.market.model import Lease
from gondwana.market.spot.clear import NO_PRICE, PRICE_MAX, Cleared, Side, clear
from gondwana.market.spot.model import Book, Call, Grant, Outcome, Past, Standing, Wish
from gondwana.wire.spot import BASIS_POINTS, SpotSettings

STEP_MIN: Final = (
    1_000  # micro-USD that a price may always move: a tenth of nothing would be nothing, for ever
)


def remembered(calls: Sequence[Call], settings: SpotSettings, now: Instant) -> Past:
    """The prices that bound the next one: those in force within the last `move_seconds`; `calls`: oldest first.

    None where nobody traded for `memory_seconds`: such a price tells nothing, and need not hold anybody back.
    """
    if not any(each.traded and now - each.at <= settings.memory_seconds for each in calls):
        return Past()
    begin = now - settings.move_seconds
    before = [each for each in calls if each.at <= begin][-1:]
    return Past(prices=tuple(each.price for each in (*before, *(c for c in calls if c.at > begin))))


def bounds(past: Past, settings: SpotSettings) -> tuple[int, int]:
    """The lowest and the highest price that a bucket may have now.

    Not more than `move_bps_max` above the lowest price, nor below the highest, of those in force within the last
    `move_seconds`; a tenth of a cent is always allowed.
    """
    if not past.prices:
        return 0, PRICE_MAX
    low, high = min(past.prices), max(past.prices)
    upper = low * (BASIS_POINTS + settings.move_bps_max) // BASIS_POINTS
    lower = -(-high * (BASIS_POINTS - settings.move_bps_max) // BASIS_POINTS)
    return max(0, min(lower, high - STEP_MIN)), min(PRICE_MAX, max(upper, low + STEP_MIN))


def minute(at: float, settings: SpotSettings) -> int:
    """The number of the minute (or what the operator made of it) in which an instant lies: each has one call."""
    return int(at // settings.call_seconds)


def repriced(lease: Lease, price_micro_usd_per_device_hour: int) -> Lease:
    """The lease at another price from its next proven second on; what its seconds cost before stays due."""
    if price_micro_usd_per_device_hour == lease.price_micro_usd_per_device_hour:
        return lease
    return replace(
        lease,
        price_micro_usd_per_device_hour=price_micro_usd_per_device_hour,
        due_before_micro_usd=lease.due_micro_usd,
        priced_from_seconds=lease.seconds_proven,
    )


def call(
    books: Sequence[Book], past: Mapping[Key, Past], settings: SpotSettings, now: Instant
) -> list[Outcome]:
    """One call of all buckets: an outcome for each, in the order given."""
    if not books:
        return []
    cleared, accepted = _clear(books, past, settings)
    return [
        serve_posted(book)
        if cleared.is_thin(number, settings.sides_min)
        else _serve(book, cleared, number, accepted[number], settings, now)
        for number, book in enumerate(books)
    ]


def _clear(
    books: Sequence[Book], past: Mapping[Key, Past], settings: SpotSettings
) -> tuple[Cleared, list[set[str]]]:
    """The cleared buckets, and which orders of each were accepted."""
    numbers: dict[str, int] = {}
    bids = [
        (number, each.cap, _devices(each), numbers.setdefault(each.tenant, len(numbers)), each.id)
        for number, book in enumerate(books)
        for each in (*book.standing, *book.wishes)  # at the same cap, whoever runs goes first
    ]  # fmt: skip
    asks = [
        (number, floor, devices, numbers.setdefault(provider, len(numbers)))
        for number, book in enumerate(books)
        for provider, floor, devices in _asks(book)
    ]
    limits = [bounds(past.get(book.key, Past()), settings) for book in books]
    last = [past[book.key].prices[-1] if past.get(book.key, Past()).prices else NO_PRICE for book in books]  # fmt: skip
    cleared = clear(
        _side([bid[:4] for bid in bids]),
        _side(asks),
        lower=np.array([lower for lower, _ in limits], dtype=np.int64),
        upper=np.array([upper for _, upper in limits], dtype=np.int64),
        last=np.array(last, dtype=np.int64),
        sides_min=settings.sides_min,
    )
    accepted: list[set[str]] = [set() for _ in books]
    for place in np.flatnonzero(cleared.accepted).tolist():
        accepted[bids[place][0]].add(bids[place][4])
    return cleared, accepted


def _devices(bid: Standing | Wish) -> int:
    return bid.devices if isinstance(bid, Standing) else bid.devices * bid.machines


def _asks(book: Book) -> Iterable[tuple[str, int, int]]:
    """(owner, floor, devices): what is free or on its way, and what runs, at the floor that it began with."""
    for stall in book.stalls:
        if stall.floor is not None and stall.free + stall.coming > 0:
            yield stall.provider, stall.floor, stall.free + stall.coming
    for standing in book.standing:
        for seat in standing.seats:
            yield seat.provider, seat.floor, seat.devices


def _side(rows: Sequence[tuple[int, int, int, int]]) -> Side:
    columns = np.array(rows, dtype=np.int64).reshape(len(rows), 4).T
    return Side(bucket=columns[0], price=columns[1], devices=columns[2], account=columns[3])


def serve_posted(book: Book) -> Outcome:
    """A bucket with few accounts on a side: the oldest order first takes the cheapest asks, at what each asks.

    Nothing moves a price and nobody is evicted: one account alone could do both to the others.
    """
    shelf = Shelf(book)
    grants: list[Grant] = []
    for wish in sorted(book.wishes, key=lambda each: (each.since, each.id)):
        found = shelf.free_for(wish, most=wish.cap, posted_too=True)
        if len(found) < wish.machines:
            shelf.keep(wish, most=wish.cap, posted_too=True)
            continue
        shelf.take(wish, found)
        grants.append(Grant(order_id=wish.id, prices={each: shelf.asks[each] for each in found}))
    return Outcome(key=book.key, grants=tuple(grants))


def _serve(
    book: Book, cleared: Cleared, number: int, accepted: set[str], settings: SpotSettings, now: Instant
) -> Outcome:  # fmt: skip
    price = int(cleared.price[number])
    told = Outcome(
        key=book.key,
        bids=sum(map(_devices, (*book.standing, *book.wishes))),
        asks=sum(devices for _, _, devices in _asks(book)),
    )
    if price == NO_PRICE:
        return told
    grants, evicted = _turns(book, accepted, settings, now, price=price)
    stay = [each for each in book.standing if each not in evicted]
    devices = {wish.id: wish.devices for wish in book.wishes}
    return replace(
        told,
        price=price,
        grants=tuple(grants),
        prices={lease_id: new for each in stay for lease_id, new in _repriced(each, price)},
        evicted=tuple(evicted),
        traded=sum(each.devices for each in stay)
        + sum(len(grant.prices) * devices[grant.order_id] for grant in grants),
    )


def _turns(
    book: Book, accepted: set[str], settings: SpotSettings, now: Instant, *, price: int
) -> tuple[list[Grant], list[Standing]]:
    """What each accepted wish gets, highest cap first, and who has to go for those that find no room."""
    shelf, grants, evicted = Shelf(book), list[Grant](), list[Standing]()
    victims = [each for each in book.standing if each.id not in accepted]
    for wish in sorted(book.wishes, key=lambda each: (-each.cap, each.since, each.id)):
        if wish.id not in accepted:
            continue
        free = shelf.free_for(wish, most=price)
        if len(free) >= wish.machines:
            shelf.take(wish, free)
            grants.append(Grant(order_id=wish.id, prices=dict.fromkeys(free, price)))
            continue
        if not shelf.has_room(wish, (), most=price):
            gone = evictions(wish, victims, shelf, price=price, settings=settings, now=now)
            if not gone:
                shelf.keep(wish, most=price)
                continue
            for each in gone:
                shelf.release(each)
                victims.remove(each)
            evicted += gone
        coming = shelf.free_for(wish, most=price, coming_too=True)
        shelf.take(wish, coming[: wish.machines])  # it is its turn when the others have gone
    return grants, evicted


def _repriced(standing: Standing, price: int) -> Iterable[tuple[str, int]]:
    """The leases whose price changes: to the call's, but not below its owner's floor and never above its cap."""
    for seat in standing.seats:
        new = min(standing.cap, max(price, seat.floor))
        if new != seat.price:
            yield seat.lease_id, new


def evictions(
    wish: Wish, victims: Sequence[Standing], shelf: "Shelf", *, price: int, settings: SpotSettings, now: Instant
) -> list[Standing]:  # fmt: skip
    """Who has to go so that a wish gets all its machines: the lowest caps first, among equals the youngest.

    Nobody who runs less than the minimum, nor for a bid that is less than the least gain above his own. Nobody goes if
    the wish would not be whole even so, and nobody whose devices it does not need.
    """
    may_go = sorted(
        (
            each
            for each in victims
            if now - each.began_at >= settings.run_seconds_min
            and wish.cap * BASIS_POINTS >= each.cap * (BASIS_POINTS + settings.gain_bps_min)
            and any(seat.machine_id in wish.fits for seat in each.seats)
        ),
        key=lambda each: (each.cap, -each.began_at, each.id),
    )
    gone: list[Standing] = []
    for each in may_go:
        gone.append(each)
        if shelf.has_room(wish, gone, most=price):
            break
    else:
        return []
    for each in gone[::-1]:
        without = [other for other in gone if other is not each]
        if shelf.has_room(wish, without, most=price):
            gone = without
    return gone


class Shelf:
    """What of a bucket's machines is left while a call serves one order after the other."""

    def __init__(self, book: Book) -> None:
        sellers = sorted(book.stalls, key=lambda each: each.ask)  # stable: the older machine first
        self.asks = {each.machine_id: each.ask for each in sellers}
        self._spot = {each.machine_id for each in sellers if each.floor is not None}
        self._free = {each.machine_id: each.free for each in sellers}
        self._coming = {each.machine_id: each.coming for each in sellers}
        self._keeps = False

    def free_for(
        self, wish: Wish, *, most: int, posted_too: bool = False, coming_too: bool = False
    ) -> list[str]:
        """Machines with room for a wish, cheapest first, as far as they ask at most so much."""
        found: list[str] = []
        for machine_id, ask in self.asks.items():
            if ask > most:
                break
            room = self._free[machine_id] + (self._coming[machine_id] if coming_too else 0)
            is_sold = posted_too or machine_id in self._spot
            if room >= wish.devices and is_sold and machine_id in wish.fits:
                found.append(machine_id)
                if len(found) >= wish.machines_max:
                    break
        return found

    def has_room(self, wish: Wish, gone: Sequence[Standing], *, most: int) -> bool:
        """Whether the wish would be whole if these went."""
        more: dict[str, int] = defaultdict(int)
        for each in gone:
            for seat in each.seats:
                more[seat.machine_id] += seat.devices
        fitting = [
            machine_id
            for machine_id in wish.fits
            if machine_id in self._spot
            and self.asks[machine_id] <= most
            and self._free[machine_id] + self._coming[machine_id] + more.get(machine_id, 0)
            >= wish.devices
        ]
        return len(fitting) >= wish.machines

    def take(self, wish: Wish, machine_ids: Iterable[str]) -> None:
        """Promise a wish its devices: the free ones first, then what is on its way."""
        for machine_id in machine_ids:
            left = self._free[machine_id] - wish.devices
            self._free[machine_id] = max(0, left)
            self._coming[machine_id] += min(0, left)

    def keep(self, wish: Wish, *, most: int, posted_too: bool = False) -> None:
        """Keep from those after it what a wish waits for, of what it may have: the machines that have room soonest.

        For one wish of a bucket, or most of it might idle; nothing where they are too few.
        """
        sold = [
            each
            for each in wish.soonest
            if each in self.asks and self.asks[each] <= most and (posted_too or each in self._spot)
        ][: wish.machines]
        if len(sold) == wish.machines and not self._keeps:
            self._keeps = True
            self.take(wish, sold)

    def release(self, standing: Standing) -> None:
        """The devices of one who has to go are on their way."""
        for seat in standing.seats:
            if seat.machine_id in self._coming:
                self._coming[seat.machine_id] += seat.devices
