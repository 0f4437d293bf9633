"""What placement looks at and what comes of it.

Suffixes: N candidate machines, C cities, K machines of one gang. A hop is one way, half a round trip.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

GANG_MAX: Final = 1_024  # machines of one order, as in `market.search`


class How(StrEnum):
    """By which rule a gang's machines were found."""

    SITE = "site"  # all behind one owner's switch
    CITY = "city"  # in one city, over its owners' access lines
    NEAR = "near"  # in cities near each other
    FASTEST = "fastest"  # the fastest machines, wherever they stand
    CHEAPEST = "cheapest"  # the cheapest machines, wherever they stand
    KEPT = "kept"  # what replaces a lost machine near those that stay
    APART = "apart"  # islands: they talk to the control plane, not to each other


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One step of a gang that exchanges its gradients in a ring."""

    compute_seconds: float = 1.0  # of a step on a machine of middling speed
    volume_bytes: float = 1e9  # that every machine exchanges per step: 500 M parameters in 16 bits


@dataclass(frozen=True, slots=True, kw_only=True)
class IslandWork:
    """One step of an island, which meets the others once in `inner_steps` steps, through the control plane."""

    compute_seconds: float = 1.0
    parameters: float = 1e8
    inner_steps: int = 50
    up_bytes_per_parameter: float = 0.51  # int4 with its scales (field notes, wan-training 1)
    down_bytes_per_parameter: float = 1.02  # int8 with its scales


@dataclass(frozen=True, slots=True, kw_only=True)
class Gang:
    """How many machines are wanted, and for what they may cost or how long a step may take."""

    count: int
    price_micro_usd_per_hour_max: int | None = None  # of all together
    step_seconds_max: float | None = None


class Nodes(NamedTuple):
    """The machines that fit, as columns."""

    site_N: Integers  # machines of one number stand together; small numbers from 0
    city_N: Integers  # rows of `point_C3`
    price_N: Integers  # micro-USD an hour for what the gang takes of the machine
    compute_N: Floats  # seconds of a step
    link_N: Floats  # bits a second out of its site, the lesser of both ways
    lan_N: Floats  # bits a second inside its site
    delay_N: Floats  # seconds of its access line, one way
    serial_N: Integers  # breaks ties; unique, below sets.SERIAL_MAX
    point_C3: Floats  # seconds: cities' positions, one way

    def first(self, count: int) -> "Nodes":
        """The first so many of them."""
        return Nodes(
            self.site_N[:count], self.city_N[:count], self.price_N[:count], self.compute_N[:count],
            self.link_N[:count], self.lan_N[:count], self.delay_N[:count], self.serial_N[:count], self.point_C3,
        )  # fmt: skip


class Link(NamedTuple):
    """What was measured between two machines."""

    hop_seconds: float
    bits_per_second: float


Pairs = Mapping[tuple[int, int], Link]
"""Measured links by (lower row, higher row)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where a gang goes."""

    rows: tuple[int, ...]  # in the order of the ring: rank 0 first
    how: How
    step_seconds: float
    price_micro_usd_per_hour: int

    @property
    def cost(self) -> float:
        """Micro-USD of one step: the price of a unit of work."""
        return self.price_micro_usd_per_hour * self.step_seconds / 3600
