"""Liars are rejected, the honest never: with many islands, with few, and in the first round."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gondwana.core.values import replace
from gondwana.training.gates import (
    Candidate,
    GateSettings,
    History,
    Reason,
    judge,
    judge_evidence,
)
from gondwana.wire.units import CandidateLoss

SIZE = 4000
SHARED = np.random.default_rng(99).normal(size=SIZE)


def honest(seed: int, size: float = 1.0, agreement: float = 1.0) -> np.ndarray:
    """A delta whose cosine with another's is agreement² ÷ (1 + agreement²): 0.5, where the lab measured 0.58."""
    noise = np.random.default_rng(seed).normal(size=SIZE)
    return ((noise + agreement * SHARED) * size).astype(np.float32)


def candidates(*deltas: np.ndarray, lr_sum: float = 1.0) -> list[Candidate]:
    return [Candidate(unit_id=f"unit_{i}", delta=d, lr_sum=lr_sum) for i, d in enumerate(deltas)]


def history(norms: int = 4, seed: int = 1000) -> History:
    length = float(np.linalg.norm(honest(seed)))
    return History(norms=(length,) * norms, last_delta=honest(seed, agreement=0.5))


def reasons(verdicts) -> list[Reason]:
    return [verdict.reason for verdict in verdicts]


def no_evaluation(verdicts) -> bool:
    return not any(verdict.needs_evaluation for verdict in verdicts)


ACCEPTED = Reason.ACCEPTED


@given(count=st.integers(3, 8), place=st.integers(0, 7), seed=st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_one_liar_of_three_or_more_is_rejected_and_nobody_else(count, place, seed):
    deltas = [honest(seed * 10 + index) for index in range(count)]
    deltas[place % count] *= -10
    verdicts = judge(candidates(*deltas), History())
    assert [v.accepted for v in verdicts] == [index != place % count for index in range(count)]
    assert verdicts[place % count].reason is Reason.TOO_LARGE


@given(count=st.integers(3, 8), place=st.integers(0, 7), seed=st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_one_that_sends_the_opposite_is_rejected_for_its_direction(count, place, seed):
    deltas = [honest(seed * 10 + index) for index in range(count)]
    deltas[place % count] *= -1
    verdicts = judge(candidates(*deltas), History())
    assert [v.accepted for v in verdicts] == [index != place % count for index in range(count)]
    assert verdicts[place % count].reason is Reason.WRONG_DIRECTION


@pytest.mark.parametrize("lie", [-10.0, -1.0, 0.0, 10.0, 0.05])
@pytest.mark.parametrize("count", [2, 3, 4, 8])
def test_with_a_history_one_liar_is_rejected_even_among_two(count, lie):
    deltas = [honest(index) for index in range(count)]
    deltas[1] = (deltas[1] * lie).astype(np.float32)
    verdicts = judge(candidates(*deltas), history())
    assert [verdict.accepted for verdict in verdicts] == [index != 1 for index in range(count)]


@pytest.mark.parametrize("lie", [-10.0, -1.0, 10.0])
def test_without_history_two_voters_are_never_rejected_but_must_be_evaluated(lie):
    verdicts = judge(candidates(honest(0), (honest(1) * lie).astype(np.float32)), History())
    assert reasons(verdicts) == [ACCEPTED, ACCEPTED]
    assert all(verdict.needs_evaluation for verdict in verdicts)


@pytest.mark.parametrize("lie", [-10.0, -1.0, 0.0])
def test_the_survivors_of_a_first_round_of_three_are_too_few_to_be_sure(lie):
    verdicts = judge(candidates(honest(0), honest(1), (honest(2) * lie).astype(np.float32)), History())  # fmt: skip
    assert [verdict.accepted for verdict in verdicts] == [True, True, False]


def test_nobody_who_sends_nothing_is_paid():
    verdicts = judge(candidates(np.zeros(SIZE, np.float32)), History())
    assert reasons(verdicts) == [Reason.NO_WORK]


def test_a_lone_island_is_accepted_and_evaluated():
    verdicts = judge(candidates(honest(0)), history())
    assert reasons(verdicts) == [ACCEPTED]
    assert verdicts[0].needs_evaluation


@given(
    seed=st.integers(0, 10**6),
    count=st.integers(3, 8),
    agreement=st.floats(0.3, 3),
    spread=st.floats(1, 1.6),  # who is three times the usual size is turned away
)
@settings(max_examples=100, deadline=None)  # fmt: skip
def test_the_honest_are_accepted_whatever_their_noise_and_speed(seed, count, agreement, spread):
    sizes = np.random.default_rng(seed).uniform(1 / spread, spread, count)
    deltas = [honest(seed + 1 + i, size, agreement) for i, size in enumerate(sizes)]
    verdicts = judge(candidates(*deltas), History())
    assert reasons(verdicts) == [ACCEPTED] * count
    assert no_evaluation(verdicts)


def test_norms_are_compared_per_learning_rate_so_the_schedules_end_rejects_nobody():
    past = history()
    late = [Candidate(unit_id=f"{i}", delta=honest(i, 0.05), lr_sum=0.05) for i in range(2)]
    assert reasons(judge(late, past)) == [ACCEPTED, ACCEPTED]
    unscaled = [replace(candidate, lr_sum=1.0) for candidate in late]
    assert reasons(judge(unscaled, past)) == [Reason.TOO_SMALL, Reason.TOO_SMALL]


def test_a_number_that_is_not_finite_is_rejected_and_spoils_no_other_verdict():
    broken = honest(3)
    broken[7] = np.inf
    verdicts = judge(candidates(honest(0), honest(1), honest(2), broken), History())
    assert reasons(verdicts) == [ACCEPTED] * 3 + [Reason.MALFORMED]


@given(order=st.permutations(range(6)))
@settings(max_examples=20, deadline=None)
def test_the_order_of_arrival_changes_no_verdict(order):
    deltas = [honest(index) for index in range(5)] + [-honest(5)]
    by_id = {v.unit_id: v for v in judge(candidates(*deltas), history())}
    shuffled = [candidates(*deltas)[index] for index in order]
    for verdict in judge(shuffled, history()):
        assert verdict.reason is by_id[verdict.unit_id].reason
        assert verdict.norm == by_id[verdict.unit_id].norm


def test_of_a_large_model_the_drawn_coordinates_decide():
    few = GateSettings(coordinates_max=500)
    deltas = [honest(index) for index in range(4)] + [-honest(4)]
    for seed in range(5):
        verdicts = judge(candidates(*deltas), History(), few, seed=seed)
        assert [verdict.accepted for verdict in verdicts] == [True] * 4 + [False]


def evidence(**losses: float) -> CandidateLoss:
    base = {
        "heldout": 1.98,
        "assigned": 1.90,
        "assigned_before": 2.0,
        "unassigned": 1.97,
        "unassigned_before": 2.0,
    }
    return CandidateLoss(unit_id="unit_1", **{**base, **losses})


def test_evidence_of_honest_work_is_accepted():
    assert judge_evidence(evidence(), 2.0) is ACCEPTED


def test_a_fast_learner_is_not_doubted_for_the_luck_of_its_draw():
    measured = {"heldout": 1.2345, "assigned": 1.3127 - 0.0790, "unassigned": 1.3127 - 0.0831}
    before = {"assigned_before": 1.3127, "unassigned_before": 1.3127}
    assert judge_evidence(evidence(**measured, **before), 1.3127) is ACCEPTED


@pytest.mark.parametrize(
    ("losses", "reason"),
    [
        ({"heldout": 2.1}, Reason.HELDOUT_WORSE),
        ({"heldout": float("nan")}, Reason.HELDOUT_WORSE),
        ({"heldout": 1e9}, Reason.HELDOUT_WORSE),
        ({"assigned": 1.99, "unassigned": 1.90}, Reason.NOT_ITS_DATA),
        ({"assigned": float("nan")}, Reason.NOT_ITS_DATA),
    ],
)
def test_evidence_against_a_delta_is_named(losses, reason):
    assert judge_evidence(evidence(**losses), 2.0) is reason
