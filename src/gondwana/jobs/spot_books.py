"""The books of the spot market as they stand in the database: who runs, who wants, and what is sold, by bucket."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.values import replace
from gondwana.db.transaction import Reader
from gondwana.jobs import place
from gondwana.market import keeping, screening
from gondwana.market import rules as market_rules
from gondwana.market import store as market
from gondwana.market.book import Key
from gondwana.market.keeping import Serving
from gondwana.market.model import Charge, Lease, LeaseState, Listing, Order
from gondwana.market.spot import store as spot
from gondwana.market.spot.model import Book, Seat, Stall, Standing, Wish

KEEPERS_MAX: Final = 8
"""Large wishes of a bucket, the oldest, that are looked at for what they may keep: a call may accept none of some."""


@dataclass(slots=True)
class _Bucket:
    """One bucket while its book is put together."""

    listings: list[Listing] = field(default_factory=list[Listing])
    coming: dict[str, int] = field(default_factory=dict[str, int])  # devices by machine
    standing: list[Standing] = field(default_factory=list[Standing])
    wishes: list[tuple[Order, Wish]] = field(default_factory=list[tuple[Order, Wish]])
    room: int = 0  # devices that no wish was sent for yet


def books(reader: Reader, listings: Sequence[Listing], now: Instant) -> list[Book]:
    """The book of each bucket in which somebody wants or runs something on spot; `listings`: all that stand."""
    wanted, running = spot.open_orders(reader), spot.running(reader)
    if not wanted and not running:
        return []
    found = _Books(_concerned(listings, wanted, running), now)
    for order, leases in running:
        found.stand(order, leases)
    past = market.leases_of_jobs(reader, [order.job_id for order in wanted])
    for order in wanted:
        found.wish(order, past[order.job_id])
    found.keep(reader)
    return found.books()


def _concerned(
    listings: Sequence[Listing], wanted: Sequence[Order], running: Sequence[tuple[Order, Sequence[Lease]]]
) -> Sequence[Listing]:  # fmt: skip
    """Those of the models that somebody wants or runs on: among a million devices a few are looked at one by one."""
    asked = [order.resources.accelerators for order in wanted]
    if any(not each or any(not one.name for one in each) for each in asked):
        return listings  # any will do
    models = {one.name for each in asked for one in each}
    used = {lease.machine_id for _, leases in running for lease in leases}
    if used:
        models |= {each.accelerator for each in listings if each.machine_id in used}
    return [each for each in listings if each.accelerator in models]


class _Books:
    """Books while they are put together, oldest order first."""

    def __init__(self, listings: Sequence[Listing], now: Instant) -> None:
        self._now = now
        self._buckets: dict[Key, _Bucket] = {}
        self._listings = {str(each.machine_id): each for each in listings}
        self._owners = {each.owner_id for each in listings}
        self._fits: dict[tuple[object, ...], dict[Key, frozenset[str]]] = {}
        for each in sorted(listings, key=market_rules.serial_of):
            bucket = self._buckets.setdefault(_key(each), _Bucket())
            bucket.listings.append(each)
            if each.is_open and each.spot_floor_micro_usd_per_device_hour is not None:
                bucket.room += max(0, each.devices_free)

    def stand(self, order: Order, leases: Sequence[Lease]) -> None:
        """Put what runs of an order where it runs: a gang as one, islands each by itself."""
        parts: dict[tuple[Key, str], list[Lease]] = {}
        for lease in leases:
            listing = self._listings.get(lease.machine_id)
            if listing is None:
                continue
            key = _key(listing)
            if lease.state is LeaseState.RECLAIMING:
                coming = self._buckets[key].coming
                coming[lease.machine_id] = coming.get(lease.machine_id, 0) + lease.devices
                continue
            part = order.id if order.charge is Charge.SECOND else lease.id
            parts.setdefault((key, part), []).append(lease)
        for (key, part), held in parts.items():
            self._buckets[key].standing.append(_standing(order, part, held, self._listings))

    def wish(self, order: Order, past: Sequence[Lease]) -> None:
        """Send an order to one bucket: the cheapest with room for it, or else the cheapest that has such machines."""
        cap, held = order.price_cap_micro_usd_per_device_hour, market.held_by(past, order.id)
        if cap is None or held >= order.count_max:
            return
        barred = frozenset(place.barred_machines(past))
        least = max(1, order.count_min - held)
        places = [
            (key, fits - barred)
            for key, fits in self._fitting(order).items()
            if len(fits - barred) >= least
        ]
        if not places:
            return
        key, fits = min(places, key=lambda each: self._preference(*each, order, least))
        bucket = self._buckets[key]
        bucket.room -= order.devices * least
        wish = Wish(
            id=order.id,
            tenant=order.tenant_id,
            cap=cap,
            since=order.created_at,
            devices=order.devices,
            machines=least,
            machines_max=order.count_max - held,
            fits=fits,
        )
        bucket.wishes.append((order, wish))

    def keep(self, reader: Reader) -> None:
        """Note for the large wishes that waited long when machines have room for them: one of a bucket keeps some."""
        urgent = {
            order.id: (order, wish)
            for bucket in self._buckets.values()
            for order, wish in [each for each in bucket.wishes if keeping.is_urgent(each[0], self._now)][:KEEPERS_MAX]
        }  # fmt: skip
        if not urgent:
            return
        named = {name for _, wish in urgent.values() for name in wish.fits}
        serving = market.serving(reader, sorted(named))
        for bucket in self._buckets.values():
            bucket.wishes = [
                (order, replace(wish, soonest=self._soonest(order, wish, serving)) if order.id in urgent else wish)
                for order, wish in bucket.wishes
            ]  # fmt: skip

    def _soonest(
        self, order: Order, wish: Wish, serving: Mapping[str, Sequence[Serving]]
    ) -> tuple[str, ...]:
        listings = [self._listings[each] for each in wish.fits]
        listings.sort(key=lambda each: (ask(order, each), market_rules.serial_of(each)))
        known = keeping.soonest(order, listings, serving, (), self._now)
        return tuple(str(each.machine_id) for _, each in known)

    def books(self) -> list[Book]:
        """What is wanted, runs or waits, by bucket; a bucket in which nothing does has no book."""
        return [
            Book(
                key=key,
                standing=tuple(bucket.standing),
                wishes=tuple(wish for _, wish in bucket.wishes),
                stalls=tuple(_stall(each, bucket.coming) for each in bucket.listings if each.is_open),
            )
            for key, bucket in sorted(self._buckets.items())
            if bucket.standing or bucket.wishes
        ]  # fmt: skip

    def _preference(
        self, key: Key, fits: Iterable[str], order: Order, least: int
    ) -> tuple[int, int, Key]:
        """The less, the better: a bucket with room on spot, one with room at posted prices, one that may get room.

        What asks more than the order's cap is no room, and comes last.
        """
        cap, listings = (
            order.price_cap_micro_usd_per_device_hour or 0,
            [self._listings[each] for each in fits],
        )
        asks = sorted(ask(order, each) for each in listings)
        room = [
            each.spot_floor_micro_usd_per_device_hour is not None
            for each in listings
            if each.devices_free >= order.devices and ask(order, each) <= cap
        ]
        if sum(room) >= least and self._buckets[key].room >= order.devices * least:
            rank = 0
        elif len(room) >= least:
            rank = 1
        else:
            rank = 2 if asks[least - 1] <= cap else 3
        return rank, asks[least - 1], key

    def _fitting(self, order: Order) -> Mapping[Key, frozenset[str]]:
        """The machines that have what an order asks, price and free devices aside, by bucket; alike orders share it."""
        own = order.tenant_id if order.tenant_id in self._owners else ""
        asked = (order.resources, order.filters, order.devices, order.notice_seconds_min, own)
        if asked not in self._fits:
            self._fits[asked] = self._screen(order)
        return self._fits[asked]

    def _screen(self, order: Order) -> dict[Key, frozenset[str]]:
        any_price = replace(order, price_cap_micro_usd_per_device_hour=None)
        models = {each.name for each in order.resources.accelerators}
        found: dict[Key, frozenset[str]] = {}
        for key, bucket in self._buckets.items():
            if models and "" not in models and key.model not in models:
                continue
            free = [
                replace(each, devices_free=each.devices)
                for each in bucket.listings
                if each.devices >= order.devices
            ]
            fits = screening.screen(any_price, free, self._now).fits
            if fits:
                found[key] = frozenset(str(each.machine_id) for each in fits)
        return found


def ask(order: Order, listing: Listing) -> int:
    """What a machine asks of an order, micro-USD per device-hour."""
    return market_rules.asked(order, listing).price_micro_usd_per_device_hour


def _key(listing: Listing) -> Key:
    return Key(listing.accelerator, listing.region)


def _standing(
    order: Order, part: str, leases: Sequence[Lease], listings: Mapping[str, Listing]
) -> Standing:
    return Standing(
        id=part,
        order_id=order.id,
        tenant=order.tenant_id,
        cap=order.price_cap_micro_usd_per_device_hour or 0,
        since=order.created_at,
        began_at=max(lease.active_at or lease.reserved_at for lease in leases),
        seats=tuple(
            Seat(
                lease_id=lease.id,
                machine_id=lease.machine_id,
                provider=listings[lease.machine_id].owner_id,
                devices=lease.devices,
                price=lease.price_micro_usd_per_device_hour,
                floor=lease.floor_micro_usd_per_device_hour,
            )
            for lease in leases
        ),
    )


def _stall(listing: Listing, coming: Mapping[str, int]) -> Stall:
    return Stall(
        machine_id=listing.machine_id,
        provider=listing.owner_id,
        free=max(0, listing.devices_free),
        coming=coming.get(listing.machine_id, 0),
        floor=listing.spot_floor_micro_usd_per_device_hour,
        posted=listing.price_micro_usd_per_device_hour,
    )
