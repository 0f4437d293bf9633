"""One machine's work in virtual time: it fetches, computes as fast as it can, uploads and reports.

It stands where `agent/runner.py` and the sandbox stand; what it computes is real (`learning`).
"""

from collections import Counter, deque
from collections.abc import Callable
from typing import Final

from gondwana.agent import core as decisions
from gondwana.agent.core import AgentCore, Report
from gondwana.core.errors import GondwanaError, InvalidToken, NotFound, Unavailable
from gondwana.core.random import SeededRandom
from gondwana.sim import learning, lies
from gondwana.sim.lies import Behaviour
from gondwana.sim.network import Route
from gondwana.sim.plane import ControlPlane
from gondwana.wire.agent import LeaseDuty, RunDuty
from gondwana.wire.units import UnitKind, UnitSpec

START_SECONDS: Final = 6.0  # of a cold worker
FETCH_SECONDS: Final = 0.3
RETRY_SECONDS: Final = 2.0
LINK_SECONDS_MAX: Final = 300.0  # a transfer waits so long for the control plane
EVALUATE_SECONDS: Final = 1.0  # and half of it for each candidate
SLOWDOWN: Final = 20.0
SLOW_CLOCK: Final = 0.1


class Hardware:
    """What one life of an agent has under way; it dies with it."""

    def __init__(
        self, control: ControlPlane, route: Route, core: AgentCore, behaviour: Behaviour, steps_per_second: float,
        random: SeededRandom, *, send: Callable[[Report | None], None], token: Callable[[], str],
        cache: dict[str, bytes],
    ) -> None:  # fmt: skip
        self._control = control
        self._timeline = control.timeline
        self._route = route
        self._core = core
        self._behaviour = behaviour
        self._steps_per_second = steps_per_second
        self._random = random
        self._send = send
        self._token = token
        self._cache = cache  # on the machine's disk: it outlives the agent
        self._queues: dict[str, deque[UnitSpec]] = {}  # lease -> units, one after the other
        self._wanted: set[str] = set()  # runs and units under way
        self._warm: set[str] = set()
        self.dead = False
        self.seen: Counter[str] = control.seen

    def act(self, action: decisions.Action) -> None:
        """Start or stop what the core decided."""
        match action:
            case decisions.Serve(duty=duty):
                self._queues[duty.lease_id] = deque()
            case decisions.StartRun(duty=duty):
                if duty.run is not None:
                    self._start_run(duty, duty.run)
            case decisions.StartUnit(lease_id=lease_id, unit=unit):
                self._wanted.add(unit.id)
                self._queues[lease_id].append(unit)
                if len(self._queues[lease_id]) == 1:
                    self._begin_unit(lease_id, unit)
            case decisions.StopUnit(lease_id=lease_id, unit_id=unit_id):
                self._wanted.discard(unit_id)
                self._drop(lease_id, unit_id)
            case decisions.Warn() | decisions.Extend():
                pass  # simulated work keeps nothing that it could save, and is over long before
            case decisions.StopLease(lease_id=lease_id):
                for unit in self._queues.pop(lease_id, ()):
                    self._wanted.discard(unit.id)
                self._wanted.discard(lease_id)

    def _later(self, seconds: float, key: str, run: Callable[[], None]) -> None:
        def due() -> None:
            if not self.dead and key in self._wanted:
                run()

        self._timeline.after(seconds, due)

    # Units

    def _begin_unit(self, lease_id: str, unit: UnitSpec) -> None:
        if self._behaviour is Behaviour.BROKEN:
            self._later(
                1.0, unit.id, lambda: self._fail(lease_id, unit, "agent: the disk is broken")
            )
            return
        names = _blobs_of(unit)
        self._transfer(
            unit.id,
            lambda: self._fetch(names),
            lambda: self._compute(lease_id, unit),
            lambda why: self._fail(lease_id, unit, why),
        )

    def _compute(self, lease_id: str, unit: UnitSpec) -> None:
        self._core.set_alive(lease_id, alive=True)
        cold = 0.0 if lease_id in self._warm else START_SECONDS
        self._warm.add(lease_id)
        seconds = self._unit_seconds(unit)
        if self._behaviour is Behaviour.SLEEPER:
            self.seen["lie.sleeper"] += 1
            return
        self._later(cold + seconds, unit.id, lambda: self._deliver(lease_id, unit, seconds))

    def _unit_seconds(self, unit: UnitSpec) -> float:
        if unit.kind is UnitKind.TRAIN:
            speed = self._steps_per_second
            if self._behaviour is Behaviour.SLOW and unit.round > 0:
                speed /= SLOWDOWN
                self.seen["machine.slow"] += 1
            return min(unit.inner_steps, 10**9) / speed
        return EVALUATE_SECONDS * (1 + 0.5 * len(unit.candidates))

    def _deliver(self, lease_id: str, unit: UnitSpec, seconds: float) -> None:
        if unit.config.get("fails"):
            self._fail(lease_id, unit, "RecipeError: the recipe raised ValueError")
            return
        claimed = seconds * (SLOW_CLOCK if self._behaviour is Behaviour.MISER else 1.0)
        output, result = learning.work(unit, self._cache.__getitem__, claimed)
        told, said = lies.deliver(self._behaviour, unit, output, result, self._random)
        if (told, said) != (output, result):
            self.seen[f"lie.{self._behaviour}"] += 1

        def report(name: str | None) -> None:
            self._send(self._core.report_unit(lease_id, unit.id, output=name, result=said))
            self._done(lease_id, unit)

        if told is None:
            report(None)
            return
        uploaded: list[str] = []
        self._transfer(
            unit.id,
            lambda: uploaded.append(self._control.upload(self._token(), told)),
            lambda: report(uploaded[-1]),
            lambda why: self._fail(lease_id, unit, why),
        )

    def _fail(self, lease_id: str, unit: UnitSpec, why: str) -> None:
        self._send(self._core.report_unit(lease_id, unit.id, failure=why))
        self._done(lease_id, unit)

    def _done(self, lease_id: str, unit: UnitSpec) -> None:
        self._core.set_alive(lease_id, alive=False)
        self._wanted.discard(unit.id)
        self._drop(lease_id, unit.id)

    def _drop(self, lease_id: str, unit_id: str) -> None:
        queue = self._queues.get(lease_id)
        if queue is None:
            return
        was_first = bool(queue) and queue[0].id == unit_id
        self._queues[lease_id] = queue = deque(unit for unit in queue if unit.id != unit_id)
        if was_first:
            self._core.set_alive(lease_id, alive=False)
        if was_first and queue:
            self._begin_unit(lease_id, queue[0])

    # Runs

    def _start_run(self, duty: LeaseDuty, run: RunDuty) -> None:
        self._wanted.add(duty.lease_id)
        self._report_run(duty, run, "preparing")
        if self._behaviour is Behaviour.BROKEN:
            end = "sandbox_unavailable: no bubblewrap"
            self._later(
                1.0, duty.lease_id, lambda: self._report_run(duty, run, "exited", reason=end)
            )
            return
        names = [run.workdir] if run.workdir else []
        self._transfer(
            duty.lease_id,
            lambda: self._fetch(names),
            lambda: self._execute(duty, run),
            lambda why: self._report_run(duty, run, "exited", reason=why),
        )

    def _execute(self, duty: LeaseDuty, run: RunDuty) -> None:
        self._core.set_alive(duty.lease_id, alive=True)
        self._report_run(duty, run, "running")
        if self._behaviour is Behaviour.QUITTER:
            self.seen["lie.quitter"] += 1
            state = self._random.sample(("lost", "stopped", "assigned", "gone"), 1)[0]
            self._later(1.0, duty.lease_id, lambda: self._report_run(duty, run, state))
            return
        if self._behaviour is Behaviour.SLEEPER:
            self.seen["lie.sleeper"] += 1
            return
        seconds = min(float(run.envs["SECONDS"]), run.seconds_max)
        text = f"node {run.environment['SKYPILOT_NODE_RANK']} begins\n".encode()
        self._send(self._core.report_log(duty.lease_id, run.run_id, 0, text))
        self._later(seconds, duty.lease_id, lambda: self._end_run(duty, run, len(text)))

    def _end_run(self, duty: LeaseDuty, run: RunDuty, logged: int) -> None:
        self._core.set_alive(duty.lease_id, alive=False)
        self._send(self._core.report_log(duty.lease_id, run.run_id, logged, b"the end\n"))
        code, reason = int(run.envs["EXIT"]), run.envs.get("LIMIT", "")

        def report(name: str | None) -> None:
            self._report_run(duty, run, "exited", exit_code=code, reason=reason, output=name)

        if "OUTPUT" not in run.envs:
            report(None)
            return
        uploaded: list[str] = []
        content = f"output of {run.run_id}".encode()
        self._transfer(
            duty.lease_id,
            lambda: uploaded.append(self._control.upload(self._token(), content)),
            lambda: report(uploaded[-1]),
            lambda why: self._report_run(duty, run, "exited", reason=why),
        )

    def _report_run(
        self, duty: LeaseDuty, run: RunDuty, state: str, *, exit_code: int | None = None, reason: str = "",
        output: str | None = None,
    ) -> None:  # fmt: skip
        if state == "exited":
            self._core.set_alive(duty.lease_id, alive=False)
        self._send(
            self._core.report_run(
                duty.lease_id, run.run_id, state, exit_code=exit_code, reason=reason, output=output
            )
        )

    # Transfers

    def _fetch(self, names: list[str]) -> None:
        lacking = [name for name in names if name not in self._cache]
        if lacking:
            self._cache.update(self._control.fetch(self._token(), lacking))

    def _transfer(
        self,
        key: str,
        move: Callable[[], None],
        then: Callable[[], None],
        fail: Callable[[str], None],
    ) -> None:
        """Move blobs over the network, again and again while it is down; then go on, or fail with a reason."""
        ends_at = self._timeline.clock.now() + LINK_SECONDS_MAX

        def attempt() -> None:
            try:
                if not self._route.is_up:
                    raise Unavailable("the network is down")
                move()
            except (Unavailable, InvalidToken) as error:
                full = error.code == "storage_full"
                if full or self._timeline.clock.now() >= ends_at:
                    fail(f"agent: {type(error).__name__}: {error.message}")
                else:
                    self._later(RETRY_SECONDS, key, attempt)
            except GondwanaError as error:
                blame = "job" if isinstance(error, NotFound) else "agent"
                fail(f"{blame}: {type(error).__name__}: {error.message}")
            else:
                then()

        self._later(FETCH_SECONDS, key, attempt)


def _blobs_of(unit: UnitSpec) -> list[str]:
    names = [unit.code, *unit.shards, *unit.heldout, *unit.unassigned]
    if unit.params is not None:
        names += [unit.params.checkpoint, *unit.params.changes]
    if unit.state is not None:
        names.append(unit.state)
    for candidate in unit.candidates:
        names += [candidate.delta, *candidate.shards]
    return list(dict.fromkeys(names))
