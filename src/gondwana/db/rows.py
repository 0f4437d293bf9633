"""Values as rows: a column per field, named like it.

Text, whole numbers, floats and bytes are stored as they are; enums as their text, booleans as 0 and 1; anything else
(nested values, tuples, dicts) as JSON.
"""

import functools
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import Enum
from operator import attrgetter
from typing import Any, Final, Protocol, TypeVar

import msgspec
from msgspec import Struct, structs

from gondwana.core.decoding import learnt

T = TypeVar("T")
_PLAIN: Final = (str, int, float, bytes)
_Code = Callable[[Any], Any]


class RowLike(Protocol):
    """A row of a database, or a dict."""

    def __getitem__(self, key: str, /) -> Any:
        """The column's value."""
        ...


@dataclass(frozen=True, slots=True)
class _Layout:
    """The columns of one kind of value, and how those are coded that are not stored as they are."""

    names: tuple[str, ...]
    values: Callable[[Any], Sequence[Any]]
    encoders: tuple[tuple[int, _Code], ...]  # by their places
    decoders: tuple[tuple[str, _Code], ...]  # by their names; msgspec makes the others


def columns(kind: type[Any]) -> tuple[str, ...]:
    """The names of the columns of a kind of value."""
    return _layout(kind).names


def to_values(value: Any) -> list[Any]:
    """A frozen value as its columns are stored, in the order of `columns`."""
    layout = _layout(type(value))
    found = list(layout.values(value))
    for place, encode in layout.encoders:
        if (item := found[place]) is not None:
            found[place] = encode(item)
    return found


def to_row(value: Any) -> dict[str, Any]:
    """The columns of a frozen value."""
    return dict(zip(columns(type(value)), to_values(value), strict=True))


def from_row(kind: type[T], row: RowLike | Mapping[str, Any]) -> T:
    """The value of type `kind` in a row; other columns are ignored, a missing one raises IndexError."""
    return maker(kind)(row)


def from_rows(kind: type[T], rows: Sequence[RowLike]) -> list[T]:
    """The value of type `kind` in each row of one query: `from_row` of many, sooner."""
    if not rows:
        return []
    first: Any = rows[0]
    make = maker(kind) if isinstance(first, dict) else maker(kind, tuple(first.keys()))
    return list(map(make, rows))


@functools.cache
def maker(kind: type[T], there: tuple[str, ...] | None = None) -> Callable[[Any], T]:
    """Makes the value of type `kind` in a row, whose columns are `there`; None: they are asked by name, one by one.

    Raises IndexError where columns are missing. msgspec makes all of it in one step: half the time of a loop.
    """
    layout = _layout(kind)
    learnt(kind)
    convert, names = msgspec.convert, layout.names
    firsts = () if there is None else _firsts(there)
    if there is not None and (missing := set(names).difference(there)):
        raise IndexError(f"no column {', '.join(sorted(missing))}")

    def make(row: Any) -> T:
        found = (
            dict(zip(firsts, row, strict=True)) if firsts else {name: row[name] for name in names}
        )
        for name, decode in layout.decoders:
            if (item := found[name]) is not None:
                found[name] = decode(item)
        return convert(found, kind)

    return make


def _firsts(there: Sequence[str]) -> list[str]:
    """The columns' names; of two of one name the first counts, and the other has none."""
    return [name if name not in there[:place] else "" for place, name in enumerate(there)]


@functools.cache
def _layout(kind: type[Any]) -> _Layout:
    hints = typing.get_type_hints(kind)
    if issubclass(kind, Struct):
        names, values = kind.__struct_fields__, structs.astuple
    else:
        names: tuple[str, ...] = tuple(field.name for field in fields(kind))
        get = attrgetter(*names)
        values = get if len(names) > 1 else lambda one: (get(one),)
    codes = [_codes(hints[name]) for name in names]
    encoders = tuple((place, encode) for place, (encode, _) in enumerate(codes) if encode)
    decoders = tuple((name, code[1]) for name, code in zip(names, codes, strict=True) if code[1])
    return _Layout(names, values, encoders, decoders)


def _codes(hint: Any) -> tuple[_Code | None, _Code | None]:
    """How a field is (encoded, decoded); None: it is stored as it is, and comes back as msgspec makes it of that."""
    plain = _without_none(_without_name(hint))
    if plain is bool:
        return int, bool
    if plain is float:
        return float, None  # 1 and 1.0 come back as the same
    if plain in _PLAIN:
        return None, None
    if isinstance(plain, type) and issubclass(plain, Enum):
        return attrgetter("_value_"), None
    return _to_json, msgspec.json.Decoder(learnt(plain)).decode


def _without_name(hint: Any) -> Any:
    while isinstance(hint, typing.NewType):
        hint = hint.__supertype__
    return hint


def _without_none(hint: Any) -> Any:
    """`X` of `X | None`; other unions stay, and are stored as JSON."""
    if typing.get_origin(hint) not in (typing.Union, types.UnionType):
        return hint
    rest = [arm for arm in typing.get_args(hint) if arm is not type(None)]
    return _without_name(rest[0]) if len(rest) == 1 else hint


_ENCODER: Final = msgspec.json.Encoder(order="sorted")


def _to_json(item: Any) -> str:
    return _ENCODER.encode(item).decode()
