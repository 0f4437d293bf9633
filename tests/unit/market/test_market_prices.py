"""Depth by model and region: every device counts once, and prices are of what can be had."""

from hypothesis import given
from hypothesis import strategies as st

from gondwana.market.prices import DEPTH_STEPS_MAX, buckets, empty, to_tick

offers = st.fixed_dictionaries({
    "accelerator": st.sampled_from(["H100", "CPU"]), "region": st.sampled_from(["eu", "us"]),
    "devices": st.integers(1, 4), "free": st.integers(-1, 4), "price": st.integers(0, 5),
    "is_open": st.booleans(), "isolation": st.sampled_from(["sandbox", "plain", "none"]),
    "steps_per_second": st.sampled_from([0.0, 1.0, 10.0]),
})  # fmt: skip


def only(listings):
    (bucket,) = buckets(listings)
    return bucket


@given(st.lists(offers, max_size=12))
def test_every_device_is_rentable_leased_or_closed(make, offered):
    listings = [
        make.listing(f"m{n}", **{**each, "free": min(each["free"], each["devices"])})
        for n, each in enumerate(offered)
    ]
    by_key = {}
    for each in listings:
        by_key.setdefault((each.accelerator, each.region), []).append(each)
    found = buckets(listings)
    assert [(each.model, each.region) for each in found] == sorted(by_key)
    for bucket in found:
        of_it = by_key[bucket.model, bucket.region]
        assert bucket.devices == bucket.rentable + bucket.leased + bucket.closed
        assert min(bucket.rentable, bucket.leased, bucket.closed) >= 0
        assert bucket.leased == sum(each.devices - each.devices_free for each in of_it)
        sold = sorted(
            each.price_micro_usd_per_device_hour
            for each in of_it if each.is_open and each.isolation == "sandbox"
            for _ in range(each.devices_free)
        )  # fmt: skip
        assert bucket.rentable == len(sold)
        asks = (bucket.ask_lowest, bucket.ask_median, bucket.ask_highest)
        assert asks == ((sold[0], sold[(len(sold) - 1) // 2], sold[-1]) if sold else (None,) * 3)
        assert {s.price_micro_usd_per_device_hour: s.devices for s in bucket.depth} == {
            price: sum(other <= price for other in sold) for price in sold
        }


def test_a_machine_that_rejoined_with_fewer_devices_still_serves_what_it_leased(make):
    bucket = only([make.listing(devices=1, free=-1)])
    assert (bucket.devices, bucket.rentable, bucket.leased, bucket.closed) == (2, 0, 2, 0)


def test_the_price_per_work_is_that_of_measured_machines(make):
    bucket = only([
        make.listing("a", price=3_600_000, steps_per_second=1.0),
        make.listing("b", price=3_600_000, steps_per_second=10.0),
        make.listing("c", price=1, steps_per_second=0.0),
    ])  # fmt: skip
    assert (bucket.work_lowest, bucket.work_median) == (100_000_000, 100_000_000)
    assert only([make.listing(steps_per_second=0.0)]).work_lowest is None


def test_a_long_book_is_told_in_few_steps_from_the_first_to_the_last_price(make):
    depth = only([make.listing(f"m{n}", price=n) for n in range(100)]).depth
    assert len(depth) == DEPTH_STEPS_MAX
    first, last = depth[0], depth[-1]
    assert (first.price_micro_usd_per_device_hour, last.price_micro_usd_per_device_hour) == (0, 99)
    assert all(step.devices == step.price_micro_usd_per_device_hour + 1 for step in depth)


def test_a_bucket_has_changed_when_a_figure_has(make):
    bucket = only([make.listing()])
    tick = to_tick(bucket, make.NOW)
    assert bucket.has_changed(None)
    assert not bucket.has_changed(tick)
    assert only([make.listing(price=7)]).has_changed(tick)
    assert empty("CPU", "home").has_changed(tick)
    assert tick.hour == make.NOW // 3600
