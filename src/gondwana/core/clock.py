"""Time as a value: whoever needs it is given a `Clock`."""

import time
from typing import NewType, Protocol

Instant = NewType("Instant", float)
"""Seconds since 1970-01-01 UTC on the control plane's clock."""


class Clock(Protocol):
    """Where time comes from: the machine's clock, or the simulator's."""

    def now(self) -> Instant:
        """The present instant."""
        ...


class SystemClock:
    """The machine's clock, kept from ever stepping back (a corrected clock only waits)."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> Instant:
        """The present instant; never earlier than the one before."""
        return Instant(time.monotonic() + self._offset)


class ManualClock:
    """A clock that stands until it is moved; for simulation and tests."""

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self._now = start

    def now(self) -> Instant:
        """The instant last set."""
        return Instant(self._now)

    def advance(self, seconds: float) -> None:
        """Move on by `seconds`, which may not be negative."""
        assert seconds >= 0, "time only moves forward"
        self._now += seconds
