"""Randomness as a value: secure in production, from one seed in simulation."""

import random
import secrets
from collections.abc import Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")


class Random(Protocol):
    """Where random numbers come from."""

    def bits(self, count: int) -> int:
        """A uniform integer of `count` bits."""
        ...

    def uniform(self) -> float:
        """A uniform number in [0, 1)."""
        ...

    def token(self, count: int) -> bytes:
        """`count` random bytes."""
        ...

    def sample(self, items: Sequence[T], count: int) -> list[T]:
        """`count` different items in random order."""
        ...


class SecureRandom:
    """The operating system's generator: nobody can guess what comes next."""

    def __init__(self) -> None:
        self._system = random.SystemRandom()

    def bits(self, count: int) -> int:
        """A uniform integer of `count` bits."""
        return secrets.randbits(count)

    def uniform(self) -> float:
        """A uniform number in [0, 1)."""
        return self._system.random()

    def token(self, count: int) -> bytes:
        """`count` random bytes."""
        return secrets.token_bytes(count)

    def sample(self, items: Sequence[T], count: int) -> list[T]:
        """`count` different items in random order."""
        return self._system.sample(items, count)


class SeededRandom:
    """The same numbers for the same seed; for simulation, tests and data ranges anyone can recompute."""

    def __init__(self, seed: int | str) -> None:
        self._generator = random.Random(seed)

    def bits(self, count: int) -> int:
        """A uniform integer of `count` bits."""
        return self._generator.getrandbits(count)

    def uniform(self) -> float:
        """A uniform number in [0, 1)."""
        return self._generator.random()

    def token(self, count: int) -> bytes:
        """`count` random bytes."""
        return self._generator.randbytes(count)

    def sample(self, items: Sequence[T], count: int) -> list[T]:
        """`count` different items in random order."""
        return self._generator.sample(items, count)
