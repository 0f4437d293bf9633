"""Bookings: devices of a machine that are promised for some time ahead."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.ids import JobId, MachineId, OrderId
from gondwana.core.money import due_micro_usd


class BookingKind(StrEnum):
    """What the time is promised for."""

    RESERVATION = "reservation"  # an order's lease
    MAINTENANCE = "maintenance"  # its owner's work; the whole machine


class BookingState(StrEnum):
    """Where a booking stands."""

    BOOKED = "booked"  # ahead, or waiting for its lease to begin
    USED = "used"  # its order has its lease
    CANCELLED = "cancelled"  # the tenant, or the owner of the machine, wants it no more
    BROKEN = "broken"  # the machine was not there when it began
    UNUSED = "unused"  # the machine was there, and the order did not take it in time
    OVER = "over"  # maintenance that has ended


BOOKING_TRANSITIONS: Final = {
    BookingState.BOOKED: {
        BookingState.USED,
        BookingState.CANCELLED,
        BookingState.BROKEN,
        BookingState.UNUSED,
        BookingState.OVER,
    },
    BookingState.USED: set[BookingState](),
    BookingState.CANCELLED: set[BookingState](),
    BookingState.BROKEN: set[BookingState](),
    BookingState.UNUSED: set[BookingState](),
    BookingState.OVER: set[BookingState](),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """Devices of one machine from `starts_at` until before `ends_at`."""

    id: str
    kind: BookingKind
    state: BookingState
    machine_id: MachineId
    order_id: OrderId | None = None  # None: maintenance
    job_id: JobId | None = None
    devices: int
    price_micro_usd_per_device_hour: int = 0
    starts_at: Instant
    ends_at: Instant
    created_at: Instant
    ended_at: Instant | None = None  # when it was booked no more
    deposit_micro_usd: int = 0
    kept_micro_usd: int = 0  # what of it the owner was paid

    @property
    def price_micro_usd_per_hour(self) -> int:
        """What an hour of all its devices costs."""
        return self.price_micro_usd_per_device_hour * self.devices

    def price_micro_usd(self, seconds: float) -> int:
        """What so much of its time costs."""
        return due_micro_usd(self.price_micro_usd_per_hour, int(seconds))


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A live lease, as far as the calendar cares."""

    lease_id: str
    machine_id: str
    devices: int
    reserved_at: Instant
    notice_seconds: int  # agreed
    is_spot: bool
    agreed_end: Instant | None  # it was agreed for a time
    noticed_end: Instant | None  # it was given notice
    latest_end: float | None  # its run's limit says so; None: nothing does


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Devices that a tenant will surely hold of a machine from `starts_at` until before `ends_at`."""

    machine_id: str
    project: str
    devices: int
    starts_at: Instant
    ends_at: Instant
