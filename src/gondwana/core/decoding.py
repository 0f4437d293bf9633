"""What was stored or sent becomes a value of the type that is expected, in any thread.

msgspec learns a type when it first meets it, and lets other threads use what is half learnt: that crashes the process
(msgspec 0.22, `tests/unit/core/test_core_decoding.py`). So a type is learnt here first, by one thread at a time.
"""

import functools
import threading
from contextlib import suppress
from typing import Any, Final, TypeVar

import msgspec

T = TypeVar("T")
_LEARNING: Final = threading.Lock()


@functools.cache
def learnt(kind: type[T]) -> type[T]:
    """The same type, with all that it is made of, once any thread may decode to it; raises TypeError where none can."""
    with _LEARNING, suppress(msgspec.ValidationError):
        msgspec.convert(None, kind)
    return kind


def convert(value: Any, kind: type[T]) -> T:
    """What is made of plain values (numbers, text, lists, dicts) as a `kind`; raises msgspec.ValidationError."""
    return msgspec.convert(value, learnt(kind))


def from_json(text: bytes | str, kind: type[T]) -> T:
    """JSON as a `kind`; raises msgspec.DecodeError, or ValidationError where it is none."""
    return msgspec.json.decode(text, type=learnt(kind))
