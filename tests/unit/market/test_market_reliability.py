"""How far a machine can be relied on, by what became of its leases."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gondwana.market.measures import SLACK_SECONDS, Kept, kept_of
from gondwana.market.model import CloseReason
from gondwana.wire.machines import RELIABILITY_PRIOR

DAY = 86_400.0
NOW = 100 * DAY


def kept(proven, lasted, *, reason=CloseReason.JOB_DONE, closed=True, began=NOW - 20 * DAY):
    return Kept(
        machine_id="mac_a", reason=reason if closed else None, proven_ms=round(proven * 1_000),
        active_at=began, closed_at=began + lasted if closed else None,
    )  # fmt: skip


def test_a_machine_that_was_never_leased_is_taken_to_be_as_others():
    assert kept_of([], (), NOW) == (RELIABILITY_PRIOR, 0.0)


def test_a_machine_that_proved_all_it_promised_rises_with_the_time_it_served():
    day, week = kept_of([kept(DAY, DAY)], (), NOW)[0], kept_of([kept(7 * DAY, 7 * DAY)], (), NOW)[0]
    assert RELIABILITY_PRIOR < day < week < 1


def test_many_short_jobs_whose_last_seconds_nobody_proved_are_no_fault():
    short = [kept(2, 2 + SLACK_SECONDS - 1, began=NOW - n * 100) for n in range(2, 5_000)]
    assert kept_of(short, (), NOW)[0] > RELIABILITY_PRIOR


def test_half_of_the_time_away_counts_as_half():
    reliable, proven = kept_of([kept(100 * DAY, 200 * DAY)], (), NOW)
    assert reliable == pytest.approx(0.5, abs=0.01)
    assert proven == 100 * DAY


def test_a_lease_that_its_machine_lost_costs_more_than_the_seconds_that_are_missing():
    done, lost = kept(DAY, DAY), kept(DAY, DAY, reason=CloseReason.MACHINE_LOST)
    assert kept_of([lost], (), NOW)[0] < kept_of([done], (), NOW)[0]


def test_a_reservation_that_a_machine_broke_costs_as_much_as_a_lease_that_it_lost():
    lease, lost = kept(DAY, DAY), kept(DAY, DAY, reason=CloseReason.MACHINE_LOST)
    assert kept_of([lease], (), NOW, broken=1) == kept_of([lost], (), NOW)


def test_nobody_is_blamed_for_the_time_in_which_the_network_heard_nobody():
    away = SimpleNamespace(since=NOW - 20 * DAY + 100, until=NOW - 20 * DAY + 100 + DAY)
    lease = kept(DAY, 2 * DAY)
    assert kept_of([lease], (), NOW)[0] < RELIABILITY_PRIOR
    assert kept_of([lease], (away,), NOW)[0] > RELIABILITY_PRIOR


@given(st.lists(st.tuples(st.floats(0, 1e7), st.floats(0, 1e7), st.sampled_from(CloseReason))))
def test_it_stays_between_nothing_and_all_whatever_happened(leases):
    found = [kept(min(proven, lasted), lasted, reason=reason) for proven, lasted, reason in leases]
    assert 0 <= kept_of(found, (), NOW)[0] <= 1
