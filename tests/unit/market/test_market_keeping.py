"""For whom machines are kept, and who may have them meanwhile."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gondwana.core.clock import Instant
from gondwana.market.keeping import (
    AGED_SECONDS,
    END_SLACK_SECONDS,
    PATIENCE_SECONDS,
    Hold,
    Serving,
    ends_in_time,
    is_urgent,
    keep,
    latest_end,
    may_take,
    urgent,
)

NOW = Instant(1_800_000_000.0)
HOUR = 3_600.0


def hold(*, order_id="ord_gang", devices=1, hours=2.0):
    return Hold(
        machine_id="mac_a", order_id=order_id, devices=devices, whole_at=NOW + hours * HOUR, since=NOW
    )  # fmt: skip


machines = st.lists(
    st.tuples(
        st.integers(1, 4), st.lists(st.tuples(st.integers(1, 2), st.none() | st.integers(-5, 50)), max_size=3),
    ).map(lambda each: (max(each[0], sum(d for d, _ in each[1])), each[1])),
    max_size=6,
)  # fmt: skip


def build(make, told):
    listings = [make.listing(f"m{n}", devices=devices) for n, (devices, _) in enumerate(told)]
    serving = {
        f"mac_m{n}": [
            Serving(machine_id=f"mac_m{n}", devices=d, ends_at=None if end is None else NOW + end)
            for d, end in leases
        ]
        for n, (_, leases) in enumerate(told)
    }
    return listings, serving


def free_at(devices, wanted, leases):
    """By looking at every moment; a lease that should be over by now still serves."""
    if devices - sum(d for d, _ in leases) >= wanted:
        return 0
    for at in sorted(max(0, end) for _, end in leases if end is not None):
        used = sum(d for d, end in leases if end is None or max(0, end) > at)
        if devices - used >= wanted:
            return at
    return None


@given(machines, st.integers(1, 3), st.integers(1, 3))
def test_what_is_kept_is_whole_as_soon_as_any_choice_could_be(make, told, lacking, devices):
    listings, serving = build(make, told)
    order = make.order(devices=devices, count_min=lacking, count_max=lacking)
    found = keep(order, lacking, listings, serving, (), NOW)
    frees = [free_at(total, devices, leases) for total, leases in told]
    known = [each for each in frees if each is not None]
    best = min((max(some) for some in combinations(known, lacking)), default=None)
    assert (found[0].whole_at - NOW if found else None) == best
    assert len({each.machine_id for each in found}) == (lacking if found else 0)


def test_no_machine_is_kept_for_two(make):
    listings, serving = build(make, [(1, [(1, 10)]), (1, [(1, 20)])])
    assert keep(make.order(), 2, listings, serving, ["mac_m0"], NOW) == []
    (found,) = keep(make.order(), 1, listings, serving, ["mac_m0"], NOW)
    assert found.machine_id == "mac_m1"


@pytest.mark.parametrize(("hours", "may"), [(1.5, True), (2.5, False)])
def test_whoever_is_done_in_time_may_have_what_is_kept(make, hours, may):
    small = make.order("small", seconds_max=hours * HOUR)
    assert ends_in_time(small, hold(), NOW) is may
    assert may_take(small, hold(), 1, NOW) is may


def test_whoever_does_not_say_when_he_is_done_may_not(make):
    assert not may_take(make.order("small"), hold(), 1, NOW)


def test_what_is_left_beside_the_kept_devices_is_anybodys(make):
    assert may_take(make.order("small"), hold(devices=2), 3, NOW)
    assert not may_take(make.order("small", devices=2), hold(devices=2), 3, NOW)
    assert may_take(make.order("gang"), hold(order_id="ord_gang"), 1, NOW)


def test_a_lease_is_over_when_the_first_of_its_limits_says_so(make):
    lease = make.lease(reserved_at=NOW, ends_at=Instant(NOW + 10), reclaim_at=Instant(NOW + 20))
    assert latest_end(lease, 5.0) == NOW + 5 + END_SLACK_SECONDS
    assert latest_end(lease, None) == NOW + 10 + END_SLACK_SECONDS
    assert latest_end(make.lease(), None) is None


def test_large_orders_are_urgent_soon_and_all_others_when_they_are_old(make):
    def at(seconds, **changes):
        return make.order(created_at=Instant(NOW - seconds), **changes)

    assert is_urgent(at(PATIENCE_SECONDS, count_min=2, count_max=2), NOW)
    assert is_urgent(at(PATIENCE_SECONDS, devices=2), NOW)
    assert not is_urgent(at(PATIENCE_SECONDS - 1, devices=2), NOW)
    assert not is_urgent(at(AGED_SECONDS - 1), NOW)
    assert is_urgent(at(AGED_SECONDS), NOW)


def test_the_oldest_aged_orders_come_first_then_the_large_ones_by_turn(make):
    def at(name, seconds, **changes):
        return make.order(name, created_at=Instant(NOW - seconds), **changes)

    first, second = at("b", 100, devices=2), at("c", 200, devices=2)
    old, older = at("d", AGED_SECONDS), at("e", AGED_SECONDS + 1)
    found = urgent([first, old, second, older], NOW)
    assert found == [(older, True), (old, True), (first, False), (second, False)]
