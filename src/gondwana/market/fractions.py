"""Which of equally cheap machines takes an order for a part of one: where it breaks the least, then the fullest.

Fragmentation gradient descent (Weng et al., USENIX ATC'23) for whole devices: what is free on a machine is a fragment
to every typical order that wants more than that; an order goes where these fragments grow the least, in steps of one
device of the mean order. Of equals the machine with the fewest free devices takes it (best fit), then who joined first.
Exact growth serves fewer whole machines than best fit alone (docs/adr/0014-placement.md): finer differences scatter.
The price comes before all of that: only machines of one price and of alike measured speed are told apart here.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]

TIES_ROWS: Final = 64  # offers of a bucket, past those that are needed, that may be better equals
DEVICES_MAX: Final = 64  # more free devices of a machine count as so many
DEMAND_MAX: Final = 4_096  # machines asked for by a kind of order; then all before counts half
LOOK_AGAIN_SHARE: Final = 8  # preferences are made anew as demand has grown by an eighth
KINDS_MAX: Final = 1_024  # of orders, by the models that they name

BEST_FIT: Final = np.arange(DEVICES_MAX + 1, dtype=np.int64)
"""The preferences while nobody asked for anything: the fewest free devices first."""


def fragments(asked: Numbers) -> Numbers:
    """Of a machine by its free devices: how many of them the typical order cannot use, times the number of orders.

    `asked`: machines asked for, by devices of each. With more wanted than is free, all that is free is a fragment; with
    less, none is, since devices are whole.
    """
    wants_more = asked.sum() - np.cumsum(asked)
    return wants_more * np.arange(len(asked), dtype=np.int64)


def preferences(asked: Numbers, devices: int) -> Numbers:
    """Ranks of machines by their free devices, for an order of so many: the least is to be taken first.

    Ranks are unique; what has too few devices comes last.
    """
    free = np.arange(len(asked), dtype=np.int64)
    after = np.maximum(free - devices, 0)
    lost = fragments(asked)
    steps = max(1, 2 * int(asked.sum()))
    growth = (2 * (lost[after] - lost) + steps // 2) // steps  # in whole devices of the mean order
    order = np.lexsort((free, growth, free < devices))
    ranks = np.empty_like(free)
    ranks[order] = free
    return ranks


class Demand:
    """What orders asked of each machine lately, by the models they name. Not for two threads at once."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, ...], _Kind] = {}

    def add(self, models: tuple[str, ...], devices: int, machines: int) -> None:
        """An order asks for machines with so many free devices each."""
        kind = self._kinds.get(models)
        if kind is None:
            if len(self._kinds) >= KINDS_MAX:
                self._kinds.clear()
            kind = self._kinds[models] = _Kind()
        kind.add(min(devices, DEVICES_MAX), machines)

    def preferences(self, models: tuple[str, ...], devices: int) -> Numbers:
        """The ranks for an order, as `preferences` has them."""
        kind = self._kinds.get(models)
        return BEST_FIT if kind is None else kind.preferences(min(devices, DEVICES_MAX))


class _Kind:
    """Orders that name the same models."""

    def __init__(self) -> None:
        self._asked = np.zeros(DEVICES_MAX + 1, dtype=np.int64)
        self._total = self._looked_at = 0
        self._ranks: dict[int, Numbers] = {}

    def add(self, devices: int, machines: int) -> None:
        self._asked[devices] += machines
        self._total += machines
        if self._total >= DEMAND_MAX:
            self._asked //= 2
            self._total = self._looked_at = int(self._asked.sum())
            self._ranks.clear()
        elif self._total - self._looked_at > self._looked_at // LOOK_AGAIN_SHARE:
            self._looked_at = self._total
            self._ranks.clear()

    def preferences(self, devices: int) -> Numbers:
        found = self._ranks.get(devices)
        if found is None:
            found = self._ranks[devices] = preferences(self._asked, devices)
        return found
