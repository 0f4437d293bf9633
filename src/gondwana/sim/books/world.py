"""One world of the books, from its seed to its end."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.errors import FundsTooLow, GondwanaError, InvalidValue
from gondwana.core.random import SeededRandom
from gondwana.ledger import chain
from gondwana.sim.books import (
    checks,
    verbs_ahead,
    verbs_money,
    verbs_owners,
    verbs_promises,
    verbs_work,
)
from gondwana.sim.books.bank import Bank, Died
from gondwana.sim.books.people import People
from gondwana.sim.books.request import Request, Seen, Verb
from gondwana.sim.books.shadow import Shadow
from gondwana.sim.clock import Timeline

VERBS: Final[tuple[Verb, ...]] = (
    *verbs_money.VERBS,
    *verbs_work.VERBS,
    *verbs_ahead.VERBS,
    *verbs_owners.VERBS,
    *verbs_promises.VERBS,
)
REQUESTS: Final = 66  # of one world
HOURS_BETWEEN: Final = 15.0  # on average: forty days in all, so that the longest wait ends
DAY: Final = 86_400.0
VIOLATIONS_MAX: Final = 5  # enough to look into
COMMITS_BETWEEN: Final = 25  # two comparisons with the shadow
ATTEMPTS_MAX: Final = 8  # then the network is good

Trace = Callable[[float, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a world."""

    seed: int
    digest: str  # over all that happened, in order
    requests: int
    violations: tuple[str, ...]
    kinds: Counter[str]  # entries posted, by the kind of their event
    seen: Counter[str]  # faults, answers, refusals


def run(seed: int, *, trace: Trace | None = None) -> Outcome:
    """Play the world of this seed to its end."""
    world = World(seed, trace)
    try:
        world.play()
    except Exception as error:  # a broken world is a finding, with its seed
        world.broke(f"the simulation stopped: {type(error).__name__}: {error}")
        if trace is not None:
            raise
    finally:
        world.bank.close()
    return world.outcome()


class World:
    """People, their network, the bank, and time."""

    def __init__(self, seed: int, trace: Trace | None) -> None:
        self.seed = seed
        self.timeline = Timeline()
        self.seen: Counter[str] = Counter()
        self.violations: list[str] = []
        self.shadow = Shadow()
        self.people = People(seed, self.shadow)
        self.bank = Bank(SeededRandom(f"bank {seed}"))
        self._random = SeededRandom(f"network {seed}")
        self._digest = hashlib.blake2b(digest_size=16)
        self._trace = trace
        self._requests: list[Request] = []
        self._kept: list[str] = []  # roots that somebody keeps
        self._commits = 0
        self._is_calm = False
        self._down_until = 0.0
        self._skew = 0.0

    def play(self) -> None:
        """Let everything happen."""
        self._next_request()
        self._next_midnight()
        while self.timeline.step():
            if len(self.violations) >= VIOLATIONS_MAX:
                return
        self._is_calm = True
        self._publish(3 * DAY)
        self.timeline.clock.advance(3 * DAY)
        self._check(checks.at_the_end(self.bank.reader, self.people, self._kept))
        for request in self._requests:
            if request.heard is None:
                self.broke(f"{request.number} {request.verb.name} was never answered")

    def outcome(self) -> Outcome:
        """What became of it."""
        return Outcome(
            seed=self.seed,
            digest=self._digest.hexdigest(),
            requests=len(self._requests),
            violations=tuple(dict.fromkeys(self.violations)),
            kinds=self.shadow.kinds,
            seen=self.seen,
        )

    def broke(self, what: str) -> None:
        """Something that must hold does not."""
        self.violations.append(what)
        self._say(f"violation: {what}")

    def _say(self, text: str) -> None:
        at = self.timeline.elapsed_seconds
        self._digest.update(f"{at:.3f} {text}\n".encode())
        if self._trace is not None:
            self._trace(at, text)

    def _check(self, found: Iterator[str]) -> None:
        for what in found:
            self.broke(what)

    def _chance(self, probability: float) -> bool:
        return not self._is_calm and self._random.uniform() < probability

    def _now(self) -> Instant:
        """The clock of the machine that leads."""
        return Instant(self.timeline.clock.now() + self._skew)

    # People ask

    def _next_request(self) -> None:
        verb, params = self.people.draw(VERBS, self.timeline.clock.now())
        request = Request(number=len(self._requests), verb=verb, params=params)
        self._requests.append(request)
        self._say(f"{request.number} {verb.name} {params}")
        self._send(request)
        if len(self._requests) < REQUESTS:
            hours = HOURS_BETWEEN * 2 * self.people.random.uniform()
            soon = self.people.chance(0.3)  # while others are still on their way
            self.timeline.after(1.0 if soon else hours * 3_600, self._next_request)

    def _send(self, request: Request) -> None:
        request.attempts += 1
        if request.attempts > ATTEMPTS_MAX:
            self._is_calm = True
        for copy in range(2 if self._chance(0.1) else 1):
            self.seen["twice"] += copy
            key = key_of(request)
            self.timeline.after(self._delay(), lambda key=key: self._arrive(request, key))
        wait = 30.0 * 2 ** min(request.attempts, 6)
        self.timeline.after(
            wait, lambda: None if request.heard is not None else self._send(request)
        )

    def _delay(self) -> float:
        """Seconds that a message takes, now and then so many that others overtake it."""
        if self._chance(0.08):
            self.seen["late"] += 1
            return 7_200 * self._random.uniform()
        return 0.05 + self._random.uniform()

    # The bank answers

    def _arrive(self, request: Request, key: str) -> None:
        if self.timeline.clock.now() < self._down_until or self._chance(0.05):
            self.seen["lost"] += 1
            return
        if self.bank.has_former and self._chance(0.15):
            self.seen["sent to a former leader"] += 1
            if not self.bank.is_refused_by_former(request, key, self._now()):
                self.broke("a process that leads no more wrote, or tried to")
            return
        if self._chance(0.03):
            self._die(request, key)
            return
        self._answer(request, key)
        if self._chance(0.02):
            self.seen["failed over"] += 1
            self.bank.fail_over()
            self._other_clock()

    def _answer(self, request: Request, key: str) -> None:
        now = self._now()
        try:
            said = self.bank.ask(request, key, now)
        except GondwanaError as error:
            self._refused(request, key, now, error)
            heard = f"refused: {error.code}"
        else:
            self._committed(request, key, now, said)
            heard = said.decode()
        if self._chance(0.1):
            self.seen["answer lost"] += 1
        else:
            self.timeline.after(self._delay(), lambda: self._hear(request, heard))

    def _die(self, request: Request, key: str) -> None:
        after_commit = self._chance(0.5)
        self.seen["died after commit" if after_commit else "died before commit"] += 1
        now = self._now()
        try:
            self.bank.ask_and_die(request, key, now, after_commit=after_commit)
        except Died as death:
            if death.committed is not None:
                self._committed(request, key, now, death.committed)
        self._down_until = self.timeline.clock.now() + 60 * self._random.uniform()
        self._other_clock()

    def _other_clock(self) -> None:
        """Another machine has another clock; rarely one that is wrong by more than a day."""
        self._skew = 10 * self._random.uniform() - 5
        if self._chance(0.15):
            self.seen["wrong clock"] += 1
            self._skew = -26 * 3_600.0

    def _committed(self, request: Request, key: str, now: Instant, said: bytes) -> None:
        if request.done:
            if said not in request.done:
                self.broke(f"{request.number} {request.verb.name} was done twice")
            self.seen["answered again"] += 1
            return
        request.done.append(said)
        self.shadow.told["now"] = now
        seen = Seen(shadow=self.shadow, now=now, key=key)
        expected = request.verb.expect(seen, request.params)
        moved = self.shadow.apply(posted_of(said))
        self.shadow.told["moved"] = moved
        if expected is None:
            self.broke(f"{request.number} {request.verb.name} should have been refused")
        elif expected != moved:
            self.broke(
                f"{request.number} {request.verb.name} moved {dict(moved)} instead of {dict(expected)}"
            )
        request.verb.learn(self.people, request.params, key)
        self.seen["committed"] += 1
        self._say(f"{request.number} committed {said.decode()}")
        self._check(checks.after_commit(self.bank.reader))
        self._commits += 1
        if self._commits % COMMITS_BETWEEN == 0:
            self._check(checks.against_shadow(self.bank.reader, self.shadow))

    def _refused(self, request: Request, key: str, now: Instant, error: GondwanaError) -> None:
        """A refusal has a reason: there was too little, or something was over by then."""
        self.seen[f"refused: {error.code}"] += 1
        self._say(f"{request.number} refused: {error}")
        if request.done:
            self.broke(f"{request.number} {request.verb.name} was done, and then refused: {error}")
            return
        if not isinstance(error, FundsTooLow | InvalidValue):
            return
        self.shadow.told["now"] = now
        expected = request.verb.expect(Seen(shadow=self.shadow, now=now, key=key), request.params)
        if expected is not None and checks.fits(self.shadow, request.params, expected):
            self.broke(f"{request.number} {request.verb.name} was refused without need: {error}")

    def _hear(self, request: Request, heard: str) -> None:
        if request.heard is None:
            request.heard = heard
        elif "refused" not in (heard[:7], request.heard[:7]) and heard != request.heard:
            self.broke(f"{request.number} {request.verb.name} was answered in two ways")

    # Days end

    def _next_midnight(self) -> None:
        self._publish(0.0)
        if len(self._requests) < REQUESTS:
            self.timeline.after(DAY * (0.5 + 2 * self._random.uniform()), self._next_midnight)

    def _publish(self, later: float) -> None:
        now = Instant(self._now() + later)
        published = self.bank.run(lambda tx: chain.publish_roots(tx, now))
        self.seen["root published"] += published
        if published:
            self._check(checks.new_roots(self.bank.reader, self.shadow, self._kept))
        if self._chance(0.2):
            since = self.people.pick(["", *self._kept])
            self._check(checks.chain_since(self.bank.reader, since))


def key_of(request: Request) -> str:
    """The key that a request is sent under, each time."""
    return str(request.number)


def posted_of(said: bytes) -> list[dict[str, object]]:
    """What an answer tells."""
    return json.loads(said)
