"""Which machines a gang gets: the least price of a step, over sets of machines that stand together (`sets`).

The fastest and the cheapest machines are always weighed too, and the last word has `ring`, which reckons each finalist
with its real links.
"""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from gondwana.market.placement import rules
from gondwana.market.placement.levels import levels_of
from gondwana.market.placement.model import (
    Floats,
    Gang,
    How,
    Integers,
    IslandWork,
    Nodes,
    Pairs,
    Placement,
    Work,
)
from gondwana.market.placement.sets import (
    CITY_HOP_SECONDS,
    Best,
    search_cities,
    search_near,
    search_sites,
)

REPLACEMENTS_MAX: Final = 512  # machines weighed for the place of a lost one
REPAIRS_MAX: Final = 4  # machines left out because their measured links are bad
SURPRISE: Final = 1.25  # a step that much longer than was expected before the links were measured
ROUNDS_MAX: Final = 12  # of the search for the best ratio; it needs three or four


def place(nodes: Nodes, gang: Gang, work: Work, *, pairs: Pairs | None = None) -> Placement | None:
    """The machines that a gang gets, all of them or None: of what fits its caps, the least price of a step.

    `pairs` are measured links; where there is none, the columns tell. The same nodes in another order give the same
    machines.
    """
    rows, options = np.arange(len(nodes.price_N)), list[Placement]()
    for _ in range(REPAIRS_MAX + 1):
        options += finalists(nodes, gang, work, pairs=pairs, rows=rows)
        worst = _worst_linked(nodes, options[0], work, pairs) if options and pairs else None
        if worst is None:
            break
        rows = rows[rows != worst]  # without the machine whose links turned out bad
        options.sort(key=lambda each: _rank(nodes, each))
    return min(options, key=lambda each: _rank(nodes, each), default=None)


def finalists(
    nodes: Nodes,
    gang: Gang,
    work: Work,
    *,
    pairs: Pairs | None = None,
    rows: Integers | None = None,
) -> list[Placement]:
    """The best set of each family, the best of them first: whose links are worth to be measured.

    `rows` are the machines that may be chosen; None: all.
    """
    rows = np.arange(len(nodes.price_N)) if rows is None else rows
    if gang.count < 1 or len(rows) < gang.count:
        return []
    levels = levels_of(nodes, rows)
    found: dict[How, Integers] = {
        How.CHEAPEST: levels.row_N[: gang.count],
        How.FASTEST: _fastest(nodes, rows, gang.count),
    }
    best = Best(gang, work)
    searches: dict[How, Callable[[], None]] = {
        How.SITE: lambda: search_sites(nodes, levels, best),
        How.CITY: lambda: search_cities(nodes, levels, best),
        How.NEAR: lambda: search_near(nodes, levels, best),
    }
    for how, search in searches.items():
        before = best.rows
        search()
        if best.rows is not None and best.rows is not before:
            found[how] = best.rows
    weighed = (ring(nodes, each, how, work, pairs=pairs) for how, each in found.items())
    within = {each.rows: each for each in weighed if _is_within(each, gang)}
    return sorted(within.values(), key=lambda each: _rank(nodes, each))


def replace(
    nodes: Nodes, kept: Sequence[int], gang: Gang, work: Work, *, pairs: Pairs | None = None
) -> Placement | None:
    """What a gang gets beside the machines that it keeps: one after the other, each the least price of a step."""
    rows = list(kept)
    while len(rows) < gang.count:
        left = np.setdiff1d(np.arange(len(nodes.price_N)), rows)
        left = left[np.lexsort((nodes.serial_N[left], nodes.price_N[left]))]
        near = np.isin(nodes.site_N[left], nodes.site_N[rows]) * 2 + np.isin(
            nodes.city_N[left], nodes.city_N[rows]
        )
        left = left[np.argsort(-near, kind="stable")][:REPLACEMENTS_MAX]
        if not len(left):
            return None
        tried = (
            ring(nodes, np.array([*rows, row]), How.KEPT, work, pairs=pairs)
            for row in left.tolist()
        )
        _, row = min(zip(tried, left.tolist(), strict=True), key=lambda each: _rank(nodes, each[0]))
        rows.append(row)
    placed = ring(nodes, np.array(rows), How.KEPT, work, pairs=pairs)
    return placed if _is_within(placed, gang) else None


def islands(
    nodes: Nodes, gang: Gang, work: IslandWork, *, down_N: Floats, round_trip_N: Floats
) -> Placement | None:
    """The islands of a training: those that together do a step for the least, each at its own speed.

    They meet the control plane alone, so it does not matter where they stand, only how they reach it. It is exact: the
    least ratio of prices to speeds over all sets of so many (Dinkelbach).
    """
    if gang.count < 1 or len(nodes.price_N) < gang.count:
        return None
    step_N = rules.island_step_seconds(
        work, compute_seconds=nodes.compute_N, up_bits_per_second=nodes.link_N, down_bits_per_second=down_N,
        round_trip_seconds=round_trip_N,
    )  # fmt: skip
    price_N, speed_N = np.maximum(nodes.price_N, 1).astype(np.float64), 1 / step_N
    rows, ratio = np.arange(0), float((price_N / speed_N).min())
    for _ in range(ROUNDS_MAX):
        rows = np.lexsort((nodes.serial_N, price_N - ratio * speed_N))[: gang.count]
        before, ratio = ratio, float(price_N[rows].sum() / speed_N[rows].sum())
        if abs(ratio - before) <= 1e-9 * ratio:
            break
    rows = rows[np.lexsort((nodes.serial_N[rows], nodes.price_N[rows] / speed_N[rows]))]
    placed = Placement(
        rows=tuple(rows.tolist()),
        how=How.APART,
        step_seconds=float(step_N[rows].max()),
        price_micro_usd_per_hour=int(nodes.price_N[rows].sum()),
    )
    return placed if _is_within(placed, gang) else None


def ring(
    nodes: Nodes, rows: Integers, how: How, work: Work, *, pairs: Pairs | None = None
) -> Placement:
    """These machines in a ring that crosses as few lines as it can, with the step that they take."""
    rows = _ring_order(nodes, rows)
    after = np.roll(rows, -1)
    same = nodes.site_N[rows] == nodes.site_N[after]
    link = np.where(
        same,
        np.minimum(nodes.lan_N[rows], nodes.lan_N[after]),
        np.minimum(nodes.link_N[rows], nodes.link_N[after]),
    )
    away = nodes.point_C3[nodes.city_N[rows]] - nodes.point_C3[nodes.city_N[after]]
    far = np.maximum(np.sqrt((away**2).sum(axis=1)), CITY_HOP_SECONDS)
    hop = np.where(same, rules.LAN_HOP_SECONDS, nodes.delay_N[rows] + nodes.delay_N[after] + far)
    if pairs:
        for at, (one, other) in enumerate(zip(rows.tolist(), after.tolist(), strict=True)):
            if measured := pairs.get((min(one, other), max(one, other))):
                hop[at], link[at] = measured
    if len(rows) and same.all():
        how = How.SITE
    elif len(set(nodes.city_N[rows].tolist())) == 1:
        how = How.CITY
    step = rules.step_seconds(
        len(rows), compute_seconds=float(nodes.compute_N[rows].max()), volume_bytes=work.volume_bytes,
        link_bits_per_second=float(link.min()), hop_seconds=float(hop.max()),
    )  # fmt: skip
    price = int(nodes.price_N[rows].sum())
    return Placement(
        rows=tuple(rows.tolist()), how=how, step_seconds=float(step), price_micro_usd_per_hour=price
    )


def _ring_order(nodes: Nodes, rows: Integers) -> Integers:
    """By city, each followed by the nearest that is left; in a city by site, in a site by serial."""
    city_K, city_first = _by_first(nodes.city_N[rows], nodes.serial_N[rows])
    point_C3 = nodes.point_C3[nodes.city_N[rows[city_first]]]
    apart_CC = ((point_C3[:, None] - point_C3[None]) ** 2).sum(axis=2)
    turn_C, city = np.empty(len(point_C3), np.int64), 0
    for turn in range(len(point_C3)):
        turn_C[city] = turn
        apart_CC[:, city] = np.inf
        city = int(apart_CC[city].argmin())
    site_K, _ = _by_first(nodes.site_N[rows], nodes.serial_N[rows])  # a site's name means nothing
    return rows[np.lexsort((nodes.serial_N[rows], site_K, turn_C[city_K]))]


def _by_first(group_K: Integers, serial_K: Integers) -> tuple[Integers, Integers]:
    """(the number of each one's group, the place of each group's first): groups by their least serial."""
    order = np.argsort(serial_K, kind="stable")
    _, first, number = np.unique(group_K[order], return_index=True, return_inverse=True)
    rank_of = np.empty(len(first), np.int64)
    by_first = np.argsort(first)
    rank_of[by_first] = np.arange(len(first))
    group = np.empty(len(group_K), np.int64)
    group[order] = rank_of[number]
    return group, order[first[by_first]]


def _rank(nodes: Nodes, placed: Placement) -> tuple[float, float, list[int]]:
    price, serials = max(placed.price_micro_usd_per_hour, 1), nodes.serial_N[list(placed.rows)]
    return price * placed.step_seconds, placed.step_seconds, serials.tolist()


def _worst_linked(nodes: Nodes, placed: Placement, work: Work, pairs: Pairs) -> int | None:
    """The machine whose measured links are the slowest, where they make a step far longer than was expected."""
    expected = ring(nodes, np.array(placed.rows), placed.how, work)
    if placed.step_seconds <= expected.step_seconds * SURPRISE:
        return None
    lost = dict.fromkeys(placed.rows, 0.0)
    for (one, other), link in pairs.items():
        if one in lost and other in lost:
            bits_per_second = max(link.bits_per_second, rules.LINK_BITS_PER_SECOND_MIN)
            seconds = link.hop_seconds + 8 * work.volume_bytes / len(lost) / bits_per_second
            lost[one], lost[other] = lost[one] + seconds, lost[other] + seconds
    return max(lost, key=lambda row: (lost[row], int(nodes.serial_N[row])))


def _is_within(placed: Placement, gang: Gang) -> bool:
    price, seconds = gang.price_micro_usd_per_hour_max, gang.step_seconds_max
    dear = price is not None and placed.price_micro_usd_per_hour > price
    return not dear and (seconds is None or placed.step_seconds <= seconds)


def _fastest(nodes: Nodes, rows: Integers, count: int) -> Integers:
    compute = nodes.compute_N[rows]
    rows = rows[compute <= np.partition(compute, count - 1)[count - 1]]
    order = np.lexsort((nodes.serial_N[rows], nodes.price_N[rows], nodes.compute_N[rows]))
    return rows[order[:count]]
