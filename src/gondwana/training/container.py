"""Arrays as safetensors bytes, in exactly one form per content, and a reader that trusts nothing.

The form: eight bytes of header length, a compact JSON header padded with spaces to eight bytes, then the arrays
back to back in the order of the header. Anything that reads safetensors reads it; only this form is accepted back,
so two different files never mean the same thing and an attacker has no choice but the numbers.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt

from gondwana.core.errors import InvalidBytes

HEADER_BYTES_MAX: Final = 16 * 1024 * 1024  # about 150,000 tensors
ALIGNMENT_BYTES: Final = 8
DTYPES: Final[Mapping[str, np.dtype[Any]]] = {
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
}

AnyArray = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One array of a container: its name, its dtype as safetensors spells it, its shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """How many bytes the array takes."""
        return DTYPES[self.dtype].itemsize * prod(self.shape)


def container_bytes(fields: Sequence[Field], metadata: Mapping[str, str] | None = None) -> int:
    """The exact size in bytes of a container with these fields."""
    return len(_header(fields, metadata or {})) + sum(field.bytes for field in fields)


def write(
    fields: Sequence[Field], arrays: Sequence[AnyArray], metadata: Mapping[str, str] | None = None
) -> bytes:
    """The arrays as safetensors bytes, in the one form that `read` accepts."""
    parts = [_header(fields, metadata or {})]
    for field, array in zip(fields, arrays, strict=True):
        assert array.shape == field.shape, (field, array.shape)
        parts.append(np.ascontiguousarray(array, DTYPES[field.dtype]).tobytes())
    return b"".join(parts)


def read(
    data: bytes, fields: Sequence[Field], metadata: Mapping[str, str] | None = None, *, what: str
) -> list[AnyArray]:
    """The arrays, as read-only views into `data`; the file must hold exactly these fields.

    Raises InvalidBytes that names the first thing that is wrong; nothing is allocated before all is checked.
    """
    header = _header(fields, metadata or {})
    if data[: len(header)] != header:
        raise InvalidBytes(f"the {what} {_difference(data, fields, metadata or {})}", what=what)
    expected_bytes = len(header) + sum(field.bytes for field in fields)
    if len(data) != expected_bytes:
        raise InvalidBytes(f"the {what} has {len(data)} bytes instead of {expected_bytes}")
    return _views(data, fields, len(header))


def read_any(data: bytes, *, what: str) -> tuple[list[Field], dict[str, str], list[AnyArray]]:
    """Fields, metadata and arrays (read-only views) of a container whose fields are not known beforehand.

    Raises InvalidBytes where it is not of our one form.
    """
    problem, fields, metadata = _parse(data)
    if problem is not None:
        raise InvalidBytes(f"the {what} {problem}")
    return fields, metadata, read(data, fields, metadata, what=what)


def require_finite(array: AnyArray, *, what: str) -> None:
    """Return when every number is finite; raises InvalidBytes that names `what` otherwise."""
    if not np.isfinite(array).all():
        raise InvalidBytes(f"the {what} holds a value that is not finite")


def _header(fields: Sequence[Field], metadata: Mapping[str, str]) -> bytes:
    entries: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    offset = 0
    for field in fields:
        entries[field.name] = {
            "dtype": field.dtype,
            "shape": list(field.shape),
            "data_offsets": [offset, offset + field.bytes],
        }
        offset += field.bytes
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT_BYTES)
    return len(text).to_bytes(8, "little") + text


def _views(data: bytes, fields: Sequence[Field], offset: int) -> list[AnyArray]:
    arrays: list[AnyArray] = []
    for field in fields:
        flat = np.frombuffer(data, DTYPES[field.dtype], count=prod(field.shape), offset=offset)
        arrays.append(flat.reshape(field.shape))
        offset += field.bytes
    return arrays


def _difference(data: bytes, fields: Sequence[Field], metadata: Mapping[str, str]) -> str:
    """What is wrong with a header that is not the expected one, in words that follow 'the upload …'."""
    problem, found, found_metadata = _parse(data)
    if problem is not None:
        return problem
    if found_metadata != dict(metadata):
        return "has other metadata than expected"
    found_by_name = {field.name: field for field in found}
    expected_by_name = {field.name: field for field in fields}
    if missing := sorted(expected_by_name.keys() - found_by_name.keys()):
        return f"lacks the tensor {missing[0]!r}"
    if extra := sorted(found_by_name.keys() - expected_by_name.keys()):
        return f"has an extra tensor {extra[0][:80]!r}"
    for name, field in expected_by_name.items():
        other = found_by_name[name]
        if other.dtype != field.dtype:
            return f"has {name!r} as {other.dtype} instead of {field.dtype}"
        if other.shape != field.shape:
            return f"has {name!r} with shape {other.shape} instead of {field.shape}"
    return "has its tensors in another order than expected"


def _parse(data: bytes) -> tuple[str | None, list[Field], dict[str, str]]:
    """(problem, fields, metadata) of a container's header; fields are sane only when the problem is None."""
    if len(data) < 8:
        return f"is cut off: {len(data)} bytes", [], {}
    header_bytes = int.from_bytes(data[:8], "little")
    if header_bytes > HEADER_BYTES_MAX:
        return f"says its header has {header_bytes} bytes, more than {HEADER_BYTES_MAX}", [], {}
    if 8 + header_bytes > len(data):
        return f"is cut off: its header needs {8 + header_bytes} bytes of {len(data)}", [], {}
    try:
        entries: Any = json.loads(data[8 : 8 + header_bytes])
    except (ValueError, RecursionError):
        return "has a header that is not JSON", [], {}
    if not isinstance(entries, dict):
        return "has a header that is not an object", [], {}
    return _parse_entries(cast("dict[str, Any]", entries), data[: 8 + header_bytes])


def _parse_entries(
    entries: dict[str, Any], header: bytes
) -> tuple[str | None, list[Field], dict[str, str]]:
    metadata: Any = entries.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(
        isinstance(value, str) for value in cast("dict[str, Any]", metadata).values()
    ):
        return "has metadata that is not text", [], {}
    fields: list[Field] = []
    for name, entry in entries.items():
        field = _parse_field(name, entry)
        if isinstance(field, str):
            return field, [], {}
        fields.append(field)
    metadata = cast("dict[str, str]", metadata)
    if header != _header(fields, metadata):
        return "has tensors that overlap, leave holes, or a header in another form", fields, {}
    return None, fields, metadata


def _parse_field(name: str, entry: Any) -> Field | str:
    if not isinstance(entry, dict):
        return f"has {name[:80]!r} without dtype and shape"
    dtype, shape = (cast("dict[str, Any]", entry).get(key) for key in ("dtype", "shape"))
    if not isinstance(dtype, str) or dtype not in DTYPES:
        return f"has {name[:80]!r} with a dtype we do not take: {str(dtype)[:20]!r}"
    if not isinstance(shape, list):
        return f"has {name[:80]!r} without a shape"
    sizes = cast("list[Any]", shape)
    if len(sizes) > 8 or not all(type(size) is int and 0 <= size < 2**48 for size in sizes):
        return f"has {name[:80]!r} with a shape that cannot be"
    return Field(name=name, dtype=dtype, shape=tuple(cast("list[int]", sizes)))
