import pytest

from gondwana.core.clock import AHEAD_SECONDS_MAX, ContinuedClock, Instant, ManualClock


def test_a_clock_that_is_behind_goes_on_where_the_other_left_off():
    own = ManualClock(1_000.0)
    clock = ContinuedClock(own, Instant(1_200.0))
    assert (clock.now(), clock.ahead_seconds) == (1_200.0, 200.0)
    own.advance(5.0)
    assert clock.now() == 1_205.0


@pytest.mark.parametrize("left_off", [0.0, 999.0, 1_000.0, 1_000.0 + AHEAD_SECONDS_MAX + 1])
def test_a_clock_that_is_not_behind_or_by_far_too_much_is_its_own(left_off):
    clock = ContinuedClock(ManualClock(1_000.0), Instant(left_off))
    assert (clock.now(), clock.ahead_seconds) == (1_000.0, 0.0)
