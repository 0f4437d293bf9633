"""The inner optimisers, AdamW and Muon, whose state can be published: any island may start where others ended.

First moments and momentum travel as one flat vector, second moments as row and column means, from which
v ≈ r cᵀ / mean(r) (Adafactor, arXiv 1804.04235). Muon is momentum whose matrices are made orthogonal by five
Newton-Schulz steps, scaled to AdamW's step size (arXiv 2502.16982, section 2.2).
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor as TorchTensor
from torch import nn

from gondwana.core.errors import InvalidValue
from gondwana.training.codecs import State
from gondwana.training.manifest import Float32Array, Group, Layout, Tensor
from gondwana.training.recipe import OptimizerKind, OptimizerSpec

ADAMW_EPSILON: Final = 1e-8
NEWTON_SCHULZ: Final = (
    3.4445,
    -4.7750,
    2.0315,
)  # Keller Jordan's coefficients: fast, to within ±0.3
NEWTON_SCHULZ_STEPS: Final = 5
MUON_STEP_RMS: Final = 0.2  # the usual size of an AdamW step, in units of the learning rate


def layout_of(model: nn.Module, spec: OptimizerSpec) -> Layout:
    """The layout of a model's trainable parameters, each with the optimiser that moves it.

    Raises InvalidValue for a model without any, or with one that is not fp32.
    """
    embeddings = {
        id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)
    }
    tensors: list[Tensor] = []
    for name, parameter in trainable(model):
        if parameter.dtype is not torch.float32:
            raise InvalidValue(
                f"the parameter {name} is {parameter.dtype}, not float32", field=name
            )
        muon = (
            spec.kind == OptimizerKind.MUON
            and parameter.ndim == 2
            and id(parameter) not in embeddings
            and not any(part in name for part in spec.adamw_names)
        )
        group = Group.MUON if muon else Group.ADAMW
        tensors.append(Tensor(name=name, shape=tuple(parameter.shape), group=group))
    if not tensors:
        raise InvalidValue("the model has no trainable parameters", field="model")
    return Layout(tensors=tuple(tensors))


def trainable(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """The trainable parameters by name, in the order of the flat vector."""
    return [(name, p) for name, p in model.named_parameters() if p.requires_grad]


class InnerOptimizer:
    """AdamW and Muon over a layout, from published state or from nothing."""

    def __init__(
        self,
        parameters: Sequence[nn.Parameter],
        layout: Layout,
        spec: OptimizerSpec,
        state: State | None = None,
    ) -> None:
        self._spec = spec
        self._layout = layout
        self._parameters = list(parameters)
        self._warm = state is not None
        self._steps = 0
        self._momentum = _momentum(self._parameters, layout, state)
        groups = [tensor.group for tensor in layout.tensors]
        self._adamw = [index for index, group in enumerate(groups) if group is Group.ADAMW]
        self._muon = [index for index, group in enumerate(groups) if group is Group.MUON]
        self._second = _second([self._parameters[index] for index in self._adamw], layout, state)

    @torch.no_grad()
    def step(self, lr_fraction: float) -> None:
        """Clip the gradients to the spec's norm, and move the parameters by one step."""
        gradients = [_gradient(parameter) for parameter in self._parameters]
        _clip(gradients, self._spec.clip_norm)
        self._steps += 1
        lr = self._spec.lr * lr_fraction
        if self._spec.weight_decay:
            for parameter in self._parameters:
                if parameter.ndim > 1:
                    parameter.mul_(1 - lr * self._spec.weight_decay)
        if self._adamw:
            self._step_adamw([gradients[index] for index in self._adamw], lr)
        if self._muon:
            self._step_muon([gradients[index] for index in self._muon], lr)

    @torch.no_grad()
    def export(self) -> State:
        """The state as it may be published: free of start-up bias, on the CPU."""
        first_bias, second_bias = self._biases()
        parts: list[TorchTensor] = []
        for tensor, momentum in zip(self._layout.tensors, self._momentum, strict=True):
            parts.append(
                momentum.reshape(-1) / (first_bias if tensor.group is Group.ADAMW else 1.0)
            )
        means: list[TorchTensor] = [torch.zeros(0)]
        for index, second in zip(self._adamw, self._second, strict=True):
            rows, columns = self._layout.tensors[index].matrix_shape
            matrix = second.reshape(rows, columns) / second_bias
            means += [matrix.mean(1).cpu()] + ([matrix.mean(0).cpu()] if columns > 1 else [])
        return State(momentum=torch.cat(parts).cpu().numpy(), second=torch.cat(means).numpy())

    def _biases(self) -> tuple[float, float]:
        """What zero-initialised moments still lack; nothing when they began as published."""
        if self._warm or not self._steps:
            return 1.0, 1.0
        first, second = self._spec.betas
        return 1 - first**self._steps, 1 - second**self._steps

    def _step_adamw(self, gradients: list[TorchTensor], lr: float) -> None:
        first, second = self._spec.betas
        first_bias, second_bias = self._biases()
        for index, gradient, squares in zip(self._adamw, gradients, self._second, strict=True):
            momentum = self._momentum[index].lerp_(gradient, 1 - first)
            squares.mul_(second).addcmul_(gradient, gradient, value=1 - second)
            divisor = (squares / second_bias).sqrt_().add_(ADAMW_EPSILON)
            self._parameters[index].addcdiv_(momentum, divisor, value=-lr / first_bias)

    def _step_muon(self, gradients: list[TorchTensor], lr: float) -> None:
        ahead: list[TorchTensor] = []
        for index, gradient in zip(self._muon, gradients, strict=True):
            momentum = self._momentum[index].mul_(self._spec.momentum).add_(gradient)
            ahead.append(gradient.add(momentum, alpha=self._spec.momentum))  # Nesterov
        for index, update in zip(self._muon, orthogonal(ahead), strict=True):
            scale = MUON_STEP_RMS * max(update.shape) ** 0.5
            self._parameters[index].add_(update, alpha=-lr * scale)


@torch.no_grad()
def orthogonal(matrices: list[TorchTensor]) -> list[TorchTensor]:
    """The nearly orthogonal factor of each matrix; those of one shape, or its transpose, are done in one go."""
    found: dict[int, TorchTensor] = {}
    by_shape: dict[tuple[int, int], list[int]] = {}
    for index, matrix in enumerate(matrices):
        by_shape.setdefault((min(matrix.shape), max(matrix.shape)), []).append(index)
    for (rows, _), indices in by_shape.items():
        turned = [matrices[i] if matrices[i].shape[0] == rows else matrices[i].T for i in indices]
        wide = torch.stack(turned)
        for index, result in zip(indices, _newton_schulz(wide), strict=True):
            found[index] = result if matrices[index].shape[0] == rows else result.T
    return [found[index] for index in range(len(matrices))]


def _newton_schulz(x_BRC: TorchTensor) -> TorchTensor:
    a, b, c = NEWTON_SCHULZ
    x_BRC = x_BRC / (x_BRC.norm(dim=(1, 2), keepdim=True) + 1e-12)
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram_BRR = x_BRC @ x_BRC.mT
        poly_BRR = torch.baddbmm(gram_BRR, gram_BRR, gram_BRR, beta=b, alpha=c)
        x_BRC = torch.baddbmm(x_BRC, poly_BRR, x_BRC, beta=a)
    return x_BRC


def _gradient(parameter: nn.Parameter) -> TorchTensor:
    return parameter.grad if parameter.grad is not None else torch.zeros_like(parameter)


def _clip(gradients: list[TorchTensor], norm_max: float) -> None:
    norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
    share = (norm_max / (norm + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(share)


def _momentum(
    parameters: list[nn.Parameter], layout: Layout, state: State | None
) -> list[TorchTensor]:
    if state is None:
        return [torch.zeros_like(parameter) for parameter in parameters]
    return [
        _tensor(state.momentum[span], parameter).reshape(parameter.shape)
        for (_, span), parameter in zip(layout.spans(), parameters, strict=True)
    ]


def _second(
    parameters: list[nn.Parameter], layout: Layout, state: State | None
) -> list[TorchTensor]:
    if state is None:
        return [torch.zeros_like(parameter) for parameter in parameters]
    spans = [span for tensor, span in layout.second_spans() if tensor.group is Group.ADAMW]
    tensors = [tensor for tensor in layout.tensors if tensor.group is Group.ADAMW]
    return [
        _tensor(reconstruct(state.second[span], tensor), parameter).reshape(parameter.shape)
        for tensor, span, parameter in zip(tensors, spans, parameters, strict=True)
    ]


def reconstruct(means: Float32Array, tensor: Tensor) -> Float32Array:
    """The second moments (rows × columns) whose row and column means are `means`, as a product of the two."""
    rows, columns = tensor.matrix_shape
    if columns == 1:
        return means
    row_means, column_means = means[:rows], means[rows:]
    total = max(float(row_means.mean()), 1e-30)
    return np.outer(row_means, column_means / np.float32(total)).astype(np.float32)


def _tensor(array: Float32Array, like: nn.Parameter) -> TorchTensor:
    return torch.from_numpy(array.copy()).to(like.device)


def to_device(batch: Any, device: torch.device) -> Any:
    """A batch (a tensor, or a tuple, list or dict of them) on the device."""
    if isinstance(batch, torch.Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, dict):
        return {key: to_device(value, device) for key, value in batch.items()}
    if isinstance(batch, (tuple, list)):
        return type(batch)(to_device(value, device) for value in batch)
    return batch
