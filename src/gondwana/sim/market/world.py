"""One world of the market, from its seed to its end: a storm of acts and faults, a calm under pressure, the end."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gondwana.core.clock import Instant
from gondwana.core.errors import GondwanaError, Unavailable
from gondwana.core.random import SeededRandom
from gondwana.db.events import StoredEvent
from gondwana.db.transaction import Transaction
from gondwana.jobs import store
from gondwana.jobs.shelf import Shelf
from gondwana.sim.clock import Timeline
from gondwana.sim.market import agents, ahead, calm, checks, faults, owners, tenants, waiting
from gondwana.sim.market.agents import Fate
from gondwana.sim.market.desk import Desk
from gondwana.sim.market.owners import Box
from gondwana.sim.market.people import Dice
from gondwana.sim.market.plane import Crash, Plane
from gondwana.sim.market.watch import Watch
from gondwana.wire.jobs import JobSpec

STEPS: Final = 45  # of the storm
VIOLATIONS_MAX: Final = 5  # enough to look into
RETRY_SECONDS: Final = 20.0
PROOF_SECONDS: Final = 8.0  # before the end of a step, so that some of it is proven
PASSES_MAX: Final = 4  # news wakes the reconcilers again; a market that never settles is not judged
RESTED_SECONDS: Final = 11.0  # after a failure until each reconciler has had its turn again

Trace = Callable[[float, str], None]
Act = Callable[["World"], Any]

ACTS: Final[dict[str, tuple[float, Act]]] = {
    "launch": (10, tenants.launch),
    "cancel": (1, tenants.cancel),
    "extend": (0.7, tenants.extend),
    "resize": (1, tenants.resize),
    "limit": (1, tenants.limit),
    "impossible": (0.3, lambda world: tenants.impossible(world, 4)),
    "reserve ahead": (2, ahead.reserve),
    "cancel ahead": (0.4, ahead.cancel),
    "maintain": (0.5, ahead.maintain),
    "miss": (0.3, ahead.miss),
    "join": (1, owners.join),
    "go silent": (1, owners.go_silent),
    "pause": (0.3, lambda world: owners.verb(world, "pause")),
    "resume": (0.5, lambda world: owners.verb(world, "resume")),
    "drain": (0.2, lambda world: owners.verb(world, "drain")),
    "leave": (0.2, lambda world: owners.verb(world, "leave")),
    "terms": (1, owners.change_terms),
    "take back": (0.7, owners.take_back),
    "bid": (3, owners.bid),
    "withdraw": (0.4, owners.withdraw),
    "boot": (0.4, agents.boot),
    "kill": (0.4, faults.kill),
    "doom": (0.6, faults.doom),
    "fail commits": (0.5, faults.fail_commits),
    "fail over": (0.6, faults.fail_over),
    "clocks": (0.3, faults.correct_clock),
    "former": (0.4, faults.write_as_former),
    "forget": (1.5, faults.forget),
    "old book": (1, faults.place_by_old_book),
    "reserve": (1.2, faults.reserve_and_die),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a world."""

    seed: int
    digest: str  # over all that happened, in order
    launched: int
    leases: int
    violations: tuple[str, ...]
    seen: Counter[str]  # events, faults, refusals, ends


def run(seed: int, *, steps: int = STEPS, trace: Trace | None = None) -> Outcome:
    """Play the world of this seed to its end."""
    world = World(seed, trace)
    try:
        world.play(steps)
    except Exception as error:  # a broken world is a finding, with its seed
        world.broke(f"the simulation stopped: {type(error).__name__}: {error}")
        if trace is not None:
            raise
    finally:
        world.plane.close()
    return world.outcome()


class World:
    """People, machines, the control plane, and time."""

    def __init__(self, seed: int, trace: Trace | None) -> None:
        self.seed = seed
        self.dice = Dice(f"market {seed}")
        self.timeline = Timeline()
        self.seen: Counter[str] = Counter()
        self.violations: list[str] = []
        self.boxes: list[Box] = []
        self.bid_ids: list[Any] = []
        self.jobs: dict[str, JobSpec] = {}
        self.fates: dict[str, Fate] = {}
        self.old_shelves: list[Shelf] = []
        self.is_calm = False
        self.launched = self.names = self.leases = 0
        self._digest = hashlib.blake2b(digest_size=16)
        self._trace = trace
        self.watch = Watch(self.broke, lambda: self.timeline.elapsed_seconds)
        self._held: dict[Any, int] = {}
        self._committed = 0
        self._looked_at = -1
        self._doubtful_until = 0.0
        self.plane = Plane(self.timeline.clock, SeededRandom(f"plane {seed}"), self._happened)
        self.desk = Desk(self.plane, self.timeline, Dice(f"network {seed}"), self.seen, self.broke)
        self.desk.crashed = self.crashed

    # What happens

    def play(self, steps: int) -> None:
        """Let everything happen."""
        if self.dice.chance(0.5):
            owners.thicken(self)
        for _ in range(2 + self.dice.upto(3)):
            owners.join(self)
        weights = {name: weight for name, (weight, _) in ACTS.items()}
        for _ in range(steps):
            if self.step(
                self.dice.among({0.5: 3, 4.0: 3, 20.0: 4, 90.0: 3, 400.0: 2, 1_500.0: 1}),
                self.dice.among(weights),
            ):
                return
        calm.play(self)

    def step(self, seconds: float, name: str = "") -> bool:
        """Time passes, somebody does something, the reconcilers run; whether enough is broken."""
        self.advance(max(0.0, seconds - PROOF_SECONDS))
        self._survive(lambda: (agents.beat(self), agents.flush(self)))
        self.advance(min(PROOF_SECONDS, seconds))
        agents.beat(self)
        agents.work(self)
        if name:
            ACTS[name][1](self)
        if self.is_calm or self.dice.chance(0.8):
            self.reconcile()
        self.look()
        return len(self.violations) >= VIOLATIONS_MAX

    def advance(self, seconds: float) -> None:
        """Let so much time pass, and happen what is due meanwhile."""
        over: list[bool] = []
        self.timeline.after(seconds, lambda: over.append(True))
        while not over:
            self.timeline.step()

    def reconcile(self) -> None:
        """All reconcilers, again and again while there is news; then nobody may be overlooked."""
        now, failed = self.now, self.plane.failed
        life = self.plane.life
        if life is None:
            return
        for _ in range(PASSES_MAX):
            before = self._committed
            self._survive(lambda: life.reconcilers.run(now))
            if self.plane.life is not life or self.plane.failed != failed:
                self._doubtful_until = self.timeline.elapsed_seconds + RESTED_SECONDS
                return
            if self._committed == before:
                break
        else:
            return
        if self.timeline.elapsed_seconds < self._doubtful_until:
            return
        self._check(checks.after_pass(self.plane.reader, now))
        self._check(ahead.after_pass(self.plane.reader, now))
        self._check(waiting.overlooked(self.plane.reader, now))

    def look(self) -> None:
        """What must hold at any moment."""
        if self._looked_at == self._committed:
            return
        self._looked_at = self._committed
        reader, life, now = self.plane.reader, self.plane.life, self.now
        self._check(checks.after_step(reader, self._held))
        self._check(ahead.after_step(reader))
        if life is not None:
            self._check(checks.the_book(life, reader))
            self._check(checks.the_open_orders(life, reader, now))
            if self.dice.chance(0.2):
                self._check(checks.the_turns(life, reader, now))

    def outcome(self) -> Outcome:
        """What became of it."""
        return Outcome(
            seed=self.seed,
            digest=self._digest.hexdigest(),
            launched=self.launched,
            leases=self.leases,
            violations=tuple(dict.fromkeys(self.violations)),
            seen=self.seen,
        )

    # What acts use

    @property
    def now(self) -> Instant:
        """By the clock of whoever leads, which is not always right."""
        return self.plane.clock.now()

    def write(
        self, run: Callable[[Transaction], Any], *, allowed: type[GondwanaError] | None = None
    ) -> None:
        """Something that is written by itself; tried again until somebody is there to write it."""
        life = self.plane.life
        try:
            if life is None:
                raise Unavailable("the control plane is down")
            life.call(run)
        except (Crash, Unavailable) as error:
            if isinstance(error, Crash):
                self.crashed()
            self.timeline.after(RETRY_SECONDS, lambda: self.write(run, allowed=allowed))
        except GondwanaError as error:
            if allowed is None or not isinstance(error, allowed):
                self.seen[f"not written: {error.code}"] += 1

    def tenant_of(self, job_id: str) -> str:
        """Who launched a job."""
        return store.job(self.plane.reader, job_id).tenant_id

    def crashed(self) -> None:
        """The process has just died."""
        self.seen["died"] += 1
        self.say("it died")
        self.plane.kill()
        self.restart_in(1 + 40 * self.dice.between(0, 1))

    def restart_in(self, seconds: float) -> None:
        """Somebody starts the process again."""

        def start() -> None:
            if self.plane.life is None:
                self.say("it is started")
                self.plane.start()

        self._doubtful_until = self.timeline.elapsed_seconds + seconds + RESTED_SECONDS
        self.timeline.after(seconds, start)

    def broke(self, what: str) -> None:
        """Something that must hold does not."""
        self.violations.append(what)
        self.say(f"violation: {what}")

    def say(self, text: str) -> None:
        """A line of the trace."""
        at = self.timeline.elapsed_seconds
        self._digest.update(f"{at:.3f} {text}\n".encode())
        if self._trace is not None:
            self._trace(at, text)

    def _survive(self, work: Callable[[], Any]) -> None:
        try:
            work()
        except Crash:
            self.crashed()
        except GondwanaError as error:
            self.seen[f"not written: {error.code}"] += 1

    def _check(self, found: Iterable[str]) -> None:
        for what in found:
            self.broke(what)

    def _happened(self, events: Sequence[StoredEvent]) -> None:
        for stored in events:
            event = stored.event
            self._committed += 1
            self.leases += event.kind == "lease.active"
            reason = event.data.get("reason", "") if event.kind != "offer.priced" else ""
            self.seen[f"{event.kind} {reason}".strip()] += 1
            self.say(f"{event.kind} {event.subject} {event.data}")
            self.watch.happened(event)
        self.watch.look(self.plane.reader)
