"""Which of very many offers to look at one by one: those nearest to an order, and those that tell why none fits it.

Both read the book's numbers alone: a look at each offer's listing takes seconds where there are 300,000 of them.
"""

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from gondwana.market.book import (
    COST,
    CPUS,
    DEVICES,
    FREE,
    MEMORY,
    NOTICE,
    PRICE,
    SERIAL,
    Book,
    Numbers,
)

WITNESSES_OF_TEST = 32  # the cheapest per work of those that pass all tests before one
_MOST, _LEAST = (CPUS, MEMORY, DEVICES, FREE, NOTICE), (PRICE,)

Mask = NDArray[np.bool_]


def rows_of(book: Book) -> Numbers:
    """Every row that holds an offer, with the buckets' in order."""
    counts = np.asarray(book.counts)
    firsts = np.cumsum(counts) - counts
    return np.repeat(book.starts - firsts, counts) + np.arange(counts.sum())


def is_of(book: Book, rows: Numbers, models: Collection[str]) -> Mask:
    """Whether each row's offer is of one of these models."""
    wanted = np.zeros(len(book.starts), dtype=bool)
    for model in models:
        wanted[book.by_model.get(model, [])] = True
    return wanted[np.searchsorted(book.starts, rows, "right") - 1]


def nearest(book: Book, models: Collection[str], limit: int) -> list[str]:
    """The machines of at most `limit` offers: of the wanted models first, then the cheapest per measured work."""
    rows = rows_of(book)
    mine = is_of(book, rows, models)
    found = _cheapest(book, rows[mine], limit)
    found = np.concatenate((found, _cheapest(book, rows[~mine], limit - len(found))))
    return [book.machine_at(row) for row in found.tolist()]


def witnesses(book: Book, tests: Sequence[Mask]) -> tuple[list[str], list[int]]:
    """Machines that tell which test, one after the other, leaves nothing, as all would; and how many came to each.

    `tests`: of each row of `rows_of`. Of those that come to a test they are the cheapest, one of each model, and those
    with the most and the least of each number that a hint may name.
    """
    rows, counts, found = rows_of(book), list[int](), set[int]()
    models = _models(book)[np.searchsorted(book.starts, rows, "right") - 1]
    left = np.arange(len(rows))
    for test in tests:
        counts.append(len(left))
        found |= _telling(book, rows[left], models[left])
        left = left[test[left]]
    return [book.machine_at(row) for row in sorted(found)], counts


def _models(book: Book) -> Numbers:
    """A number for the model of each bucket."""
    found = np.zeros(len(book.starts), dtype=np.int64)
    for number, buckets in enumerate(book.by_model.values()):
        found[buckets] = number
    return found


def _telling(book: Book, rows: Numbers, models: Numbers) -> set[int]:
    if not len(rows):
        return set()
    most = [rows[np.argmax(book.columns[each, rows])] for each in _MOST]
    least = [rows[np.argmin(book.columns[each, rows])] for each in _LEAST]
    of_model = np.full(len(book.by_model), rows[0])
    of_model[models] = rows
    cheapest = _cheapest(book, rows, WITNESSES_OF_TEST)
    return {int(row) for row in (*most, *least, *of_model, *cheapest)}


def _cheapest(book: Book, rows: Numbers, limit: int) -> Numbers:
    """The `limit` cheapest per work of these rows, cheapest first, in the book's own order."""
    if limit <= 0:
        return rows[:0]
    if limit < len(rows):
        costs = book.columns[COST, rows]
        rows = rows[costs <= np.partition(costs, limit - 1)[limit - 1]]
    order = np.lexsort([book.columns[each, rows] for each in (SERIAL, PRICE, COST)])
    return rows[order[:limit]]
