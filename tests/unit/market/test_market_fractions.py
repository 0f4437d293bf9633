"""Parts of machines: of equals the one that breaks the least takes an order, then the fullest."""

from fractions import Fraction
from math import floor

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gondwana.market.book import Book, Row
from gondwana.market.fractions import (
    BEST_FIT,
    DEMAND_MAX,
    DEVICES_MAX,
    KINDS_MAX,
    Demand,
    fragments,
    preferences,
)
from gondwana.market.search import Want, cheapest

demands = st.dictionaries(st.integers(1, 16), st.integers(1, 50), max_size=5)


def asked_of(counts):
    return np.array([counts.get(n, 0) for n in range(DEVICES_MAX + 1)])


def book_of(frees, devices=8):
    return Book(
        Row(machine_id=f"m{n}", model="A", region="x", cost=1, price=1, free=free, devices=devices, cpu_milli=0,
            memory_bytes=0, tags=0, owner="o", serial=n)
        for n, free in enumerate(frees)
    )  # fmt: skip


def first(book, devices):
    return cheapest(book, Want(models=("A",), devices=devices), 1)[0]


@given(demands)
def test_a_fragment_is_what_is_free_and_what_an_order_that_wants_more_cannot_use(counts):
    lost = fragments(asked_of(counts))
    for free in range(DEVICES_MAX + 1):
        expected = sum(free * count for wanted, count in counts.items() if wanted > free)
        assert lost[free] == expected


@given(demands, st.integers(1, 16))
def test_an_order_goes_where_fragments_grow_the_least_then_to_the_fullest(counts, devices):
    def lost(free):
        return sum(free * count for wanted, count in counts.items() if wanted > free)

    def growth(free):
        return floor(
            Fraction(lost(free - devices) - lost(free), max(1, sum(counts.values()))) + half
        )

    half = Fraction(1, 2)
    ranks = preferences(asked_of(counts), devices)
    order = sorted(range(devices, DEVICES_MAX + 1), key=lambda free: (growth(free), free))
    assert [int(each) for each in np.argsort(ranks)[: len(order)]] == order
    assert sorted(ranks.tolist()) == list(range(DEVICES_MAX + 1))


def test_while_nobody_asked_for_anything_the_fullest_machine_takes_an_order():
    assert first(book_of([8, 3, 5]), 2) == "m1"
    assert (preferences(asked_of({}), 1)[1:] == BEST_FIT[:-1]).all()


def test_of_equals_who_joined_first_takes_it():
    assert first(book_of([8, 4, 4]), 2) == "m1"


def test_a_machine_that_others_want_whole_is_left_whole():
    book = book_of([8, 6, 7])
    book.demand.add(("A",), 8, 10)
    assert first(book, 1) == "m1"
    assert first(book, 8) == "m0"


def test_fragmentation_comes_before_best_fit():
    """Two are free here and three there: to those who want two, the second loses nothing by an order for one."""
    book = book_of([2, 3])
    assert first(book, 1) == "m0"
    book.demand.add(("A",), 2, 10)
    assert first(book, 1) == "m1"


def test_a_cheaper_machine_wins_however_much_it_breaks():
    book = book_of([8, 1])
    book.put(next(row for row in book.rows() if row.machine_id == "m0")._replace(cost=0))
    book.demand.add(("A",), 8, 10)
    assert first(book, 1) == "m0"


def test_what_orders_of_other_models_ask_does_not_count():
    book = book_of([2, 3])
    book.demand.add(("B",), 2, 10)
    assert first(book, 1) == "m0"


def test_demand_is_of_late_and_bounded():
    demand = Demand()
    for _ in range(3 * DEMAND_MAX):
        demand.add(("A",), 8, 1)
    for _ in range(20 * DEMAND_MAX):
        demand.add(("A",), 2, 1)
    ranks = demand.preferences(("A",), 1)
    assert ranks[3] < ranks[2], "who wanted eight is forgotten, who wants two is not"
    for n in range(KINDS_MAX + 1):
        demand.add((f"M{n}",), 1, 1)
    assert demand.preferences(("A",), 1) is BEST_FIT
