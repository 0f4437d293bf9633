"""What of a machine is promised ahead, and what a long lease costs less."""

from dataclasses import dataclass
from typing import Final

RESERVE_SECONDS_MAX: Final = 366 * 86_400  # nobody knows what a machine is worth after that
DISCOUNTS_MAX: Final = 8  # steps of a ladder
DISCOUNT_BASIS_POINTS_MAX: Final = 9_000
MAINTENANCE_SECONDS_MAX: Final = 30 * 86_400  # of one window; who is away for longer pauses
BOOKINGS_MAX: Final = 100  # of one machine, at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Discount:
    """So much less for a lease that is agreed for so long or longer."""

    seconds: int
    basis_points: int  # hundredths of a percent


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceRequest:
    """When an owner works on a machine; seconds since 1970."""

    starts_at: float
    ends_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BookedView:
    """Devices of a machine that nobody else gets in some time, for whatever reason and for whom it is."""

    starts_at: float
    ends_at: float
    devices: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BookingView:
    """Some time of a machine that is promised, or was."""

    id: str
    kind: str  # "reservation" | "maintenance"
    state: str
    machine: str
    devices: int
    starts_at: float
    ends_at: float
    price_micro_usd_per_device_hour: int = 0
    deposit_micro_usd: int = 0
    kept_micro_usd: int = 0  # of the deposit: what a cancelled reservation cost


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarView:
    """What a machine is promised for, the soonest first."""

    machine: str
    bookings: tuple[BookingView, ...] = ()
