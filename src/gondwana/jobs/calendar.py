"""What of some machines is promised ahead, as one transaction or one pass sees it, and kept as it changes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import inf

from gondwana.core.clock import Instant
from gondwana.core.values import replace
from gondwana.db.transaction import Reader
from gondwana.jobs.listings import listings_of
from gondwana.market import rules as market_rules
from gondwana.market.calendar import rules, store
from gondwana.market.calendar.model import Booking, BookingKind, Standing
from gondwana.market.model import Lease, Listing, Order
from gondwana.market.rules import RECLAIM_SECONDS_MIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """The bookings of machines, and the leases of those that have any; most machines have none."""

    now: Instant
    bookings: dict[str, list[Booking]] = field(default_factory=dict[str, list[Booking]])
    standing: dict[str, list[Standing]] = field(default_factory=dict[str, list[Standing]])

    @classmethod
    def read(cls, reader: Reader, machine_ids: Iterable[str], now: Instant) -> "Calendar":
        """As it is stored."""
        return cls.of(reader, store.booked_on(reader, list(machine_ids)), now)

    @classmethod
    def of(cls, reader: Reader, bookings: dict[str, list[Booking]], now: Instant) -> "Calendar":
        """The same where what is booked has been read, by machine."""
        return cls(now=now, bookings=bookings, standing=store.standing_on(reader, list(bookings)))

    def has_room(self, order: Order, listing: Listing, past: Sequence[Lease] = ()) -> bool:
        """Whether a lease made now for an order would be gone, or sent away, before what is booked there begins.

        `past`: all leases of its job.
        """
        found = self.bookings.get(listing.machine_id)
        if not found:
            return True
        agreed = market_rules.ends_at(order, past, self.now)
        leased = replace(order, mechanism=market_rules.mechanism_on(order, listing))
        end = rules.end_if_made(leased, listing.notice_seconds, agreed, self.now)
        there = self.standing.get(listing.machine_id, ())
        promises = [
            *rules.booked(found, but_of=order.id),
            *(rules.held(each, self.now) for each in there),
        ]
        return rules.room(listing.devices, promises, self.now, end) >= order.devices

    def prices(self, order: Order) -> dict[str, int]:
        """What was agreed for the machines that are booked for an order."""
        return {
            each.machine_id: each.price_micro_usd_per_device_hour for each in self.booked_for(order)
        }

    def booked_for(self, order: Order) -> list[Booking]:
        """What is booked for an order."""
        if order.starts_at is None:
            return []
        return [
            each for found in self.bookings.values() for each in found if each.order_id == order.id
        ]

    def count(self, order: Order, lease: Lease) -> Booking | None:
        """A lease was made: it stands on its machine, in place of what was booked there for it, which is returned."""
        found = self.bookings.get(lease.machine_id)
        if not found:
            return None
        self.standing.setdefault(lease.machine_id, []).append(
            store.standing(lease, order.seconds_max)
        )
        mine = next((each for each in found if each.order_id == order.id), None)
        if mine is not None:
            found.remove(mine)
        return mine

    def blocking(self, lease: Lease, devices: int, seconds: int) -> Booking | None:
        """What is booked that a live lease would be in the way of if it lasted so much longer.

        One that may be sent away never is: it goes on as long as it may.
        """
        there = self.standing.get(lease.machine_id, ())
        mine = next((each for each in there if each.lease_id == lease.id), None)
        if mine is None or (mine.agreed_end is None and (mine.notice_seconds or mine.is_spot)):
            return None
        until = rules.held(mine, self.now).ends_at + seconds
        others = [rules.held(each, self.now) for each in there if each is not mine]
        found: list[Booking] = []
        for each in self.bookings[lease.machine_id]:
            found.append(each)
            promises = [*rules.booked(found), *others]
            if rules.room(devices, promises, self.now, until) < lease.devices:
                return each
        return None

    def in_maintenance(self, machine_id: str) -> bool:
        """Whether a machine's owner said that he works on it now."""
        return any(
            each.kind is BookingKind.MAINTENANCE and each.starts_at <= self.now < each.ends_at
            for each in self.bookings.get(machine_id, ())
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """All that is booked, for whoever chooses machines: not to choose what could not be had."""

    calendar: Calendar
    listings: Sequence[Listing]
    known: dict[tuple[object, ...], list[str]] = field(
        default_factory=dict[tuple[object, ...], list[str]]
    )  # alike orders are told alike

    @classmethod
    def read(cls, reader: Reader, now: Instant) -> "Ahead":
        """As it is stored."""
        return cls.of(reader, store.all_booked(reader), now)

    @classmethod
    def of(cls, reader: Reader, booked: Sequence[Booking], now: Instant) -> "Ahead":
        """The same where what is booked has been read."""
        ids = list(dict.fromkeys(each.machine_id for each in booked))
        return cls(calendar=Calendar.read(reader, ids, now), listings=listings_of(reader, ids))

    def for_spot(self, listings: Iterable[Listing]) -> list[Listing]:
        """The listings with the devices that a lease for a spot order may have: it can be sent away, and is of use.

        On a machine that sells no spot it is one like any other, with the notice that its owner promises, or none.
        """
        found: list[Listing] = []
        for each in listings:
            bookings = self.calendar.bookings.get(each.machine_id)
            if bookings:
                there = self.calendar.standing.get(each.machine_id, ())
                promises = [
                    *rules.booked(bookings),
                    *(rules.held(one, self.calendar.now) for one in there),
                ]
                until = self.calendar.now + _lead_seconds(each) + rules.SERVICE_SECONDS_MIN
                room = rules.room(each.devices, promises, self.calendar.now, until)
                each = replace(each, devices_free=max(0, min(each.devices_free, room)))
            found.append(each)
        return found

    def not_for(self, order: Order, past: Sequence[Lease] = ()) -> list[str]:
        """The machines that have no room for an order; `past`: all leases of its job."""
        asked = (order.devices, order.mechanism, order.seconds_max, order.lease_seconds)
        if order.starts_at is not None or (order.lease_seconds is not None and past):
            return self._look(order, past)  # it has bookings, or an end, of its own
        if asked not in self.known:
            self.known[asked] = self._look(order, past)
        return self.known[asked]

    def _look(self, order: Order, past: Sequence[Lease]) -> list[str]:
        return [
            str(each.machine_id)
            for each in self.listings
            if not self.calendar.has_room(order, each, past)
        ]


def _lead_seconds(listing: Listing) -> float:
    """How long before it has to go a lease for a spot order is told so."""
    if listing.spot_floor_micro_usd_per_device_hour is not None:
        return RECLAIM_SECONDS_MIN
    return max(listing.notice_seconds, RECLAIM_SECONDS_MIN) if listing.notice_seconds else inf
