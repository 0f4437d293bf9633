"""A look: the cheapest set of machines that are at least so fast, so well linked and so near.

`plain_look` in numpy and `looks_kernel`, compiled, find the same machines.
"""

from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from gondwana.market.placement.levels import Levels, cheapest_of_groups
from gondwana.market.placement.model import Integers

GLANCE: Final = 4_096  # of the cheapest machines, which are often enough

Bools = NDArray[np.bool_]


class Look(Protocol):
    """Finds the `wanted` cheapest machines of the levels that are inside and no worse than a corner, as rows, or none.

    `corner` are the worst levels of compute, link and delay that they may have. With groups they are of one group, that
    whose set is the cheapest, the first of equals; the levels are then sorted by group.
    """

    def __call__(
        self, levels: Levels, inside_N: Bools | None, group_N: Integers | None, corner: Sequence[int], wanted: int, /
    ) -> Integers:  # fmt: skip
        """The machines' rows, the cheapest first."""
        ...


def plain_look(
    levels: Levels, inside_N: Bools | None, group_N: Integers | None, corner: Sequence[int], wanted: int, /
) -> Integers:  # fmt: skip
    """With numpy alone."""
    if group_N is None:
        rows = _within(levels, inside_N, corner, GLANCE)
        if len(rows) < wanted:
            rows = _within(levels, inside_N, corner, len(levels.price_N))
        return rows[:wanted] if len(rows) >= wanted else rows[:0]
    rows = _within(levels, inside_N, corner, len(levels.price_N))
    sets = cheapest_of_groups(group_N[rows], levels.price_N[rows], wanted)
    return rows[sets.members(int(sets.price_S.argmin()))] if len(sets.price_S) else rows[:0]


def _within(levels: Levels, inside_N: Bools | None, corner: Sequence[int], first: int) -> Integers:
    """Of the first so many rows, those that are inside and no worse than a corner."""
    compute, link, delay = corner
    fits = levels.compute_N[:first] <= compute
    fits &= levels.link_N[:first] <= link
    fits &= levels.delay_N[:first] <= delay
    if inside_N is not None:
        fits &= inside_N[:first]
    return fits.nonzero()[0]


def _fastest() -> Look:
    try:
        from gondwana.market.placement.looks_kernel import compiled_look
    except ModuleNotFoundError:
        return plain_look
    return compiled_look


LOOK: Final = _fastest()
