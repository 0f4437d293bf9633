"""What was measured of the network is kept: on the machine, and between two of them, with the coordinates it moves."""

from typing import Final
from zlib import crc32

from gondwana.core.clock import Instant
from gondwana.core.ids import MachineId
from gondwana.core.values import replace
from gondwana.db.transaction import Transaction
from gondwana.jobs.probes import Probe
from gondwana.market.placement import coordinates, sites
from gondwana.market.placement.coordinates import HERE, Coordinate
from gondwana.market.placement.sites import Measured
from gondwana.supply import network, store
from gondwana.supply.model import Machine, Pair
from gondwana.wire import agent as wire
from gondwana.wire.machines import MachineNetwork

CHANGE_MIN: Final = 0.25  # of a round trip, from which on it is told again
FRESH_SECONDS: Final = 3_600  # after which it is told again in any case
BITS_PER_SECOND_MAX: Final = 10**13
SITES_CHANGED_MAX: Final = 1_000  # machines moved to another site in one pass


def link_measured(tx: Transaction, now: Instant, machine_id: str, round_trip: float) -> None:
    """A machine's round trip to the control plane, where it is news."""
    machine = store.machine(tx, machine_id)
    known = machine.network or MachineNetwork()
    before = known.round_trip_seconds
    is_same = before is not None and abs(round_trip - before) <= CHANGE_MIN * before
    if not 0 < round_trip <= coordinates.ROUND_TRIP_SECONDS_MAX or (
        is_same and now - known.measured_at < FRESH_SECONDS
    ):
        return
    moved = coordinates.moved(
        _coordinate(known), HERE, round_trip, direction=_direction(machine_id)
    )
    # one landmark tells how far, never where: only links to other machines count as samples
    moved = replace(moved, samples=known.samples)
    found = replace(_located(known, moved), round_trip_seconds=round_trip, measured_at=now)
    network.save_network(tx, now, replace(machine, network=found))


def bandwidth_measured(
    tx: Transaction, now: Instant, machine_id: str, *, up_bits_per_second: float, down_bits_per_second: float
) -> MachineNetwork:  # fmt: skip
    """How fast a machine sends and receives; returns what is known of it now."""
    machine = store.machine(tx, machine_id)
    found = replace(
        machine.network or MachineNetwork(),
        up_bits_per_second=_bits(up_bits_per_second),
        down_bits_per_second=_bits(down_bits_per_second),
        measured_at=now,
    )
    network.save_network(tx, now, replace(machine, network=found))
    return found


def pair_measured(tx: Transaction, now: Instant, probe: Probe, told: wire.Measured) -> Pair:
    """What was measured between two machines; both move on the map."""
    asker, answerer = store.machine(tx, probe.asker), store.machine(tx, probe.answerer)
    trip = told.round_trip_seconds
    if trip is not None and not 0 < trip <= coordinates.ROUND_TRIP_SECONDS_MAX:
        trip = None
    up, down = _bits(told.up_bits_per_second), _bits(told.down_bits_per_second)
    is_low = probe.asker < probe.answerer
    low, high = sorted((probe.asker, probe.answerer))
    pair = Pair(
        low_id=MachineId(low),
        high_id=MachineId(high),
        round_trip_seconds=trip,
        up_bits_per_second=up if is_low else down,
        down_bits_per_second=down if is_low else up,
        measured_at=now,
    )
    network.save_pair(tx, pair)
    if trip is not None:
        for one, other in ((asker, answerer), (answerer, asker)):
            network.save_network(tx, now, replace(one, network=_moved(one, other, trip)))
    return pair


def settle_sites(tx: Transaction, now: Instant) -> int:
    """Let each machine stand where its links say that it stands; returns how many moved."""
    pairs = network.near_pairs(tx, sites.SITE_ROUND_TRIP_SECONDS_MAX)
    links = [
        Measured(
            pair.low_id, pair.high_id, pair.round_trip_seconds or 0.0,
            min(pair.up_bits_per_second, pair.down_bits_per_second),
        )
        for pair in pairs
    ]  # fmt: skip
    found = sites.sites(links)
    before = {str(machine.id): machine for machine in network.sited(tx)}
    moved = 0
    for machine_id in sorted({*found, *before}):
        site = found.get(machine_id, "")
        machine = before.get(machine_id) or store.machine(tx, machine_id)
        if machine.site != site:
            network.save_network(tx, now, replace(machine, site=site))
            moved += 1
            if moved == SITES_CHANGED_MAX:
                break
    return moved


def _moved(one: Machine, other: Machine, trip: float) -> MachineNetwork:
    known = one.network or MachineNetwork()
    at, there = _coordinate(known), _coordinate(other.network or MachineNetwork())
    return _located(
        known, coordinates.moved(at, there, trip, direction=_direction(one.id + other.id))
    )


def _coordinate(known: MachineNetwork) -> Coordinate:
    return Coordinate(
        x=known.x, y=known.y, z=known.z, height=known.height, error=known.error, samples=known.samples
    )  # fmt: skip


def _located(known: MachineNetwork, at: Coordinate) -> MachineNetwork:
    return replace(
        known, x=at.x, y=at.y, z=at.z, height=at.height, error=at.error, samples=at.samples
    )  # fmt: skip


def _direction(name: str) -> int:
    return crc32(name.encode())


def _bits(told: float) -> int:
    """Whole bits a second, bounded; 0 for what is no number."""
    return int(min(max(told, 0.0), BITS_PER_SECOND_MAX)) if told == told else 0
