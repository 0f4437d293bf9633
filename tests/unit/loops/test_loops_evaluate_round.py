"""A round's evidence over islands that are honest or lie: who is asked, and what becomes of each delta."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gondwana.core.values import replace
from gondwana.jobs.model import UnitState
from gondwana.loops import evaluate_round
from gondwana.wire.jobs import Gates
from gondwana.wire.units import Candidate, CandidateLoss, UnitKind, UnitResult

BEFORE = 3.0  # held-out loss of the published parameters


def loss(unit_id, *, good):
    heldout = BEFORE - 0.1 if good else BEFORE + 1.0
    return CandidateLoss(
        unit_id=unit_id, heldout=heldout, assigned=2.8, assigned_before=3.0, unassigned=2.9, unassigned_before=3.0
    )  # fmt: skip


def delta(make, name, *, verdict="", owner=None):
    owner = owner or name
    return make.unit(
        name, lease_id=f"lea_{owner}", machine_id=f"mac_{owner}", state=UnitState.DELIVERED, verdict=verdict
    )  # fmt: skip


def evaluation(make, name, by, judged, *, state=UnitState.ACCEPTED, heldout=BEFORE):
    """What `by` says of deltas: {unit id: whether it is good}; None when it never answered."""
    asked = [Candidate(unit_id=unit_id, delta="", shards=()) for unit_id in judged]
    told = UnitResult(
        heldout_loss=heldout, candidates=tuple(loss(u, good=good) for u, good in judged.items())
    )
    return make.unit(
        name, kind=UnitKind.EVALUATE, lease_id=f"lea_{by}", machine_id=f"mac_{by}", state=state, candidates=asked,
        result=told if state is UnitState.ACCEPTED else None,
    )  # fmt: skip


def play(make, islands, trained, *, needs=(), liars=(), bad=(), silent=(), per_round=8):
    """Ask until nothing is left to ask. Returns ({delta: (accepted, verdict)}, [(evaluator, [deltas])])."""
    train = make.train(gates=Gates(evaluate_per_round=per_round))
    everybody = [make.island(name) for name in islands]
    units = [
        delta(make, name, verdict="needs_evaluation" if name in needs else "") for name in trained
    ]
    asked = []
    owners = {one.machine_id: one.machine_id for one in (*everybody, *units)}
    for number in range(100):
        question = evaluate_round.next_question(make.training(), train, units, everybody, owners)
        if question is None:
            break
        island, candidates = question
        by = island.lease_id.removeprefix("lea_")
        asked.append((by, [unit.id.removeprefix("unit_") for unit in candidates]))
        truth = {
            unit.id: (unit.id.removeprefix("unit_") in bad) == (by in liars) for unit in candidates
        }
        state = UnitState.EXPIRED if by in silent else UnitState.ACCEPTED
        units.append(evaluation(make, f"e{number}", by, truth, state=state))
    else:
        raise AssertionError("the questions never end")
    deltas = [unit for unit in units if unit.kind is UnitKind.TRAIN]
    judged = evaluate_round.verdicts(deltas, evaluate_round.opinions(units))
    return {one.unit.id.removeprefix("unit_"): (one.accepted, one.verdict) for one in judged}, asked


FINE = (True, "accepted")
OUT = (False, "heldout_worse")


# -- one island to four


def test_a_lone_island_measures_the_parameters_and_its_delta_stands(make):
    judged, asked = play(make, "a", "a", bad="a", needs="a")
    assert judged == {"a": FINE}
    assert asked == [("a", [])]


def test_of_two_islands_each_judges_the_other_and_one_word_alone_rejects_nobody(make):
    judged, asked = play(make, "ab", "ab", bad="b")
    assert judged == {"a": FINE, "b": FINE}
    assert sorted(asked) == [("a", ["b"]), ("b", ["a"])]


def test_of_two_islands_one_word_is_enough_where_the_numbers_prove_nothing(make):
    judged, _ = play(make, "ab", "ab", bad="b", needs="ab")
    assert judged == {"a": FINE, "b": OUT}


@pytest.mark.parametrize("islands", ["abc", "abcd"])
@pytest.mark.parametrize("bad", ["a", "b", "c"])
def test_with_three_islands_or_more_a_bad_delta_is_found_by_two_witnesses(make, islands, bad):
    judged, asked = play(make, islands, islands, bad=bad)
    assert judged == {name: OUT if name == bad else FINE for name in islands}
    assert sum(bad in deltas for _, deltas in asked) == 2


@pytest.mark.parametrize("islands", ["abc", "abcd"])
@pytest.mark.parametrize("liar", ["a", "b", "c"])
def test_a_lying_evaluator_alone_turns_no_honest_delta_away(make, islands, liar):
    judged, _ = play(make, islands, islands, liars=liar)
    assert judged == dict.fromkeys(islands, FINE)


@pytest.mark.parametrize("liar", ["a", "b", "c", "d"])
def test_a_liar_who_also_trains_badly_is_turned_away_and_takes_nobody_along(make, liar):
    judged, _ = play(make, "abcd", "abcd", liars=liar, bad=liar)
    assert judged == {name: OUT if name == liar else FINE for name in "abcd"}


def test_an_honest_witness_saves_a_delta_that_the_liar_was_asked_about_first(make):
    judged, asked = play(make, "abc", "a", liars="b")
    assert judged == {"a": FINE}
    assert len(asked) <= 2
    assert all(by != "a" for by, deltas in asked if deltas)


# -- questions


@given(
    st.sets(st.sampled_from("abcd"), min_size=1),
    st.data(),
    st.integers(0, 4),
)
def test_no_machine_judges_its_own_delta_nor_one_delta_twice_and_questions_end(
    make, islands, data, per_round
):
    some = st.sets(st.sampled_from(sorted(islands)))
    trained = data.draw(st.sets(st.sampled_from(sorted(islands)), min_size=1))
    judged, asked = play(
        make, sorted(islands), sorted(trained), needs=data.draw(some),
        liars=data.draw(some), bad=data.draw(some), silent=data.draw(some), per_round=per_round,
    )  # fmt: skip
    assert set(judged) == trained
    seen = [(by, name) for by, deltas in asked for name in deltas]
    assert all(by != name for by, name in seen)
    assert len(set(seen)) == len(seen)


def test_a_delta_that_was_not_drawn_is_not_asked_about(make):
    _, asked = play(make, "abcd", "abcd", per_round=1)
    assert len([name for _, deltas in asked for name in deltas]) == 1


def test_what_needs_an_evaluation_is_asked_about_whether_drawn_or_not(make):
    _, asked = play(make, "abcd", "abcd", needs="cd", per_round=0)
    assert {name for _, deltas in asked for name in deltas} == {"c", "d"}


def test_when_an_evaluator_never_answers_another_is_asked(make):
    judged, asked = play(make, "abc", "a", bad="a", silent="b", needs="a")
    assert judged == {"a": OUT}
    assert ("c", ["a"]) in asked


def test_when_nobody_answers_the_round_goes_on_without(make):
    judged, asked = play(make, "abcd", "abcd", silent="abcd")
    assert judged == dict.fromkeys("abcd", FINE)
    assert len(asked) <= 7


def test_with_nothing_to_judge_the_parameters_are_measured_once(make):
    _, asked = play(make, "abc", "abc", per_round=0)
    assert [deltas for _, deltas in asked] == [[]]


def test_without_islands_nothing_can_be_asked(make):
    question = evaluate_round.next_question(
        make.training(), make.train(), [delta(make, "a")], [], {"mac_a": "pri_a"}
    )
    assert question is None


# -- opinions and verdicts


def test_opinions_tell_who_doubts_and_who_backs_and_why(make):
    units = [
        delta(make, "a"),
        evaluation(make, "e1", "b", {"unit_a": False}),
        evaluation(make, "e2", "c", {"unit_a": True}),
    ]
    (said,) = evaluate_round.opinions(units)
    assert (said.unit_id, said.doubts, said.backing) == ("unit_a", ("unit_e1",), ("unit_e2",))
    assert said.reason == "heldout_worse"


@pytest.mark.parametrize("state", [s for s in UnitState if s is not UnitState.ACCEPTED])
def test_only_accepted_evaluations_count(make, state):
    assert (
        evaluate_round.opinions([evaluation(make, "e", "b", {"unit_a": False}, state=state)]) == []
    )


def test_an_evaluator_that_speaks_of_what_it_was_not_asked_is_not_heard(make):
    asked = evaluation(make, "e", "b", {"unit_a": True})
    unasked = replace(
        asked.result, candidates=(loss("unit_a", good=True), loss("unit_z", good=False))
    )
    said = evaluate_round.opinions([replace(asked, result=unasked)])
    assert [opinion.unit_id for opinion in said] == ["unit_a"]


def test_a_liar_cannot_back_its_own_delta_in_its_answer_about_another(make):
    answer = evaluation(make, "e1", "a", {"unit_b": True})
    smuggled = (*answer.result.candidates, loss("unit_a", good=True))
    units = [
        delta(make, "a"),
        replace(answer, result=replace(answer.result, candidates=smuggled)),
        evaluation(make, "e2", "b", {"unit_a": False}),
        evaluation(make, "e3", "c", {"unit_a": False}),
    ]
    (judged,) = evaluate_round.verdicts(units[:1], evaluate_round.opinions(units))
    assert (judged.accepted, judged.verdict) == OUT


def test_an_evaluator_that_keeps_silent_about_a_delta_neither_doubts_nor_backs_it(make):
    mute = evaluation(make, "e", "b", {"unit_a": False})
    mute = replace(mute, result=replace(mute.result, candidates=()))
    assert evaluate_round.opinions([mute]) == []


@pytest.mark.parametrize("heldout", [float("nan"), float("inf"), -1.0, None])
def test_a_measurement_that_cannot_be_true_is_not_sane(make, heldout):
    assert not evaluate_round._is_sane(evaluation(make, "e", "b", {}, heldout=heldout))
    assert evaluate_round._is_sane(evaluation(make, "e", "b", {}))


def test_a_loss_that_is_no_number_speaks_against_the_delta(make):
    told = evaluation(make, "e", "b", {"unit_a": True})
    nan = replace(told.result.candidates[0], heldout=float("nan"))
    units = [delta(make, "a"), replace(told, result=replace(told.result, candidates=(nan,)))]
    assert evaluate_round.opinions(units)[0].doubts == ("unit_e",)
