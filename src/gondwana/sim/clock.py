"""Virtual time: what happens next, in one order for one seed."""

import heapq
from collections.abc import Callable
from typing import Final, NamedTuple

from gondwana.core.clock import ManualClock

STEPS_MAX: Final = 200_000  # of one run; a world that does more is going round in circles


class _Entry(NamedTuple):
    at: float
    number: int  # who asked first goes first
    run: Callable[[], None]
    concurrent: bool


class Timeline:
    """What is due when. Whoever waits asks to be called; nothing ever blocks."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self._start = self.clock.now()
        self._due: list[_Entry] = []
        self._asked = 0
        self.steps = 0

    @property
    def elapsed_seconds(self) -> float:
        """Virtual seconds since the beginning."""
        return self.clock.now() - self._start

    def after(self, seconds: float, run: Callable[[], None], *, concurrent: bool = False) -> None:
        """Call `run` in `seconds`; a `concurrent` one may also happen between two transactions of another."""
        self._asked += 1
        entry = _Entry(self.clock.now() + max(0.0, seconds), self._asked, run, concurrent)
        heapq.heappush(self._due, entry)

    def step(self) -> bool:
        """Let the next thing happen; False when nothing is left."""
        if not self._due:
            return False
        self._run(heapq.heappop(self._due))
        return True

    def step_concurrent(self, within_seconds: float) -> bool:
        """Let the next thing happen if another thread could have done it by now; whether it did."""
        if not self._due:
            return False
        entry = self._due[0]
        if not entry.concurrent or entry.at - self.clock.now() > within_seconds:
            return False
        self._run(heapq.heappop(self._due))
        return True

    def jump(self, seconds: float) -> None:
        """Let time pass in which nothing happens; what was due meanwhile happens at its end."""
        self.clock.advance(seconds)

    def _run(self, entry: _Entry) -> None:
        self.steps += 1
        assert self.steps <= STEPS_MAX, "the simulation goes round in circles"
        self.clock.advance(max(0.0, entry.at - self.clock.now()))
        entry.run()
