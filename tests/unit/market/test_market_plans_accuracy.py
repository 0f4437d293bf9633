"""Predicted against actual, in ratios: 1 is right."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gondwana.market.plans.accuracy import Actual, Expected, accuracies, ratio


def pair(seconds=100.0, took=100.0, cost=1000, paid=1000, *, bucket="H100", succeeded=True):
    expected = Expected(
        bucket=bucket, basis="told", machines=1, seconds=seconds, cost_micro_usd=cost
    )
    return expected, Actual(machines=1, seconds=took, cost_micro_usd=paid, succeeded=succeeded)


def test_a_bucket_tells_its_median_and_how_many_were_nearly_right():
    jobs = [pair(took=took, paid=2000) for took in (90.0, 100.0, 110.0, 300.0)]
    (found,) = accuracies([*jobs, pair(took=9e9, succeeded=False)])
    assert (found.bucket, found.basis, found.jobs) == ("H100", "told", 4)
    assert found.seconds.median == pytest.approx(1.05)
    assert found.seconds.within_quarter == 0.75
    assert (found.seconds.low, found.seconds.high) == (0.9, 3.0)
    assert found.cost.median == 2.0
    assert found.step_seconds is None


def test_buckets_are_told_apart_and_nothing_is_made_of_nothing():
    assert [each.bucket for each in accuracies([pair(bucket="L4"), pair(bucket="H100")])] == [
        "H100",
        "L4",
    ]
    assert accuracies([pair(succeeded=False)]) == ()
    (free,) = accuracies([pair(cost=0)])
    assert free.cost is None
    assert ratio(1.0, 0) is None
    assert ratio(None, 1.0) is None


@given(st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=30))
def test_the_spread_is_of_what_was_seen_and_in_order(took):
    (found,) = accuracies([pair(took=each) for each in took])
    spread = found.seconds
    assert min(took) / 100 <= spread.low <= spread.median <= spread.high <= max(took) / 100
    assert 0 <= spread.within_quarter <= 1
