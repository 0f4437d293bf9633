"""What the agent should start and stop, and what it still has to report; pure, so that the simulator runs it too."""

from collections.abc import Callable
from dataclasses import dataclass

from gondwana.wire import agent as wire
from gondwana.wire.agent import LeaseDuty, LeaseNotice, RunDuty
from gondwana.wire.units import UnitResult, UnitSpec

Report = wire.RunReport | wire.UnitReport | wire.CheckpointReport | wire.LogChunk


@dataclass(frozen=True, slots=True, kw_only=True)
class Serve:
    """Begin to serve a lease."""

    duty: LeaseDuty


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRun:
    """Start a batch run."""

    duty: LeaseDuty


@dataclass(frozen=True, slots=True, kw_only=True)
class StartUnit:
    """Do a unit of training."""

    lease_id: str
    unit: UnitSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class StopUnit:
    """Give up a unit: somebody else has it now, or nobody wants it."""

    lease_id: str
    unit_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StopLease:
    """Stop all work of a lease and forget it."""

    lease_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Warn:
    """Tell a lease's work that the lease is about to end; without a notice, that it goes on after all."""

    lease_id: str
    notice: LeaseNotice | None
    seconds_left: float  # 0: any moment, or no notice


@dataclass(frozen=True, slots=True, kw_only=True)
class Extend:
    """Let a run take so much time in all."""

    lease_id: str
    run_id: str
    seconds_max: float


Action = Serve | StartRun | StartUnit | StopUnit | Warn | Extend | StopLease


class AgentCore:
    """The agent's mind. Whatever order messages come in, it ends up doing what the newest `Desired` says."""

    def __init__(self, machine_id: str, sign: Callable[[bytes], bytes]) -> None:
        self.machine_id = machine_id
        self._sign = sign
        self._desired_number = 0
        self._leases: dict[str, LeaseDuty] = {}
        self._alive: set[str] = set()  # leases whose worker runs
        self._started: dict[
            str, set[str]
        ] = {}  # lease -> runs and units begun: a repeat starts nothing
        self._working: dict[str, str] = {}  # unit id -> lease id
        self._reports: dict[int, Report] = {}  # not acknowledged yet, in order
        self._next_number = 1

    def connected(self) -> list[Report]:
        """A new link: numbering of `Desired` starts again; returns the reports to send again."""
        self._desired_number = 0
        return list(self._reports.values())

    def desired(self, message: wire.Desired) -> list[Action]:
        """What to do to converge to what should run; an older message than the last changes nothing."""
        if message.number <= self._desired_number:
            return []
        self._desired_number = message.number
        wanted = {duty.lease_id: duty for duty in message.leases}
        actions: list[Action] = []
        for lease_id in [
            known for known, duty in self._leases.items() if _changed(duty, wanted.get(known))
        ]:
            self._forget(lease_id)
            actions.append(StopLease(lease_id=lease_id))
        for duty in message.leases:
            known = self._leases.get(duty.lease_id)
            if known is None:
                actions.append(Serve(duty=duty))
            self._leases[duty.lease_id] = duty
            if known is not None and _is_extended(known.run, duty.run):
                assert duty.run is not None
                seconds_max = duty.run.seconds_max
                actions.append(
                    Extend(lease_id=duty.lease_id, run_id=duty.run.run_id, seconds_max=seconds_max)
                )
            if duty.notice != (known.notice if known else None):
                actions.append(_warning(duty, message.now))
            started = self._started.setdefault(duty.lease_id, set())
            actions += self._units(duty, started)
            if duty.run is not None and duty.run.run_id not in started:
                started.add(duty.run.run_id)
                actions.append(StartRun(duty=duty))
        return actions

    def heartbeat(self, nonce: bytes) -> wire.Heartbeat:
        """Proof of life over the live leases."""
        proofs = tuple(
            wire.LeaseProof(lease_id=lease_id, epoch=duty.epoch, alive=lease_id in self._alive)
            for lease_id, duty in sorted(self._leases.items())
        )
        return wire.Heartbeat(
            signature=self._sign(wire.heartbeat_claim(self.machine_id, nonce, proofs)),
            leases=proofs,
        )

    def set_alive(self, lease_id: str, *, alive: bool) -> None:
        """Whether a lease's worker runs; only such time is proven."""
        (self._alive.add if alive else self._alive.discard)(lease_id)

    def report_run(
        self, lease_id: str, run_id: str, state: str, *, exit_code: int | None = None, reason: str = "",
        output: str | None = None,
    ) -> Report | None:  # fmt: skip
        """The report to send of a run's new state; None when the lease is gone meanwhile."""
        duty = self._leases.get(lease_id)
        if duty is None:
            return None
        return self._keep(
            wire.RunReport(
                number=self._next_number,
                run_id=run_id,
                lease_id=lease_id,
                epoch=duty.epoch,
                state=state,
                exit_code=exit_code,
                reason=reason,
                output=output,
            )
        )

    def report_log(self, lease_id: str, run_id: str, offset: int, data: bytes) -> Report | None:
        """The report to send of a piece of output."""
        duty = self._leases.get(lease_id)
        if duty is None:
            return None
        return self._keep(
            wire.LogChunk(
                number=self._next_number,
                run_id=run_id,
                lease_id=lease_id,
                epoch=duty.epoch,
                offset=offset,
                data=data,
            )
        )

    def report_checkpoint(self, lease_id: str, run_id: str, checkpoint: str) -> Report | None:
        """The report to send of an uploaded checkpoint; None when the lease is gone meanwhile."""
        duty = self._leases.get(lease_id)
        if duty is None:
            return None
        return self._keep(
            wire.CheckpointReport(
                number=self._next_number,
                run_id=run_id,
                lease_id=lease_id,
                epoch=duty.epoch,
                checkpoint=checkpoint,
            )
        )

    def report_unit(
        self, lease_id: str, unit_id: str, *, output: str | None = None, result: UnitResult | None = None,
        failure: str = "",
    ) -> Report | None:  # fmt: skip
        """The signed report to send of a unit; None when it is not wanted any more."""
        duty = self._leases.get(lease_id)
        if duty is None or self._working.pop(unit_id, None) is None:
            return None
        claim = wire.unit_claim(unit_id, lease_id, duty.epoch, output)
        return self._keep(
            wire.UnitReport(
                number=self._next_number,
                unit_id=unit_id,
                lease_id=lease_id,
                epoch=duty.epoch,
                output=output,
                result=result,
                failure=failure,
                signature=self._sign(claim),
            )
        )

    def acknowledged(self, number: int) -> None:
        """The control plane has this report."""
        self._reports.pop(number, None)

    @property
    def unreported(self) -> int:
        """How many reports are not acknowledged."""
        return len(self._reports)

    @property
    def serving(self) -> tuple[str, ...]:
        """The leases served now."""
        return tuple(self._leases)

    def _units(self, duty: LeaseDuty, started: set[str]) -> list[Action]:
        wanted = {unit.id for unit in duty.units}
        gone = [
            unit
            for unit, lease in self._working.items()
            if lease == duty.lease_id and unit not in wanted
        ]
        actions: list[Action] = []
        for unit_id in gone:
            del self._working[unit_id]
            started.discard(unit_id)
            actions.append(StopUnit(lease_id=duty.lease_id, unit_id=unit_id))
        for unit in duty.units:
            if unit.id not in started:
                started.add(unit.id)
                self._working[unit.id] = duty.lease_id
                actions.append(StartUnit(lease_id=duty.lease_id, unit=unit))
        return actions

    def _forget(self, lease_id: str) -> None:
        del self._leases[lease_id], self._started[lease_id]
        self._alive.discard(lease_id)
        self._working = {unit: lease for unit, lease in self._working.items() if lease != lease_id}
        self._reports = {
            number: report
            for number, report in self._reports.items()
            if report.lease_id != lease_id
        }

    def _keep(self, report: Report) -> Report:
        self._reports[report.number] = report
        self._next_number += 1
        return report


def _is_extended(known: RunDuty | None, run: RunDuty | None) -> bool:
    """Whether it is the same run, which may take another time now."""
    if known is None or run is None or known.run_id != run.run_id:
        return False
    return known.seconds_max != run.seconds_max


def _warning(duty: LeaseDuty, now: float) -> Warn:
    """How long the lease still lasts, by the clock of who said so."""
    ends_at = duty.notice.ends_at if duty.notice else None
    left = 0.0 if ends_at is None else max(0.0, ends_at - now)
    return Warn(lease_id=duty.lease_id, notice=duty.notice, seconds_left=left)


def _changed(known: LeaseDuty, wanted: LeaseDuty | None) -> bool:
    """Whether a lease is over, or is another one by the same name."""
    return wanted is None or _identity(wanted) != _identity(known)


def _identity(duty: LeaseDuty) -> tuple[str, int, str]:
    """What a lease is, without what it asks at the moment."""
    return (duty.lease_id, duty.epoch, duty.job_id)
