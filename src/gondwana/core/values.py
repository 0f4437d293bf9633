"""Values are frozen: what changes is a copy.

Values that are made by the thousand (orders, leases, machines, entries, events) are `msgspec.Struct`s, the others
dataclasses; both are used alike (ADR 0020).
"""

import dataclasses
from collections.abc import Callable, Hashable, Iterable
from typing import Any, TypeVar

from msgspec import Struct, structs

V = TypeVar("V")
K = TypeVar("K", bound=Hashable)


def replace(value: V, /, **changes: Any) -> V:
    """A copy of a struct or a dataclass in which these fields are changed; raises TypeError for one it lacks."""
    if isinstance(value, Struct):
        return structs.replace(value, **changes)
    return dataclasses.replace(value, **changes)  # pyright: ignore[reportArgumentType]


def grouped(values: Iterable[V], key: Callable[[V], K]) -> dict[K, list[V]]:
    """The values by their keys, in their order."""
    found: dict[K, list[V]] = {}
    for each in values:
        found.setdefault(key(each), []).append(each)
    return found
