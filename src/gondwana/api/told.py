"""A request's body as the value that a route wants, read to the letter.

A field that nobody reads is refused: it may be a misspelt cap or filter, and what was to hold would not. "1" and true
are no numbers here, 1 is one where a fraction could stand. Written out since msgspec refuses unknown fields of its own
Structs only, and what goes over the wire are dataclasses.
"""

import functools
import json
import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from typing import Any, Final, NoReturn, TypeVar, cast, get_args, get_origin, get_type_hints

import msgspec

from gondwana.core.decoding import convert
from gondwana.core.errors import InvalidValue, UnknownKey
from gondwana.core.meant import WORD_CHARS_MAX, did_you_mean

T = TypeVar("T")
VALUE_CHARS_SHOWN_MAX: Final = 60
_WORDS: Final[Mapping[Any, tuple[str, str]]] = {
    int: ("is not a whole number", "write a whole number, without quotes"),
    float: ("is not a number", "write a number, without quotes"),
    str: ("is not text", 'write text, in "quotes"'),
    bool: ("is neither true nor false", "write true or false"),
    tuple: ("is not a list", "write a list: […]"),
    dict: ("is not an object", "write an object: {…}"),
}
"""What is wrong with a value that is not of this kind, and what to write."""


def read(value: Any, kind: type[T]) -> T:
    """A body as a `kind`; raises UnknownKey or InvalidValue, which name the path of the field and its value."""
    if isinstance(value, bytes):
        raise InvalidValue(
            "The body is not said to be JSON.",
            field="Content-Type",
            hint="send the header Content-Type: application/json",
        )
    return _read(value, kind, "")


def _read(value: Any, kind: Any, at: str) -> Any:
    """A value at the path `at` as a `kind`: numbers, text, and what routes make of them."""
    origin, inside = get_origin(kind), get_args(kind)
    if origin is types.UnionType:  # one kind, or null
        of = next(each for each in inside if each is not types.NoneType)
        return None if value is None else _read(value, of, at)
    if origin is tuple:
        items = cast("list[Any]", value if isinstance(value, list) else _refuse(value, tuple, at))
        return tuple(_read(each, inside[0], f"{at}[{place}]") for place, each in enumerate(items))
    if origin is dict:
        return {
            key: _read(each, inside[1], _path(at, key)) for key, each in _members(value, at).items()
        }
    return _object(value, kind, at) if is_dataclass(kind) else _plain(value, kind, at)


def _object(value: Any, kind: Any, at: str) -> Any:
    members, known = _members(value, at), _fields(kind)
    for name, each in members.items():
        if name not in known:
            path, hint = _path(at, name), did_you_mean(name, known, at=_path(at, ""))
            told = f"There is no field {path}."
            raise UnknownKey(told, field=path, value=shown(each), hint=hint)
    for name, (_, is_needed) in known.items():
        if is_needed and name not in members:
            path = _path(at, name)
            raise InvalidValue(f"{path} is missing.", field=path, hint="it has to be said")
    return kind(
        **{name: _read(each, known[name][0], _path(at, name)) for name, each in members.items()}
    )


@functools.cache
def _fields(kind: type[Any]) -> dict[str, tuple[Any, bool]]:
    """Name -> its type, and whether it has to be said."""
    hints = get_type_hints(kind)
    return {
        each.name: (hints[each.name], each.default is MISSING and each.default_factory is MISSING)
        for each in fields(kind)
    }


def _members(value: Any, at: str) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else _refuse(value, dict, at)


def _plain(value: Any, kind: Any, at: str) -> Any:
    """A number, text, or whatever else has no fields."""
    try:
        made = convert(value, kind)
        is_sound = math.isfinite(made) if isinstance(made, float) else _is_unicode(made)
    except msgspec.ValidationError:
        is_sound, made = False, None
    return made if is_sound else _refuse(value, kind, at)


def _is_unicode(value: Any) -> bool:
    """Whether it can be written down: JSON's \\ud800 alone is half a character."""
    return not isinstance(value, str) or value.isascii() or value == _unicode(value)


def _unicode(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


def _refuse(value: Any, kind: Any, at: str) -> NoReturn:
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        words = "is not one of those there are", did_you_mean(str(value), [*kind])
    else:
        words = _WORDS.get(kind, ("is not of the kind that belongs here", "see /docs"))
    path, text = at or "the body", shown(value)
    raise InvalidValue(f"{path}: {text} {words[0]}.", field=path, value=text, hint=words[1])


def plain(name: str) -> str:
    """A name that somebody sent, as far as it can be read at a glance and written down."""
    return _unicode(name[:WORD_CHARS_MAX])


def _path(at: str, name: str) -> str:
    word = plain(name)
    return f"{at}.{word}" if at else word


def shown(value: Any) -> str:
    """The value as JSON, as far as it can be read at a glance."""
    text = json.dumps(value)
    whole = len(text) <= VALUE_CHARS_SHOWN_MAX
    return text if whole else text[: VALUE_CHARS_SHOWN_MAX - 1] + "…"
