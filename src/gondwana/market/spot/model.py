"""What a call looks at, and what it comes to."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gondwana.core.clock import Instant
from gondwana.market.book import Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """A running spot lease."""

    lease_id: str
    machine_id: str
    provider: str  # its owner
    devices: int
    price: int  # what it pays now, micro-USD per device-hour
    floor: int  # its owner's when it began: he never gets less, whatever the price


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What runs of an order: it stands as a bid. A gang has all of its leases here, and loses all or nothing."""

    id: str
    order_id: str
    tenant: str
    cap: int  # micro-USD per device-hour
    since: Instant  # when it was ordered
    began_at: Instant  # when the youngest of its leases did
    seats: tuple[Seat, ...]

    @property
    def devices(self) -> int:
        """What it stands for."""
        return sum(seat.devices for seat in self.seats)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """An order that wants machines: each with so many devices free."""

    id: str  # of the order
    tenant: str
    cap: int
    since: Instant
    devices: int  # on each machine
    machines: int  # all of these or none
    machines_max: int  # more are welcome if they are free
    fits: frozenset[str]  # machines that have what it asks, in this bucket
    soonest: tuple[str, ...] = ()  # of these it may keep some while it finds no room (ADR 0012)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall:
    """A machine that sells in a bucket."""

    machine_id: str
    provider: str
    free: int  # devices that may be had now
    coming: int = 0  # devices of spot leases that had their notice
    floor: int | None  # None: its owner sells no spot
    posted: int  # what he asks of everybody

    @property
    def ask(self) -> int:
        """What is asked where there is no call."""
        return self.posted if self.floor is None else self.floor


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """One bucket (device model × region) before a call; each list with those that stand longest first."""

    key: Key
    standing: tuple[Standing, ...] = ()
    wishes: tuple[Wish, ...] = ()
    stalls: tuple[Stall, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What is kept of a call of one bucket: counts of devices and a price, never whose."""

    model: str
    region: str
    at: Instant
    price: int  # micro-USD per device-hour
    bids: int
    asks: int
    traded: int
    evicted: int  # devices whose tenants got notice


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """Prices that were in force within the last minutes that count, the last one last; empty: none is remembered."""

    prices: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Machines that a wish gets, each at its price."""

    order_id: str
    prices: Mapping[str, int]  # by machine, micro-USD per device-hour


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a call of one bucket came to."""

    key: Key
    price: int | None = None  # None: no call, too few accounts on a side
    grants: tuple[Grant, ...] = ()
    prices: Mapping[str, int] = field(
        default_factory=dict[str, int]
    )  # of running leases that change
    evicted: tuple[Standing, ...] = ()  # they get notice
    bids: int = 0  # devices, on each side and traded
    asks: int = 0
    traded: int = 0

    @property
    def evicted_devices(self) -> int:
        """Devices whose tenants get notice."""
        return sum(each.devices for each in self.evicted)
