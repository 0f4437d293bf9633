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

from gondwana.market.placement import rules
from gondwana.market.placement.levels import (
    COMPUTE_GRAIN,
    DELAY_GRAIN,
    LINK_GRAIN,
    Levels,
    cheapest_of_groups,
    ladder_of,
    ladders_of,
    of_large,
)
from gondwana.market.placement.looks import LOOK, Bools
from gondwana.market.placement.model import Floats, Gang, Integers, Nodes, Work

LOOKS_MAX: Final = 400  # sets of machines that one order may have looked at
CITY_HOP_SECONDS: Final = 0.001  # inside a city, beside the access lines
RADII_SECONDS: Final = (0.01, 0.04, 1e3)  # of nearness, one way; the last is all
SEEDS_MAX: Final = 4  # cities around which others are gathered: those with the most machines


class Best:
    """The best set so far, and how many were looked at."""

    def __init__(self, gang: Gang, work: Work) -> None:
        self.gang, self.work = gang, work
        self.objective = (np.inf, np.inf)
        self.rows: Integers | None = None
        self.looks = 0

    def may_win(self, price: float, step: float) -> bool:
        """Whether a set of at least this price and step could be the best."""
        seconds, most = self.gang.step_seconds_max, self.gang.price_micro_usd_per_hour_max
        within = (seconds is None or step <= seconds) and (most is None or price <= most)
        return within and (price * step, step) < self.objective

    def take(self, rows: Integers, price: float, step: float) -> None:
        """Keep this set, if it is the best."""
        if self.may_win(price, step):
            self.objective, self.rows = (price * step, step), rows


def search_sites(nodes: Nodes, levels: Levels, best: Best) -> None:
    """Sets of one site: its own network joins them."""
    at, group = of_large(nodes.site_N[levels.row_N], best.gang.count)
    if not len(at):
        return
    lan_G = np.full(int(group.max()) + 1, np.inf)
    np.minimum.at(lan_G, group, nodes.lan_N[levels.row_N[at]])
    exchange_G = rules.exchange_seconds(
        best.gang.count, volume_bytes=best.work.volume_bytes, link_bits_per_second=lan_G,
        hop_seconds=np.full(len(lan_G), rules.LAN_HOP_SECONDS),
    )  # fmt: skip
    compute, price = levels.compute_N[at], levels.price_N[at]
    for level in ladder_of(compute):
        fast = np.flatnonzero(compute <= level)
        sets = cheapest_of_groups(group[fast], price[fast], best.gang.count)
        step_S = 2.0 ** (level / COMPUTE_GRAIN) + exchange_G[sets.group_S]
        cost_S = np.where(
            _fits_caps(sets.price_S, step_S, best.gang), sets.price_S * step_S, np.inf
        )
        if len(cost_S):
            first = int(np.lexsort((step_S, cost_S))[0])
            rows = levels.row_N[at[fast[sets.members(first)]]]
            best.take(rows, float(sets.price_S[first]), float(step_S[first]))


def _fits_caps(price_S: Floats, step_S: Floats, gang: Gang) -> Bools:
    price, step = gang.price_micro_usd_per_hour_max, gang.step_seconds_max
    return (price_S <= (np.inf if price is None else price)) & (
        step_S <= (np.inf if step is None else step)
    )


def search_cities(nodes: Nodes, levels: Levels, best: Best) -> None:
    """Sets of one city: its owners' access lines join them."""
    at, group = of_large(nodes.city_N[levels.row_N], best.gang.count)
    if len(at):
        large = levels.at(at)
        _explore([_field(large, ladders_of(large), best, CITY_HOP_SECONDS, group_N=group)], best)


def search_near(nodes: Nodes, levels: Levels, best: Best) -> None:
    """Sets of cities near one: whatever is within a radius of it; the last radius is the whole network."""
    apart_CC = np.sqrt(((nodes.point_C3[:, None] - nodes.point_C3[None]) ** 2).sum(axis=2))
    city_N = nodes.city_N[levels.row_N]
    count_C = np.bincount(city_N, minlength=len(nodes.point_C3))
    seeds = np.argsort(-count_C, kind="stable")[:SEEDS_MAX]
    ladders, fields = ladders_of(levels), dict[bytes, _Field]()
    for radius in RADII_SECONDS:
        for seed in seeds[count_C[seeds] > 0]:
            inside_C = (apart_CC[seed] <= radius) & (count_C > 0)
            mark = inside_C.tobytes()
            if inside_C.sum() < 2 or count_C[inside_C].sum() < best.gang.count or mark in fields:
                continue
            wide = float(apart_CC[np.ix_(inside_C, inside_C)].max())
            inside_N = None if inside_C.sum() == (count_C > 0).sum() else inside_C[city_N]
            fields[mark] = _field(levels, ladders, best, wide, inside_N=inside_N)
    _explore(list(fields.values()), best)


_Places = tuple[int, int, int]
"""On the ladders of speed, link and delay, the best first."""
_Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
"""(the tightest, the loosest) place on each ladder."""


class _Field(NamedTuple):
    """Machines of which a set is looked for: of one group of them, or of all that are inside."""

    levels: Levels
    ladders: tuple[list[int], ...]  # the levels there are, the best first
    wanted: int
    compute_seconds: list[float]  # of a step, by place on the ladder of speed
    exchange_seconds: list[list[float]]  # the rest of it, by place on the ladders of link and delay
    inside_N: Bools | None = None
    group_N: Integers | None = None

    def step_seconds(self, places: _Places) -> float:
        """Of machines at these places."""
        compute, link, delay = places
        return self.compute_seconds[compute] + self.exchange_seconds[link][delay]

    def look(self, places: _Places) -> tuple[float, Integers] | None:
        """(price, rows of the levels) of the cheapest set no worse than these places."""
        corner = [ladder[place] for ladder, place in zip(self.ladders, places, strict=True)]
        rows = LOOK(self.levels, self.inside_N, self.group_N, corner, self.wanted)
        return (float(self.levels.price_N[rows].sum()), rows) if len(rows) else None


def _field(
    levels: Levels, ladders: tuple[list[int], ...], best: Best, wide_seconds: float, *,
    inside_N: Bools | None = None, group_N: Integers | None = None,
) -> _Field:  # fmt: skip
    """The machines of levels with what a step takes at each place, their cities so far apart."""
    compute, link, delay = (np.array(ladder, np.float64) for ladder in ladders)
    count, hop_seconds = best.gang.count, wide_seconds + 2 * 2.0 ** (delay / DELAY_GRAIN)
    exchange = rules.exchange_seconds(
        count, volume_bytes=best.work.volume_bytes,
        link_bits_per_second=2.0 ** (-link / LINK_GRAIN)[:, None], hop_seconds=hop_seconds[None],
    )  # fmt: skip
    exchange = np.broadcast_to(exchange, (len(link), len(delay)))
    compute_seconds = 2.0 ** (compute / COMPUTE_GRAIN)
    return _Field(
        levels, ladders, count, compute_seconds.tolist(), exchange.tolist(), inside_N, group_N
    )


def _explore(fields: Sequence[_Field], best: Best) -> None:
    """Keep the best set of all fields: boxes of levels are halved, those that promise the most first."""
    heap: list[tuple[float, int, int, float, _Box]] = []

    def add(number: int, box: _Box, price: float | None) -> None:
        field, ((speed, slowest), (link, worst), (delay, longest)) = fields[number], box
        step = field.step_seconds((speed, link, delay))
        if not best.may_win(0.0 if price is None else price, step):
            return
        if price is None:
            best.looks += 1
            loose = (slowest, worst, longest)
            found = field.look(loose)
            if found is None:
                return
            price, rows = found
            best.take(field.levels.row_N[rows], price, field.step_seconds(loose))
        is_one = speed == slowest and link == worst and delay == longest
        if not is_one and best.may_win(price, step):
            heappush(heap, (price * step, len(heap) + best.looks, number, price, box))

    for number, field in enumerate(fields):
        speed, link, delay = (len(ladder) - 1 for ladder in field.ladders)
        add(number, ((0, speed), (0, link), (0, delay)), None)
    while heap and best.looks < LOOKS_MAX:
        bound, _, number, price, box = heappop(heap)
        if bound > best.objective[0]:
            return
        loose_half, tight_half = _halves(fields[number], box)
        add(number, loose_half, price)
        add(number, tight_half, None)


def _halves(field: _Field, box: _Box) -> tuple[_Box, _Box]:
    """A box cut in the side that matters most for the step: (the looser half, the tighter)."""
    speeds, links, delays = box
    slowest, worst, longest = speeds[1], links[1], delays[1]
    shortest = (
        field.step_seconds((speeds[0], worst, longest)) if speeds[0] < slowest else np.inf,
        field.step_seconds((slowest, links[0], longest)) if links[0] < worst else np.inf,
        field.step_seconds((slowest, worst, delays[0])) if delays[0] < longest else np.inf,
    )
    axis = shortest.index(min(shortest))
    low, high = box[axis]
    middle = (low + high) // 2

    def cut(side: tuple[int, int]) -> _Box:
        sides = [*box[:axis], side, *box[axis + 1 :]]
        return sides[0], sides[1], sides[2]

    return cut((middle + 1, high)), cut((low, middle))
