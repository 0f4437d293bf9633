"""What an EVALUATE unit measures: the published parameters on held-out data, and each candidate's evidence.

A candidate is applied in part: one island's parameters at a high learning rate are noisier than the merged ones, so
the whole delta may raise the loss although the island was honest; a share of it lowers it.
"""

from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import nn

from gondwana.core.errors import InvalidValue
from gondwana.training.codecs import Codec, decode_upload
from gondwana.training.inner import Data, assign, evaluate, load, mean_loss
from gondwana.training.manifest import Float32Array, Layout
from gondwana.training.recipe import Recipe, recipe_code
from gondwana.wire.units import Candidate, CandidateLoss, UnitResult, UnitSpec

CANDIDATE_SHARE: Final = (
    0.25  # of a delta that is applied to judge it; the lab's honest ones all helped at it
)
LOSS_MAX: Final = 1e9  # stands for a loss that is not finite, which JSON cannot say


def evaluate_unit(
    unit: UnitSpec, recipe: Recipe, params: Float32Array, layout: Layout, inputs: Path
) -> UnitResult:
    """Held-out loss of the parameters, what the candidates do to the losses, and a sample where one is asked for."""
    if not unit.heldout:
        raise InvalidValue("an evaluation needs held-out data", field="heldout")
    model = load(recipe, params, layout)
    heldout = read_data(unit.heldout, inputs)
    unassigned = read_data(unit.unassigned, inputs) if unit.unassigned else None
    loss = _finite(evaluate(recipe, model, heldout))
    sample = _sample(unit, recipe, model)
    unassigned_before = _loss(recipe, model, unassigned, 0)
    losses: list[CandidateLoss] = []
    for candidate in unit.candidates:
        assigned = read_data(candidate.shards, inputs) if candidate.shards else None
        assign(model, layout, params)
        assigned_before = _loss(recipe, model, assigned, candidate.seed)
        assign(model, layout, _applied(candidate, unit, params, layout, inputs))
        losses.append(
            CandidateLoss(
                unit_id=candidate.unit_id,
                heldout=_finite(evaluate(recipe, model, heldout)),
                assigned=_loss(recipe, model, assigned, candidate.seed),
                assigned_before=assigned_before,
                unassigned=_loss(recipe, model, unassigned, 0),
                unassigned_before=unassigned_before,
            )
        )
    return UnitResult(heldout_loss=loss, candidates=tuple(losses), sample=sample)


def read_data(shards: Sequence[str], inputs: Path) -> Data:
    """The shards' bytes, one after another."""
    if not shards:
        raise InvalidValue("the unit names no data", field="shards")
    return np.frombuffer(b"".join((inputs / shard).read_bytes() for shard in shards), np.uint8)


def _applied(
    candidate: Candidate, unit: UnitSpec, params: Float32Array, layout: Layout, inputs: Path
) -> Float32Array:
    upload = decode_upload((inputs / candidate.delta).read_bytes(), layout, Codec(unit.codec))
    return (params - np.float32(CANDIDATE_SHARE) * upload.delta).astype(np.float32)


def _loss(recipe: Recipe, model: nn.Module, data: Data | None, seed: int) -> float:
    """The loss on the batches that a unit with this seed saw first; 0 where there is no data to judge by."""
    return 0.0 if data is None else _finite(mean_loss(recipe, model, data, seed=seed))


def _sample(unit: UnitSpec, recipe: Recipe, model: nn.Module) -> str:
    if recipe.sample is None or unit.sample_chars < 1:
        return ""
    with recipe_code(recipe.folder), torch.no_grad():
        text = recipe.sample(model, recipe.config, chars=unit.sample_chars, seed=unit.seed)
    return str(text)[: unit.sample_chars]


def _finite(loss: float) -> float:
    return min(loss, LOSS_MAX) if isfinite(loss) else LOSS_MAX
