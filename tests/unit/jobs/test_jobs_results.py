from math import inf, isfinite, nan

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gondwana.core.values import replace
from gondwana.jobs.rules import results
from gondwana.training import gates
from gondwana.wire.units import Candidate, CandidateLoss, UnitResult

any_float = st.floats() | st.just(nan) | st.just(inf)
losses = st.builds(
    CandidateLoss, unit_id=st.sampled_from(["a", "b", "c"]), heldout=any_float, assigned=any_float,
    assigned_before=any_float, unassigned=any_float, unassigned_before=any_float,
)  # fmt: skip
anything = st.builds(
    UnitResult, tokens=st.integers(-(2**63), 2**64 - 1), steps=st.integers(-(2**63), 2**64 - 1), seconds=any_float,
    loss_first=st.none() | any_float, loss_last=st.none() | any_float, heldout_loss=st.none() | any_float,
    candidates=st.lists(losses, max_size=5).map(tuple), sample=st.text(max_size=30),
)  # fmt: skip


def spec(make, *asked):
    candidates = tuple(Candidate(unit_id=name, delta="", shards=()) for name in asked)
    return replace(make.unit_spec(), candidates=candidates, sample_chars=10)


@given(anything)
def test_whatever_a_machine_says_can_be_stored_and_read_again(make, told):
    kept = results.bounded(told, spec(make, "a", "b"))
    assert msgspec.json.decode(msgspec.json.encode(kept), type=UnitResult) == kept
    assert 0 <= kept.tokens * 100_000 < 2**63
    assert kept.steps >= 0
    assert kept.seconds == 0 or isfinite(kept.steps / kept.seconds)
    assert len(kept.sample) <= 10
    names = [loss.unit_id for loss in kept.candidates]
    assert len(set(names)) == len(names)
    assert set(names) <= {"a", "b"}
    assert results.bounded(kept, spec(make, "a", "b")) == kept


def test_an_honest_result_is_kept_as_it_is(make):
    loss = CandidateLoss(
        unit_id="a", heldout=3.0, assigned=2.0, assigned_before=2.5, unassigned=2.2, unassigned_before=2.4
    )  # fmt: skip
    told = UnitResult(tokens=5, steps=10, seconds=1.5, loss_first=4.0, loss_last=3.0, heldout_loss=3.1,
                      candidates=(loss,), sample="hello")  # fmt: skip
    assert results.bounded(told, spec(make, "a")) == told


@pytest.mark.parametrize("broken", [nan, inf, -inf])
def test_a_loss_that_is_no_number_still_speaks_against_the_delta(make, broken):
    loss = CandidateLoss(
        unit_id="a", heldout=broken, assigned=2.0, assigned_before=2.5, unassigned=2.2, unassigned_before=2.4
    )  # fmt: skip
    kept = results.bounded(UnitResult(candidates=(loss,)), spec(make, "a"))
    assert gates.judge_evidence(kept.candidates[0], 3.0) is gates.Reason.HELDOUT_WORSE


def test_of_two_answers_about_one_delta_the_first_counts(make):
    def loss(heldout):
        return CandidateLoss(
            unit_id="a", heldout=heldout, assigned=0, assigned_before=0, unassigned=0, unassigned_before=0
        )  # fmt: skip

    kept = results.bounded(UnitResult(candidates=(loss(1.0), loss(9.0))), spec(make, "a"))
    assert [found.heldout for found in kept.candidates] == [1.0]


@pytest.mark.parametrize(
    "told, kept",
    [(None, None), (0, 0), (137, 137), (255, 255), (256, 255), (-1, 255), (2**64 - 1, 255)],
)
def test_an_exit_code_that_cannot_be_one_never_becomes_a_success(told, kept):
    assert results.exit_code(told) == kept
