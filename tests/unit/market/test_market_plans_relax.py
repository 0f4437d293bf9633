"""Where nothing fits: what would make it fit does, and the cheapest comes first."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gondwana.core.clock import Instant
from gondwana.core.values import replace
from gondwana.market.plans.relax import RELAXATIONS_MAX, relaxations
from gondwana.market.screening import screen
from gondwana.wire.jobs import Accelerators, Resources

NOW = Instant(1_800_000_000.0)

GIB = 1024**3
offers = st.lists(
    st.fixed_dictionaries({
        "accelerator": st.sampled_from(["CPU", "H100", "RTX4090"]), "devices": st.integers(1, 4),
        "free": st.integers(0, 4), "price": st.integers(0, 5) | st.integers(0, 10**6), "is_open": st.booleans(),
        "isolation": st.sampled_from(["sandbox", "sandbox", "none"]), "cpus": st.sampled_from([1.0, 4.0, 16.0]),
        "memory_bytes": st.sampled_from([GIB, 64 * GIB]), "notice_seconds": st.sampled_from([0, 3600]),
        "steps_per_second": st.sampled_from([0.0, 1.0, 50.0]),
    }),
    max_size=8,
)  # fmt: skip
wants = st.fixed_dictionaries({
    "names": st.lists(st.sampled_from(["", "H100", "RTX4090", "B200"]), max_size=2), "devices": st.integers(1, 3),
    "cpus": st.sampled_from([0.0, 8.0, 32.0]), "memory": st.sampled_from([0, 32 * GIB]),
    "cap": st.none() | st.integers(0, 10**6), "count": st.integers(1, 3), "more": st.integers(0, 2),
})  # fmt: skip


def order_of(make, want):
    count = want["devices"] if want["names"] else 1
    accelerators = tuple(Accelerators(name=name, count=count) for name in want["names"])
    return make.order(
        devices=count,
        count_min=want["count"],
        count_max=want["count"] + want["more"],
        price_cap_micro_usd_per_device_hour=want["cap"],
        resources=Resources(
            accelerators=accelerators, cpus_min=want["cpus"], memory_bytes_min=want["memory"]
        ),
    )


def as_waited_for(listing, change):
    if change.was == "taken":
        return replace(listing, devices_free=listing.devices)
    return replace(listing, is_open=True) if change.was == "closed" else listing


@given(offers, wants, st.randoms())
@settings(max_examples=150, deadline=None)
def test_every_relaxation_makes_it_fit_and_the_cheapest_comes_first(make, offered, want, random):
    order = order_of(make, want)
    listings = [
        make.listing(f"m{n}", **{**each, "free": min(each["free"], each["devices"])})
        for n, each in enumerate(offered)
    ]
    found = relaxations(order, listings, NOW)
    if len(screen(order, listings, NOW).fits) >= order.count_min:
        assert found == ()
    assert len(found) <= RELAXATIONS_MAX
    costs = [(each.added_micro_usd_per_hour, each.price_micro_usd_per_hour) for each in found]
    assert costs == sorted(costs)
    for each in found:
        waited = listings
        for change in each.changes:
            assert change.was != change.now
            waited = [as_waited_for(listing, change) for listing in waited]
        fits = screen(each.order, waited, NOW).fits
        assert len(fits) >= each.order.count_min > 0
        assert {one.machine_id for one in each.machines} <= {one.machine_id for one in fits}
        assert len(each.machines) == each.order.count_min
        assert each.price_micro_usd_per_hour == each.order.devices * sum(
            one.price_micro_usd_per_device_hour for one in each.machines
        )
    random.shuffle(listings)
    assert relaxations(order, listings, NOW) == found


def words(order, *listings):
    return [each.words for each in relaxations(order, listings, NOW)]


def test_a_cap_is_raised_to_what_the_cheapest_that_fit_ask(make):
    order = make.order(price_cap_micro_usd_per_device_hour=200_000, count_min=2, count_max=2)
    found = relaxations(
        order, [make.listing(f"m{n}", price=price) for n, price in enumerate([350_000, 900_000, 300_001])], NOW
    )  # fmt: skip
    assert found[0].words == "raise the price cap from $0.20 to $0.35 per device-hour"
    assert found[0].changes[0].now == "0.35"
    assert found[0].changes[0].field == "gondwana.price_cap_usd_per_gpu_hour"
    assert (found[0].price_micro_usd_per_hour, found[0].added_micro_usd_per_hour) == (
        650_001,
        250_001,
    )


def test_a_cap_is_told_to_the_last_micro_dollar(make):
    order = make.order(price_cap_micro_usd_per_device_hour=200_000)
    assert words(order, make.listing(price=300_001)) == [
        "raise the price cap from $0.20 to $0.300001 per device-hour"
    ]


def test_a_pair_is_told_where_one_change_is_not_enough_and_only_there(make):
    want = Resources(cpus_min=8.0)
    order = make.order(resources=want, price_cap_micro_usd_per_device_hour=100)
    assert words(order, make.listing(cpus=4.0, price=500)) == [
        "raise the price cap from $0.000100 to $0.000500 per device-hour, "
        "and ask for 4 processors instead of 8"
    ]
    assert words(order, make.listing(cpus=4.0, price=50)) == ["ask for 4 processors instead of 8"]


def test_another_model_fewer_devices_or_fewer_machines(make):
    want = Resources(accelerators=(Accelerators(name="H100", count=2),))
    order = make.order(resources=want, devices=2)
    assert words(order, make.listing(accelerator="RTX4090", devices=2)) == [
        "take RTX4090 instead of H100"
    ]
    assert words(order, make.listing(accelerator="H100", devices=1)) == [
        "ask for 1 device a machine instead of 2"
    ]
    gang = make.order(count_min=3, count_max=3)
    assert words(gang, make.listing("a"), make.listing("b")) == ["run on 2 machines instead of 3"]


def test_waiting_is_a_way_out_too(make):
    assert words(make.order(), make.listing(free=0)) == ["wait for machines that are leased now"]
    assert words(make.order(), make.listing(is_open=False)) == [
        "wait for machines that are down, or sell nothing now"
    ]


def test_nothing_helps_where_there_is_no_machine_or_no_sandbox(make):
    assert words(make.order()) == []
    assert words(make.order(), make.listing(isolation="none")) == []
