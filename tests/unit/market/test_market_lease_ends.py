"""When a lease ends ahead of its job, by rule alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gondwana.core.clock import Instant
from gondwana.core.values import replace
from gondwana.market import rules, screening
from gondwana.market.model import CloseReason, LeaseState

NOW = Instant(1_800_000_000.0)

HOUR = 3_600
seconds = st.sampled_from([-1.0, -0.001, 0.0, 0.001, 1.0]) | st.floats(-1e6, 1e6)
SERVE = (LeaseState.ACTIVE, LeaseState.RECLAIMING)


@given(seconds, st.sampled_from(LeaseState))
def test_a_notice_ends_a_lease_at_its_instant_and_not_a_moment_before(make, late, state):
    lease = make.lease(
        state=state, reclaim_at=make.NOW, reason=CloseReason.RECLAIMED, notice_seconds=HOUR
    )
    now = make.NOW + late
    over = state is LeaseState.RECLAIMING and now >= make.NOW
    assert rules.due_end(lease, now) is (CloseReason.RECLAIMED if over else None)


@given(seconds, st.sampled_from(LeaseState))
def test_an_agreed_time_ends_a_lease_that_serves_and_no_other(make, late, state):
    lease = make.lease(state=state, ends_at=make.NOW, reclaim_at=make.NOW + 1e9)
    now = make.NOW + late
    over = state in SERVE and now >= make.NOW
    assert rules.due_end(lease, now) is (CloseReason.LEASE_ENDED if over else None)


@given(st.just(0) | st.integers(HOUR, 720 * HOUR))
def test_nobody_gets_less_than_the_time_to_save_nor_less_than_was_agreed(make, agreed):
    at, reason = rules.reclaim_of(make.lease(notice_seconds=agreed), make.NOW)
    assert at - make.NOW == max(agreed, rules.RECLAIM_SECONDS_MIN)
    assert reason is (CloseReason.RECLAIMED if agreed else CloseReason.OWNER_LEFT)


def test_a_replacement_ends_with_the_lease_that_it_replaces_however_late_it_comes(make):
    order = make.order(lease_seconds=2 * HOUR)
    assert rules.ends_at(order, [], make.NOW) == make.NOW + 2 * HOUR
    before = make.lease(state=LeaseState.CLOSED, ends_at=make.NOW + 2 * HOUR)
    assert rules.ends_at(order, [before], make.NOW + 50.0) == make.NOW + 2 * HOUR
    extended = replace(order, lease_seconds=3 * HOUR)  # while it had no machine
    assert rules.ends_at(extended, [before], make.NOW + 50.0) == make.NOW + 3 * HOUR
    lapsed = replace(before, active_at=None, ends_at=make.NOW - 1)  # nobody ever used it
    assert rules.ends_at(order, [lapsed], make.NOW) == make.NOW + 2 * HOUR
    assert rules.ends_at(make.order(), [before], make.NOW) is None


@pytest.mark.parametrize(
    ("promised", "wanted", "fits"),
    [(0, 0, True), (HOUR, HOUR, True), (HOUR, HOUR + 1, False)],
)
def test_a_promise_of_exactly_what_is_wanted_is_enough(make, promised, wanted, fits):
    order = make.order(notice_seconds_min=wanted)
    said = screening.screen(order, [make.listing(notice_seconds=promised)], NOW)
    assert bool(said.fits) is fits
    assert fits or "notice" in said.why_not
