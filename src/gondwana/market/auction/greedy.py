"""Gangs served one after the other, each by the cheapest asks left: in which sequence that is worth most.

Several sequences that do well are tried, then the best one is shaken again and again. Everything is whole numbers and
comes from the seed, so the compiled search and the plain one give the same answer, on every machine.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from gondwana.market.auction.model import Auction, Numbers

RESTARTS_MAX: Final = 100_000
COUNT_MIN, COUNT_MAX, DEVICES, CAP = range(4)  # the columns of a table's gangs
SHAKES: Final = (2, 4, 8, 16, 40)  # places that a gang may move by, in turn
SEED_MAX: Final = 2**31  # the generator's numbers are below this


class Table(NamedTuple):
    """An auction as whole numbers; what may serve gang g lies from firsts[g] to firsts[g + 1], cheapest first."""

    gangs: Numbers  # one row per gang
    firsts: Numbers
    asks: Numbers
    prices: Numbers
    free: Numbers  # devices of each ask


Search = Callable[[Table, Numbers, int, int], Numbers]
"""(table, sequences to begin with, restarts, seed) -> the best sequence found."""


def table_of(auction: Auction, prices: Numbers) -> Table:
    """The auction's numbers with these prices of its asks; asks above a gang's cap are no asks to it."""
    serials = np.array([ask.serial for ask in auction.asks], dtype=np.int64)
    by_price = np.lexsort((serials, prices)).astype(np.int64)
    place = np.empty_like(by_price)
    place[by_price] = np.arange(len(by_price), dtype=np.int64)
    parts: list[Numbers] = []
    for gang, fits in zip(auction.gangs, auction.fits, strict=True):
        asks = by_price[np.sort(place[fits])]
        parts.append(asks[prices[asks] <= gang.cap_micro_usd_per_device_hour])
    counts = np.array([0, *(len(part) for part in parts)], dtype=np.int64)
    asks = np.concatenate([*parts, np.zeros(0, dtype=np.int64)])
    rows = [(gang.count_min, gang.count_max, gang.devices, gang.cap_micro_usd_per_device_hour)
            for gang in auction.gangs]  # fmt: skip
    return Table(
        gangs=np.array(rows, dtype=np.int64).reshape(len(rows), 4),
        firsts=np.cumsum(counts),
        asks=asks,
        prices=prices[asks],
        free=np.array([ask.devices for ask in auction.asks], dtype=np.int64),
    )


def sequences(table: Table) -> Numbers:
    """Sequences to begin with: by value per device, total value, value by root of size, gain, gain by root, arrival."""
    size = (table.gangs[:, COUNT_MAX] * table.gangs[:, DEVICES]).astype(np.float64)
    value = table.gangs[:, CAP] * size
    gain = np.maximum(value - _least_cost(table), 0.0)
    root = np.sqrt(np.maximum(size, 1.0))
    keys = (table.gangs[:, CAP].astype(np.float64), value, value / root, gain, gain / root)
    found = [np.argsort(-key, kind="stable").astype(np.int64) for key in keys]
    return np.stack([*found, np.arange(len(size), dtype=np.int64)])


def _least_cost(table: Table) -> Numbers:
    """What each gang would cost if it were alone."""
    costs = np.zeros(len(table.gangs), dtype=np.int64)
    for gang, (_, count_max, devices, _) in enumerate(table.gangs.tolist()):
        first, last = table.firsts[gang], table.firsts[gang + 1]
        costs[gang] = table.prices[first : min(last, first + count_max)].sum() * devices
    return costs


def best_sequence(
    auction: Auction, prices: Numbers, *, restarts: int, seed: int, search: Search | None = None
) -> list[int]:
    """In which sequence to serve the gangs, by these prices; the more restarts, the better, at the same time each."""
    if len(auction.gangs) < 2:
        return list(range(len(auction.gangs)))
    table = table_of(auction, prices)
    start = sequences(table)
    found = (search or SEARCH)(table, start, min(restarts, RESTARTS_MAX), seed % SEED_MAX)
    return found.tolist()


def _fastest() -> Search:
    try:
        from gondwana.market.auction.greedy_kernel import compiled_search
    except ModuleNotFoundError:
        from gondwana.market.auction.greedy_twin import plain_search

        return plain_search
    return compiled_search


SEARCH: Final = _fastest()
