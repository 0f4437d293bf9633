"""The outer step: merge the accepted deltas, move the published parameters, publish change and optimiser state.

    clip    D_k ← D_k · min(1, median norm / norm_k)         norms per lr_sum, so that faster islands may go further
    merge   D = Σ n_k D_k / Σ n_k                            by unit id, weights and sums in fp64, result fp32
    step    m ← μ m + D;  θ ← θ − η (D + μ m)                elementwise fp32
    publish int8 of the change; θ is *defined* as what that decodes to, the rest is added to the next change

Pure functions, numpy only; the same state and the same uploads give the same bytes, in any order of arrival.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gondwana.core.errors import InvalidBytes, InvalidValue
from gondwana.training import container
from gondwana.training.codecs import (
    Codec,
    State,
    Upload,
    decode_change,
    encode_change,
    encode_state,
)
from gondwana.training.container import Field
from gondwana.training.gates import History, norm
from gondwana.training.manifest import Float32Array, Layout, params_hash

NORMS_MAX: Final = 16  # accepted norms remembered: two rounds of eight islands
LATE_WEIGHT: Final = 0.5  # a delta that comes one round late counts half, older ones never


@dataclass(frozen=True, slots=True, kw_only=True)
class OuterSettings:
    """How the published parameters follow the islands (benchmarks/training_quality.py chose the defaults)."""

    cold_rounds: int = 0  # from random parameters: gentle steps and no published state this long
    learning_rate_cold: float = 0.8
    momentum_cold: float = 0.5
    learning_rate: float = 0.8
    momentum: float = 0.6
    change_codec: Codec = Codec.INT8

    def gains(self, round_number: int) -> tuple[float, float]:
        """(learning rate η, momentum μ) of the outer step in this round."""
        if self.is_cold(round_number):
            return self.learning_rate_cold, self.momentum_cold
        return self.learning_rate, self.momentum

    def is_cold(self, round_number: int) -> bool:
        """Whether this round takes gentle steps and its units start without optimiser state."""
        return round_number < self.cold_rounds


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Delta:
    """One accepted upload with its weight in the merge."""

    unit_id: str
    upload: Upload
    tokens: int
    lr_sum: float = 1.0
    late: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Merged:
    """What the accepted islands of a round say together."""

    delta: Float32Array
    momentum: Float32Array
    second: Float32Array
    tokens: int
    norms: tuple[float, ...]  # per lr_sum, before clipping; the next round's gates remember them


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OuterState:
    """All that the coordinator must keep between rounds."""

    round: int
    params: Float32Array  # θ, flat, as everyone decodes it
    momentum: Float32Array  # m of the outer step
    residual: Float32Array  # what the last change's encoding lost; added to the next change
    last_delta: Float32Array | None = None
    norms: tuple[float, ...] = ()

    @property
    def hash(self) -> str:
        """The hash that units of this round name their parameters by."""
        return params_hash(self.params)

    @property
    def history(self) -> History:
        """What this run's past testifies to the gates."""
        return History(norms=self.norms, last_delta=self.last_delta)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stepped:
    """The result of an outer step."""

    state: OuterState
    change: bytes  # blob: add it to the old parameters to have the new ones
    published: bytes | None  # blob: the optimiser state that units start from; None while cold


def start(params: Float32Array) -> OuterState:
    """The state before the first round, from the first parameters."""
    zeros = np.zeros_like(params)
    return OuterState(round=0, params=params, momentum=zeros, residual=zeros)


def merge(deltas: Sequence[Delta]) -> Merged:
    """The token-weighted mean of deltas and statistics, deltas first clipped to the median norm.

    The order of `deltas` does not matter: they are summed by unit id. Raises InvalidValue when there are none.
    """
    if not deltas:
        raise InvalidValue("there is no delta to merge")
    ordered = sorted(deltas, key=lambda delta: delta.unit_id)
    weights = [delta.tokens * (LATE_WEIGHT if delta.late else 1.0) for delta in ordered]
    if min(weights) <= 0:
        raise InvalidValue("a delta without tokens has no weight")
    norms = [float(np.float32(norm(delta.upload.delta) / delta.lr_sum)) for delta in ordered]
    median = float(np.median(norms))
    clips = [min(1.0, median / value) if value > 0 else 1.0 for value in norms]
    clipped = [weight * clip for weight, clip in zip(weights, clips, strict=True)]
    total = sum(weights)
    return Merged(
        delta=_mean([delta.upload.delta for delta in ordered], clipped, total),
        momentum=_mean([delta.upload.momentum for delta in ordered], weights, total),
        second=_mean([delta.upload.second for delta in ordered], weights, total),
        tokens=sum(delta.tokens for delta in ordered),
        norms=tuple(norms),
    )


def step(state: OuterState, merged: Merged, layout: Layout, settings: OuterSettings) -> Stepped:
    """The next round's state, the change to publish, and the optimiser state to publish."""
    rate, mu = (np.float32(gain) for gain in settings.gains(state.round))
    momentum = _float32(mu * state.momentum + merged.delta)
    wanted = _float32(state.residual - rate * (merged.delta + mu * momentum))
    if mu == 0:
        momentum = np.zeros_like(momentum)  # nothing to carry over from rounds without momentum
    change, decoded = encode_change(wanted, layout, settings.change_codec)
    next_state = OuterState(
        round=state.round + 1,
        params=state.params + decoded,
        momentum=momentum,
        residual=_float32(wanted - decoded),
        last_delta=merged.delta,
        norms=(state.norms + merged.norms)[-NORMS_MAX:],
    )
    published = None
    if not settings.is_cold(next_state.round):
        published = encode_state(State(momentum=merged.momentum, second=merged.second), layout)
    return Stepped(state=next_state, change=change, published=published)


def apply_change(
    params: Float32Array, change: bytes, layout: Layout, codec: Codec = Codec.INT8
) -> Float32Array:
    """The next round's parameters, bit for bit those of the coordinator; raises InvalidBytes."""
    return params + decode_change(change, layout, codec)


def encode_outer_state(state: OuterState) -> bytes:
    """The state as safetensors bytes; `decode_outer_state` gives it back bit for bit."""
    last_delta = state.last_delta if state.last_delta is not None else np.zeros(0, np.float32)
    arrays = [state.params, state.momentum, state.residual, last_delta, np.array(state.norms, np.float32)]  # fmt: skip
    fields = [
        Field(name=name, dtype="F32", shape=array.shape)
        for name, array in zip(_STATE_NAMES, arrays, strict=True)
    ]
    return container.write(fields, arrays, {"round": str(state.round)})


def decode_outer_state(data: bytes) -> OuterState:
    """The state that `encode_outer_state` wrote; raises InvalidBytes."""
    fields, metadata, arrays = container.read_any(data, what="outer state")
    if [field.name for field in fields] != list(_STATE_NAMES) or not metadata.get("round", "").isdecimal():  # fmt: skip
        raise InvalidBytes("these bytes are not an outer state")
    vectors = [array.astype(np.float32) for array in arrays]
    params, momentum, residual, last_delta, norms = vectors
    sizes = {vector.shape for vector in (params, momentum, residual)}
    if len(sizes) != 1 or last_delta.shape not in (params.shape, (0,)) or norms.ndim != 1:
        raise InvalidBytes("the vectors of the outer state have different sizes")
    return OuterState(
        round=int(metadata["round"]), params=params, momentum=momentum, residual=residual,
        last_delta=last_delta if last_delta.size else None, norms=tuple(norms.tolist()),
    )  # fmt: skip


_STATE_NAMES: Final = ("params", "momentum", "residual", "last_delta", "norms")


def _float32(array: npt.NDArray[Any]) -> Float32Array:
    """The same numbers, promised to the type checker to be fp32 (scalars are fp32 too, so nothing is promoted)."""
    return array.astype(np.float32, copy=False)


def _mean(vectors: Sequence[Float32Array], weights: Sequence[float], total: float) -> Float32Array:
    summed = np.zeros(vectors[0].shape, np.float64)
    for vector, weight in zip(vectors, weights, strict=True):
        summed += weight * vector.astype(np.float64)
    return (summed / total).astype(np.float32)
