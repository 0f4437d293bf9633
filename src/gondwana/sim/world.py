"""One world, from its seed to its end."""

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from gondwana.core.random import SeededRandom
from gondwana.db.events import StoredEvent, events_after
from gondwana.db.transaction import Transaction
from gondwana.jobs import store
from gondwana.policy import store as policy
from gondwana.policy.model import Caller, Scope
from gondwana.sim import invariants
from gondwana.sim.clock import Timeline
from gondwana.sim.demand import Tenant
from gondwana.sim.network import Cable
from gondwana.sim.plane import ControlPlane
from gondwana.sim.scenario import CODE, Fault, FaultKind, Scenario, draw
from gondwana.sim.supply import Machine

DEADLINE_SECONDS: Final = (
    2.5 * 3600
)  # after the last thing that goes wrong, every job must have ended
DESERT_SECONDS: Final = 25 * 3600  # the same where no machine is left: an order stands for a day
SETTLE_SECONDS: Final = 20.0  # late reports arrive, leases close
VIOLATIONS_MAX: Final = 20  # enough to look into
LIGHT_STEPS: Final = 25  # steps between two looks at what must always hold

Trace = Callable[[float, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a world."""

    seed: int
    digest: str  # over all events, in order
    events: int
    steps: int
    seconds: float  # virtual
    violations: tuple[str, ...]
    seen: Counter[str]  # how often each fault and each kind of event happened
    ends: Counter[str]  # "<state> <reason>" of jobs
    tally: invariants.Tally


def run(
    seed: int, *, trace: Trace | None = None, deadline_seconds: float = DEADLINE_SECONDS
) -> Outcome:
    """Play the world of this seed to its end, or until its deadline has passed."""
    world = World(draw(seed), trace, deadline_seconds)
    with _listening(world.log):
        try:
            world.play()
        except Exception as error:  # a broken world is a finding, with its seed
            world.violations.append(f"the simulation stopped: {type(error).__name__}: {error}")
            if trace is not None:
                raise
        return world.outcome()


class World:
    """Everything there is."""

    def __init__(
        self, scenario: Scenario, trace: Trace | None, deadline_seconds: float = DEADLINE_SECONDS
    ) -> None:
        self.scenario = scenario
        self._deadline_seconds = deadline_seconds
        self.timeline = Timeline()
        self.seen: Counter[str] = Counter()
        self.violations: list[str] = []
        self._trace = trace
        self._pending_faults = 0
        self._random = SeededRandom(f"world {scenario.seed}")
        self.control = ControlPlane(self.timeline, self._random, self.seen)
        self.control.overlap_chance = scenario.overlap_chance
        self.watch = invariants.Watch(self.control.database.reader(), self.violations)
        self.control.stored.listen(self._happened)
        self.control.on_heartbeat = lambda machine_id, heartbeat: self.watch.beat(
            self.timeline.clock.now(), machine_id, heartbeat
        )
        operator = self._principal("operator", tuple(Scope))
        owners = [
            self._principal(f"owner-{n}", (Scope.PROVIDER, Scope.TENANT))
            for n in range(scenario.owners)
        ]
        self.machines = [
            Machine(
                self.control,
                setup,
                owners[setup.owner % len(owners)],
                SeededRandom(f"{setup.name} {scenario.seed}"),
            )
            for setup in scenario.machines
        ]
        self.tenants = [
            Tenant(
                self.control,
                self._principal(f"tenant-{n}", (Scope.TENANT,)),
                operator,
                SeededRandom(f"tenant {n} {scenario.seed}"),
                scenario.answers_lost_chance,
            )
            for n in range(len(scenario.deposits_micro_usd))
        ]

    def play(self) -> None:
        """Let everything happen."""
        self._prepare()
        while self.timeline.step():
            if self.timeline.steps % LIGHT_STEPS == 0:
                self.watch.look(self.timeline.clock.now())
                if self._is_over() or self.timeline.elapsed_seconds > self._ends_at():
                    break
            if len(self.violations) > VIOLATIONS_MAX:
                break
        settled_at = self.timeline.elapsed_seconds + SETTLE_SECONDS
        while self.timeline.elapsed_seconds < settled_at and self.timeline.step():
            pass
        self.watch.look(self.timeline.clock.now())

    def outcome(self) -> Outcome:
        """What became of it, all invariants checked."""
        reader = self.control.database.reader()
        tally = invariants.Tally()
        try:
            self.violations += invariants.check(self, tally)
        except Exception as error:  # what cannot even be read does not hold
            self.violations.append(f"the end cannot be checked: {type(error).__name__}: {error}")
        jobs = [store.job(reader, job_id) for tenant in self.tenants for job_id in tenant.launched]
        digest = hashlib.blake2b(digest_size=16)
        after = 0
        while page := events_after(reader, after):
            for stored in page:
                digest.update(stored.event.canonical())
            after = page[-1].seq
        return Outcome(
            seed=self.scenario.seed,
            digest=digest.hexdigest(),
            events=after,
            steps=self.timeline.steps,
            seconds=self.timeline.elapsed_seconds,
            violations=tuple(dict.fromkeys(self.violations)),
            seen=self.seen,
            ends=Counter(f"{job.state} {job.reason or '-'}" for job in jobs),
            tally=tally,
        )

    def log(self, record: logging.LogRecord) -> None:
        """What the product logs: an error is a finding."""
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text += f": {type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
        if record.levelno >= logging.ERROR:
            self.violations.append(f"logged as an error: {text}")
        self.say(f"log {record.levelname.lower()}: {text}")

    def say(self, text: str) -> None:
        """A line of the trace."""
        if self._trace is not None:
            self._trace(self.timeline.elapsed_seconds, text)

    def _prepare(self) -> None:
        scenario = self.scenario
        for content in (CODE, *scenario.shards):
            self.control.disk.put(content)
        self.control.start()
        for machine in self.machines:
            self._at(machine.setup.joins_at, machine.join)
        for tenant, amount in zip(self.tenants, scenario.deposits_micro_usd, strict=True):
            self._at(1.0, lambda tenant=tenant, amount=amount: tenant.deposit(amount))
        for launch in scenario.launches:
            tenant = self.tenants[launch.tenant]
            self._at(launch.at, lambda tenant=tenant, launch=launch: tenant.launch(launch))
        for fault in scenario.faults:
            self._pending_faults += 1
            self.timeline.after(fault.at, lambda fault=fault: self._strike(fault))

    def _at(self, seconds: float, run: Callable[[], None]) -> None:
        self.timeline.after(seconds, run, concurrent=True)

    def _is_over(self) -> bool:
        launched = sum(len(tenant.launched) for tenant in self.tenants)
        refused = sum(n for what, n in self.seen.items() if what.startswith("tenant.refused"))
        if self._pending_faults or launched + refused < len(self.scenario.launches):
            return False
        reader = self.control.database.reader()
        return self.control.is_up and not store.live_jobs(reader)

    def _ends_at(self) -> float:
        blackouts = sum(f.seconds for f in self.scenario.faults if f.kind is FaultKind.BLACKOUT)
        running = any(machine.is_running for machine in self.machines)
        return blackouts + (self._deadline_seconds if running else DESERT_SECONDS)

    def _principal(self, name: str, scopes: tuple[Scope, ...]) -> Caller:
        def create(tx: Transaction) -> str:
            now = self.timeline.clock.now()
            return policy.create_token(tx, self._random, now, name=name, scopes=scopes)[1]

        secret = self.control.stored.call(create)
        return policy.caller_of(self.control.database.reader(), secret)

    def _happened(self, events: Sequence[StoredEvent]) -> None:
        for stored in events:
            self.seen[stored.event.kind] += 1
            self.say(f"{stored.event.kind} {stored.event.subject} {stored.event.data}")
            self.watch.happened(stored.event)

    # Faults

    def _strike(self, fault: Fault) -> None:
        machine = self.machines[fault.machine]
        self.say(f"fault {fault.kind} {machine.setup.name} for {fault.seconds:.1f} s")
        self._pending_faults -= 1
        struck = (
            self._strike_plane(fault)
            if fault.kind in _OF_THE_PLANE
            else self._strike_machine(fault, machine)
        )
        if struck:
            self.seen[f"fault.{fault.kind}"] += 1

    def _strike_plane(self, fault: Fault) -> bool:
        control = self.control
        if not control.is_up:
            return False
        match fault.kind:
            case FaultKind.PLANE_KILLED:
                control.kill()
                self._restart_plane(fault.seconds)
            case FaultKind.PLANE_CRASHED:
                control.crash_in(fault.count, after_commit=fault.after_commit)
                self._expect_crash(fault)
            case FaultKind.DISK_FULL:
                control.disk.full = True
                self._back(fault.seconds, lambda: setattr(control.disk, "full", False))
            case FaultKind.DATABASE_FULL:
                control.database_full = True
                self._back(fault.seconds, lambda: setattr(control, "database_full", False))
            case _:
                self._black_out(fault.seconds)
        return True

    def _strike_machine(self, fault: Fault, machine: Machine) -> bool:
        if not machine.id or not machine.is_running:
            return False
        match fault.kind:
            case FaultKind.AGENT_KILLED:
                machine.kill()
                if fault.seconds:
                    self._back(fault.seconds, machine.start)
            case FaultKind.LINK_CUT:
                machine.route.cut(fault.seconds)
            case FaultKind.PAUSED:
                machine.verb("pause", lambda: self.watch.paused.add(machine.id))
                self._back(fault.seconds, lambda: self._resume(machine))
            case FaultKind.DRAINED:
                machine.verb("drain", lambda: self.watch.gone.add(machine.id))
            case FaultKind.LEFT:
                machine.verb("leave", lambda: self.watch.gone.add(machine.id))
            case FaultKind.STOPPED:
                machine.stop()
                if fault.seconds:
                    self._back(fault.seconds, lambda: self._start_again(machine))
            case _:
                self._replay(machine)
        return True

    def _back(self, seconds: float, run: Callable[[], None]) -> None:
        """Undo a fault later; the world is not over before."""
        self._pending_faults += 1

        def undo() -> None:
            self._pending_faults -= 1
            run()

        self.timeline.after(seconds, undo)

    def _restart_plane(self, seconds: float) -> None:
        def start() -> None:
            if not self.control.is_up:
                self.control.start()

        self._back(seconds, start)

    def _expect_crash(self, fault: Fault) -> None:
        """Start the process again some time after it died."""

        def look() -> None:
            if self.control.is_up and self.control.is_doomed:
                self._back(1.0, look)
            else:
                self._restart_plane(fault.seconds)

        self._back(1.0, look)

    def _black_out(self, seconds: float) -> None:
        """Lights out for everybody: nothing runs, and a day later all is started again."""
        self.control.kill()
        running = [machine for machine in self.machines if machine.is_running]
        for machine in running:
            machine.kill()
        self.timeline.jump(seconds)
        self._restart_plane(1.0)
        for number, machine in enumerate(running):
            self._back(5.0 + 3.0 * number, machine.start)

    def _resume(self, machine: Machine) -> None:
        machine.verb("resume", lambda: self.watch.paused.discard(machine.id))

    def _start_again(self, machine: Machine) -> None:
        """Who starts an agent offers its machine, even if it was paused when it was stopped."""
        self.watch.paused.discard(machine.id)
        machine.kill()
        machine.start()

    def _replay(self, machine: Machine) -> None:
        """Send what was recorded of a machine's link, from elsewhere: nobody may take it for the machine."""
        if not self.control.is_up:
            return
        cable = Cable(machine.route)
        self.control.accept(cable)
        for data in machine.recorded:
            cable.up(data)
        self._back(5.0, cable.close)


_OF_THE_PLANE: Final = frozenset(
    {
        FaultKind.PLANE_KILLED,
        FaultKind.PLANE_CRASHED,
        FaultKind.DISK_FULL,
        FaultKind.DATABASE_FULL,
        FaultKind.BLACKOUT,
    }
)


class _Handler(logging.Handler):
    def __init__(self, tell: Callable[[logging.LogRecord], None]) -> None:
        super().__init__(logging.INFO)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self._tell(record)


@contextmanager
def _listening(tell: Callable[[logging.LogRecord], None]) -> Generator[None]:
    """Give what the product logs to `tell`, and to nobody else."""
    logger, handler = logging.getLogger("gondwana"), _Handler(tell)
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]
