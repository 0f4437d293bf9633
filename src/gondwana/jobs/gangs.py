"""Which machines a gang gets of those that fit: `market.placement` over what was measured of them."""

from collections.abc import Iterable, Sequence
from typing import Final
from zlib import crc32

import numpy as np

from gondwana.market.model import Charge, Listing, Order
from gondwana.market.placement import choose, rules, sites
from gondwana.market.placement.coordinates import Coordinate
from gondwana.market.placement.model import (
    Floats,
    Gang,
    How,
    Integers,
    IslandWork,
    Link,
    Nodes,
    Placement,
    Work,
)
from gondwana.supply.model import Pair

FASTEST_SECONDS_MIN: Final = 1e-3  # of a step: a machine's measured speed may be anything
REGION_SECONDS: Final = 0.02  # one way
REFERENCE: Final = Work()


def nodes_of(listings: Sequence[Listing], devices: int) -> Nodes:
    """Machines, in the market's order, as placement sees them.

    What was never measured counts as a home of middling speed far from others.
    """
    speed_N = np.array([each.steps_per_second for each in listings], np.float64)
    known = speed_N[speed_N > 0]
    middle = float(np.median(known)) if len(known) else 1.0
    compute_N = np.where(speed_N > 0, middle / np.maximum(speed_N, 1e-9), 1.0)
    point_N3, delay_N = _positions(listings)
    city_N, point_C3 = sites.cities(point_N3, [each.region for each in listings])
    price = [each.price_micro_usd_per_device_hour * devices for each in listings]
    return Nodes(
        site_N=_sites(listings),
        city_N=city_N,
        price_N=np.array(price, np.int64),
        compute_N=np.maximum(compute_N * REFERENCE.compute_seconds, FASTEST_SECONDS_MIN),
        link_N=np.array([_link(each) for each in listings], np.float64),
        lan_N=np.full(len(listings), rules.LAN_BITS_PER_SECOND),
        delay_N=delay_N,
        serial_N=np.arange(len(listings), dtype=np.int64),  # ties go by the market's own order
        point_C3=point_C3,
    )


def differ_in_place(listings: Iterable[Listing]) -> bool:
    """Whether these machines stand in more than one place, as far as anybody knows: else the cheapest will do."""
    first, measured = None, False
    for each in listings:
        place = (each.site, each.region)
        first = first or place
        measured = measured or each.network is not None
        if measured or place != first:
            return True
    return False


def place(
    order: Order, listings: Sequence[Listing], kept: Sequence[Listing], pairs: Iterable[Pair]
) -> Placement | None:
    """Where an order that keeps some machines gets the others that it lacks; None where they are too few.

    Rows count `listings` first, then those that are kept.
    """
    both = [*listings, *kept]
    nodes = nodes_of(both, order.devices)
    measured = links(both, pairs)
    if order.charge is Charge.UNIT:
        return _islands(order, nodes, len(listings), listings, len(kept))
    gang = Gang(count=order.count_max)
    if kept:
        rows = list(range(len(listings), len(both)))
        return choose.replace(nodes, rows, gang, REFERENCE, pairs=measured)
    return choose.place(nodes, gang, REFERENCE, pairs=measured)


def links(listings: Sequence[Listing], pairs: Iterable[Pair]) -> dict[tuple[int, int], Link]:
    """Measured links by rows; two machines that do not reach each other go through the control plane."""
    row = {str(each.machine_id): number for number, each in enumerate(listings)}
    found: dict[tuple[int, int], Link] = {}
    for pair in pairs:
        one, other = row.get(pair.low_id), row.get(pair.high_id)
        if one is None or other is None or pair.round_trip_seconds is None:
            continue
        bits = min(pair.up_bits_per_second, pair.down_bits_per_second)
        found[min(one, other), max(one, other)] = Link(pair.round_trip_seconds / 2, float(bits))
    return found


def unmeasured(
    placed: Placement, listings: Sequence[Listing], pairs: Sequence[Pair], most: int
) -> list[tuple[str, str]]:
    """The pairs of a gang that nobody has measured, neighbours in the ring first; at most so many."""
    known = {(pair.low_id, pair.high_id) for pair in pairs}
    names = [str(listings[row].machine_id) for row in placed.rows]
    count, found = len(names), list[tuple[str, str]]()
    for apart in range(1, count // 2 + 1):
        for at in range(count):
            low, high = sorted((names[at], names[(at + apart) % count]))
            if (low, high) not in known and (low, high) not in found and low != high:
                found.append((low, high))
                if len(found) == most:
                    return found
    return found


def _islands(
    order: Order, nodes: Nodes, free: int, listings: Sequence[Listing], kept: int
) -> Placement | None:
    """Islands talk to the control plane alone, so those that stay have no say in which others come."""
    wanted = min(order.count_max - kept, free)
    if wanted < 1 or wanted + kept < order.count_min:
        return None
    own = nodes.first(free)
    down = np.array([_down(each) for each in listings], np.float64)
    trip = np.array([_trip(each) for each in listings], np.float64)
    return choose.islands(own, Gang(count=wanted), IslandWork(), down_N=down, round_trip_N=trip)


def _positions(listings: Sequence[Listing]) -> tuple[Floats, Floats]:
    """(position, delay of the access line) of each, one way.

    A machine that is not located stands in the middle of those of its region that are, with its whole way to the
    control plane as its delay; regions of which nobody is located are REGION_SECONDS from the middle of the network.
    """
    found = [coordinate_of(each) for each in listings]
    located: dict[str, list[tuple[float, float, float]]] = {}
    for each, at in zip(listings, found, strict=True):
        if at.is_located:
            located.setdefault(each.region, []).append((at.x / 2, at.y / 2, at.z / 2))
    middles = {
        region: tuple(np.mean(located[region], axis=0)) if region in located else _outpost(region)
        for region in {each.region for each in listings}
    }
    point, delay = list[tuple[float, ...]](), list[float]()
    for each, at in zip(listings, found, strict=True):
        point.append((at.x / 2, at.y / 2, at.z / 2) if at.is_located else middles[each.region])
        delay.append(at.height / 2 if at.is_located else _trip(each) / 2)
    return np.array(point, np.float64).reshape(-1, 3), np.array(delay, np.float64)


def _outpost(region: str) -> tuple[float, ...]:
    """A place of its own for each name, always the same."""
    bits = crc32(region.encode())
    way = np.array([((bits >> shift) & 0x3FF) - 511.5 for shift in (0, 10, 20)])
    return tuple((way / np.sqrt((way**2).sum()) * REGION_SECONDS).tolist())


def coordinate_of(listing: Listing) -> Coordinate:
    """Where a machine was measured to be."""
    at = listing.network
    if at is None:
        return Coordinate()
    return Coordinate(x=at.x, y=at.y, z=at.z, height=at.height, error=at.error, samples=at.samples)


def _sites(listings: Sequence[Listing]) -> Integers:
    """A number per site; a machine that stands with none has its own."""
    names = [each.site or str(each.machine_id) for each in listings]
    numbers = {name: n for n, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], np.int64)


def _link(listing: Listing) -> float:
    known = [bits for bits in (listing.up_bits_per_second, listing.down_bits_per_second) if bits > 0]  # fmt: skip
    return float(min(known)) if known else rules.LINK_BITS_PER_SECOND


def _down(listing: Listing) -> float:
    return float(listing.down_bits_per_second or rules.LINK_BITS_PER_SECOND)


def _trip(listing: Listing) -> float:
    at = listing.network
    known = None if at is None else at.round_trip_seconds
    return 2 * rules.DELAY_SECONDS if known is None else known


def told(listings: Sequence[Listing], devices: int, pairs: Iterable[Pair]) -> str:
    """Where a gang's machines stand, and how long a step of reference work takes there, in words."""
    nodes = nodes_of(listings, devices)
    rows = np.arange(len(listings))
    placed = choose.ring(nodes, rows, How.NEAR, REFERENCE, pairs=links(listings, pairs))
    where = {How.SITE: "at one site", How.CITY: "in one city"}.get(placed.how, "in several places")
    return (
        f"{where}: a step of {REFERENCE.compute_seconds:g} s on a machine of middling speed, after which "
        f"{REFERENCE.volume_bytes / 1e9:g} GB are exchanged, takes about {placed.step_seconds:.1f} s there"
    )
