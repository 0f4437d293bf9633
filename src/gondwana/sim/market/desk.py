"""How people reach the control plane: calls come late, twice, in another order, or to a process that is not there."""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from fastapi import Response

from gondwana.api.deps import Write
from gondwana.api.plane import Plane as ApiPlane
from gondwana.core.errors import GondwanaError, Unavailable
from gondwana.policy.model import Caller
from gondwana.sim.clock import Timeline
from gondwana.sim.market.people import Dice
from gondwana.sim.market.plane import Crash, Plane

RETRY_SECONDS: Final = 20.0
ATTEMPTS_MAX: Final = 40
Ask = Callable[[ApiPlane, Write], Response]


@dataclass(slots=True)
class Call:
    """One thing somebody asks for, until he hears an answer."""

    key: str
    who: Caller
    ask: Ask
    learn: Callable[[Any], object]
    attempts: int = 0
    answers: list[bytes] = field(default_factory=list[bytes])


class Desk:
    """Takes people's calls to whoever leads, again and again until there is an answer."""

    def __init__(
        self, plane: Plane, timeline: Timeline, dice: Dice, seen: Counter[str], broke: Callable[[str], None]
    ) -> None:  # fmt: skip
        self._plane, self._timeline, self._dice = plane, timeline, dice
        self._seen, self._broke = seen, broke
        self._calls = 0
        self.is_calm = False  # nothing goes wrong on the way any more
        self.crashed: Callable[[], None] = lambda: None

    def send(
        self, who: Caller, ask: Ask, learn: Callable[[Any], object] = lambda view: None
    ) -> str:
        """Ask for something; `learn` hears the answer, once. Returns the key of the call."""
        self._calls += 1
        call = Call(key=f"call {self._calls}", who=who, ask=ask, learn=learn)
        if not self.is_calm and self._dice.chance(0.06):
            self._seen["call late"] += 1
            self._timeline.after(self._dice.between(1, 90), lambda: self._arrive(call))
        else:
            self._arrive(call)
        if not self.is_calm and self._dice.chance(0.1):
            self._seen["call twice"] += 1
            self._timeline.after(self._dice.between(0, 120), lambda: self._arrive(call))
        return call.key

    def _arrive(self, call: Call) -> None:
        call.attempts += 1
        try:
            answer = self._answer(call)
        except Unavailable:
            if call.attempts < ATTEMPTS_MAX:
                self._timeline.after(RETRY_SECONDS, lambda: self._arrive(call))
        except GondwanaError as error:
            self._seen[f"refused: {error.code}"] += 1
        else:
            if call.answers and answer != call.answers[0]:
                self._broke(f"{call.key} was answered twice, not the same")
            call.answers.append(answer)
            if len(call.answers) == 1:
                call.learn(msgspec.json.decode(answer))

    def _answer(self, call: Call) -> bytes:
        life = self._plane.life
        if life is None:
            self._seen["nobody there"] += 1
            raise Unavailable("the control plane is down")
        try:
            return bytes(call.ask(life.api, Write(life.api, call.who, call.key, call.key)).body)
        except Crash:
            self.crashed()
            raise Unavailable("the control plane died") from None


def quiet() -> None:
    """Do not log what goes wrong on purpose."""
    logging.getLogger("gondwana").setLevel(logging.ERROR)
