"""Machines kept for an order that smaller ones would pass by for ever; pure (EASY backfill, ADR 0018).

An order waits for several devices at once; whatever gets free goes to somebody who needs less. So for a few orders that
waited long enough the machines that will be free soonest are kept. The latest ends of the leases there say when all of
it is free (`whole_at`); until then anybody may have them who will be done by that time. Kept machines are chosen anew
in each pass, and the old choice stays possible, so `whole_at` only comes nearer, as long as no machine is lost.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from gondwana.core.clock import Instant
from gondwana.market.model import Lease, Listing, Order

PATIENCE_SECONDS: Final = 60.0
"""So long an order of several machines or devices waits when it is its turn, before machines are kept for it."""
AGED_SECONDS: Final = 3_600.0
"""So long any order waits; then it is next, whatever its tenant holds: one at a time per kind of device."""
KEEPERS_MAX: Final = (
    8  # orders that machines are kept for, at once: what is kept earns nothing meanwhile
)
LOOKED_AT_MAX: Final = 8  # orders looked at in one pass, while others wait to be served
SEARCHED_MAX: Final = 128
"""Orders for which the book is asked in one pass. So many every five seconds: ten thousand that nothing could ever
serve are all given up within HOPELESS_SECONDS, so they hide nobody who comes after them."""
FITTING_MAX: Final = 1_000  # machines among which those that are free soonest are sought
HOPELESS_SECONDS: Final = (
    600.0  # an order for which nothing can be kept is not looked at again so soon
)
END_SLACK_SECONDS: Final = (
    300.0  # between a job's time limit and the moment its lease is surely over
)


class Hold(Struct, frozen=True, kw_only=True):
    """Devices of a machine that are kept for an order."""

    machine_id: str
    order_id: str
    devices: int
    whole_at: float  # when all that the order needs is free at the latest
    since: Instant


class Serving(Struct, frozen=True, kw_only=True):
    """A lease that is in the way, and when it is over at the latest."""

    machine_id: str
    devices: int
    ends_at: float | None  # None: nobody knows


def latest_end(lease: Lease, seconds_max: float | None) -> float | None:
    """When a lease is over at the latest; None where nothing says so. `seconds_max`: of its order."""
    limits = [
        each
        for each in (
            lease.ends_at,
            lease.reclaim_at,
            None if seconds_max is None else lease.reserved_at + seconds_max,
        )
        if each is not None
    ]
    return min(limits) + END_SLACK_SECONDS if limits else None


def ends_in_time(order: Order, hold: Hold, now: Instant) -> bool:
    """Whether a lease made now for this order is over before what is kept is needed."""
    limits = [each for each in (order.seconds_max, order.lease_seconds) if each is not None]
    return bool(limits) and now + min(limits) + END_SLACK_SECONDS <= hold.whole_at


def may_take(order: Order, hold: Hold, devices_free: int, now: Instant) -> bool:
    """Whether an order may have devices of a machine of which some are kept for another."""
    return (
        hold.order_id == order.id
        or devices_free - order.devices >= hold.devices
        or ends_in_time(order, hold, now)
    )


def kind_of(order: Order) -> tuple[str, ...]:
    """The kind of device that an order waits for: those of one kind wait for each other."""
    return tuple(sorted({each.name for each in order.resources.accelerators}))


def is_urgent(order: Order, now: Instant) -> bool:
    """Whether machines may be kept for an order at all."""
    waits = now - order.created_at
    return waits >= AGED_SECONDS or (is_large(order) and waits >= PATIENCE_SECONDS)


def is_large(order: Order) -> bool:
    """Whether smaller orders could pass it by: it needs several machines or devices at once."""
    return order.count_min > 1 or order.devices > 1


def urgent(by_turn: Sequence[Order], now: Instant) -> list[tuple[Order, bool]]:
    """The urgent orders, and whether for their age: the oldest first, then the large ones by turn."""
    aged = [each for each in by_turn if now - each.created_at >= AGED_SECONDS]
    aged.sort(key=lambda each: (each.created_at, each.id))
    large = [each for each in by_turn if is_large(each)]
    return [(each, True) for each in aged] + [(each, False) for each in large]


def keep(
    order: Order, lacking: int, fitting: Sequence[Listing], serving: Mapping[str, Sequence[Serving]],
    taken: Iterable[str], now: Instant,
) -> list[Hold]:  # fmt: skip
    """The machines to keep for an order: of all that fit, the `lacking` that are free soonest.

    None where so many will never be free as far as anybody knows. `serving`: the live leases of each machine; `taken`:
    machines that are kept for others.
    """
    chosen = soonest(order, fitting, serving, taken, now)[:lacking]
    if len(chosen) < lacking or not chosen:
        return []
    whole_at = chosen[-1][0]
    return [
        Hold(
            machine_id=listing.machine_id, order_id=order.id, devices=order.devices, whole_at=whole_at, since=now,
        )
        for _, listing in chosen
    ]  # fmt: skip


def soonest(
    order: Order, fitting: Sequence[Listing], serving: Mapping[str, Sequence[Serving]], taken: Iterable[str],
    now: Instant,
) -> list[tuple[float, Listing]]:  # fmt: skip
    """Those of what fits that have room for an order by a time that is known, with that time, the soonest first."""
    barred = set(taken)
    times = (
        (_free_at(each, order.devices, serving.get(each.machine_id, ()), now), each)
        for each in fitting
        if each.machine_id not in barred
    )
    known = [(at, each) for at, each in times if at is not None]
    return sorted(known, key=lambda each: each[0])  # stable: among equals as given


def _free_at(
    listing: Listing, devices: int, serving: Sequence[Serving], now: Instant
) -> float | None:
    """When so many devices of a machine are free at the latest; None where nobody knows."""
    free = listing.devices - sum(each.devices for each in serving)
    if free >= devices:
        return now
    known = sorted(
        (max(now, each.ends_at), each.devices) for each in serving if each.ends_at is not None
    )
    for ends_at, freed in known:
        free += freed
        if free >= devices:
            return ends_at
    return None
