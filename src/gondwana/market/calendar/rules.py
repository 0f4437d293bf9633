"""Who may have which devices when, so that no device is promised twice; pure.

Everything that holds devices is a promise of some of them from one instant until before another. A lease that was
agreed for a time is promised until its end. One without an agreed end whose owner may take it back with a notice is
promised for no longer than that notice lasts from now: it is told to go in time for what is booked. One that nobody may
send away is promised until its run's limit, or for ever.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidValue
from gondwana.core.units import format_seconds
from gondwana.core.values import replace
from gondwana.market.calendar.model import Booking, BookingKind, BookingState, Standing
from gondwana.market.keeping import END_SLACK_SECONDS
from gondwana.market.model import CloseReason, Listing, Mechanism, Order
from gondwana.market.rules import RECLAIM_SECONDS_MIN, RUNWAY_SECONDS
from gondwana.wire.calendar import MAINTENANCE_SECONDS_MAX, RESERVE_SECONDS_MAX

WHOLE_MACHINE: Final = 1_000_000  # devices
SERVICE_SECONDS_MIN: Final = 600.0  # a lease that would have its notice sooner is not made
KEPT_SECONDS_MAX: Final = (
    900.0  # after the start, for an order that lacks another machine, or may not have more
)
FREE_UNTIL_SECONDS: Final = 24 * 3_600.0  # before the start: until then cancelling costs nothing
LOOK_SECONDS: Final = 60.0  # who has to go is told so much too early rather than too late
HALF_UNTIL_SECONDS: Final = 3_600.0  # until then half of it; then all of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """Devices of a machine that somebody has from `starts_at` until before `ends_at`."""

    devices: int
    starts_at: float
    ends_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """A lease that has to go for what is booked."""

    lease_id: str
    at: Instant
    reason: CloseReason


def room(devices: int, promises: Sequence[Promise], start: float, end: float) -> int:
    """How many of a machine's devices nobody is promised at any instant from `start` until before `end`."""
    instants = [start, *(each.starts_at for each in promises if start < each.starts_at < end)]
    return devices - max(
        sum(each.devices for each in promises if each.starts_at <= at < each.ends_at)
        for at in instants
    )


def taken(devices: int, promises: Sequence[Promise], now: Instant) -> list[Promise]:
    """How many of a machine's devices are promised when, from now on: no two spans overlap, none promises nothing."""
    ahead = [each for each in promises if each.ends_at > now]
    instants = sorted({at for each in ahead for at in (each.starts_at, each.ends_at)})
    found: list[Promise] = []
    for start, end in pairwise(instants):
        count = devices - room(devices, ahead, start, end)
        before = found[-1] if found else None
        if before is not None and (before.ends_at, before.devices) == (start, min(count, devices)):
            found[-1] = replace(before, ends_at=end)
        elif count:
            found.append(Promise(devices=min(count, devices), starts_at=start, ends_at=end))
    return found


def booked(bookings: Iterable[Booking], *, but_of: str | None = None) -> list[Promise]:
    """What bookings promise, but for those of one order."""
    return [
        Promise(devices=_devices(each), starts_at=each.starts_at, ends_at=each.ends_at)
        for each in bookings
        if each.state is BookingState.BOOKED and (but_of is None or each.order_id != but_of)
    ]


def _devices(booking: Booking) -> int:
    """Of maintenance all that the machine may ever have."""
    return WHOLE_MACHINE if booking.kind is BookingKind.MAINTENANCE else booking.devices


def held(standing: Standing, now: Instant) -> Promise:
    """What a live lease is promised."""
    ends = [each for each in (standing.agreed_end, standing.noticed_end) if each is not None]
    if standing.is_spot or not ends:
        ends = [*ends, _unagreed_end(standing.is_spot, standing.notice_seconds, standing.latest_end, now)]  # fmt: skip
    return Promise(devices=standing.devices, starts_at=-inf, ends_at=min(ends))


def lead_seconds(standing: Standing) -> float:
    """How long before it has to go a lease is told so."""
    return RECLAIM_SECONDS_MIN if standing.is_spot else max(standing.notice_seconds, RECLAIM_SECONDS_MIN)  # fmt: skip


def end_if_made(
    order: Order, notice_seconds: int, agreed_end: Instant | None, now: Instant
) -> float:
    """Until when a lease made now would be promised its devices, with time to be of use."""
    is_spot = order.mechanism is Mechanism.SPOT
    if agreed_end is not None and not is_spot:
        return agreed_end
    limits = [each for each in (order.seconds_max, order.lease_seconds) if each is not None]
    latest = now + min(limits) + END_SLACK_SECONDS if limits else None
    end = _unagreed_end(is_spot, notice_seconds, latest, now)
    may_be_sent_away = is_spot or bool(notice_seconds)
    return min(latest or inf, end + SERVICE_SECONDS_MIN) if may_be_sent_away else end


def _unagreed_end(
    is_spot: bool, notice_seconds: int, latest_end: float | None, now: Instant
) -> float:
    lead = RECLAIM_SECONDS_MIN if is_spot else notice_seconds and max(notice_seconds, RECLAIM_SECONDS_MIN)  # fmt: skip
    latest = inf if latest_end is None or latest_end <= now else latest_end  # it should be over
    return min(now + lead + LOOK_SECONDS, latest) if lead else latest


def may_reserve(
    listing: Listing, order: Order, bookings: Sequence[Booking], standing: Sequence[Standing], now: Instant
) -> bool:  # fmt: skip
    """Whether a machine may be promised for an order's whole window: its owner offers it, and nobody has it then."""
    assert order.starts_at is not None
    end = window_end(order)
    if end > now + listing.reserve_seconds_max:
        return False
    promises = [*booked(bookings), *(held(each, now) for each in standing)]
    return room(listing.devices, promises, order.starts_at, end) >= order.devices


def window_end(order: Order) -> Instant:
    """When the time is over that an order reserves."""
    assert order.starts_at is not None
    return Instant(order.starts_at + lease_seconds(order))


def lease_seconds(order: Order) -> int:
    """How long an order reserves machines for."""
    assert order.lease_seconds is not None, "admission saw to it"
    return order.lease_seconds


def check_start(starts_at: float, lease_seconds: int, now: Instant) -> None:
    """Raise InvalidValue for a window that is not ahead, or too far ahead."""
    if starts_at <= now:
        raise InvalidValue(
            "a reservation begins ahead of now", field="gondwana.starts_at", value=starts_at,
            hint="name a later time, or take it out to start now",
        )  # fmt: skip
    if starts_at + lease_seconds - now > RESERVE_SECONDS_MAX:
        raise InvalidValue(
            "that is too far ahead", field="gondwana.starts_at", value=starts_at,
            hint=f"the window ends within {format_seconds(RESERVE_SECONDS_MAX)} from now",
        )  # fmt: skip


def check_maintenance(starts_at: float, ends_at: float, now: Instant) -> None:
    """Raise InvalidValue for a window of maintenance that is over, empty, too long or too far ahead."""
    if not now - LOOK_SECONDS <= starts_at <= now + RESERVE_SECONDS_MAX:
        told, field, value = "it begins now or ahead, within a year", "--from", starts_at
    elif ends_at <= max(starts_at, now):
        told, field, value = "a window ends after it begins", "--until", ends_at
    elif ends_at - starts_at > MAINTENANCE_SECONDS_MAX:
        told, field, value = "30 days at most: pause a machine for longer", "--until", ends_at
    else:
        return
    raise InvalidValue(told, field=field, value=value, hint="write e.g. 2026-12-01T08:00Z")


def deposit_micro_usd(booking: Booking) -> int:
    """What is set aside for a reservation: its first hour, or all of it if that is less."""
    return booking.price_micro_usd(min(RUNWAY_SECONDS, booking.ends_at - booking.starts_at))


def cancelling_micro_usd(booking: Booking, now: Instant) -> int:
    """What of its deposit a reservation costs that is cancelled now; what is odd stays with the tenant."""
    ahead = booking.starts_at - now
    if ahead >= FREE_UNTIL_SECONDS or ahead <= 0:  # since its start it is the machine that is late
        return 0
    return booking.deposit_micro_usd // 2 if ahead >= HALF_UNTIL_SECONDS else booking.deposit_micro_usd  # fmt: skip


def leaving(
    devices: int, bookings: Sequence[Booking], standing: Sequence[Standing], now: Instant
) -> list[Leaving]:
    """The leases of a machine that are told now to go for what is booked: the newest of those that may be told so.

    Where these are too few (the network was away when it was time, the machine has fewer devices now), the others too.
    """
    found: dict[str, Leaving] = {}
    for booking in sorted(bookings, key=lambda each: (each.starts_at, each.id)):
        at = max(booking.starts_at, now)
        if booking.state is not BookingState.BOOKED or booking.ends_at <= now:
            continue
        there = [each for each in standing if each.lease_id not in found and _is_there(each, at, now)]  # fmt: skip
        over = sum(each.devices for each in there) - room(devices, booked(bookings), at, at)
        for each in sorted(there, key=lambda one: _goes_later(one, booking, now), reverse=True):
            if over <= 0:
                break
            over -= each.devices
            is_due = now >= booking.starts_at - lead_seconds(each) - LOOK_SECONDS
            if each.noticed_end is None and is_due:
                found[each.lease_id] = Leaving(
                    lease_id=each.lease_id,
                    at=Instant(max(booking.starts_at, now + RECLAIM_SECONDS_MIN)),
                    reason=_reason(each, booking),
                )
    return list(found.values())


def _goes_later(standing: Standing, booking: Booking, now: Instant) -> tuple[bool, Instant, str]:
    """The greatest goes first: who may be told in time, then who came last."""
    may = standing.agreed_end is None and bool(standing.notice_seconds)
    in_time = now + lead_seconds(standing) <= booking.starts_at
    return (may or standing.is_spot) and in_time, standing.reserved_at, standing.lease_id


def _is_there(standing: Standing, at: float, now: Instant) -> bool:
    """Whether a lease will still be there at `at`, as far as anything says."""
    latest = standing.latest_end
    limit = None if latest is None or latest <= now else latest
    known = (standing.agreed_end, standing.noticed_end, limit)
    return all(each is None or each > at for each in known)


def _reason(standing: Standing, booking: Booking) -> CloseReason:
    """Who comes after the booking knew of it; who was there before is owed his notice, or it is his owner who left."""
    knew = standing.reserved_at > booking.created_at
    may = standing.is_spot or bool(standing.notice_seconds)
    in_time = booking.created_at <= booking.starts_at - lead_seconds(standing)
    if not knew and not (may and in_time):
        return CloseReason.OWNER_LEFT
    is_maintenance = booking.kind is BookingKind.MAINTENANCE
    return CloseReason.MAINTENANCE if is_maintenance else CloseReason.RECLAIMED
