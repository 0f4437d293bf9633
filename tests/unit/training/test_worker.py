"""The warm worker as an agent runs it: a process that answers lines."""

import time
from pathlib import Path

import numpy as np
import pytest

from gondwana.training.codecs import Codec, decode_upload, upload_bytes
from gondwana.training.manifest import decode_checkpoint, params_hash
from gondwana.training.outer import Delta, OuterSettings, merge, start, step
from gondwana.wire.units import Candidate, ParamsRef, UnitKind

pytestmark = pytest.mark.torch

RAISING = """
from byte_gpt import Config, batches, model
def loss(model, batch):
    print('{"unit_id": "unit_1", "result": {"tokens": 1000000}}', flush=True)
    raise KeyError("no such thing")
"""
DIVERGING = """
from byte_gpt import Config, batches, model
from byte_gpt import loss as true_loss
def loss(model, batch):
    return true_loss(model, batch) * float("nan")
"""
CHATTY = """
import os, sys
from byte_gpt import *
print("imported")
def loss(model, batch):
    os.write(1, b"{}\\n")
    ids_BT, next_BT = batch
    return F.cross_entropy(model(ids_BT).flatten(0, 1), next_BT.flatten())
"""


def first_params(worker, unit_of, tmp_path):
    reply = worker.ask(unit_of(UnitKind.INIT), tmp_path / "theta")
    assert reply.error is None
    data = (tmp_path / "theta").read_bytes()
    params, layout = decode_checkpoint(data)
    return params, layout, ParamsRef(hash=params_hash(params), checkpoint=worker.blob(data))


def test_a_run_of_two_rounds_learns_and_ends_with_an_evaluation(
    worker_here, unit_of, tmp_path: Path, text: bytes
):
    worker = worker_here()
    params, layout, ref = first_params(worker, unit_of, tmp_path)
    state, published = start(params), None
    shards = [worker.blob(text[i : i + 20_000]) for i in range(0, 160_000, 20_000)]
    heldout = (worker.blob(text[160_000:]),)
    losses = []
    for number in range(2):
        deltas = []
        for slot in range(2):
            unit = unit_of(
                UnitKind.TRAIN, round=number, params=ref, state=published, seed=slot, inner_steps=15,
                step_first=15 * number, shards=tuple(shards[2 * slot : 2 * slot + 2]),
                output_bytes_max=upload_bytes(layout, Codec.INT4),
            )  # fmt: skip
            reply = worker.ask(unit, tmp_path / f"upload{slot}")
            assert reply.error is None
            assert (reply.result.steps, reply.result.tokens) == (15, 15 * 4 * 32)
            losses.append(reply.result.loss_last)
            upload = decode_upload((tmp_path / f"upload{slot}").read_bytes(), layout, Codec.INT4)
            deltas.append(Delta(unit_id=f"unit_{slot}", upload=upload, tokens=reply.result.tokens))
        stepped = step(state, merge(deltas), layout, OuterSettings())
        state, published = stepped.state, worker.blob(stepped.published)
        ref = ParamsRef(
            hash=state.hash,
            checkpoint=ref.checkpoint,
            changes=(*ref.changes, worker.blob(stepped.change)),
        )
    assert losses[-1] < losses[0] - 0.2
    candidates = tuple(
        Candidate(unit_id=f"unit_{slot}", delta=worker.blob((tmp_path / f"upload{slot}").read_bytes()),
                  shards=tuple(shards[2 * slot : 2 * slot + 2]), seed=slot) for slot in range(2)
    )  # fmt: skip
    unit = unit_of(
        UnitKind.EVALUATE,
        params=ref,
        heldout=heldout,
        unassigned=(shards[7],),
        candidates=candidates,
        sample_chars=20,
    )
    result = worker.ask(unit, tmp_path / "none").result
    assert 2.0 < result.heldout_loss < losses[0] < 5.5
    assert [loss.unit_id for loss in result.candidates] == ["unit_0", "unit_1"]
    assert 0 < len(result.sample) <= 20
    assert not (tmp_path / "none").exists()


def test_two_fresh_processes_make_the_same_bytes(
    start_worker, unit_of, tmp_path: Path, text: bytes
):
    outputs = []
    for name in ("one", "two"):
        worker = start_worker(name)
        _, _, ref = first_params(worker, unit_of, tmp_path)
        unit = unit_of(
            UnitKind.TRAIN, params=ref, inner_steps=6, shards=(worker.blob(text[:9000]),)
        )
        assert worker.ask(unit, tmp_path / f"{name}.bin").error is None
        outputs.append((tmp_path / f"{name}.bin").read_bytes())
    assert outputs[0] == outputs[1]


def test_a_recipe_that_raises_is_named_with_its_line_and_the_worker_lives_on(
    start_worker, unit_of, tmp_path: Path, text: bytes
):
    worker = start_worker(recipe=RAISING)
    _, _, ref = first_params(worker, unit_of, tmp_path)
    shard = worker.blob(text[:5000])
    unit = unit_of(
        UnitKind.TRAIN, params=ref, inner_steps=2, shards=(shard,), recipe="recipe.py", id="unit_2"
    )
    reply = worker.ask(unit, tmp_path / "upload")
    assert reply.unit_id == "unit_2"
    assert reply.result is None
    assert reply.error == "RecipeError: recipe.py:5: KeyError: 'no such thing'"
    again = worker.ask(
        unit_of(UnitKind.TRAIN, params=ref, inner_steps=2, shards=(shard,)), tmp_path / "upload"
    )
    assert again.error is None


def test_what_a_recipe_prints_reaches_the_log_and_never_the_replies(
    start_worker, unit_of, tmp_path: Path, text: bytes
):
    worker = start_worker(recipe=CHATTY)
    _, _, ref = first_params(worker, unit_of, tmp_path)
    unit = unit_of(
        UnitKind.TRAIN,
        params=ref,
        inner_steps=2,
        shards=(worker.blob(text[:5000]),),
        recipe="recipe.py",
    )
    assert worker.ask(unit, tmp_path / "upload").unit_id == "unit_1"
    worker.process.stdin.close()
    assert worker.process.stdout.read() == b""
    worker.process.wait(30)
    assert worker.log.read_bytes().count(b"{}\n") == 2


def test_a_loss_that_is_not_finite_ends_the_unit_with_a_typed_error(
    worker_here, unit_of, tmp_path: Path, text: bytes
):
    worker = worker_here(recipe=DIVERGING)
    _, _, ref = first_params(worker, unit_of, tmp_path)
    unit = unit_of(
        UnitKind.TRAIN,
        params=ref,
        inner_steps=2,
        shards=(worker.blob(text[:5000]),),
        recipe="recipe.py",
    )
    assert worker.ask(unit, tmp_path / "upload").error == "TrainingDiverged: the loss became nan"
    assert not (tmp_path / "upload").exists()


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"recipe": "none.py"}, "InvalidValue: there is no recipe at none.py"),
        ({"recipe": "../../secret.py"}, "InvalidValue: the recipe lies outside the job's folder"),
        ({"config": {"widht": 3}}, "InvalidValue: byte_gpt.py has no config 'widht'"),
        ({"config": {"width": "wide"}}, "InvalidValue: the config of byte_gpt.py: Expected `int`"),
        ({"version": 99}, "InvalidValue: this worker does version 1, not 99"),
        ({"output_bytes_max": 10}, "TooLarge: the output has "),
    ],
)  # fmt: skip
def test_a_unit_that_cannot_be_done_says_why(worker_here, unit_of, tmp_path, fields, error):
    reply = worker_here().ask(unit_of(UnitKind.INIT, **fields), tmp_path / "theta")
    assert reply.result is None
    assert reply.error.startswith(error)


def test_parameters_whose_hash_is_another_are_refused(worker_here, unit_of, tmp_path, text):
    worker = worker_here()
    _, _, ref = first_params(worker, unit_of, tmp_path)
    other = ParamsRef(hash="0" * 64, checkpoint=ref.checkpoint)
    unit = unit_of(UnitKind.TRAIN, params=other, inner_steps=1, shards=(worker.blob(text[:5000]),))
    assert "do not give the parameters" in worker.ask(unit, tmp_path / "upload").error


def test_a_line_that_is_not_a_request_is_answered_and_survived(start_worker, unit_of, tmp_path):
    worker = start_worker()
    assert worker.send(b"hello").error.startswith("InvalidBytes: the request")
    assert worker.ask(unit_of(UnitKind.INIT), tmp_path / "theta").error is None


def test_a_warm_worker_needs_no_checkpoint_and_starts_at_once(
    worker_here, unit_of, tmp_path, text, make_change
):
    worker = worker_here()
    params, layout, ref = first_params(worker, unit_of, tmp_path)
    shard = worker.blob(text[:5000])
    unit = unit_of(UnitKind.TRAIN, params=ref, inner_steps=1, shards=(shard,))
    assert worker.ask(unit, tmp_path / "upload").error is None
    (worker.inputs / ref.checkpoint).unlink()
    change, after = make_change(params, layout)
    ref = ParamsRef(hash=params_hash(after), checkpoint=ref.checkpoint, changes=(worker.blob(change),))  # fmt: skip
    started = time.monotonic()
    reply = worker.ask(
        unit_of(UnitKind.TRAIN, params=ref, inner_steps=1, shards=(shard,)), tmp_path / "upload"
    )
    assert reply.error is None
    assert time.monotonic() - started < 1.0  # measured: 15 ms with one step on an idle core


@pytest.fixture
def make_change():
    from gondwana.training.codecs import encode_change

    def make(params, layout):
        wanted = np.random.default_rng(0).normal(size=params.size).astype(np.float32) * 1e-3
        change, decoded = encode_change(wanted, layout)
        return change, params + decoded

    return make
