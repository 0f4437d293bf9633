"""How deltas, optimiser state and parameter changes travel: fp32, int8 or int4 blocks, as safetensors.

Within a tensor, 256 numbers share one fp16 scale (int4: 0.51 bytes per number); scales are relative to one fp32
unit per vector, so tiny gradients do not underflow. No error feedback: a lost upload loses nothing else.
Rounding: |x − decoded| ≤ scale / 2, but for numbers below fp32's normal ones. Every decoder checks sizes, names,
dtypes and shapes against the layout before it allocates, refuses what is not finite, and raises InvalidBytes that
names what is wrong. Numpy only.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gondwana.core.errors import InvalidBytes
from gondwana.training import container
from gondwana.training.container import Field
from gondwana.training.manifest import Float32Array, Layout

BLOCK: Final = 256  # field notes: int4 at 256 costs 0.02 % of loss
_FP16_TINY: Final = np.float16(6e-8)  # the smallest scale that is not zero


class Codec(StrEnum):
    """How a vector of numbers is written."""

    FP32 = "fp32"  # 4 bytes per number, exact
    INT8 = "int8"  # 1.01 bytes, relative error about 0.6 %
    INT4 = "int4"  # 0.51 bytes, about 12 % noise that averages out over islands


_LEVELS: Final = {Codec.INT8: 127, Codec.INT4: 7}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Upload:
    """What an island delivers for one unit, decoded."""

    delta: Float32Array  # θ − w after the inner steps, flat
    momentum: Float32Array  # first moments (AdamW) and momentum (Muon), flat
    second: (
        Float32Array  # means of the second moments over rows and columns, as Layout.second_spans
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class State:
    """The published optimiser state that every unit of a round starts from, decoded."""

    momentum: Float32Array
    second: Float32Array


def upload_bytes(layout: Layout, codec: Codec) -> int:
    """The exact size in bytes of an encoded upload."""
    return container.container_bytes(_upload_fields(layout, codec))


def encode_upload(upload: Upload, layout: Layout, codec: Codec) -> bytes:
    """The upload as bytes, always `upload_bytes(layout, codec)` of them."""
    delta, momentum = (_encode(vector, layout, codec) for vector in (upload.delta, upload.momentum))
    return container.write(
        _upload_fields(layout, codec), [*delta, *momentum, _roots(upload.second)]
    )


def decode_upload(data: bytes, layout: Layout, codec: Codec) -> Upload:
    """The upload in `data`; raises InvalidBytes when it is not exactly one of this layout and codec."""
    arrays = container.read(data, _upload_fields(layout, codec), what="upload")
    parts = (len(arrays) - 1) // 2
    return Upload(
        delta=_decode(arrays[:parts], layout, codec, "delta"),
        momentum=_decode(arrays[parts : 2 * parts], layout, codec, "momentum"),
        second=_squares(arrays[-1]),
    )


def encode_state(state: State, layout: Layout) -> bytes:
    """The published optimiser state as bytes: int4 momentum, fp16 roots of the second moments."""
    arrays = [*_encode(state.momentum, layout, Codec.INT4), _roots(state.second)]
    return container.write(_state_fields(layout), arrays)


def decode_state(data: bytes, layout: Layout) -> State:
    """The state in `data`; raises InvalidBytes when it is not one of this layout."""
    arrays = container.read(data, _state_fields(layout), what="optimiser state")
    momentum = _decode(arrays[:-1], layout, Codec.INT4, "momentum")
    return State(momentum=momentum, second=_squares(arrays[-1]))


def encode_change(
    change: Float32Array, layout: Layout, codec: Codec = Codec.INT8
) -> tuple[bytes, Float32Array]:
    """(bytes, the change as everyone will decode it): the new parameters are defined by the latter."""
    arrays = _encode(change, layout, codec)
    data = container.write(_vector_fields("change", layout, codec), arrays)
    return data, _decode(arrays, layout, codec, "change")


def decode_change(data: bytes, layout: Layout, codec: Codec = Codec.INT8) -> Float32Array:
    """What to add to the parameters of a round to have the next round's; raises InvalidBytes."""
    arrays = container.read(data, _vector_fields("change", layout, codec), what="change")
    return _decode(arrays, layout, codec, "change")


def _upload_fields(layout: Layout, codec: Codec) -> list[Field]:
    return [
        *_vector_fields("delta", layout, codec),
        *_vector_fields("momentum", layout, codec),
        Field(name="second", dtype="F16", shape=(layout.second_size,)),
    ]


def _state_fields(layout: Layout) -> list[Field]:
    return [
        *_vector_fields("momentum", layout, Codec.INT4),
        Field(name="second", dtype="F16", shape=(layout.second_size,)),
    ]


def _vector_fields(name: str, layout: Layout, codec: Codec) -> list[Field]:
    if codec is Codec.FP32:
        return [Field(name=name, dtype="F32", shape=(layout.size,))]
    values = (
        Field(name=name, dtype="I8", shape=(layout.size,))
        if codec is Codec.INT8
        else Field(name=name, dtype="U8", shape=((layout.size + 1) // 2,))
    )
    return [
        Field(name=f"{name}.unit", dtype="F32", shape=(1,)),
        Field(name=f"{name}.scale", dtype="F16", shape=(len(_block_starts(layout)),)),
        values,
    ]


@lru_cache(maxsize=8)
def _block_starts(layout: Layout) -> npt.NDArray[np.int64]:
    """Where each block begins; a block never spans two tensors, whose magnitudes may differ a lot."""
    spans = [span for _, span in layout.spans()]
    return np.concatenate([np.arange(span.start, span.stop, BLOCK) for span in spans])


def _block_lengths(layout: Layout) -> npt.NDArray[np.int64]:
    return np.diff(_block_starts(layout), append=layout.size)


def _encode(vector: Float32Array, layout: Layout, codec: Codec) -> list[npt.NDArray[Any]]:
    assert vector.shape == (layout.size,), (vector.shape, layout.size)
    if codec is Codec.FP32:
        return [vector]
    levels = _LEVELS[codec]
    tops = np.maximum.reduceat(np.abs(vector), _block_starts(layout)).astype(np.float32)
    unit, scales = _scales((tops / np.float32(levels)).astype(np.float32))
    divisors = np.where(scales > 0, scales.astype(np.float32) * unit, np.float32(1))
    steps = np.rint(vector / np.repeat(divisors, _block_lengths(layout)))
    quantised = np.clip(steps, -levels, levels).astype(np.int8)
    values = quantised if codec is Codec.INT8 else _pack_nibbles(quantised)
    return [np.array([unit], np.float32), scales, values]


def _scales(exact: Float32Array) -> tuple[np.float32, npt.NDArray[np.float16]]:
    """(unit, fp16 scales): unit · scale is at least the exact scale of each block, and 0 only for zeros."""
    top = float(exact.max(initial=0.0))
    if top == 0.0:
        return np.float32(1), np.zeros(exact.shape, np.float16)
    unit = np.float32(2.0 ** np.ceil(np.log2(top)))  # a power of two: dividing by it is exact
    unit = max(unit, np.finfo(np.float32).tiny)
    relative = exact / unit
    scales = relative.astype(np.float16)
    short = scales.astype(np.float32) < relative
    scales[short] = np.nextafter(scales[short], np.float16(np.inf))
    return unit, scales


def _decode(
    arrays: list[npt.NDArray[Any]], layout: Layout, codec: Codec, what: str
) -> Float32Array:
    if codec is Codec.FP32:
        container.require_finite(arrays[0], what=what)
        return arrays[0].astype(np.float32)
    unit_1, scales, values = arrays
    unit = unit_1.astype(np.float32)[0]
    container.require_finite(unit_1, what=f"unit of the {what}")
    container.require_finite(scales, what=f"scales of the {what}")
    if unit <= 0 or bool((scales < 0).any()):
        raise InvalidBytes(f"the scales of the {what} are negative")
    steps = values if codec is Codec.INT8 else _unpack_nibbles(values, layout.size, what)
    if codec is Codec.INT8 and bool((values == -128).any()):
        raise InvalidBytes(f"the {what} holds a value outside −127…127")
    with np.errstate(over="ignore"):
        sized = scales.astype(np.float32) * unit
        decoded = steps * np.repeat(sized, _block_lengths(layout))
    container.require_finite(decoded, what=what)
    return decoded


def _pack_nibbles(values: npt.NDArray[np.int8]) -> npt.NDArray[np.uint8]:
    """Two values of −7…7 per byte, two's complement, the earlier one in the low half."""
    nibbles = values.view(np.uint8) & 15
    if nibbles.size % 2:
        nibbles = np.append(nibbles, np.uint8(0))
    return (nibbles[0::2] | (nibbles[1::2] << 4)).astype(np.uint8)


def _unpack_nibbles(packed: npt.NDArray[np.uint8], size: int, what: str) -> Float32Array:
    pairs = _NIBBLE_PAIRS[packed].reshape(-1)
    if size % 2 and pairs[-1] != 0:
        raise InvalidBytes(f"the {what} is padded with something")
    if bool((pairs == -8).any()):
        raise InvalidBytes(f"the {what} holds a value outside −7…7")
    return pairs[:size]


def _nibble_pairs() -> Float32Array:
    low, high = np.arange(256) & 15, np.arange(256) >> 4
    nibbles = np.stack([low, high], axis=1)
    return np.where(nibbles > 7, nibbles - 16, nibbles).astype(np.float32)


_NIBBLE_PAIRS: Final = _nibble_pairs()


def _roots(second: Float32Array) -> npt.NDArray[np.float16]:
    """Roots keep second moments, squares of gradients, inside the range of fp16; 0 stays for zeros alone."""
    roots = np.minimum(np.sqrt(second), np.float32(np.finfo(np.float16).max)).astype(np.float16)
    return np.where((second > 0) & (roots == 0), _FP16_TINY, roots)


def _squares(roots: npt.NDArray[np.float16]) -> Float32Array:
    container.require_finite(roots, what="second moments")
    if bool((roots < 0).any()):
        raise InvalidBytes("the second moments are negative")
    return np.square(roots.astype(np.float32))
