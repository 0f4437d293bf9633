"""The network between one machine and the control plane: slow, jittery, cut at times, and worse where it is hostile.

A link is a WebSocket: what arrives, arrives in order. Repeated and overtaking messages are what a hostile middlebox
or a bug would add; both ends must refuse them or not mind.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gondwana.core.random import SeededRandom
from gondwana.sim.clock import Timeline

NOTICED_SECONDS: Final = 0.05  # until an end hears that the other closed the link


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """How well a machine is connected."""

    delay_seconds: float = 0.03
    jitter_seconds: float = 0.02
    break_chance: float = 0.0  # per message: the link breaks
    repeat_chance: float = 0.0  # per message: it arrives twice
    overtake_chance: float = 0.0  # per message: later ones arrive before it


class Route:
    """The way between one machine and the control plane."""

    def __init__(
        self, timeline: Timeline, random: SeededRandom, conditions: Conditions, seen: Counter[str]
    ) -> None:
        self.timeline = timeline
        self.random = random
        self.conditions = conditions
        self.seen = seen
        self._down_until = 0.0

    @property
    def is_up(self) -> bool:
        """Whether anything gets through now."""
        return self.timeline.clock.now() >= self._down_until

    def cut(self, seconds: float) -> None:
        """Let nothing through for a while; what is under way arrives afterwards, if its link still stands."""
        self._down_until = max(self._down_until, self.timeline.clock.now() + seconds)

    def delay_seconds(self) -> float:
        """How long a message sent now takes."""
        wait = max(0.0, self._down_until - self.timeline.clock.now())
        return (
            wait
            + self.conditions.delay_seconds
            + self.random.uniform() * self.conditions.jitter_seconds
        )

    def happens(self, what: str, chance: float) -> bool:
        """Whether a fault of this chance strikes now; counted where it does."""
        struck = chance > 0 and self.random.uniform() < chance
        if struck:
            self.seen[what] += 1
        return struck


class Cable:
    """One WebSocket: bytes up to the control plane and down to the agent, until one end closes it."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self._timeline = route.timeline
        self._last_at = {"up": 0.0, "down": 0.0}
        self.closed = False
        self.begun = (
            False  # the handshake is over: from here on messages may be repeated or overtaken
        )
        self.on_up: Callable[[bytes], None] = _ignore
        self.on_down: Callable[[bytes], None] = _ignore
        self.on_closed: list[Callable[[], None]] = []
        self._lost = False  # what is under way will not arrive either

    def up(self, data: bytes) -> None:
        """Send to the control plane."""
        self._send("up", data, concurrent=True)

    def down(self, data: bytes) -> None:
        """Send to the agent."""
        self._send("down", data, concurrent=False)

    def close(self) -> None:
        """End the link in order: what was sent arrives, then both ends hear of it."""
        if self.closed:
            return
        self.closed = True
        now = self._timeline.clock.now()
        last = max(self._last_at.values()) - now
        self._timeline.after(max(0.0, last) + NOTICED_SECONDS, self._end)

    def tear(self) -> None:
        """Break the link: what is under way is lost, and both ends hear of it."""
        self.closed = self._lost = True
        self._timeline.after(NOTICED_SECONDS, self._end)

    def _end(self) -> None:
        self._lost = True
        hearers, self.on_closed = self.on_closed, []
        for hear in hearers:
            hear()

    def _send(self, way: str, data: bytes, *, concurrent: bool) -> None:
        route, conditions = self._route, self._route.conditions
        if self.closed:
            return
        if self.begun and route.happens("network.break", conditions.break_chance):
            self.tear()
            return
        delay = route.delay_seconds()
        if self.begun and route.happens("network.overtake", conditions.overtake_chance):
            delay += 4 * conditions.delay_seconds
        else:
            now = self._timeline.clock.now()
            delay = max(delay, self._last_at[way] - now)
            self._last_at[way] = now + delay
        self._deliver(way, data, delay, concurrent=concurrent)
        if self.begun and route.happens("network.repeat", conditions.repeat_chance):
            self._deliver(way, data, delay + route.delay_seconds(), concurrent=concurrent)

    def _deliver(self, way: str, data: bytes, delay: float, *, concurrent: bool) -> None:
        def arrive() -> None:
            if not self._lost:
                (self.on_up if way == "up" else self.on_down)(data)

        self._timeline.after(delay, arrive, concurrent=concurrent)


def _ignore(data: bytes) -> None:
    """Nobody listens yet."""
