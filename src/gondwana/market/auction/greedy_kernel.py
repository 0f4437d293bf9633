"""The search of `market.auction.greedy`, compiled by numba."""

from typing import Any

import numpy as np

from gondwana.market.auction.greedy import CAP, COUNT_MAX, COUNT_MIN, DEVICES, SHAKES, Table
from gondwana.market.auction.model import Numbers
from gondwana.market.compiled import compiled

_SHAKES = np.array(SHAKES, dtype=np.int64)


def compiled_search(table: Table, start: Numbers, restarts: int, seed: int) -> Numbers:
    """The best sequence found."""
    return _search(
        table.gangs, table.firsts, table.asks, table.prices, table.free, start, restarts, seed, _SHAKES
    )  # fmt: skip


@compiled
def _search(
    gangs: Numbers, firsts: Numbers, asks: Numbers, prices: Numbers, free: Numbers, start: Numbers, restarts: int,
    seed: int, shakes: Numbers,
) -> Numbers:  # fmt: skip
    count = len(gangs)
    left, taken = np.empty_like(free), np.empty(max(1, gangs[:, COUNT_MAX].max()), dtype=np.int64)
    best, most = start[0].copy(), np.int64(-1)
    for row in range(len(start)):
        left[:] = free
        worth = _worth(gangs, firsts, asks, prices, left, taken, start[row])
        if worth > most:
            best, most = start[row].copy(), worth
    state = seed
    keys = np.empty(count, dtype=np.int64)
    for restart in range(restarts):
        reach = 1_000 * shakes[restart % len(shakes)]
        for place in range(count):
            state = (state * 1_103_515_245 + 12_345) & 0x7FFFFFFF
            keys[place] = 1_000 * place + (state >> 8) % reach
        tried = best[np.argsort(keys, kind="mergesort")]
        left[:] = free
        worth = _worth(gangs, firsts, asks, prices, left, taken, tried)
        if worth > most:
            best, most = tried, worth
    return best


@compiled
def _worth(
    gangs: Numbers, firsts: Numbers, asks: Numbers, prices: Numbers, left: Numbers, taken: Numbers, sequence: Numbers,
) -> Any:  # fmt: skip
    """What it is worth to serve the gangs in this sequence."""
    total = np.int64(0)
    for gang in sequence:
        devices, wanted = gangs[gang, DEVICES], gangs[gang, COUNT_MAX]
        found, paid = np.int64(0), np.int64(0)
        place, last = firsts[gang], firsts[gang + 1]
        while place < last and found < wanted:
            ask = asks[place]
            if left[ask] >= devices:
                left[ask] -= devices
                taken[found] = ask
                paid += prices[place]
                found += 1
            place += 1
        if found >= gangs[gang, COUNT_MIN]:
            total += devices * (found * gangs[gang, CAP] - paid)
        else:  # not whole: all of it goes back
            for ask in taken[:found]:
                left[ask] += devices
    return total
