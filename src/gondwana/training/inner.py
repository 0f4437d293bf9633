"""What an island computes: parameters and data in, a delta and statistics out; no files, no network, no clock.

The same inputs on the same kind of machine give the same bits.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from gondwana.core.errors import InvalidValue, RecipeError, TrainingDiverged
from gondwana.training.codecs import State, Upload
from gondwana.training.manifest import Float32Array, Layout
from gondwana.training.optim import InnerOptimizer, layout_of, to_device, trainable
from gondwana.training.recipe import Recipe, recipe_code
from gondwana.training.schedule import lr_fraction

EVALUATION_BATCHES: Final = 16  # about the cost of five training steps
EVALUATION_SEED: Final = 0  # everybody evaluates on the same batches

Data = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Which inner steps a unit does, and where they lie on the run's schedule."""

    count: int
    first: int
    total: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trained:
    """What a unit of training gave."""

    upload: Upload
    tokens: int
    loss_first: float  # mean over the first tenth of the steps, nats
    loss_last: float


def initial(recipe: Recipe, seed: int) -> tuple[Float32Array, Layout]:
    """(flat parameters, layout) of the recipe's model made from `seed`."""
    model = build(recipe, seed)
    layout = layout_of(model, recipe.optimizer)
    flat = torch.cat([parameter.detach().reshape(-1) for _, parameter in trainable(model)])
    return flat.numpy(), layout


def build(recipe: Recipe, seed: int) -> nn.Module:
    """The recipe's model on the CPU, made from `seed`."""
    _seed_all(seed)
    with recipe_code(recipe.folder):
        model = recipe.model(recipe.config)
    if not isinstance(model, nn.Module):
        raise RecipeError(f"{recipe.path.name}: model() gave {type(model).__name__}, not a Module")
    return model


def load(recipe: Recipe, params: Float32Array, layout: Layout) -> nn.Module:
    """The model with these parameters on the fastest device; raises RecipeError where it is not of this layout."""
    model = build(recipe, EVALUATION_SEED).to(device())
    if layout_of(model, recipe.optimizer) != layout:
        raise RecipeError(f"{recipe.path.name}: the model is not the one this run began with")
    assign(model, layout, params)
    return model


@torch.no_grad()
def assign(model: nn.Module, layout: Layout, params: Float32Array) -> None:
    """Give the model these parameters."""
    for (tensor, span), (_, parameter) in zip(layout.spans(), trainable(model), strict=True):
        parameter.copy_(torch.from_numpy(np.array(params[span])).reshape(tensor.shape))


def train(
    recipe: Recipe,
    params: Float32Array,
    layout: Layout,
    *,
    state: State | None,
    data: Data,
    steps: Steps,
) -> Trained:
    """What `steps` inner steps from `params` give on `data`.

    Raises RecipeError for what the user's code does, TrainingDiverged when loss or parameters are not finite.
    """
    if steps.count < 1:
        raise InvalidValue("a training unit needs at least one inner step", field="inner_steps")
    model = load(recipe, params, layout)
    model.train()
    _seed_all(steps.seed)
    parameters = [parameter for _, parameter in trainable(model)]
    optimizer = InnerOptimizer(parameters, layout, recipe.optimizer, state)
    losses: list[float] = []
    tokens = 0
    for index, batch in enumerate(_batches(recipe, data, steps.seed, steps.count)):
        losses.append(_gradient_step(recipe, model, batch))
        fraction = lr_fraction(
            steps.first + index,
            step_first=steps.first,
            steps_total=steps.total,
            has_state=state is not None,
        )
        optimizer.step(fraction)
        tokens += _tokens(batch)
    return Trained(
        upload=_upload(params, parameters, optimizer),
        tokens=tokens,
        loss_first=fmean(losses[: max(1, len(losses) // 10)]),
        loss_last=fmean(losses[-max(1, len(losses) // 10) :]),
    )


@torch.no_grad()
def evaluate(recipe: Recipe, model: nn.Module, data: Data) -> float:
    """The model's held-out loss: the recipe's own `evaluate`, or its `loss` over the same batches for everybody."""
    if recipe.evaluate is None:
        return mean_loss(recipe, model, data, seed=EVALUATION_SEED)
    model.eval()
    _seed_all(EVALUATION_SEED)
    with recipe_code(recipe.folder):
        return float(recipe.evaluate(model, data, recipe.config))


@torch.no_grad()
def mean_loss(recipe: Recipe, model: nn.Module, data: Data, *, seed: int) -> float:
    """The recipe's mean loss over the first batches that `data` and `seed` give."""
    model.eval()
    _seed_all(seed)
    losses: list[float] = []
    for batch in _batches(recipe, data, seed, EVALUATION_BATCHES):
        with recipe_code(recipe.folder):
            losses.append(float(recipe.loss(model, to_device(batch, device()))))
    return fmean(losses)


def device() -> torch.device:
    """Where this process computes."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _gradient_step(recipe: Recipe, model: nn.Module, batch: Any) -> float:
    model.zero_grad(set_to_none=True)
    with recipe_code(recipe.folder):
        loss = recipe.loss(model, to_device(batch, device()))
        loss.backward()
    value = float(loss.detach())
    if not np.isfinite(value):
        raise TrainingDiverged(f"the loss became {value}", hint="try a smaller learning rate")
    return value


@torch.no_grad()
def _upload(params: Float32Array, parameters: list[nn.Parameter], optimizer: InnerOptimizer) -> Upload:  # fmt: skip
    flat = torch.cat([parameter.detach().reshape(-1) for parameter in parameters]).cpu().numpy()
    state = optimizer.export()
    if not all(np.isfinite(part).all() for part in (flat, state.momentum, state.second)):
        raise TrainingDiverged("the parameters are no longer finite", hint="try a smaller learning rate")  # fmt: skip
    return Upload(delta=params - flat, momentum=state.momentum, second=state.second)


def _batches(recipe: Recipe, data: Data, seed: int, count: int) -> Iterator[Any]:
    """Exactly `count` batches; raises RecipeError when the recipe gives fewer."""
    with recipe_code(recipe.folder):
        endless = iter(recipe.batches(data, seed, recipe.config))
    for index in range(count):
        with recipe_code(recipe.folder):
            batch = next(endless, None)
        if batch is None:
            raise RecipeError(f"batches() in {recipe.path.name} ended after {index} of {count}")
        yield batch


def _tokens(batch: Any) -> int:
    if isinstance(batch, torch.Tensor):
        return batch.numel()
    values = list(batch.values()) if isinstance(batch, dict) else list(batch)
    return _tokens(values[0])


def _seed_all(seed: int) -> None:
    """Recipes may use any global generator; each unit starts all of them from its seed."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed % 2**63)
