"""Pricing policies: within the owner's range, in bounded moves, the same for the same facts, in whole micro-dollars."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidValue
from gondwana.core.values import replace
from gondwana.supply.pricing.rules import SLOW, check_policy, decide, utilisation_basis_points
from gondwana.wire.pricing import PolicyKind, PriceFacts, PricePolicy, Window

NOW = Instant(1_800_000_000.0)
prices = st.integers(0, 5) | st.integers(0, 10**9)
windows = st.lists(
    st.builds(
        Window,
        days=st.sampled_from([(0,), (1, 2, 3), tuple(range(7))]),
        from_minute=st.integers(0, 700),
        to_minute=st.integers(701, 1440),
        price_micro_usd_per_device_hour=prices,
    ),
    max_size=3,
).map(tuple)
ranges = st.tuples(prices, prices).map(sorted)
policies = st.builds(
    lambda kind, limits, **more: PricePolicy(
        kind=kind,
        floor_micro_usd_per_device_hour=limits[0],
        ceiling_micro_usd_per_device_hour=limits[1],
        **more,
    ),
    kind=st.sampled_from(PolicyKind),
    limits=ranges,
    price_micro_usd_per_device_hour=st.none() | prices,
    interval_seconds=st.integers(60, 10_000),
    move_basis_points_max=st.integers(1, 5_000),
    target_basis_points=st.integers(0, 10_000),
    under_basis_points=st.integers(0, 10_000),
    windows=windows,
    timezone=st.sampled_from(["UTC", "Europe/Berlin", "Asia/Tokyo"]),
)
told = st.builds(
    PriceFacts,
    price_micro_usd_per_device_hour=prices,
    changed_at=st.floats(NOW - 20_000, NOW),
    utilisation_basis_points=st.integers(0, 10_000),
    lowest_competing_micro_usd_per_device_hour=st.none() | prices,
    answer_micro_usd_per_device_hour=st.none() | prices,
    answered_at=st.none() | st.floats(NOW - 50_000, NOW),
    answer_error=st.sampled_from(["", "it broke"]),
)


@given(policies, told)
def test_a_price_stays_in_its_range_moves_a_bounded_step_and_comes_with_a_reason(policy, facts):
    before = facts.price_micro_usd_per_device_hour
    made = decide(policy, facts, NOW)
    after = made.price_micro_usd_per_device_hour
    low, high = policy.floor_micro_usd_per_device_hour, policy.ceiling_micro_usd_per_device_hour
    assert type(after) is int
    assert low <= after <= high
    assert made.reason
    assert decide(policy, facts, NOW) == made
    if low <= before <= high and policy.kind in SLOW:
        assert abs(after - before) <= max(1, before * policy.move_basis_points_max // 10_000)
        if NOW - facts.changed_at < policy.interval_seconds:
            assert after == before


def policy(kind, **changes):
    given = {
        "floor_micro_usd_per_device_hour": 100_000,
        "ceiling_micro_usd_per_device_hour": 1_000_000,
    }
    return PricePolicy(kind=kind, **{**given, **changes})


def facts(price=400_000, *, lowest=None, **changes):
    given = {"changed_at": NOW - 10_000, "utilisation_basis_points": 0, "model": "H100",
             "lowest_competing_micro_usd_per_device_hour": lowest}  # fmt: skip
    return PriceFacts(price_micro_usd_per_device_hour=price, **{**given, **changes})


def decided(policy, facts, now=NOW):
    made = decide(policy, facts, now)
    return made.price_micro_usd_per_device_hour, made.reason


def test_undercut_goes_a_percent_below_the_lowest_other_ask():
    under = policy(PolicyKind.UNDERCUT, move_basis_points_max=5_000)
    assert decided(under, facts(lowest=400_000)) == (
        392_000,
        "undercut 2 % of $0.40",
    )
    assert decided(under, facts(lowest=500_000)) == (
        490_000,
        "undercut 2 % of $0.50",
    )
    price, reason = decided(under, facts(lowest=50_000, price=110_000))
    assert price == 100_000
    assert reason.endswith("held at your floor of $0.10")
    assert decided(under, facts())[0] == 600_000, "nobody else: half the price up at most"


def test_two_undercutters_do_not_race_to_zero_in_one_pass_nor_below_their_floors():
    under = policy(PolicyKind.UNDERCUT)
    one, two = 900_000, 900_000
    now, steps = NOW, []
    for _ in range(200):
        now = Instant(now + 3_600)
        seen = (one, two)
        one = decided(
            under,
            facts(seen[0], changed_at=now - 3_600, lowest=seen[1]),
            now,
        )[0]
        two = decided(
            under,
            facts(seen[1], changed_at=now - 3_600, lowest=seen[0]),
            now,
        )[0]
        steps.append(seen[0] - one)
        assert one >= 100_000
        assert two >= 100_000
    assert max(steps) <= 900_000 * 500 // 10_000
    assert (one, two) == (100_000, 100_000)


def test_utilisation_raises_above_its_target_lowers_below_and_rests_near_it():
    used = policy(PolicyKind.UTILISATION)
    assert decided(used, facts(utilisation_basis_points=10_000))[0] == 420_000
    price, reason = decided(used, facts(utilisation_basis_points=2_000))
    assert price == 380_000
    assert reason == "lowered: 20 % leased in the last 1 h 00 min, target 70 %"
    assert decided(used, facts(utilisation_basis_points=7_300))[0] == 400_000
    soon = facts(utilisation_basis_points=10_000, changed_at=NOW - 60)
    assert decided(used, soon) == (
        400_000,
        "raised: 100 % leased in the last 1 h 00 min, target 70 %; the next move may come in 59 min 00 s",
    )


@pytest.mark.parametrize(
    ("at", "price"),
    [
        ((2027, 7, 5, 18, 0), 800_000),
        ((2027, 7, 5, 17, 59), 300_000),
        ((2027, 7, 4, 19, 0), 300_000),
        ((2027, 7, 9, 22, 59), 800_000),
        ((2027, 7, 9, 23, 0), 300_000),
    ],
)
def test_a_schedule_follows_the_clock_of_its_own_place(at, price):
    berlin = ZoneInfo("Europe/Berlin")
    evening = Window(
        days=(0, 1, 2, 3, 4),
        from_minute=18 * 60,
        to_minute=23 * 60,
        price_micro_usd_per_device_hour=800_000,
    )
    scheduled = policy(
        PolicyKind.SCHEDULE,
        windows=(evening,),
        timezone="Europe/Berlin",
        price_micro_usd_per_device_hour=300_000,
    )
    now = Instant(datetime(*at, tzinfo=berlin).timestamp())
    assert decided(scheduled, facts(changed_at=now - 1), now)[0] == price


def test_a_script_that_failed_or_is_silent_keeps_the_price_and_says_so():
    scripted = policy(PolicyKind.SCRIPT, script="print()")
    said = facts(answer_micro_usd_per_device_hour=410_000, answered_at=NOW - 5)
    assert decided(scripted, said) == (410_000, "your script said $0.41")
    tight = replace(scripted, ceiling_micro_usd_per_device_hour=400_000)
    above = "your script said $0.41, held at your ceiling of $0.40"
    assert decided(tight, said) == (400_000, above)
    assert decided(scripted, facts()) == (400_000, "kept: your script has not answered yet")
    broken = replace(said, answer_error="exited: KeyError")
    assert decided(scripted, broken) == (400_000, "kept: your script failed: exited: KeyError")
    old = replace(said, answered_at=NOW - 20_000)
    assert decided(scripted, old)[1].startswith("kept: your script last answered 5 h 33 min ago")


def test_a_price_outside_the_range_is_brought_into_it_at_once():
    for kind in PolicyKind:
        assert decided(policy(kind), facts(5)) == (100_000, "brought to your floor of $0.10")
        assert decided(policy(kind), facts(9**9))[0] == 1_000_000


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"floor_micro_usd_per_device_hour": 2_000_000}, "ceiling"),
        ({"floor_micro_usd_per_device_hour": -1}, "floor"),
        ({"interval_seconds": 59}, "interval"),
        ({"move_basis_points_max": 0}, "step"),
        ({"move_basis_points_max": 5_001}, "step"),
        ({"target_basis_points": 10_001}, "target"),
        ({"under_basis_points": -1}, "under"),
        ({"script": "x"}, "script"),
        ({"timezone": "../../etc/passwd"}, "timezone"),
        ({"timezone": "Nowhere/No"}, "timezone"),
        ({"timezone": ""}, "timezone"),
        ({"kind": PolicyKind.SCRIPT}, "script"),
        ({"kind": PolicyKind.SCHEDULE}, "windows"),
        ({"price_micro_usd_per_device_hour": 10**12}, "price"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_its_name(changes, field):
    with pytest.raises(InvalidValue) as refused:
        check_policy(replace(policy(PolicyKind.FIXED), **changes))
    assert refused.value.fields["field"] == field


@pytest.mark.parametrize("days", [(), (7,), (-1,)])
def test_a_window_has_days_of_a_week(days):
    window = Window(days=days, from_minute=0, to_minute=1440, price_micro_usd_per_device_hour=1)
    with pytest.raises(InvalidValue):
        check_policy(policy(PolicyKind.SCHEDULE, windows=(window,)))


@given(
    st.integers(1, 8),
    st.lists(st.tuples(st.integers(1, 8), st.floats(0, 100), st.floats(0, 100)), max_size=5),
)
def test_utilisation_is_a_part_of_the_whole(devices, served):
    assert 0 <= utilisation_basis_points(devices, served, since=50.0, now=100.0) <= 10_000


def test_utilisation_counts_device_seconds_of_the_span():
    served = [(1, 0.0, 60.0), (2, 75.0, 200.0)]
    assert utilisation_basis_points(2, served, since=50.0, now=100.0) == 6_000
    assert utilisation_basis_points(2, served, since=100.0, now=100.0) == 0
