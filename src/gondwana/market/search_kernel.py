"""The search of `market.search`, compiled by numba: zones that cannot fit are passed over, buckets end early.

The bucket whose first row with enough devices costs least is looked at first: few of the others can beat it, and those
that cannot are passed over by one number each.
"""

from typing import Any, Final

import numpy as np

from gondwana.market.book import (
    COST,
    CPUS,
    EMPTY,
    FREE,
    MEMORY,
    OWNER,
    PRICE,
    SERIAL,
    TAGS,
    ZONE_ROWS,
    Book,
    Numbers,
    head_of,
)
from gondwana.market.compiled import compiled
from gondwana.market.fractions import TIES_ROWS

NOTHING: Final = 2**63 - 1  # the least cost where nothing has the devices


def compiled_search(
    book: Book, buckets: Numbers, asked: Numbers, ranks: Numbers, count: int, barred: Numbers
) -> Numbers:
    """The rows of the cheapest offers that fit."""
    kind = head_of(int(asked[0]))
    if asked[-1] == FREE and kind >= 0:
        heads, least = book.heads[kind], book.least[kind]
    else:  # not what is free now: from the beginning
        heads, least = book.starts.copy(), np.zeros_like(book.starts)
    enough = 1 << max(0, kind)
    return _search(
        book.columns, book.zones, book.starts, book.counts, heads, least, buckets, asked, ranks, enough, count,
        barred,
    )  # fmt: skip


@compiled
def _search(
    columns: Numbers, zones: Numbers, starts: Numbers, counts: Numbers, heads: Numbers, least: Numbers,
    buckets: Numbers, asked: Numbers, ranks: Numbers, enough: int, count: int, barred: Numbers,
) -> Numbers:  # fmt: skip
    found = np.empty(count, dtype=np.int64)
    size = 0
    best = buckets[0]
    for bucket in buckets:
        if least[bucket] < least[best]:
            best = bucket
    for turn in range(len(buckets) + 1):
        bucket = best if turn == 0 else buckets[turn - 1]
        if (turn > 0 and bucket == best) or least[bucket] == NOTHING:
            continue
        if size == count and least[bucket] > columns[COST, found[size - 1]]:
            continue
        stop = starts[bucket] + counts[bucket]
        row = _first(columns, zones, heads[bucket], stop, asked[7], enough)
        heads[bucket] = row
        least[bucket] = columns[COST, row] if row < stop else NOTHING
        size = _look(columns, zones, row, stop, asked, ranks, found, size, count, barred)
    return found[:size]


@compiled
def _first(
    columns: Numbers, zones: Numbers, row: Any, stop: Any, counted: Any, enough: int
) -> Any:  # fmt: skip
    """The first row from `row` on that has enough devices."""
    counted_zone = 0 if counted == FREE else 5
    while row < stop:
        end = min(stop, (row // ZONE_ROWS + 1) * ZONE_ROWS)
        if zones[counted_zone, row // ZONE_ROWS] < enough:
            row = end
            continue
        while row < end:
            if columns[counted, row] >= enough:
                return row
            row += 1
    return row


@compiled
def _look(
    columns: Numbers, zones: Numbers, row: Any, stop: Any, asked: Numbers, ranks: Numbers, found: Numbers,
    size: int, count: int, barred: Numbers,
) -> int:  # fmt: skip
    """Keep of a bucket's rows those that fit and come before what was found; returns how many are kept now."""
    devices, price, cpus, memory, tags, own_tags, owner, counted = asked
    fitting = 0
    counted_zone = 0 if counted == FREE else 5
    while row < stop:
        if size == count and _is_after(columns, ranks, counted, row, found[size - 1]):
            break
        zone = row // ZONE_ROWS
        end = min(stop, (zone + 1) * ZONE_ROWS)
        has = zones[3, zone]
        if (
            zones[counted_zone, zone] < devices
            or zones[1, zone] < cpus
            or zones[2, zone] < memory
            or zones[4, zone] > price
            or (has & own_tags) != own_tags
            or (owner == EMPTY and (has & tags) != tags)
        ):
            row = end
            continue
        while row < end:
            if size == count and _is_after(columns, ranks, counted, row, found[size - 1]):
                break
            if _fits(
                columns, row, counted, devices, price, cpus, memory, tags, own_tags, owner
            ) and not _among(barred, row):
                size = _keep(columns, ranks, counted, found, size, count, row)
                fitting += 1
                if fitting == count:
                    stop = min(stop, row + TIES_ROWS + 1)
                    end = min(end, stop)
            row += 1
    return size


@compiled
def _fits(
    columns: Numbers, row: Any, counted: int, devices: int, price: int, cpus: int, memory: int, tags: int,
    own_tags: int, owner: int,
) -> bool:  # fmt: skip
    if (
        columns[counted, row] < devices
        or columns[PRICE, row] > price
        or columns[CPUS, row] < cpus
        or columns[MEMORY, row] < memory
    ):
        return False
    has = columns[TAGS, row]
    if (has & tags) == tags:
        return True
    return owner != EMPTY and columns[OWNER, row] == owner and (has & own_tags) == own_tags


@compiled
def _is_after(columns: Numbers, ranks: Numbers, counted: int, row: Any, other: Any) -> bool:
    """Whether neither a row of a bucket nor any that follows it there comes before another."""
    if columns[COST, row] != columns[COST, other]:
        return columns[COST, row] > columns[COST, other]
    if columns[PRICE, row] != columns[PRICE, other]:
        return columns[PRICE, row] > columns[PRICE, other]
    is_older = columns[SERIAL, other] < columns[SERIAL, row]
    return is_older and _rank(columns, ranks, counted, other) == 0


@compiled
def _before(columns: Numbers, ranks: Numbers, counted: int, row: Any, other: Any) -> bool:
    """Of two rows that fit."""
    if columns[COST, row] != columns[COST, other]:
        return columns[COST, row] < columns[COST, other]
    if columns[PRICE, row] != columns[PRICE, other]:
        return columns[PRICE, row] < columns[PRICE, other]
    rank, rank_other = _rank(columns, ranks, counted, row), _rank(columns, ranks, counted, other)
    if rank != rank_other:
        return rank < rank_other
    if columns[SERIAL, row] != columns[SERIAL, other]:
        return columns[SERIAL, row] < columns[SERIAL, other]
    return row < other


@compiled
def _rank(columns: Numbers, ranks: Numbers, counted: int, row: Any) -> Any:
    return ranks[min(len(ranks) - 1, columns[counted, row])]


@compiled
def _among(rows: Numbers, row: Any) -> bool:
    for other in rows:  # noqa: SIM110  (numba compiles no generator)
        if other == row:
            return True
    return False


@compiled
def _keep(
    columns: Numbers, ranks: Numbers, counted: int, found: Numbers, size: int, count: int, row: Any
) -> int:  # fmt: skip
    """Put a row in its place among those found; the last falls out when there is no more room."""
    place = size
    if size == count:
        if not _before(columns, ranks, counted, row, found[size - 1]):
            return size
        place = count - 1
    while place > 0 and _before(columns, ranks, counted, row, found[place - 1]):
        found[place] = found[place - 1]
        place -= 1
    found[place] = row
    return size + 1 if size < count else size
