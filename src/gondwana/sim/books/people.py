"""Who asks for what: a few tenants, owners and an operator, who know what the bank did for them."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, TypeVar

from gondwana.core.random import SeededRandom
from gondwana.sim.books.request import Params, Verb
from gondwana.sim.books.shadow import Shadow

T = TypeVar("T")

TENANTS: Final = ("t0", "t1", "t2")
OWNERS: Final = ("p0", "p1", "p2")
VERIFIERS: Final = ("v0", "v1")
RAILS: Final = ("bank", "card")
PROJECTS: Final = ("", "atlas")
USD: Final = 1_000_000


class People:
    """What is going on, and chance to choose among it."""

    def __init__(self, seed: int, shadow: Shadow) -> None:
        self.random = SeededRandom(f"people {seed}")
        self.shadow = shadow
        self.drawn: Counter[str] = Counter()
        self._going_on: dict[str, list[Params]] = {}
        self._over: dict[str, list[Params]] = {}

    def draw(self, verbs: Sequence[Verb], now: float) -> tuple[Verb, Params]:
        """The next thing that somebody asks for; what was asked least so far a little sooner."""
        self.now = now
        while True:
            some = self.random.sample(verbs, 3)
            verb = min(some, key=lambda verb: self.drawn[verb.name] / verb.weight)
            params = verb.draw(self)
            if params is not None:
                self.drawn[verb.name] += 1
                return verb, params

    def pick(self, items: Sequence[T]) -> T:
        """One of them."""
        return items[self.random.bits(32) % len(items)]

    def chance(self, probability: float) -> bool:
        """Whether it happens."""
        return self.random.uniform() < probability

    def amount(self, most: int, *, least: int = 1) -> int:
        """A whole amount up to `most`, small ones as often as large ones."""
        most = max(most, least)
        return least + int((most - least) * self.random.uniform() ** 2)

    def some_of(self, account: str, *, too_much: float = 0.05) -> int | None:
        """An amount that an account has, rarely a little more than that; None where it has nothing."""
        available = self.shadow.available(account)
        if available <= 0:
            return None
        return available + 1 if self.chance(too_much) else self.amount(available)

    # What is going on

    def add(self, what: str, params: Params) -> None:
        """Something goes on from now on."""
        self._going_on.setdefault(what, []).append(params)

    def all(self, what: str) -> list[Params]:
        """All of it."""
        return self._going_on.get(what, [])

    def any(self, what: str) -> Params | None:
        """One of it, mostly a late one, or None; now and then one that is over, asked about by who does not know."""
        found, over = self.all(what), self._over.get(what)
        if over and self.chance(0.08):
            return dict(self.pick(over))
        return self.pick(found[-4:] if self.chance(0.7) else found) if found else None

    def drop(self, what: str, **named: Any) -> None:
        """It is over."""
        found = self.all(what)
        over = [each for each in found if all(each.get(name) == named[name] for name in named)]
        self._over.setdefault(what, []).extend(over)
        self._going_on[what] = [each for each in found if each not in over]
