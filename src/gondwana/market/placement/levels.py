"""Machines in whole levels of speed, link and delay, and the cheapest of each group of them."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gondwana.market.placement.model import Floats, Integers, Nodes

COMPUTE_GRAIN: Final = 8  # levels of speed per doubling: 9 % apart
LINK_GRAIN: Final = 2  # of links: 41 % apart; they differ by thousands
DELAY_GRAIN: Final = 1
DELAY_SECONDS_MIN: Final = 0.001  # less counts as so much: it is nothing beside a city's width
SERIAL_MAX: Final = 1 << 24  # so that price and serial fit one number

Shorts = NDArray[np.int16]


class Levels(NamedTuple):
    """Machines in whole levels, the least price first; a row here is not a row of Nodes."""

    row_N: Integers  # of Nodes
    price_N: Floats
    compute_N: Shorts  # the less, the faster
    link_N: Shorts  # the less, the better: minus the level
    delay_N: Shorts

    def at(self, rows: Integers) -> "Levels":
        """Some of them, in this order."""
        return Levels(
            self.row_N[rows], self.price_N[rows], self.compute_N[rows], self.link_N[rows], self.delay_N[rows]
        )  # fmt: skip


def levels_of(nodes: Nodes, rows: Integers) -> Levels:
    """These machines of all, sorted and in levels."""
    order = rows[np.argsort(nodes.price_N[rows] * SERIAL_MAX + nodes.serial_N[rows])]
    return Levels(
        row_N=order,
        price_N=np.maximum(nodes.price_N[order], 1).astype(np.float64),
        compute_N=_up(nodes.compute_N, COMPUTE_GRAIN)[order],
        link_N=-_down(nodes.link_N, LINK_GRAIN)[order],
        delay_N=_up(np.maximum(nodes.delay_N, DELAY_SECONDS_MIN), DELAY_GRAIN)[order],
    )


def _up(value: Floats, grain: int) -> Shorts:
    return np.ceil(np.log2(np.maximum(value, 1e-9)) * grain - 1e-6).astype(np.int16)


def _down(value: Floats, grain: int) -> Shorts:
    return np.floor(np.log2(np.maximum(value, 1.0)) * grain + 1e-6).astype(np.int16)


def ladders_of(levels: Levels) -> tuple[list[int], ...]:
    """The ladders of speed, link and delay."""
    return tuple(map(ladder_of, (levels.compute_N, levels.link_N, levels.delay_N)))


def ladder_of(level_N: Shorts) -> list[int]:
    """The levels there are, the best first."""
    least = int(level_N.min())
    return (np.flatnonzero(np.bincount(level_N - least)) + least).tolist()


def of_large(group_N: Integers, count: int) -> tuple[Integers, Integers]:
    """(the machines of groups of at least so many, their groups), by group and in each by price."""
    large = np.bincount(group_N) >= count
    at = np.flatnonzero(large[group_N])
    group = group_N[at]
    # numbers of 16 bits are sorted by their digits, four times as fast
    order = np.argsort(group.astype(np.uint16) if len(large) < 1 << 16 else group, kind="stable")
    return at[order], group[order]


class Sets(NamedTuple):
    """The `count` cheapest machines of each group that has so many."""

    start_S: Integers
    group_S: Integers
    price_S: Floats
    wanted: int

    def members(self, number: int) -> Integers:
        """The places of one set's machines."""
        return np.arange(self.start_S[number], self.start_S[number] + self.wanted)


def cheapest_of_groups(group: Integers, price: Floats, count: int) -> Sets:
    """Of machines by group, in each by price."""
    is_first = np.empty(len(group), np.bool_)
    is_first[:1], is_first[1:] = True, group[1:] != group[:-1]
    starts = is_first.nonzero()[0]
    ends = np.append(starts[1:], len(group))
    starts = starts[ends - starts >= count]
    total = np.zeros(len(group) + 1)
    np.cumsum(price, out=total[1:])
    return Sets(starts, group[starts], total[starts + count] - total[starts], count)
