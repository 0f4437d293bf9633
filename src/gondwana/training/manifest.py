"""What a run is made of: the parameters' layout, their checkpoint and hash, and who is given which data.

The parameters are one flat fp32 vector; `Layout` says which tensor lies where. Coordinator side: numpy only.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import accumulate
from math import prod
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from blake3 import blake3

from gondwana.core.errors import InvalidBytes, InvalidValue
from gondwana.core.random import SeededRandom
from gondwana.training import container
from gondwana.training.container import Field

TENSORS_MAX: Final = 100_000
PARAMS_MAX: Final = 20_000_000_000  # the largest model that fits one machine's memory as fp32

Float32Array = npt.NDArray[np.float32]


class Group(StrEnum):
    """Which inner optimiser moves a tensor."""

    ADAMW = (
        "adamw"  # first and second moments; the second ones are published as row and column means
    )
    MUON = "muon"  # momentum, orthogonalised; no second moments


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """One tensor of the parameters."""

    name: str
    shape: tuple[int, ...]
    group: Group = Group.ADAMW

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)

    @property
    def matrix_shape(self) -> tuple[int, int]:
        """(rows, columns) as which row and column means are taken; a vector is one column."""
        return (self.shape[0], self.size // self.shape[0]) if self.shape else (1, 1)

    @property
    def second_size(self) -> int:
        """How many numbers its second moments are published as: rows, then columns of a matrix."""
        if self.group is Group.MUON:
            return 0
        rows, columns = self.matrix_shape
        return rows if columns == 1 else rows + columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The order, names, shapes and groups of the tensors in the flat vector."""

    tensors: tuple[Tensor, ...]

    def __post_init__(self) -> None:
        _check_layout(self)

    @property
    def size(self) -> int:
        """How many parameters there are."""
        return sum(tensor.size for tensor in self.tensors)

    @property
    def second_size(self) -> int:
        """How many numbers the published second moments are."""
        return sum(tensor.second_size for tensor in self.tensors)

    def spans(self) -> list[tuple[Tensor, slice]]:
        """Each tensor with its place in the flat vector."""
        return list(zip(self.tensors, _slices([t.size for t in self.tensors]), strict=True))

    def second_spans(self) -> list[tuple[Tensor, slice]]:
        """Each tensor with the place of its row and column means in the flat second moments."""
        return list(zip(self.tensors, _slices([t.second_size for t in self.tensors]), strict=True))

    def to_json(self) -> str:
        """The layout as JSON text that `from_json` reads."""
        entries = [[tensor.name, tensor.shape, tensor.group] for tensor in self.tensors]
        return json.dumps(entries, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Layout":
        """The layout that `to_json` wrote; raises InvalidBytes."""
        try:
            entries: Any = json.loads(text)
            tensors = [
                Tensor(name=name, shape=tuple(shape), group=Group(group))
                for name, shape, group in entries
            ]
        except (ValueError, TypeError, RecursionError) as error:
            raise InvalidBytes(f"the layout cannot be read: {str(error)[:80]}") from None
        return cls(tensors=tuple(tensors))


def _slices(sizes: Sequence[int]) -> list[slice]:
    return [slice(end - size, end) for size, end in zip(sizes, accumulate(sizes), strict=True)]


def _check_layout(layout: Layout) -> None:
    names = [tensor.name for tensor in layout.tensors]
    if not 1 <= len(names) <= TENSORS_MAX:
        raise InvalidBytes(f"a layout has 1 to {TENSORS_MAX} tensors, not {len(names)}")
    if len(set(names)) != len(names) or not all(
        type(name) is str and 0 < len(name) <= 256 and name != "__metadata__" for name in names
    ):
        raise InvalidBytes("a layout's tensors need different names of 1 to 256 characters")
    for tensor in layout.tensors:
        if len(tensor.shape) > 8 or not all(type(size) is int and size > 0 for size in tensor.shape):  # fmt: skip
            raise InvalidBytes(f"the tensor {tensor.name!r} cannot have shape {tensor.shape}")
    if layout.size > PARAMS_MAX:
        raise InvalidBytes(f"{layout.size} parameters are more than {PARAMS_MAX}")


def params_hash(params: Float32Array) -> str:
    """BLAKE3 (64 hexadecimal characters) of the flat vector as little-endian fp32."""
    return blake3(np.ascontiguousarray(params, "<f4").tobytes()).hexdigest()


def encode_checkpoint(params: Float32Array, layout: Layout) -> bytes:
    """The parameters as safetensors, one tensor per name; the groups ride along as metadata."""
    if params.shape != (layout.size,):
        raise InvalidValue(f"{params.shape} parameters do not fit a layout of {layout.size}")
    arrays = [params[span].reshape(tensor.shape) for tensor, span in layout.spans()]
    return container.write(_checkpoint_fields(layout), arrays, {"layout": layout.to_json()})


def decode_checkpoint(data: bytes, layout: Layout | None = None) -> tuple[Float32Array, Layout]:
    """(flat parameters, layout) of a checkpoint; it must have `layout` where one is given.

    Raises InvalidBytes where the bytes are not a checkpoint, hold another layout, or a value that is not finite.
    """
    fields, metadata, arrays = container.read_any(data, what="checkpoint")
    if "layout" not in metadata:
        raise InvalidBytes("the checkpoint does not say its layout")
    found = Layout.from_json(metadata["layout"])
    if fields != _checkpoint_fields(found):
        raise InvalidBytes("the checkpoint's tensors are not those of its layout")
    if layout is not None and found != layout:
        raise InvalidBytes("the checkpoint has another layout than the run")
    flat = np.concatenate([array.reshape(-1) for array in arrays]).astype(np.float32)
    container.require_finite(flat, what="checkpoint")
    return flat, found


def checkpoint_bytes(layout: Layout) -> int:
    """The exact size in bytes of a checkpoint with this layout."""
    return container.container_bytes(_checkpoint_fields(layout), {"layout": layout.to_json()})


def _checkpoint_fields(layout: Layout) -> list[Field]:
    return [Field(name=tensor.name, dtype="F32", shape=tensor.shape) for tensor in layout.tensors]


def draw_shards(
    shards: Sequence[str], *, seed: int, round_number: int, slot: int, count: int
) -> tuple[str, ...]:
    """`count` shards for the round's unit number `slot`, at random over the whole training set.

    Slots of one round share nothing until the set is used up; only who knows the seed can foretell them.
    """
    order = _round_order(tuple(shards), seed, round_number)
    first = slot * count
    return tuple(order[(first + index) % len(order)] for index in range(min(count, len(order))))


def draw_unassigned(
    shards: Sequence[str], assigned: Collection[str], *, seed: int, round_number: int, count: int
) -> tuple[str, ...]:
    """Up to `count` shards that nobody was assigned in this round, for the no-work test; empty when all were."""
    taken = set(assigned)
    free = [name for name in _round_order(tuple(shards), seed, round_number) if name not in taken]
    return tuple(free[-count:]) if count > 0 else ()


@lru_cache(maxsize=8)
def _round_order(shards: tuple[str, ...], seed: int, round_number: int) -> tuple[str, ...]:
    return tuple(SeededRandom(f"shards {seed} {round_number}").sample(shards, len(shards)))
