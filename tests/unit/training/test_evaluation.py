"""What another machine finds out about a delta: honest work helps most on its own batches, lies help nowhere."""

import numpy as np
import pytest

from gondwana.core.values import replace
from gondwana.training.codecs import Codec, decode_upload, encode_upload
from gondwana.training.evaluation import LOSS_MAX
from gondwana.training.gates import Reason, judge_evidence
from gondwana.training.manifest import decode_checkpoint, params_hash
from gondwana.wire.units import Candidate, ParamsRef, UnitKind

pytestmark = pytest.mark.torch

WITHOUT_SAMPLE = """
from byte_gpt import Config, batches, loss, model
def evaluate(model, data, config):
    return 2.5
"""


@pytest.fixture
def round_of_one(worker_here, unit_of, tmp_path, text):
    """A worker, a round's first parameters, and an honest upload on the first shards with seed 3."""
    worker = worker_here(WITHOUT_SAMPLE)
    assert worker.ask(unit_of(UnitKind.INIT), tmp_path / "theta").error is None
    data = (tmp_path / "theta").read_bytes()
    params, layout = decode_checkpoint(data)
    ref = ParamsRef(hash=params_hash(params), checkpoint=worker.blob(data))
    shards = tuple(worker.blob(text[i : i + 20_000]) for i in (0, 20_000))
    unit = unit_of(UnitKind.TRAIN, params=ref, inner_steps=20, shards=shards, seed=3)
    assert worker.ask(unit, tmp_path / "upload").error is None
    upload = decode_upload((tmp_path / "upload").read_bytes(), layout, Codec.INT4)
    return worker, ref, layout, shards, upload


@pytest.fixture
def judged(round_of_one, unit_of, tmp_path, text):
    worker, ref, layout, shards, upload = round_of_one

    def judge(factor: float, seed: int = 3, **fields):
        sent = replace(upload, delta=upload.delta * np.float32(factor))
        blob = worker.blob(encode_upload(sent, layout, Codec.INT4))
        candidate = Candidate(unit_id="unit_9", delta=blob, shards=shards, seed=seed)
        unit = unit_of(
            UnitKind.EVALUATE, params=ref, heldout=(worker.blob(text[160_000:]),),
            unassigned=(worker.blob(text[100_000:140_000]),), candidates=(candidate,), **fields,
        )  # fmt: skip
        result = worker.ask(unit, tmp_path / "none").result
        return result, judge_evidence(result.candidates[0], result.heldout_loss)

    return judge


def test_honest_work_lowers_the_loss_and_most_of_all_on_its_own_batches(judged):
    result, reason = judged(1)
    (loss,) = result.candidates
    assert reason is Reason.ACCEPTED
    assert loss.heldout < result.heldout_loss - 0.05
    assert loss.assigned_before - loss.assigned > loss.unassigned_before - loss.unassigned


@pytest.mark.parametrize("factor", [-10, -3])
def test_a_lie_raises_the_held_out_loss(judged, factor):
    assert judged(factor)[1] is Reason.HELDOUT_WORSE


def test_a_loss_that_is_not_finite_is_reported_as_a_very_large_one(judged, round_of_one):
    worker = round_of_one[0]
    code = worker.inputs / "code" / "infinite.py"
    code.write_text(WITHOUT_SAMPLE.replace("2.5", "float('nan')"))
    result, _ = judged(1, recipe="infinite.py")
    assert result.heldout_loss == LOSS_MAX
    assert result.candidates[0].heldout == LOSS_MAX


def test_a_recipes_own_evaluation_is_what_counts_and_no_sample_is_no_error(judged):
    result, _ = judged(1, recipe="recipe.py", sample_chars=50)
    assert result.heldout_loss == 2.5
    assert result.candidates[0].heldout == 2.5
    assert result.candidates[0].assigned < result.candidates[0].assigned_before
    assert result.sample == ""


def test_a_delta_that_is_no_upload_fails_the_evaluation_with_its_reason(
    round_of_one, unit_of, tmp_path
):
    worker, ref, _, shards, _ = round_of_one
    candidate = Candidate(unit_id="unit_9", delta=worker.blob(b"nonsense"), shards=shards)
    unit = unit_of(UnitKind.EVALUATE, params=ref, heldout=shards, candidates=(candidate,))
    assert worker.ask(unit, tmp_path / "none").error.startswith("InvalidBytes: the upload")


def test_an_evaluation_without_held_out_data_is_refused(round_of_one, unit_of, tmp_path):
    worker, ref, *_ = round_of_one
    reply = worker.ask(unit_of(UnitKind.EVALUATE, params=ref), tmp_path / "none")
    assert reply.error.startswith("InvalidValue: an evaluation needs held-out data")
