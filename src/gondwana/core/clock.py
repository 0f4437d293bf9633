"""Time as a value: whoever needs it is given a `Clock`."""

import time
from typing import Final, NewType, Protocol

AHEAD_SECONDS_MAX: Final = 900.0
"""So far a clock may follow one that was ahead; more is a clock that was set wrong, which nobody should follow."""

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


class ContinuedClock:
    """A clock that goes on where another's left off, so that time never steps back when another machine leads.

    It stays as far ahead of its own as it begins: every span that it measures is right, and the next leader may have
    the better clock.
    """

    def __init__(self, own: Clock, left_off: Instant) -> None:
        self._own = own
        ahead = left_off - own.now()
        self.ahead_seconds = ahead if 0 < ahead <= AHEAD_SECONDS_MAX else 0.0

    def now(self) -> Instant:
        """The present instant."""
        return Instant(self._own.now() + self.ahead_seconds)


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
