"""Values as rows: a column per field, named like it.

Text, whole numbers, floats and bytes are stored as they are; enums as their text, booleans as 0 and 1; anything else
(nested values, tuples, dicts) as JSON.
"""

import functools
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any, Protocol, TypeVar

import msgspec

T = TypeVar("T")
_PLAIN = (str, int, float, bytes)


class RowLike(Protocol):
    """A row of a database, or a dict."""

    def __getitem__(self, key: str, /) -> Any:
        """The column's value."""
        ...


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    encode: Callable[[Any], Any] | None  # None: stored as it is
    decode: Callable[[Any], Any] | None


def to_row(value: Any) -> dict[str, Any]:
    """The columns of a frozen dataclass."""
    row: dict[str, Any] = {}
    for column in _columns(type(value)):
        item = getattr(value, column.name)
        encode = column.encode
        row[column.name] = item if encode is None or item is None else encode(item)
    return row


def from_row(kind: type[T], row: RowLike | Mapping[str, Any]) -> T:
    """The value of type `kind` in a row; other columns are ignored, a missing one raises IndexError."""
    found: dict[str, Any] = {}
    for column in _columns(kind):
        item = row[column.name]
        decode = column.decode
        found[column.name] = item if decode is None or item is None else decode(item)
    return kind(**found)


@functools.cache
def _columns(kind: type[Any]) -> tuple[_Column, ...]:
    hints = typing.get_type_hints(kind)
    return tuple(_column(field.name, hints[field.name]) for field in fields(kind))


def _column(name: str, hint: Any) -> _Column:
    plain = _without_none(_without_name(hint))
    if plain is bool:
        return _Column(name, int, bool)
    if plain is float:
        return _Column(name, float, float)  # 1 and 1.0 come back as the same
    if plain in _PLAIN:
        return _Column(name, None, None)
    if isinstance(plain, type) and issubclass(plain, Enum):
        return _Column(name, _enum_value, plain)
    return _Column(name, _to_json, msgspec.json.Decoder(plain).decode)


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


def _enum_value(item: Enum) -> Any:
    return item.value


def _to_json(item: Any) -> str:
    return msgspec.json.encode(item, order="sorted").decode()
