"""The book in memory: whatever comes and goes, both searches find just what a plain look at every offer finds."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gondwana.market import search
from gondwana.market.book import ZONE_ROWS, Book, Row
from gondwana.market.fractions import DEVICES_MAX, TIES_ROWS
from gondwana.market.rules import COST_MAX, cost_of
from gondwana.market.search import Want, cheapest, plain_search

MODELS, REGIONS, OWNERS = ("A", "B"), ("x", "y", "z"), ("o1", "o2")
SEARCHES = [plain_search]
if search.SEARCH is not plain_search:
    SEARCHES.append(search.SEARCH)

small, some = st.integers(0, 3), st.sampled_from([0, 1, 2, 3, 4, 7, 8, 9])
rows = st.builds(
    Row, machine_id=st.just(""), model=st.sampled_from(MODELS), region=st.sampled_from(REGIONS), cost=small,
    price=small, free=some, devices=some, cpu_milli=small, memory_bytes=small, tags=st.integers(0, 7),
    owner=st.sampled_from(OWNERS), serial=st.just(0), notice_seconds=small, work_price=small,
)  # fmt: skip
wants = st.builds(
    Want, taken_too=st.booleans(), models=st.lists(st.sampled_from((*MODELS, "C")), max_size=2).map(tuple),
    regions=st.lists(st.sampled_from((*REGIONS, "w")), max_size=2).map(tuple), devices=some.filter(bool),
    price_max=small, cpu_milli=small, memory_bytes=small, tags=st.integers(0, 7), own_tags=st.integers(0, 7),
    owner=st.sampled_from((*OWNERS, "nobody", "")),
    not_machines=st.lists(st.integers(0, 30).map(lambda n: f"m{n}"), max_size=3).map(tuple),
)  # fmt: skip


def numbered(found):
    return [row._replace(machine_id=f"m{n}", serial=n) for n, row in enumerate(found)]


def fits(row, want):
    needed = want.tags & ~want.own_tags if row.owner == want.owner else want.tags
    return (
        (not want.models or row.model in want.models)
        and (not want.regions or row.region in want.regions)
        and (row.devices if want.taken_too else row.free) >= want.devices
        and row.price <= want.price_max and row.cpu_milli >= want.cpu_milli
        and row.memory_bytes >= want.memory_bytes and row.tags & needed == needed
        and row.machine_id not in want.not_machines
    )  # fmt: skip


def oracle(offers, want, count, demand):
    """Look at every offer; among equals as far into a bucket as a search may."""
    seen = []
    for key in {(row.model, row.region) for row in offers}:
        mine = [row for row in offers if (row.model, row.region) == key]
        mine.sort(key=lambda row: (row.cost, row.price, row.serial))
        places = [place for place, row in enumerate(mine) if fits(row, want)]
        last = places[count - 1] + TIES_ROWS if len(places) >= count else len(mine)
        seen += [mine[place] for place in places if place <= last]
    ranks = demand.preferences(want.models, want.devices)

    def key(row):
        free = row.devices if want.taken_too else row.free
        return row.cost, row.price, ranks[min(free, DEVICES_MAX)], row.serial

    return [row.machine_id for row in sorted(seen, key=key)[:count]]


def check(book, offers, want, count):
    for each in SEARCHES:
        assert cheapest(book, want, count, search=each) == oracle(offers, want, count, book.demand)


@settings(deadline=None)  # the first search is compiled
@given(
    st.lists(rows, max_size=30), wants, st.integers(1, 8),
    st.lists(st.tuples(st.integers(1, 8), st.integers(1, 9)), max_size=4),
)  # fmt: skip
def test_a_search_finds_what_looking_at_every_offer_finds(found, want, count, asked):
    offers = numbered(found)
    book = Book(offers)
    for devices, machines in asked:
        book.demand.add(want.models, devices, machines)
    check(book, offers, want, count)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(rows, max_size=10),
    st.lists(st.tuples(st.integers(0, 20), st.sampled_from(["put", "remove", "free"]), rows), max_size=30),
    wants,
)  # fmt: skip
def test_a_book_that_follows_changes_answers_as_one_built_from_what_is_left(found, steps, want):
    offers = {row.machine_id: row for row in numbered(found)}
    book = Book(offers.values())
    for number, what, row in steps:
        name = f"m{number}"
        if what == "put":
            offers[name] = row._replace(machine_id=name, serial=number)
            book.put(offers[name])
        elif what == "remove":
            offers.pop(name, None)
            book.remove(name)
        elif name in offers:
            offers[name] = offers[name]._replace(free=row.free)
            book.set_free(name, row.free)
        check(book, offers.values(), Want(devices=max(1, row.devices)), 2)
    assert {row.machine_id: row for row in book.rows()} == offers
    assert len(book) == len(offers)
    check(book, offers.values(), want, 5)
    rebuilt = Book(offers.values())
    for key, bucket in rebuilt.keys.items():
        assert book.free_devices(book.keys[key]) == rebuilt.free_devices(bucket)


def test_more_offers_than_a_bucket_has_room_for_move_it_to_a_larger_place():
    offers = [
        Row(machine_id=f"m{n}", model="A", region="x", cost=n * 7 % 13, price=n, free=1, devices=1, cpu_milli=0,
            memory_bytes=0, tags=0, owner="o1", serial=n)
        for n in range(3 * ZONE_ROWS)
    ]  # fmt: skip
    book = Book()
    for row in offers:
        book.put(row)
    check(book, offers, Want(price_max=COST_MAX), 100)


def test_zones_that_cannot_fit_are_passed_over_and_the_last_row_is_still_found():
    offers = [
        Row(machine_id=f"m{n}", model="A", region="x", cost=n, price=1, free=int(n == 499), devices=1, cpu_milli=0,
            memory_bytes=0, tags=0, owner="o1", serial=n)
        for n in range(500)
    ]  # fmt: skip
    check(Book(offers), offers, Want(), 3)


@pytest.mark.parametrize("devices", [1, 2, 3, 4, 8, 16])
@pytest.mark.parametrize("freed", ["by a lease that ended", "by its owner"])
def test_a_cheap_machine_that_is_free_again_is_found_again(devices, freed):
    offers = {
        f"m{n}": Row(machine_id=f"m{n}", model="A", region="xy"[n % 2], cost=n, price=1, free=devices,
                     devices=devices, cpu_milli=0, memory_bytes=0, tags=0, owner="o1", serial=n)
        for n in range(2 * ZONE_ROWS)
    }  # fmt: skip
    book, want = Book(offers.values()), Want(devices=devices)
    cheap = [f"m{n}" for n in range(ZONE_ROWS + 9)]
    for name in cheap:  # taken, one after the other
        check(book, offers.values(), want, 1)
        offers[name] = offers[name]._replace(free=devices - 1)
        book.set_free(name, devices - 1)
    check(book, offers.values(), want, 2)
    for name in cheap[::-7]:
        offers[name] = offers[name]._replace(free=devices)
        if freed == "by its owner":
            book.put(offers[name])
        else:
            book.set_free(name, devices)
        check(book, offers.values(), want, 2)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from([0, 1, 2, 4, 8, 80]), min_size=300, max_size=900), st.sampled_from([1, 4, 8]),
       st.integers(1, 5), st.integers(1, 4))  # fmt: skip
def test_of_many_equals_both_searches_look_at_as_many(frees, devices, count, costs):
    offers = [
        Row(machine_id=f"m{n}", model="A", region="xy"[n % 7 == 0], cost=n % costs, price=1, free=free, devices=80,
            cpu_milli=0, memory_bytes=0, tags=0, owner="o1", serial=n)
        for n, free in enumerate(frees)
    ]  # fmt: skip
    check(Book(offers), offers, Want(devices=devices), count)


@pytest.mark.parametrize("speed", [0.0, -1.0, 0.0001])
def test_a_machine_whose_speed_is_unknown_costs_most(speed):
    assert cost_of(1, speed) == COST_MAX
    assert cost_of(0, 1.0) == 0
    assert cost_of(1_000_000, 10.0) < cost_of(1_000_000, 9.0) < cost_of(2_000_000, 9.0) < COST_MAX


@given(st.floats(0.01, 1e6), st.integers(1, 10**8))
def test_speeds_count_by_their_leading_bits_and_never_for_more_than_was_measured(speed, price):
    exact = price * 1_000_000_000 / round(speed * 1_000)
    assert exact - 1 <= cost_of(price, speed) <= exact * 33 / 32


def test_machines_alike_at_one_price_are_equals_and_the_price_of_others_counts_to_the_micro_usd():
    assert cost_of(1_000_000, 99.0) == cost_of(1_000_000, 100.0) < cost_of(1_000_000, 95.0)
    assert cost_of(999_999, 100.0) < cost_of(1_000_000, 100.0)
