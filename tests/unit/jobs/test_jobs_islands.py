import pytest
from hypothesis import given
from hypothesis import strategies as st

from gondwana.core.clock import Instant
from gondwana.core.values import replace
from gondwana.jobs.model import Phase
from gondwana.jobs.rules import islands
from gondwana.wire.units import UnitKind

speeds = st.floats(0.01, 1e4)


def measured(make, rate, *, priced=None, name="a", reference=10.0):
    return make.island(
        name,
        steps_per_second=rate,
        priced_steps_per_second=priced or rate,
        reference_steps_per_second=reference,
    )


def price(make, island, steps, *, kind=UnitKind.TRAIN, others=(), **train):
    return islands.unit_price_micro_usd(make.train(**train), island, [island, *others], kind, steps)


# -- speed


def test_an_islands_speed_is_what_was_measured_with_this_recipe(make):
    island = measured(make, 3.0)
    assert islands.speed(island, [island]) == 3.0


def test_before_any_unit_the_reference_speed_puts_islands_in_order(make):
    island = make.island(reference_steps_per_second=10.0)
    assert islands.speed(island, [island]) == 10.0


def test_an_unmeasured_island_is_judged_in_proportion_to_the_measured_ones(make):
    fresh = make.island("new", reference_steps_per_second=40.0)
    others = [measured(make, rate, name=f"m{rate}") for rate in (1.0, 2.0, 100.0)]
    assert (
        islands.speed(fresh, [fresh, *others]) == 40.0 * 0.2
    )  # the median, so one liar moves it little
    unknown = replace(others[0], reference_steps_per_second=0.0)
    assert islands.speed(fresh, [fresh, unknown]) == 40.0


def test_the_strongest_island_is_the_same_for_everybody(make):
    even = [make.island(name) for name in "cab"]
    assert islands.strongest(even) == islands.strongest(even[::-1]) == even[0]
    fast = make.island("0", reference_steps_per_second=11.0)
    assert islands.strongest([*even, fast]) == fast


# -- steps


def test_the_first_unit_measures_with_the_steps_that_were_asked_for(make):
    island = make.island(reference_steps_per_second=1e6)
    train = make.train(inner_steps=50, window_seconds=60.0)
    assert islands.inner_steps(train, island, [island], warm=False) == 50


@given(speeds, st.integers(1, 1000), st.floats(1.0, 600.0))
def test_an_island_gets_the_steps_that_it_does_in_a_window(make, rate, most, window):
    island = measured(make, rate)
    train = make.train(inner_steps=most, window_seconds=window)
    steps = islands.inner_steps(train, island, [island], warm=False)
    assert 1 <= steps <= most
    assert steps == 1 or steps / rate <= window
    warm = islands.inner_steps(train, island, [island], warm=True)
    assert warm == max(1, min(int(window * rate), islands.INNER_STEPS_MAX))


def test_faster_islands_get_more_steps_of_the_same_window(make):
    slow, fast = measured(make, 1.0, name="slow"), measured(make, 4.0, name="fast")
    train = make.train(inner_steps=1000, window_seconds=60.0)
    found = [islands.inner_steps(train, one, [slow, fast], warm=False) for one in (slow, fast)]
    assert found == [60, 240]


def test_a_lone_island_has_nobody_to_wait_for(make):
    island = measured(make, 1.0)
    train = make.train(inner_steps=500, window_seconds=60.0, islands_max=1)
    assert islands.inner_steps(train, island, [island], warm=False) == 500


# -- price


def test_a_unit_costs_what_its_steps_take_at_the_measured_speed(make):
    island = measured(make, 2.0)  # $3.60 an hour: a second is 1000 micro-USD
    assert price(make, island, 20, window_seconds=60.0) == 10_000


def test_getting_slower_is_not_paid_for(make):
    first = measured(make, 2.0)
    slower = replace(first, steps_per_second=0.5)
    assert price(make, slower, 20) == price(make, first, 20)


@given(speeds, speeds, st.integers(1, 1000), st.floats(1.0, 600.0))
def test_no_unit_costs_more_than_the_window_it_was_given(make, first, now, most, window):
    island = measured(make, now, priced=first)
    train = make.train(inner_steps=most, window_seconds=window)
    for warm in (True, False):
        steps = islands.inner_steps(train, island, [island], warm=warm)
        told = islands.unit_price_micro_usd(train, island, [island], UnitKind.TRAIN, steps)
        assert told <= island.price_micro_usd_per_hour * window / 3600


@given(speeds, st.integers(1, 1000))
def test_not_even_an_unmeasured_or_a_lone_island_costs_more_than_it_may_take(
    make, reference, steps
):
    fresh = make.island(reference_steps_per_second=reference)
    assert price(make, fresh, steps, window_seconds=60.0) <= 2 * 60_000
    lone = measured(make, reference)
    assert price(make, lone, steps, window_seconds=60.0, islands_max=1) <= 2 * 60_000


def test_a_machine_whose_speed_nobody_could_measure_costs_the_window(make):
    fresh = make.island(reference_steps_per_second=0.0)
    assert price(make, fresh, 10, window_seconds=60.0) == 60_000


@pytest.mark.parametrize("kind", [UnitKind.INIT, UnitKind.EVALUATE])
def test_other_units_never_cost_more_than_a_window(make, kind):
    fresh = make.island(reference_steps_per_second=0.001)
    assert price(make, fresh, 1000, kind=kind, window_seconds=60.0) == 60_000


def test_an_evaluation_is_paid_by_the_passes_it_makes():
    assert islands.evaluation_steps(0) == 5
    assert islands.evaluation_steps(2) == 5 * 7


@given(st.integers(0, 10**9), speeds, st.integers(1, 1000))
def test_prices_are_whole_and_never_negative(make, hourly, rate, steps):
    island = replace(measured(make, rate), price_micro_usd_per_hour=hourly)
    told = price(make, island, steps)
    assert isinstance(told, int)
    assert told >= 0


# -- estimates


def test_the_estimate_pays_one_machine_while_warm_and_all_of_them_after(make):
    machines = [make.listing("a", price=1_000_000), make.listing("b", price=3_000_000)]
    train = make.train(rounds=10, warm_rounds=2, window_seconds=3600 / 1.1)
    assert islands.estimate_micro_usd(train, machines, 1) == 2 * 3_000_000 + 8 * 4_000_000
    assert islands.estimate_micro_usd(train, machines, 2) == 2 * (2 * 3_000_000 + 8 * 4_000_000)
    assert islands.estimate_micro_usd(train, [], 1) == 0
    assert islands.estimate_seconds(train) == pytest.approx(36_000)


def test_launching_sets_the_budget_aside_or_the_estimate_with_a_margin():
    assert islands.hold_micro_usd(7, 1000) == 7
    assert islands.hold_micro_usd(0, 1000) == 0
    assert islands.hold_micro_usd(None, 1000) == 1250


def test_a_phase_ends_after_everything_in_it_has_expired(make):
    train = make.train(window_seconds=60.0)
    assert islands.phase_seconds_max(train, Phase.TRAIN) == 210
    assert islands.phase_seconds_max(train, Phase.EVALUATE) == 210
    assert islands.phase_seconds_max(train, Phase.FINISH) == 210


@pytest.mark.parametrize("speed", [1e12, float("inf")])
def test_an_islands_own_word_on_its_speed_does_not_make_a_unit_endless(make, speed):
    island = make.island(steps_per_second=speed)
    steps = islands.inner_steps(make.train(warm_rounds=2), island, [island], warm=True)
    assert steps == islands.INNER_STEPS_MAX


@pytest.mark.parametrize(
    ("kind", "measured", "left", "expected"),
    [
        (UnitKind.TRAIN, 10.0, 60, True), (UnitKind.TRAIN, 10.0, 59, False),
        (UnitKind.TRAIN, None, 150, True), (UnitKind.TRAIN, None, 149, False),  # a cold start
        (UnitKind.EVALUATE, 10.0, 120, True), (UnitKind.EVALUATE, 10.0, 119, False),
        (UnitKind.TRAIN, 10.0, None, True),
    ],
)  # fmt: skip
def test_an_island_that_leaves_is_given_only_what_it_can_finish(make, kind, measured, left, expected):  # fmt: skip
    island = make.island(steps_per_second=measured)
    leaves_at = None if left is None else Instant(make.NOW + left)
    train = make.train(window_seconds=60.0)
    assert islands.can_finish(train, island, kind, make.NOW, leaves_at) is expected
