import pytest

from gondwana.core.errors import InvalidValue, WrongState
from gondwana.supply import rules
from gondwana.supply.model import (
    OFFER_TRANSITIONS,
    TRANSITIONS,
    MachineState,
    OfferState,
)
from gondwana.wire.machines import MachineSpeed

ARROWS = [(a, b) for a in MachineState for b in MachineState]


def test_every_state_is_in_the_table_and_every_arrow_leads_somewhere_else():
    assert set(TRANSITIONS) == set(MachineState)
    assert set(OFFER_TRANSITIONS) == set(OfferState)
    for table in (TRANSITIONS, OFFER_TRANSITIONS):
        assert all(state not in after for state, after in table.items())


def test_every_state_can_be_reached_and_only_left_is_for_good():
    reached, edge = {MachineState.JOINING}, [MachineState.JOINING]
    while edge:
        fresh = TRANSITIONS[edge.pop()] - reached
        reached |= fresh
        edge += fresh
    assert reached == set(MachineState)
    assert [state for state, after in TRANSITIONS.items() if not after] == [MachineState.LEFT]
    assert all(MachineState.LEFT in after for state, after in TRANSITIONS.items() if after)


@pytest.mark.parametrize("before, after", ARROWS)
def test_a_machine_moves_along_the_arrows_of_the_table_and_no_others(make, before, after):
    machine = make.machine(state=before)
    if after in TRANSITIONS[before]:
        assert rules.move(machine, after) is after
    else:
        with pytest.raises(WrongState) as refused:
            rules.move(machine, after)
        assert machine.name in refused.value.hint


@pytest.mark.parametrize("before, after", [(a, b) for a, b in ARROWS if b in TRANSITIONS[a]])
def test_no_arrow_of_a_machine_takes_its_offer_where_an_offer_cannot_go(before, after):
    offer, then = rules.offer_state(before), rules.offer_state(after)
    assert then is offer or then in OFFER_TRANSITIONS[offer]


def test_an_offer_stands_only_while_its_machine_is_up():
    assert [s for s in MachineState if rules.offer_state(s) is OfferState.OPEN] == [MachineState.UP]
    assert rules.offer_state(MachineState.LEFT) is OfferState.WITHDRAWN


@pytest.mark.parametrize(
    "verb, before, after",
    [
        ("pause", MachineState.UP, MachineState.PAUSED),
        ("resume", MachineState.PAUSED, MachineState.UP),
        ("drain", MachineState.UP, MachineState.DRAINING),
        ("drain", MachineState.PAUSED, MachineState.DRAINING),
        ("leave", MachineState.UP, MachineState.LEFT),
        ("leave", MachineState.DOWN, MachineState.LEFT),
        ("leave", MachineState.SUSPENDED, MachineState.LEFT),
    ],
)
def test_an_owner_says_what_becomes_of_the_machine(make, verb, before, after):
    assert rules.owner_verb(make.machine(state=before), verb, leased=False) is after


@pytest.mark.parametrize(
    "before", [state for state in MachineState if state is not MachineState.PAUSED]
)
def test_resume_is_for_a_paused_machine_and_lets_no_suspended_or_silent_one_back(make, before):
    with pytest.raises(WrongState):
        rules.owner_verb(make.machine(state=before), "resume", leased=False)


def test_a_machine_that_serves_a_lease_is_drained_first(make):
    with pytest.raises(WrongState) as refused:
        rules.owner_verb(make.machine(), "leave", leased=True)
    assert "drain" in refused.value.hint
    for verb in ("pause", "drain"):
        rules.owner_verb(make.machine(), verb, leased=True)


@pytest.mark.parametrize("verb", ["", "up", "suspended", "reinstate"])
def test_an_owner_cannot_say_anything_else(make, verb):
    with pytest.raises(InvalidValue):
        rules.owner_verb(make.machine(), verb, leased=False)


def test_facts_bring_a_machine_up_but_lift_no_pause_and_no_suspension(make):
    up = {MachineState.JOINING, MachineState.PROBING, MachineState.DOWN}
    for state in MachineState:
        after = rules.state_on_facts(make.machine(state=state))
        assert after is (MachineState.UP if state in up else state)
        assert after is state or after in TRANSITIONS[state] or state is MachineState.JOINING


def test_a_machine_is_silent_after_its_time_and_not_a_moment_before(make):
    machine = make.machine(proven_at=make.NOW)
    assert not rules.is_silent(machine, make.NOW + rules.DOWN_AFTER_SECONDS)
    assert rules.is_silent(machine, make.NOW + rules.DOWN_AFTER_SECONDS + 0.001)
    assert not rules.is_silent(machine, make.NOW + 100, 100)


def test_a_machine_that_never_proved_its_life_counts_from_its_joining(make):
    machine = make.machine(proven_at=None, joined_at=make.NOW)
    assert not rules.is_silent(machine, make.NOW + 15)
    assert rules.is_silent(machine, make.NOW + 16)


def test_only_a_serving_machine_can_be_silent_and_from_each_such_state_it_can_go_down(make):
    for state in MachineState:
        silent = rules.is_silent(make.machine(state=state), make.NOW + 1e6)
        assert silent is (state in rules.SERVING)
        assert not silent or MachineState.DOWN in TRANSITIONS[state]


def test_three_heartbeats_may_be_missed_but_no_more():
    assert rules.DOWN_AFTER_SECONDS == 3 * rules.HEARTBEAT_SECONDS


def test_rejections_count_in_a_row_and_one_accepted_unit_forgives_them(make):
    assert rules.after_verdict(make.machine(rejections_in_row=2), accepted=False) == 3
    assert rules.after_verdict(make.machine(rejections_in_row=2), accepted=True) == 0


@pytest.mark.parametrize("price", [0, rules.PRICE_MAX_MICRO_USD_PER_DEVICE_HOUR])
@pytest.mark.parametrize("devices", [1, rules.DEVICES_MAX])
def test_terms_at_their_bounds_can_be_sold(price, devices):
    rules.check_terms(price, devices)


@pytest.mark.parametrize(
    "price, devices",
    [
        (-1, 1),
        (rules.PRICE_MAX_MICRO_USD_PER_DEVICE_HOUR + 1, 1),
        (0, 0),
        (0, rules.DEVICES_MAX + 1),
    ],
)
def test_terms_beyond_their_bounds_cannot(price, devices):
    with pytest.raises(InvalidValue):
        rules.check_terms(price, devices)


@pytest.mark.parametrize("told", [float("nan"), float("inf"), -1.0, 0.0, 1e308])
def test_what_cannot_be_a_speed_counts_as_not_measured(told):
    speed = MachineSpeed(
        matmul_gflops=told, memory_bytes_per_second=told, steps_per_second=told, torch="2"
    )
    assert rules.measured(speed) == MachineSpeed(torch="2")


def test_a_measured_speed_stays_as_it_is():
    speed = MachineSpeed(matmul_gflops=80.0, memory_bytes_per_second=2e10, steps_per_second=12.5)
    assert rules.measured(speed) == speed


@pytest.mark.parametrize("seconds", [0, 3_600, 720 * 3_600])
def test_no_notice_or_one_of_an_hour_to_thirty_days_may_be_promised(seconds):
    rules.check_notice(seconds)


@pytest.mark.parametrize("seconds", [-1, 1, 1_800, 3_599, 720 * 3_600 + 1])
def test_another_notice_is_refused_with_what_to_type(seconds):
    with pytest.raises(InvalidValue) as refused:
        rules.check_notice(seconds)
    assert refused.value.fields == {"field": "notice_seconds", "value": seconds}
    assert refused.value.hint == "0 for none, or from 1h to 720h"
