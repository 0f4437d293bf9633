"""The cheapest offers in a book that fit an order: a compiled search, and a plain one that gives the same answer.

The compiled one needs numba (the extra `fast`); without it the plain one serves. Both are functions of the book and the
order alone; they propose, the writer commits.

Cheapest is by measured work, then by price; who of equals comes first is said by `market.fractions`, then by who joined
first. How far a search looks among equals is bounded: in each bucket `TIES_ROWS` offers past those that it needs.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from msgspec import Struct

from gondwana.market.book import (
    COST,
    CPUS,
    DEVICES,
    EMPTY,
    FREE,
    MEMORY,
    OWNER,
    PRICE,
    SERIAL,
    TAGS,
    Book,
    Numbers,
)
from gondwana.market.fractions import TIES_ROWS
from gondwana.market.rules import COST_MAX

WANTED_MAX: Final = 1_024  # machines of one order; more belongs to several
_NO_ROWS: Final = np.zeros(0, dtype=np.int64)


class Want(Struct, frozen=True, kw_only=True):
    """What an order asks of each machine, in the book's numbers."""

    models: tuple[str, ...] = ()  # any of these; none: any
    regions: tuple[str, ...] = ()
    devices: int = 1
    price_max: int = COST_MAX
    cpu_milli: int = 0
    memory_bytes: int = 0
    tags: int = 0  # all of these bits
    own_tags: int = 0  # of them, what the tenant's own machines need not have
    owner: str = ""  # the tenant
    not_machines: tuple[str, ...] = ()  # those that serve the job already, or failed it
    taken_too: bool = False  # machines that would fit if nothing were leased


Search = Callable[[Book, Numbers, Numbers, Numbers, int, Numbers], Numbers]


def cheapest(book: Book, want: Want, count: int, *, search: Search | None = None) -> list[str]:
    """The machines of the `count` cheapest offers that fit, cheapest first; fewer where there are no more."""
    buckets = book.buckets(want.models, want.regions)
    if not len(buckets) or count <= 0:
        return []
    owner = book.owner_number(want.owner)
    asked = np.array([want.devices, want.price_max, want.cpu_milli, want.memory_bytes, want.tags,
                      want.tags & ~want.own_tags, owner, DEVICES if want.taken_too else FREE],
                     dtype=np.int64)  # fmt: skip
    rows = [row for name in want.not_machines if (row := book.row_of(name)) is not None]
    barred = np.array(rows, dtype=np.int64) if rows else _NO_ROWS
    ranks = book.demand.preferences(want.models, want.devices)
    found = (search or SEARCH)(book, buckets, asked, ranks, min(count, WANTED_MAX), barred)
    return [book.machine_at(row) for row in found.tolist()]


def plain_search(
    book: Book, buckets: Numbers, asked: Numbers, ranks: Numbers, count: int, barred: Numbers
) -> Numbers:
    """The rows of the cheapest offers that fit, by numpy alone."""
    starts, sizes = book.starts[buckets].tolist(), book.counts[buckets].tolist()
    parts = [
        _in_bucket(book, np.arange(start, start + size), asked, count, barred)
        for start, size in zip(starts, sizes, strict=True)
    ]
    rows, columns = np.concatenate(parts), book.columns
    rank = ranks[np.minimum(columns[asked[-1], rows], len(ranks) - 1)]
    order = np.lexsort((columns[SERIAL, rows], rank, columns[PRICE, rows], columns[COST, rows]))
    return rows[order[:count]]


def _in_bucket(book: Book, rows: Numbers, asked: Numbers, count: int, barred: Numbers) -> Numbers:
    """Of a bucket's rows those that fit, up to `TIES_ROWS` past the last that is needed."""
    devices, price, cpus, memory, tags, own_tags, owner, counted = asked.tolist()
    columns = book.columns
    has = columns[TAGS, rows]
    tagged = (has & tags) == tags
    if owner != EMPTY:
        tagged |= (columns[OWNER, rows] == owner) & ((has & own_tags) == own_tags)
    fits = (
        (columns[counted, rows] >= devices) & (columns[PRICE, rows] <= price) & (columns[CPUS, rows] >= cpus)
        & (columns[MEMORY, rows] >= memory) & tagged & ~np.isin(rows, barred)
    )  # fmt: skip
    rows = rows[fits]
    return rows if len(rows) < count else rows[rows <= rows[count - 1] + TIES_ROWS]


def _fastest() -> Search:
    try:
        from gondwana.market.search_kernel import compiled_search
    except ModuleNotFoundError:
        return plain_search
    return compiled_search


SEARCH: Final = _fastest()
