"""The search of `market.search`, compiled by numba: zones that cannot fit are passed over, buckets end early."""

from typing import Any

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
)
from gondwana.market.compiled import compiled


def compiled_search(
    book: Book, buckets: Numbers, asked: Numbers, count: int, barred: Numbers
) -> Numbers:
    """The rows of the cheapest offers that fit."""
    return _search(
        book.columns, book.zones, book.starts, book.counts, buckets, asked, count, barred
    )


@compiled
def _search(
    columns: Numbers, zones: Numbers, starts: Numbers, counts: Numbers, buckets: Numbers, asked: Numbers, count: int,
    barred: Numbers,
) -> Numbers:  # fmt: skip
    found = np.empty(count, dtype=np.int64)
    size = 0
    devices, price, cpus, memory, tags, own_tags, owner, counted = asked
    counted_zone = 0 if counted == FREE else 5
    for bucket in buckets:
        start, stop = starts[bucket], starts[bucket] + counts[bucket]
        row = start
        while row < stop:
            if size == count and not _before(columns, row, found[size - 1]):
                break  # a bucket's rows only get dearer
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
                if size == count and not _before(columns, row, found[size - 1]):
                    break
                if _fits(
                    columns, row, counted, devices, price, cpus, memory, tags, own_tags, owner
                ) and not _among(barred, row):
                    size = _keep(columns, found, size, count, row)
                row += 1
    return found[:size]


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
def _before(columns: Numbers, row: Any, other: Any) -> bool:
    if columns[COST, row] != columns[COST, other]:
        return columns[COST, row] < columns[COST, other]
    if columns[PRICE, row] != columns[PRICE, other]:
        return columns[PRICE, row] < columns[PRICE, other]
    return columns[SERIAL, row] < columns[SERIAL, other]


@compiled
def _among(rows: Numbers, row: Any) -> bool:
    for other in rows:  # noqa: SIM110  (numba compiles no generator)
        if other == row:
            return True
    return False


@compiled
def _keep(columns: Numbers, found: Numbers, size: int, count: int, row: Any) -> int:
    """Put a row in its place among those found; the dearest falls out when there is no more room."""
    place = size if size < count else count - 1
    while place > 0 and _before(columns, row, found[place - 1]):
        found[place] = found[place - 1]
        place -= 1
    found[place] = row
    return size + 1 if size < count else size
