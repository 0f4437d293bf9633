import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gondwana.core.clock import Instant
from gondwana.core.values import replace
from gondwana.jobs.listings import to_row
from gondwana.jobs.verdicts import (
    FILTERS_MAX,
    LOOKED_AT_IN_PASS_MAX,
    LOOKED_AT_MAX,
    SEEN_SECONDS_MAX,
    Verdicts,
)
from gondwana.jobs.wants import want_of
from gondwana.market.book import Book
from gondwana.market.model import Mechanism
from gondwana.market.screening import screen

NOW = Instant(1_800_000_000.0)
FILTERS = (
    "price<=1", "price>=1.5", "model=H100", "model!=CPU", "region=eu-*", "region in (us, eu-1) tflops>=20",
    "tflops<30", "driver>=550", "spot=yes", "spot=yes price<=0.5", "price_per_tflop<=0.05", "trust>=proven",
    "model=H100 region=us price<=2", "machine=m3", "country=DE", "model=A100-80GB", "cpus>=8 memory>=8GB",
)  # fmt: skip
facts = st.fixed_dictionaries(
    {
        "price": st.sampled_from([500_000, 1_000_000, 1_500_000, 2_000_000]),
        "accelerator": st.sampled_from(["CPU", "H100", "RTX4090"]),
        "region": st.sampled_from(["eu-1", "eu-2", "us"]),
        "tflops": st.sampled_from([0.0, 10.0, 25.0, 40.0]),
        "driver": st.sampled_from(["", "535.1", "550.54.14"]),
        "country": st.sampled_from(["", "DE"]),
        "spot_floor_micro_usd_per_device_hour": st.sampled_from([None, 400_000, 700_000]),
        "is_open": st.sampled_from([True, True, True, False]),
        "steps_per_second": st.sampled_from([0.0, 5.0, 10.0]),
    }
)


def named(make, many):
    return [make.listing(f"m{number}", **each) for number, each in enumerate(many)]


class Looker:
    """A book, its verdicts, and the listings behind them."""

    def __init__(self, listings):
        self.verdicts = Verdicts()
        self.listings = {each.machine_id: each for each in listings}
        self.book = Book(map(to_row, listings))
        self.looked = 0

    def listed(self, ids):
        ids = list(ids)
        self.looked += len(ids)
        return {each: self.listings[each] for each in ids}

    def once(self, order, count=1, *, in_pass=True, now=NOW):
        return self.verdicts.cheapest(
            self.book, want_of(order, ()), order, count, self.listed, now, in_pass=in_pass
        )

    def until_whole(self, order, count):
        for _ in range(1_000):
            found, is_whole = self.once(order, count)
            if is_whole:
                return found
            self.verdicts.begin_pass()
        raise AssertionError("it never ends")

    def change(self, listing, now=NOW):
        self.listings[listing.machine_id] = listing
        row = to_row(listing)
        self.book.put(row._replace(tags=row.tags | self.verdicts.bits_of(listing, now)))


def oracle(order, listings, count):
    free = replace(order, price_cap_micro_usd_per_device_hour=None)
    return [each.machine_id for each in screen(free, listings, NOW).fits[:count]]


@settings(deadline=None)
@given(
    many=st.lists(facts, max_size=40), asked=st.lists(st.sampled_from(FILTERS), min_size=1, max_size=6),
    spot=st.booleans(), count=st.integers(1, 5),
    changes=st.lists(st.tuples(st.integers(0, 39), facts), max_size=6),
)  # fmt: skip
def test_filters_find_what_looking_at_every_machine_finds_whatever_changes(
    make, many, asked, spot, count, changes
):
    looker = Looker(named(make, many))
    orders = [
        make.order(text, filters=text, mechanism=Mechanism.SPOT if spot else Mechanism.POSTED)
        for text in asked
    ]
    for order in orders:
        assert looker.until_whole(order, count) == oracle(order, looker.listings.values(), count)
    for place, told in changes:
        if place < len(many):
            looker.change(make.listing(f"m{place}", **told))
        for order in orders:
            assert looker.until_whole(order, count) == oracle(
                order, looker.listings.values(), count
            )


def test_what_was_seen_is_not_looked_at_again(make):
    looker = Looker([make.listing(f"m{n}", tflops=1.0) for n in range(200)])
    order = make.order(filters="tflops>=2")
    assert looker.until_whole(order, 1) == []
    assert looker.looked == 200
    assert looker.once(order) == ([], True)
    assert looker.looked == 200
    looker.change(make.listing("m7", tflops=3.0))
    assert looker.once(order) == (["mac_m7"], True)


def test_a_filter_that_fits_nothing_costs_a_bounded_number_of_looks_a_pass_and_ends(make):
    looker = Looker([make.listing(f"m{n}", tflops=1.0) for n in range(LOOKED_AT_MAX + 90)])
    impossible = [make.order(f"o{n}", filters=f"tflops>={n + 2}") for n in range(12)]
    for order in impossible:
        looker.once(order)
    assert looker.looked <= LOOKED_AT_IN_PASS_MAX
    assert [looker.until_whole(order, 1) for order in impossible] == [[]] * 12


def test_what_a_filter_was_held_against_long_ago_is_looked_at_anew(make):
    looker = Looker([make.listing("m0", tflops=1.0)])
    order = make.order(filters="tflops>=2")
    assert looker.once(order) == ([], True)
    looker.listings["mac_m0"] = make.listing("m0", tflops=9.0)  # nobody told
    soon, late = Instant(NOW + SEEN_SECONDS_MAX - 1), Instant(NOW + SEEN_SECONDS_MAX)
    assert not looker.verdicts.outdated(looker.book, soon)
    assert looker.verdicts.outdated(looker.book, late)
    assert looker.once(order, now=late) == (["mac_m0"], True)


def test_more_filters_than_can_be_remembered_still_find_their_machines(make):
    looker = Looker([make.listing(f"m{n}", tflops=float(n + 1)) for n in range(100)])
    for number in [*range(100), *range(100)]:
        order = make.order(f"o{number}", filters=f"tflops={number + 1}")
        assert looker.until_whole(order, 1) == [f"mac_m{number}"]
    assert FILTERS_MAX < 100


@pytest.mark.parametrize("text", ["model=RTX4090", "model!=CPU", "region=mars"])
def test_a_filter_on_a_model_or_region_that_nobody_has_looks_at_no_machine(make, text):
    looker = Looker([make.listing(f"m{n}") for n in range(9)])
    assert looker.once(make.order(filters=text)) == ([], True)
    assert looker.looked == 0
