"""Randomness as a value: secure in production, from one seed in simulation."""

import os
import random
import secrets
import threading
from collections.abc import Sequence
from typing import Final, Protocol, TypeVar

T = TypeVar("T")
POOL_BYTES: Final = 4_096
"""Asked of the operating system at once: each question gives other threads their turn, which cost 5 µs an id."""


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


class _Pool(threading.local):
    """Bytes of the operating system's generator: each thread has its own, and a forked process draws anew."""

    bytes = b""
    used = 0
    forks = 0


_forks = 0  # that led to this process: asking the system who one is would take longer than drawing from a pool


def _forked() -> None:
    global _forks
    _forks += 1


os.register_at_fork(after_in_child=_forked)


class SecureRandom:
    """The operating system's generator: nobody can guess what comes next."""

    def __init__(self) -> None:
        self._system = random.SystemRandom()
        self._pool = _Pool()

    def bits(self, count: int) -> int:
        """A uniform integer of `count` bits."""
        size = (count + 7) // 8
        pool = self._pool
        begin, end = pool.used, pool.used + size
        if end > len(pool.bytes) or pool.forks != _forks:
            pool.bytes, pool.forks = os.urandom(max(POOL_BYTES, size)), _forks
            begin, end = 0, size
        pool.used = end  # nobody is given the same bytes again
        return int.from_bytes(pool.bytes[begin:end], "little") >> (8 * size - count)

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
