import pytest
from hypothesis import given
from hypothesis import strategies as st

from gondwana.core.values import replace
from gondwana.jobs.model import UnitState
from gondwana.jobs.rules import rounds
from gondwana.wire.jobs import Gates
from gondwana.wire.units import UnitKind, UnitResult


def leases(islands):
    return [island.lease_id for island in islands]


def lacking(make, units, islands, *, later=0.0, round=5, **train):
    state = make.training(round=round)
    return leases(rounds.lacking(make.train(**train), state, units, islands, make.NOW + later))


def unit_of(make, name, state=UnitState.ASSIGNED, **changes):
    return make.unit(name, lease_id=f"lea_{name}", machine_id=f"mac_{name}", state=state, **changes)


# -- who trains


def test_the_first_rounds_are_the_strongest_islands_alone(make):
    islands = [make.island("a"), make.island("b", reference_steps_per_second=99.0)]
    train = make.train(warm_rounds=2)
    assert [rounds.is_warm(train, number) for number in range(4)] == [True, True, False, False]
    assert leases(rounds.participants(train, 1, islands)) == ["lea_b"]
    assert leases(rounds.participants(train, 2, islands[::-1])) == ["lea_a", "lea_b"]
    assert rounds.participants(train, 0, []) == []


def test_everybody_lacks_a_unit_when_a_round_begins(make):
    assert lacking(make, [], [make.island("b"), make.island("a")]) == ["lea_a", "lea_b"]


def test_who_joins_early_in_a_round_takes_part_and_who_joins_late_waits(make):
    islands = [make.island("a"), make.island("b")]
    units = [unit_of(make, "a")]
    assert lacking(make, units, islands, later=24.0, window_seconds=60.0) == ["lea_b"]
    assert lacking(make, units, islands, later=24.1, window_seconds=60.0) == []


def test_nobody_joins_a_warm_round_that_is_under_way(make):
    islands = [make.island("a"), make.island("b")]
    assert lacking(make, [unit_of(make, "a")], islands, round=0, warm_rounds=1) == []


@pytest.mark.parametrize("ended", [UnitState.EXPIRED, UnitState.REJECTED])
def test_a_round_in_which_all_failed_goes_to_who_has_not_tried_then_to_all_again(make, ended):
    islands = [make.island("a"), make.island("b")]
    units = [unit_of(make, "a", ended)]
    assert lacking(make, units, islands, later=500.0) == ["lea_b"]
    assert lacking(make, units, islands, later=500.0, round=0) == ["lea_b"]
    units = [unit_of(make, name, ended) for name in "ab"]
    assert lacking(make, units, islands, later=500.0) == ["lea_a", "lea_b"]


@pytest.mark.parametrize("at_work", sorted(rounds.LIVE))
def test_nobody_gets_a_second_unit_of_a_round_while_somebody_is_at_it(make, at_work):
    units = [unit_of(make, "a", at_work), unit_of(make, "b", UnitState.EXPIRED)]
    assert lacking(make, units, [make.island("a"), make.island("b")]) == []


def test_an_evaluation_is_no_part_in_the_training(make):
    units = [unit_of(make, "a", kind=UnitKind.EVALUATE)]
    assert lacking(make, units, [make.island("a")]) == ["lea_a"]


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(UnitState)), max_size=6),
    st.floats(0, 300),
)
def test_who_is_given_a_unit_has_none_of_this_round_that_is_still_live(make, past, later):
    islands = [make.island(name) for name in "abcd"]
    units = [
        replace(unit_of(make, f"{name}", state), id=f"unit_{n}")
        for n, (name, state) in enumerate(past)
    ]
    live = {unit.lease_id for unit in units if unit.state in rounds.LIVE}
    given_one = lacking(make, units, islands, later=later)
    assert not live & set(given_one)
    assert len(set(given_one)) == len(given_one)
    assert live or given_one, "a round never stands still"


# -- when it is over


def over(make, *states, late=False):
    units = [unit_of(make, name, state) for name, state in zip("abcd", states, strict=False)]
    return rounds.train_over(units, make.NOW + (100 if late else 0), make.NOW + 100)


def test_a_round_is_over_when_all_came_to_an_end_and_somebody_delivered(make):
    done = UnitState.DELIVERED
    assert over(make, done, UnitState.EXPIRED, UnitState.REJECTED)
    assert not over(make, done, UnitState.ASSIGNED)
    assert not over(make, done, UnitState.OPEN)
    assert not over(make)


def test_a_round_does_not_wait_for_the_slow_past_its_deadline_but_for_a_first_delivery(make):
    assert over(make, UnitState.DELIVERED, UnitState.ASSIGNED, late=True)
    assert not over(make, UnitState.ASSIGNED, late=True)
    assert not over(make, UnitState.EXPIRED, UnitState.REJECTED, late=True)


def test_a_delivered_evaluation_ends_no_training(make):
    units = [unit_of(make, "a", UnitState.DELIVERED, kind=UnitKind.EVALUATE)]
    assert not rounds.train_over(units, make.NOW, None)


def test_without_a_deadline_a_round_waits_for_all(make):
    units = [unit_of(make, "a", UnitState.DELIVERED), unit_of(make, "b")]
    assert not rounds.train_over(units, make.NOW + 1e9, None)


def test_an_island_that_has_not_run_yet_may_take_longer_to_start(make):
    train = make.train(window_seconds=60.0)
    warm, cold = make.island(steps_per_second=1.0), make.island()
    assert rounds.unit_seconds_max(train, warm, UnitKind.TRAIN) == 135
    assert rounds.unit_seconds_max(train, cold, UnitKind.TRAIN) == 225
    assert rounds.unit_seconds_max(train, warm, UnitKind.EVALUATE) == 120
    assert rounds.unit_seconds_max(train, cold, UnitKind.INIT) == 210


# -- data


def test_the_data_seed_is_not_known_before_the_parameters_are():
    assert rounds.data_seed("ab" * 32) != rounds.data_seed("ac" * 32)
    assert rounds.data_seed("00" * 32) == 0


def test_a_unit_is_given_the_data_it_will_read_and_no_more(make):
    train = make.train(shards=(make.BLOB,) * 100)
    assert rounds.shards_wanted(train, 50, None, 1000) == rounds.SHARDS_FIRST
    assert rounds.shards_wanted(train, 50, 10.0, 0) == rounds.SHARDS_FIRST
    assert rounds.shards_wanted(train, 50, 10.0, 1000) == 1
    assert rounds.shards_wanted(train, 50, 11.0, 1000) == 2
    assert rounds.shards_wanted(train, 10**6, 1000.0, 1000) == 100
    assert rounds.shards_wanted(make.train(), 50, None, 1000) == 1


def test_tokens_per_step_come_from_units_that_were_delivered(make):
    done = [
        unit_of(make, name, result=UnitResult(tokens=tokens, steps=steps))
        for name, tokens, steps in (("a", 100, 10), ("b", 500, 25), ("liar", 2**40, 1))
    ]
    judged = unit_of(make, "c", kind=UnitKind.EVALUATE, result=UnitResult(tokens=9, steps=9))
    assert rounds.tokens_per_step([*done, unit_of(make, "d"), judged]) == 20.0
    assert rounds.tokens_per_step([]) is None
    idle = unit_of(make, "a", result=UnitResult(tokens=5, steps=0))
    assert rounds.tokens_per_step([idle]) is None


def test_a_round_is_the_same_part_of_the_schedule_for_fast_and_slow(make):
    train = make.train(rounds=10)
    for steps in (1, 7, 100):
        first, total = rounds.schedule(train, 4, steps)
        assert (first / total, total) == (0.4, 10 * steps)


# -- evaluation


names = st.sets(st.sampled_from([f"unit_{n}" for n in range(8)]), max_size=8)


@given(names, names, st.integers(0, 10), st.text("0123456789abcdef", min_size=12, max_size=12))
def test_who_is_evaluated_is_drawn_at_random_and_the_same_for_everybody(
    make, ids, must, count, seed
):
    train = make.train(gates=Gates(evaluate_per_round=count))
    must &= ids
    drawn = rounds.sampled(train, seed, sorted(ids), sorted(must))
    assert drawn == rounds.sampled(train, seed, sorted(ids, reverse=True), sorted(must))
    assert must <= set(drawn) <= ids
    assert min(count, len(ids)) <= len(drawn) <= count + len(must)
    assert drawn == sorted(set(drawn))


def test_every_delta_is_drawn_some_time_and_nobody_knows_when(make):
    ids = [f"unit_{n}" for n in range(4)]
    counts = dict.fromkeys(ids, 0)
    for n in range(400):
        (one,) = rounds.sampled(make.train(), f"{n:064x}", ids, [])
        counts[one] += 1
    assert min(counts.values()) > 60


@given(st.integers(1, 6), st.sets(st.integers(0, 5)), st.sets(st.integers(0, 5)), st.text())
def test_a_machine_never_judges_what_it_trained_nor_twice(make, count, barred, tried, seed):
    islands = [make.island(f"{n}") for n in range(count)]
    machines, spoke = [f"mac_{n}" for n in barred], [f"lea_{n}" for n in tried]
    found = rounds.evaluator(islands, machines, spoke, seed)
    assert found == rounds.evaluator(islands[::-1], machines, spoke, seed)
    free = [one for one in islands if one.machine_id not in machines and one.lease_id not in spoke]
    assert found in free if free else found is None


def test_a_machine_with_two_leases_still_does_not_judge_its_own_delta(make):
    twins = [make.island("a", machine_id="mac_x"), make.island("b", machine_id="mac_x")]
    assert rounds.evaluator(twins, ["mac_x"], [], "seed") is None
