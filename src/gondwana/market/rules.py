"""Decisions of the market; pure. A test needs no database."""

from collections.abc import Iterable, Sequence
from typing import Final
from zlib import crc32

from gondwana.core.clock import Instant
from gondwana.core.ids import LeaseId
from gondwana.core.values import replace
from gondwana.market.model import (
    CloseReason,
    Lease,
    LeaseState,
    Listing,
    Mechanism,
    Order,
    OrderState,
    Screening,
)
from gondwana.wire.calendar import Discount

RESERVATION_SECONDS_MAX: Final = (
    300  # reservations hold real capacity, so they may not linger (Akash lost inventory)
)
ORDER_SECONDS_MAX: Final = 24 * 3600  # an order that nothing fits for a day has expired
PROOF_GAP_SECONDS_MAX: Final = (
    12.0  # proofs further apart prove nothing of the time between (two heartbeats + slack)
)
SPEED_BITS: Final = 6  # of a measured speed count: 2 to 3 %, less than measuring again may change
COST_MAX: Final = 2**62  # of a machine without a price per work: last
RECLAIM_SECONDS_MIN: Final = 120  # the least that anybody's program gets to save its work
RUNWAY_SECONDS: Final = 3600  # a lease's escrow at the start, or the job's budget if smaller


def price_per_work(listing: Listing) -> tuple[int, int, int]:
    """Sort key: price per measured speed, unmeasured machines last, then price, then who joined first.

    Whole numbers, and no random ties: the book in memory (`market.book`) sorts by the same.
    """
    price = listing.price_micro_usd_per_device_hour
    return cost_of(price, listing.steps_per_second), price, serial_of(listing)


def cost_of(price_micro_usd_per_device_hour: int, steps_per_second: float) -> int:
    """Price per measured work, whole; COST_MAX for a machine whose speed could not be measured.

    Speeds count by their leading bits, so that machines alike at one price are equals, and packing chooses among them.
    """
    steps_milli = round(steps_per_second * 1_000)
    if steps_milli <= 0:
        return COST_MAX
    minor = max(0, steps_milli.bit_length() - SPEED_BITS)
    steps_milli = steps_milli >> minor << minor
    return min(COST_MAX - 1, price_micro_usd_per_device_hour * 1_000_000_000 // steps_milli)


def serial_of(listing: Listing) -> int:
    """A number that grows with the time a machine joined; of those of one millisecond, any but always the same."""
    return serial(listing.joined_at, listing.machine_id)


def serial(joined_at: float, machine_id: str) -> int:
    """The same of a machine by when it joined."""
    return (round(joined_at * 1_000) << 16) | (crc32(machine_id.encode()) & 0xFFFF)


def match(order: Order, held: int, screening: Screening) -> tuple[Listing, ...]:
    """The machines to lease now at their posted price: all that the order still lacks, or none below its minimum.

    `held` counts the leases that the order already has; a gang that lost one machine gets just that one replaced.
    """
    lacking = order.count_max - held
    chosen = screening.fits[:lacking]
    return chosen if chosen and held + len(chosen) >= order.count_min else ()


def reservation(
    order: Order, chosen: Listing, id: LeaseId, *, rank: int, now: Instant, ends_at: Instant | None = None
) -> Lease:  # fmt: skip
    """Hold a machine's devices for an order at the price of the moment, under its machine's next epoch."""
    return Lease(
        id=id,
        order_id=order.id,
        job_id=order.job_id,
        tenant_id=order.tenant_id,
        machine_id=chosen.machine_id,
        offer_id=chosen.offer_id,
        state=LeaseState.RESERVED,
        devices=order.devices,
        price_micro_usd_per_device_hour=chosen.price_micro_usd_per_device_hour,
        charge=order.charge,
        epoch=chosen.epoch + 1,
        rank=rank,
        sla=chosen.sla,
        reserved_at=now,
        mechanism=mechanism_on(order, chosen),
        floor_micro_usd_per_device_hour=chosen.spot_floor_micro_usd_per_device_hour or 0
        if order.mechanism is Mechanism.SPOT
        else 0,
        notice_seconds=chosen.notice_seconds,
        ends_at=ends_at,
    )


def mechanism_on(order: Order, chosen: Listing) -> Mechanism:
    """How the lease's price is made: a machine that sells no spot is leased at its posted price."""
    if order.mechanism is Mechanism.SPOT and chosen.spot_floor_micro_usd_per_device_hour is None:
        return Mechanism.POSTED
    return order.mechanism


def asked(order: Order, listing: Listing) -> Listing:
    """The listing at the price that it asks of such an order: of one on spot its floor, if it sells spot."""
    floor = listing.spot_floor_micro_usd_per_device_hour
    if order.mechanism is not Mechanism.SPOT or floor is None:
        return listing
    return replace(listing, price_micro_usd_per_device_hour=floor)


def discounted(order: Order, listing: Listing) -> Listing:
    """The listing at its posted price less its owner's discount for so long a lease, rounded up: in his favour."""
    if order.mechanism is not Mechanism.POSTED or not listing.discounts:
        return listing
    off = discount_basis_points(listing.discounts, order.lease_seconds)
    if not off:
        return listing
    price = -(-listing.price_micro_usd_per_device_hour * (10_000 - off) // 10_000)
    return replace(listing, price_micro_usd_per_device_hour=price)


def discount_basis_points(discounts: Iterable[Discount], lease_seconds: int | None) -> int:
    """The discount of the longest step that a lease reaches; 0 for one that was agreed for no time."""
    reached = [each.basis_points for each in discounts if each.seconds <= (lease_seconds or 0)]
    return max(reached, default=0)


def leased(listing: Listing, lease: Lease) -> Listing:
    """The listing of a machine after one more lease."""
    return replace(listing, devices_free=listing.devices_free - lease.devices, epoch=lease.epoch)


def order_state(order: Order, held: int, now: Instant) -> OrderState:
    """Where the order stands with `held` leases; a matched order opens again when it lost one."""
    if order.state in (OrderState.CLOSED, OrderState.EXPIRED):
        return order.state
    if held >= order.count_max:
        return OrderState.MATCHED
    over = now >= order.expires_at and not order.is_standing
    expired = order.state is OrderState.OPEN and held == 0 and over
    return OrderState.EXPIRED if expired else OrderState.OPEN


def renewed(order: Order, now: Instant) -> Order:
    """The order after it lost a lease: it looks for another one as long as a new order would.

    One with a window of its own looks until that is over.
    """
    if order.state in (OrderState.CLOSED, OrderState.EXPIRED):
        return order
    if order.starts_at is not None and order.lease_seconds is not None:
        return replace(order, expires_at=Instant(order.starts_at + order.lease_seconds))
    return replace(order, expires_at=Instant(max(order.expires_at, now + ORDER_SECONDS_MAX)))


def ends_at(order: Order, past: Sequence[Lease], now: Instant) -> Instant | None:
    """When a lease made now ends by itself: so long after the first one began as is ordered, extensions included."""
    if order.lease_seconds is None:
        return None
    if order.starts_at is not None:  # a window is a window, however late a machine comes
        return Instant(order.starts_at + order.lease_seconds)
    begun = [
        lease.reserved_at
        for lease in past
        if lease.order_id == order.id and lease.ends_at is not None and lease.active_at is not None
    ]
    return Instant(min(begun, default=now) + order.lease_seconds)


def reclaim_of(lease: Lease, now: Instant) -> tuple[Instant, CloseReason]:
    """When a lease ends whose owner says now that he wants his machine back, and how that end is called.

    A notice that was agreed is what buys the right to take it back. Without one it still ends, but it is the owner who
    broke it off (`owner_left`: what he promised of his service is owed), and the program has time to save its work.
    """
    at = Instant(now + max(lease.notice_seconds, RECLAIM_SECONDS_MIN))
    return at, CloseReason.RECLAIMED if lease.notice_seconds else CloseReason.OWNER_LEFT


def due_end(lease: Lease, now: Instant) -> CloseReason | None:
    """Why a lease ends by `now`: its notice is over, or its time is; None while it goes on."""
    if lease.state is LeaseState.RECLAIMING and now >= (lease.reclaim_at or now):
        return lease.reason or CloseReason.RECLAIMED
    serves = lease.state in (LeaseState.ACTIVE, LeaseState.RECLAIMING)
    over = serves and lease.ends_at is not None and now >= lease.ends_at
    return CloseReason.LEASE_ENDED if over else None


def has_lapsed(lease: Lease, now: Instant) -> bool:
    """Whether a reservation was not confirmed in time."""
    return lease.state is LeaseState.RESERVED and now - lease.reserved_at >= RESERVATION_SECONDS_MAX


def proved(lease: Lease, now: Instant, *, alive: bool) -> Lease:
    """The lease after one more signed heartbeat: the time since the last one is proven, if that is recent enough.

    The control plane's clock alone counts, so a wrong clock on the machine changes nothing; a late or repeated
    heartbeat proves nothing.
    """
    serves = lease.state in (LeaseState.ACTIVE, LeaseState.RECLAIMING)
    if not serves or lease.proven_at is None or now <= lease.proven_at:
        return lease
    gap = now - lease.proven_at
    proven = int(gap * 1000) if alive and gap <= PROOF_GAP_SECONDS_MAX else 0
    lived_at = lease.lived_at
    if alive and lived_at is None:
        lived_at = lease.proven_at if proven else now
    return replace(lease, proven_ms=lease.proven_ms + proven, proven_at=now, lived_at=lived_at)
