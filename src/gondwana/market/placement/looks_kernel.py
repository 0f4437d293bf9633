"""The look of `looks`, compiled by numba: it ends with the last machine that is wanted."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from gondwana.market.compiled import compiled
from gondwana.market.placement.levels import Levels, Shorts
from gondwana.market.placement.looks import Bools
from gondwana.market.placement.model import Floats, Integers

ALL: Final = np.empty(0, np.bool_)
BLOCK: Final = 1_024  # rows compared at a time
UNGROUPED: Final = np.empty(0, np.int64)


def compiled_look(
    levels: Levels, inside_N: Bools | None, group_N: Integers | None, corner: Sequence[int], wanted: int, /
) -> Integers:  # fmt: skip
    """The rows of the cheapest set."""
    compute, link, delay = corner
    return _look(
        levels.price_N, levels.compute_N, levels.link_N, levels.delay_N, ALL if inside_N is None else inside_N,
        UNGROUPED if group_N is None else group_N, np.int16(compute), np.int16(link), np.int16(delay), wanted,
    )  # fmt: skip


@compiled
def _look(
    price_N: Floats, compute_N: Shorts, link_N: Shorts, delay_N: Shorts, inside_N: Bools, group_N: Integers,
    compute: np.int16, link: np.int16, delay: np.int16, wanted: int,
) -> Integers:  # fmt: skip
    found, best = np.empty(wanted, np.int64), np.empty(wanted, np.int64)
    fits = np.empty(BLOCK, np.int16)
    size, group, price, least = 0, -1, 0.0, np.inf
    for start in range(0, len(price_N), BLOCK):
        speeds, links, delays = (
            compute_N[start : start + BLOCK],
            link_N[start : start + BLOCK],
            delay_N[start : start + BLOCK],
        )
        length = len(speeds)
        hits = np.int16(0)
        for at in range(length):  # without a branch: many rows to an instruction
            fit = np.int16((speeds[at] <= compute) & (links[at] <= link) & (delays[at] <= delay))
            fits[at] = fit
            hits += fit
        if not hits:
            continue
        for at in range(length):
            row = start + at
            if not fits[at] or (len(inside_N) and not inside_N[row]):
                continue
            if len(group_N) and group_N[row] != group:
                size, group, price = 0, group_N[row], 0.0
            if size == wanted:
                continue
            found[size] = row
            size += 1
            price += price_N[row]
            if size == wanted and price < least:
                least = price
                best[:] = found
                if not len(group_N):
                    return best
    return best if least < np.inf else best[:0]
