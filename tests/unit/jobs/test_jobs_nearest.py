"""Of very many offers some are looked at one by one: those nearest to an order, and those that tell why none fits."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gondwana.core.clock import Instant
from gondwana.jobs.listings import to_row
from gondwana.jobs.wants import masks_of
from gondwana.market import nearest as module
from gondwana.market.book import Book
from gondwana.market.nearest import nearest, rows_of, witnesses
from gondwana.market.rules import price_per_work
from gondwana.market.screening import screen
from gondwana.wire.jobs import Accelerators, Resources

NOW = Instant(1_800_000_000.0)
GIB = 2**30
facts = st.fixed_dictionaries(
    {
        "price": st.sampled_from([500_000, 1_000_000, 2_000_000]),
        "accelerator": st.sampled_from(["CPU", "H100", "RTX4090"]),
        "region": st.sampled_from(["eu", "us"]),
        "owner_id": st.sampled_from(["pri_tenant", "pri_other"]),
        "isolation": st.sampled_from(["sandbox", "sandbox", "plain", "none"]),
        "devices": st.sampled_from([4, 8]),
        "free": st.integers(0, 4),
        "cpus": st.sampled_from([4.0, 16.0]),
        "memory_bytes": st.sampled_from([8 * GIB, 64 * GIB]),
        "notice_seconds": st.sampled_from([0, 3_600, 86_400]),
        "is_open": st.sampled_from([True, True, False]),
        "steps_per_second": st.sampled_from([0.0, 5.0, 10.0]),
    }
)
wishes = st.fixed_dictionaries(
    {
        "tenant_id": st.just("pri_tenant"),
        "devices": st.sampled_from([1, 4, 8, 64]),
        "price_cap_micro_usd_per_device_hour": st.sampled_from([None, 100, 1_000_000]),
        "notice_seconds_min": st.sampled_from([0, 3_600, 7 * 86_400]),
    }
)
resources = st.builds(
    Resources,
    accelerators=st.lists(
        st.builds(Accelerators, name=st.sampled_from(["", "H100", "H200"]), count=st.sampled_from([1, 8, 64])),
        max_size=2,
    ).map(tuple),
    cpus_min=st.sampled_from([0.0, 8.0, 128.0]),
    memory_bytes_min=st.sampled_from([0, 16 * GIB, 1024 * GIB]),
)  # fmt: skip


def world(make, many):
    listings = [make.listing(f"m{number}", **each) for number, each in enumerate(many)]
    return listings, Book(map(to_row, listings))


@given(st.lists(facts, min_size=1, max_size=40), wishes, resources)
@settings(max_examples=400)
def test_some_tell_why_nothing_fits_as_all_would(make, many, wished, wanted):
    listings, book = world(make, many)
    order = make.order(resources=wanted, **wished)
    told = screen(order, listings, NOW)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "WITNESSES_OF_TEST", 1)
        names, counts = witnesses(book, masks_of(book, order, all_free=False))
    some = screen(order, [each for each in listings if each.machine_id in names], NOW, counts)
    assert bool(some.fits) == bool(told.fits)
    assert (some.why_not, some.hint) == (told.why_not, told.hint)


MODELS = st.sets(st.sampled_from(["CPU", "H100", "H200"]))


@given(st.lists(facts, min_size=1, max_size=40), MODELS, st.integers(0, 45))
def test_the_nearest_are_of_the_wanted_models_first_then_the_cheapest(make, many, models, limit):
    listings, book = world(make, many)
    by_worth = sorted(
        listings, key=lambda one: (one.accelerator not in models, *price_per_work(one))
    )
    assert nearest(book, models, limit) == [each.machine_id for each in by_worth[:limit]]


def test_the_rows_of_a_book_are_those_that_hold_an_offer(make):
    listings, book = world(make, [{"region": region} for region in ("eu", "us", "eu")])
    book.remove(listings[0].machine_id)
    left = {each.machine_id for each in listings[1:]}
    assert {book.machine_at(row) for row in rows_of(book).tolist()} == left
    assert rows_of(Book()).tolist() == []
