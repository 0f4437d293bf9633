"""Network coordinates (Dabek et al., Vivaldi, SIGCOMM'04): where a machine is in the network, from round trips alone.

Three dimensions and a height, which is the delay of the machine's own access line. Coordinates only shortlist: near
pairs are often wrong by a factor of two (field notes, market 4.4), so real probes decide.
"""

from dataclasses import dataclass
from math import sqrt
from typing import Final

GAIN: Final = 0.25  # how far one sample moves a machine; both gains as in the paper
ERROR_GAIN: Final = 0.25
ERROR_MAX: Final = 2.0
MISSED_MAX: Final = 10.0  # one sample counts no more: a lie moves little
HEIGHT_SECONDS_MIN: Final = 0.00005
ROUND_TRIP_SECONDS_MIN: Final = 1e-6
ROUND_TRIP_SECONDS_MAX: Final = 2.0  # longer is no distance but a fault
SAMPLES_MIN: Final = 8  # before these nothing is known of a machine's direction
ERROR_LOCATED_MAX: Final = 0.6  # a machine with more is not told to be anywhere


@dataclass(frozen=True, slots=True, kw_only=True)
class Coordinate:
    """Where a machine is, in seconds of round trip."""

    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    height: float = HEIGHT_SECONDS_MIN
    error: float = 1.0  # relative, of what it estimates; 1: nothing is known
    samples: int = 0  # so many went into it

    @property
    def is_located(self) -> bool:
        """Whether it may tell two machines to be near."""
        return self.samples >= SAMPLES_MIN and self.error <= ERROR_LOCATED_MAX


HERE: Final = Coordinate(error=0.1, samples=SAMPLES_MIN)
"""The control plane: the origin, which nothing moves."""


def round_trip_seconds(one: Coordinate, other: Coordinate) -> float:
    """The round trip that two coordinates estimate."""
    return _distance(one, other) + one.height + other.height


def moved(one: Coordinate, other: Coordinate, round_trip: float, *, direction: int) -> Coordinate:
    """`one` after a round trip to `other` of so many seconds was measured.

    `direction` is any number of the pair: the way out for two machines at one point, which have none of their own.
    """
    if not ROUND_TRIP_SECONDS_MIN <= round_trip <= ROUND_TRIP_SECONDS_MAX:
        return one
    estimate = round_trip_seconds(one, other)
    weight = one.error / max(one.error + other.error, 1e-9)
    missed = min(abs(estimate - round_trip) / round_trip, MISSED_MAX)
    error = missed * ERROR_GAIN * weight + one.error * (1 - ERROR_GAIN * weight)
    force = GAIN * weight * (round_trip - estimate)
    way, length = _way(one, other, direction)
    reach = length + one.height + other.height
    height = one.height + force * (one.height + other.height) / reach if reach > 0 else one.height
    return Coordinate(
        x=one.x + force * way[0],
        y=one.y + force * way[1],
        z=one.z + force * way[2],
        height=min(max(height, HEIGHT_SECONDS_MIN), ROUND_TRIP_SECONDS_MAX),
        error=min(max(error, 0.0), ERROR_MAX),
        samples=one.samples + 1,
    )


def _distance(one: Coordinate, other: Coordinate) -> float:
    return sqrt((one.x - other.x) ** 2 + (one.y - other.y) ** 2 + (one.z - other.z) ** 2)


def _way(
    one: Coordinate, other: Coordinate, direction: int
) -> tuple[tuple[float, float, float], float]:
    """(unit vector from `other` to `one`, their distance)."""
    length = _distance(one, other)
    if length > 1e-9:
        return (
            (one.x - other.x) / length,
            (one.y - other.y) / length,
            (one.z - other.z) / length,
        ), length
    parts = [((direction >> shift) & 0x3FF) - 511.5 for shift in (0, 10, 20)]
    size = sqrt(sum(part * part for part in parts))
    return (parts[0] / size, parts[1] / size, parts[2] / size), 0.0
