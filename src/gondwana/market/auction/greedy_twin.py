"""The search of `market.auction.greedy` by numpy alone: for machines without numba, and to check the compiled one."""

import numpy as np

from gondwana.market.auction.greedy import CAP, COUNT_MAX, COUNT_MIN, DEVICES, SHAKES, Table
from gondwana.market.auction.model import Numbers


def plain_search(table: Table, start: Numbers, restarts: int, seed: int) -> Numbers:
    """The best sequence found."""
    best, most = start[0], -1
    for tried in start:
        worth = worth_of(table, tried)
        if worth > most:
            best, most = tried, worth
    state, count = seed, len(best)
    for restart in range(restarts):
        reach = 1_000 * SHAKES[restart % len(SHAKES)]
        keys = np.empty(count, dtype=np.int64)
        for place in range(count):
            state = (state * 1_103_515_245 + 12_345) & 0x7FFFFFFF
            keys[place] = 1_000 * place + (state >> 8) % reach
        tried = best[np.argsort(keys, kind="stable")]
        worth = worth_of(table, tried)
        if worth > most:
            best, most = tried, worth
    return best


def worth_of(table: Table, sequence: Numbers) -> int:
    """What it is worth to serve the gangs in this sequence, in micro-USD per hour."""
    left, total = table.free.copy(), 0
    for gang in sequence.tolist():
        row = table.gangs[gang].tolist()
        devices = row[DEVICES]
        part = slice(table.firsts[gang], table.firsts[gang + 1])
        asks, prices = table.asks[part], table.prices[part]
        chosen = np.flatnonzero(left[asks] >= devices)[: row[COUNT_MAX]]
        if len(chosen) >= row[COUNT_MIN]:
            left[asks[chosen]] -= devices
            total += devices * (len(chosen) * row[CAP] - int(prices[chosen].sum()))
    return total
