"""Sets of machines that stand together, and the search for the one whose step costs the least.

Three families of sets are searched: those of one site, those of one city, those of cities near each other. In each, the
`count` cheapest machines that are at least so fast, so well linked and so near are looked at, for levels of speed, link
and delay that are a few per cent to a half apart; so the best set of a family is found up to that grain. Boxes of
levels that cannot beat the best so far are passed over (branch and bound: the price of the loosest corner times the
step of the tightest is never more than what a set of the box costs).
"""

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gondwana.market.placement import rules
from gondwana.market.placement.model import Floats, Gang, Integers, Nodes, Work

COMPUTE_GRAIN: Final = 8  # levels of speed per doubling: 9 % apart
LINK_GRAIN: Final = 2  # of links: 41 % apart; they differ by thousands
DELAY_GRAIN: Final = 1
DELAY_SECONDS_MIN: Final = 0.001  # less counts as so much: it is nothing beside a city's width
SERIAL_MAX: Final = 1 << 24  # so that price and serial fit one number
GLANCE: Final = 4_096  # of the cheapest machines, which are often enough
LOOKS_MAX: Final = 400  # sets of machines that one order may have looked at
CITY_HOP_SECONDS: Final = 0.001  # inside a city, beside the access lines
RADII_SECONDS: Final = (0.01, 0.04, 1e3)  # of nearness, one way; the last is all
SEEDS_MAX: Final = 4  # cities around which others are gathered: those with the most machines

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


class _Corner(NamedTuple):
    """The worst levels that a set may have."""

    compute: int
    link: int
    delay: int


class Best:
    """The best set so far, and how many were looked at."""

    def __init__(self, gang: Gang, work: Work) -> None:
        self.gang, self.work = gang, work
        self.objective = (np.inf, np.inf)
        self.rows: Integers | None = None
        self.looks = 0

    def step(self, corner: _Corner, wide_seconds: float) -> float:
        """Seconds of a step of machines at these levels, their cities so far apart."""
        return rules.step_seconds(
            self.gang.count, compute_seconds=2.0 ** (corner.compute / COMPUTE_GRAIN),
            volume_bytes=self.work.volume_bytes, link_bits_per_second=2.0 ** (-corner.link / LINK_GRAIN),
            hop_seconds=wide_seconds + 2 * 2.0 ** (corner.delay / DELAY_GRAIN),
        )  # fmt: skip

    def may_win(self, price: float, step: float) -> bool:
        """Whether a set of at least this price and step could be the best."""
        seconds, most = self.gang.step_seconds_max, self.gang.price_micro_usd_per_hour_max
        within = (seconds is None or step <= seconds) and (most is None or price <= most)
        return within and (price * step, step) < self.objective

    def take(self, rows: Integers, price: float, step: float) -> None:
        """Keep this set, if it is the best."""
        if self.may_win(price, step):
            self.objective, self.rows = (price * step, step), rows


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


def search_sites(nodes: Nodes, levels: Levels, best: Best) -> None:
    """Sets of one site: its own network joins them."""
    at, group = _of_large(nodes.site_N[levels.row_N], best.gang.count)
    if not len(at):
        return
    lan_G = np.full(int(group.max()) + 1, np.inf)
    np.minimum.at(lan_G, group, nodes.lan_N[levels.row_N[at]])
    exchange_G = rules.exchange_seconds(
        best.gang.count, volume_bytes=best.work.volume_bytes, link_bits_per_second=lan_G,
        hop_seconds=np.full(len(lan_G), rules.LAN_HOP_SECONDS),
    )  # fmt: skip
    compute, price = levels.compute_N[at], levels.price_N[at]
    for level in _ladder(compute):
        fast = np.flatnonzero(compute <= level)
        sets = _cheapest_of_groups(group[fast], price[fast], best.gang.count)
        step_S = 2.0 ** (level / COMPUTE_GRAIN) + exchange_G[sets.group_S]
        cost_S = np.where(
            _fits_caps(sets.price_S, step_S, best.gang), sets.price_S * step_S, np.inf
        )
        if len(cost_S):
            first = int(np.lexsort((step_S, cost_S))[0])
            rows = levels.row_N[at[fast[sets.members(first)]]]
            best.take(rows, float(sets.price_S[first]), float(step_S[first]))


def _fits_caps(price_S: Floats, step_S: Floats, gang: Gang) -> NDArray[np.bool_]:
    price, step = gang.price_micro_usd_per_hour_max, gang.step_seconds_max
    return (price_S <= (np.inf if price is None else price)) & (
        step_S <= (np.inf if step is None else step)
    )


def search_cities(nodes: Nodes, levels: Levels, best: Best) -> None:
    """Sets of one city: its owners' access lines join them."""
    at, group = _of_large(nodes.city_N[levels.row_N], best.gang.count)
    if len(at):
        large = levels.at(at)
        field = _Field(large, _ladders(large), best.gang.count, CITY_HOP_SECONDS, group_N=group)
        _explore([field], best)


def search_near(nodes: Nodes, levels: Levels, best: Best) -> None:
    """Sets of cities near one: whatever is within a radius of it; the last radius is the whole network."""
    apart_CC = np.sqrt(((nodes.point_C3[:, None] - nodes.point_C3[None]) ** 2).sum(axis=2))
    city_N = nodes.city_N[levels.row_N]
    count_C = np.bincount(city_N, minlength=len(nodes.point_C3))
    seeds = np.argsort(-count_C, kind="stable")[:SEEDS_MAX]
    ladders, fields = _ladders(levels), dict[bytes, _Field]()
    for radius in RADII_SECONDS:
        for seed in seeds[count_C[seeds] > 0]:
            inside_C = (apart_CC[seed] <= radius) & (count_C > 0)
            mark = inside_C.tobytes()
            if inside_C.sum() < 2 or count_C[inside_C].sum() < best.gang.count or mark in fields:
                continue
            wide = float(apart_CC[np.ix_(inside_C, inside_C)].max())
            inside_N = None if inside_C.sum() == (count_C > 0).sum() else inside_C[city_N]
            fields[mark] = _Field(levels, ladders, best.gang.count, wide, inside_N=inside_N)
    _explore(list(fields.values()), best)


class _Field(NamedTuple):
    """Machines of which a set is looked for: of one group of them, or of all that are inside."""

    levels: Levels
    ladders: tuple[list[int], ...]  # the levels there are, the best first
    wanted: int
    wide_seconds: float
    inside_N: NDArray[np.bool_] | None = None
    group_N: Integers | None = None

    def look(self, corner: _Corner) -> tuple[float, Integers] | None:
        """(price, rows of the levels) of the cheapest set no worse than a corner."""
        if self.group_N is None:
            members = self._within(corner, GLANCE)
            if len(members) < self.wanted:
                members = self._within(corner, len(self.levels.price_N))
            members = members[: self.wanted]
            whole = len(members) == self.wanted
            return (float(self.levels.price_N[members].sum()), members) if whole else None
        within = self._within(corner, len(self.levels.price_N))
        sets = _cheapest_of_groups(self.group_N[within], self.levels.price_N[within], self.wanted)
        if not len(sets.price_S):
            return None
        first = int(sets.price_S.argmin())
        return float(sets.price_S[first]), within[sets.members(first)]

    def _within(self, corner: _Corner, first: int) -> Integers:
        """Of the first so many rows, those that are inside and no worse than a corner."""
        levels = self.levels
        fits = levels.compute_N[:first] <= corner.compute
        fits &= levels.link_N[:first] <= corner.link
        fits &= levels.delay_N[:first] <= corner.delay
        if self.inside_N is not None:
            fits &= self.inside_N[:first]
        return np.flatnonzero(fits)


_Box = tuple[tuple[int, int], ...]
"""(the tightest, the loosest) place on each ladder."""


def _explore(fields: Sequence[_Field], best: Best) -> None:
    """Keep the best set of all fields: boxes of levels are halved, those that promise the most first."""
    heap: list[tuple[float, int, int, float, _Box]] = []

    def add(number: int, box: _Box, price: float | None) -> None:
        field = fields[number]
        tight, loose = (_corner(field, [side[end] for side in box]) for end in (0, 1))
        if not best.may_win(0.0 if price is None else price, best.step(tight, field.wide_seconds)):
            return
        if price is None:
            best.looks += 1
            found = field.look(loose)
            if found is None:
                return
            price, rows = found
            best.take(field.levels.row_N[rows], price, best.step(loose, field.wide_seconds))
        step = best.step(tight, field.wide_seconds)
        if tight != loose and best.may_win(price, step):
            heappush(heap, (price * step, len(heap) + best.looks, number, price, box))

    for number, field in enumerate(fields):
        add(number, tuple((0, len(ladder) - 1) for ladder in field.ladders), None)
    while heap and best.looks < LOOKS_MAX:
        bound, _, number, price, box = heappop(heap)
        if bound > best.objective[0]:
            return
        loose_half, tight_half = _halves(fields[number], box, best)
        add(number, loose_half, price)
        add(number, tight_half, None)


def _corner(field: _Field, places: Sequence[int]) -> _Corner:
    return _Corner(*(ladder[place] for ladder, place in zip(field.ladders, places, strict=True)))


def _halves(field: _Field, box: _Box, best: Best) -> tuple[_Box, _Box]:
    """A box cut in the side that matters most for the step: (the looser half, the tighter)."""
    loosest = [side[1] for side in box]

    def gained(axis: int) -> float:
        places = [*loosest[:axis], box[axis][0], *loosest[axis + 1 :]]
        shorter = best.step(_corner(field, places), field.wide_seconds)
        return -shorter if box[axis][0] < box[axis][1] else -np.inf

    axis = max(range(len(box)), key=gained)
    low, high = box[axis]
    middle = (low + high) // 2
    looser = (*box[:axis], (middle + 1, high), *box[axis + 1 :])
    return looser, (*box[:axis], (low, middle), *box[axis + 1 :])


def _ladders(levels: Levels) -> tuple[list[int], ...]:
    return tuple(map(_ladder, (levels.compute_N, levels.link_N, levels.delay_N)))


def _ladder(level_N: Shorts) -> list[int]:
    """The levels there are, the best first."""
    least = int(level_N.min())
    return (np.flatnonzero(np.bincount(level_N - least)) + least).tolist()


def _of_large(group_N: Integers, count: int) -> tuple[Integers, Integers]:
    """(the machines of groups of at least so many, their groups), by group and in each by price."""
    large = np.bincount(group_N) >= count
    at = np.flatnonzero(large[group_N])
    group = group_N[at]
    # numbers of 16 bits are sorted by their digits, four times as fast
    order = np.argsort(group.astype(np.uint16) if len(large) < 1 << 16 else group, kind="stable")
    return at[order], group[order]


class _Sets(NamedTuple):
    """The `count` cheapest machines of each group that has so many."""

    start_S: Integers
    group_S: Integers
    price_S: Floats
    wanted: int

    def members(self, number: int) -> Integers:
        """The places of one set's machines."""
        return np.arange(self.start_S[number], self.start_S[number] + self.wanted)


def _cheapest_of_groups(group: Integers, price: Floats, count: int) -> _Sets:
    """Of machines by group, in each by price."""
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    starts = starts[np.diff(starts, append=len(group)) >= count]
    total = np.concatenate(([0.0], np.cumsum(price)))
    return _Sets(starts, group[starts], total[starts + count] - total[starts], count)
