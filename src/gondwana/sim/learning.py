"""Units of training on a bowl: each shard is a point, the loss its squared distance; all bytes are real.

A recipe of 32 parameters that descends in closed form, so that a unit costs microseconds while layouts, codecs,
gates, merge and published changes are those of any model.
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import Final

import numpy as np

from gondwana.training import codecs, outer, schedule
from gondwana.training.manifest import (
    Float32Array,
    Layout,
    Tensor,
    decode_checkpoint,
    encode_checkpoint,
    params_hash,
)
from gondwana.wire.units import CandidateLoss, UnitKind, UnitResult, UnitSpec

LAYOUT: Final = Layout(
    tensors=(Tensor(name="matrix", shape=(4, 6)), Tensor(name="gain", shape=(8,)))
)
RATE: Final = 0.004  # peak learning rate: a round goes a tenth of the way
SPREAD: Final = 0.005  # of the shards' points around the one that all of them mean
ENTROPY: Final = 1.0  # what is left of the loss at the best parameters
TOKENS_PER_STEP: Final = 64
CANDIDATE_SHARE: Final = (
    0.25  # of a delta that an evaluator applies to judge it, as real workers do
)

Read = Callable[[str], bytes]


def make_shard(seed: int, number: int) -> bytes:
    """The bytes of one shard: a point near the one that the run is to find."""
    goal = np.random.default_rng(seed).normal(size=LAYOUT.size)
    noise = np.random.default_rng([seed, number]).normal(size=LAYOUT.size)
    return (
        (goal / np.sqrt(LAYOUT.size) + SPREAD * noise / np.sqrt(LAYOUT.size))
        .astype("<f4")
        .tobytes()
    )


def work(spec: UnitSpec, read: Read, seconds: float) -> tuple[bytes | None, UnitResult]:
    """(what an honest machine delivers for the unit, what it says of it) after `seconds` of work."""
    if spec.kind is UnitKind.INIT:
        return _init(spec), UnitResult(seconds=seconds)
    if spec.kind is UnitKind.TRAIN:
        return _train(spec, read, seconds)
    return None, _evaluate(spec, read, seconds)


def _init(spec: UnitSpec) -> bytes:
    params = np.random.default_rng(spec.seed).normal(size=LAYOUT.size) / np.sqrt(LAYOUT.size)
    return encode_checkpoint(params.astype(np.float32), LAYOUT)


def params_of(spec: UnitSpec, read: Read) -> Float32Array:
    """The published parameters, put together from what was published, as any island does."""
    assert spec.params is not None
    params, _ = decode_checkpoint(read(spec.params.checkpoint), LAYOUT)
    for change in spec.params.changes:
        params = outer.apply_change(params, read(change), LAYOUT)
    assert params_hash(params) == spec.params.hash, "what was published is not what it is called"
    return params


def _train(spec: UnitSpec, read: Read, seconds: float) -> tuple[bytes, UnitResult]:
    params, goal = params_of(spec, read), _mean(spec.shards, read)
    rates = (
        RATE * schedule.lr_fraction(
            step, step_first=spec.step_first, steps_total=spec.steps_total, has_state=spec.state is not None
        )
        for step in range(spec.step_first, spec.step_first + spec.inner_steps)
    )  # fmt: skip
    if spec.state is not None:
        codecs.decode_state(read(spec.state), LAYOUT)
    gradient = params - goal
    left = prod(1 - rate for rate in rates)
    delta = (gradient * np.float32(1 - left)).astype(np.float32)
    upload = codecs.Upload(
        delta=delta,
        momentum=gradient,
        second=np.full(LAYOUT.second_size, np.float32(np.mean(np.square(gradient)))),
    )
    result = UnitResult(
        tokens=spec.inner_steps * TOKENS_PER_STEP,
        steps=spec.inner_steps,
        seconds=seconds,
        loss_first=loss(params, spec.shards, read),
        loss_last=loss(params - delta, spec.shards, read),
    )
    return codecs.encode_upload(upload, LAYOUT, codecs.Codec(spec.codec)), result


def _evaluate(spec: UnitSpec, read: Read, seconds: float) -> UnitResult:
    params = params_of(spec, read)
    losses: list[CandidateLoss] = []
    for candidate in spec.candidates:
        upload = codecs.decode_upload(read(candidate.delta), LAYOUT, codecs.Codec(spec.codec))
        moved = (params - np.float32(CANDIDATE_SHARE) * upload.delta).astype(np.float32)
        losses.append(
            CandidateLoss(
                unit_id=candidate.unit_id,
                heldout=loss(moved, spec.heldout, read),
                assigned=loss(moved, candidate.shards, read),
                assigned_before=loss(params, candidate.shards, read),
                unassigned=loss(moved, spec.unassigned, read),
                unassigned_before=loss(params, spec.unassigned, read),
            )
        )
    sample = "x" * spec.sample_chars
    return UnitResult(
        seconds=seconds,
        heldout_loss=loss(params, spec.heldout, read),
        candidates=tuple(losses),
        sample=sample,
    )


def loss(params: Float32Array, shards: Sequence[str], read: Read) -> float:
    """The mean loss over these shards; 0 where there are none to judge by."""
    if not shards:
        return 0.0
    distances = [float(np.sum(np.square(params - _point(name, read)))) for name in shards]
    return ENTROPY + 0.5 * sum(distances) / len(distances)


def _mean(shards: Sequence[str], read: Read) -> Float32Array:
    return np.mean([_point(name, read) for name in shards], axis=0).astype(np.float32)


def _point(name: str, read: Read) -> Float32Array:
    return np.frombuffer(read(name), "<f4").astype(np.float32)
