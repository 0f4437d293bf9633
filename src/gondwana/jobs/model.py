"""Jobs, runs, units, and how far a training run has come."""

from enum import StrEnum
from typing import Final

from msgspec import Struct

from gondwana.core.clock import Instant
from gondwana.core.ids import JobId, LeaseId, MachineId, OrderId, PrincipalId, RunId, UnitId
from gondwana.ledger.model import Shares
from gondwana.wire.jobs import JobSpec
from gondwana.wire.units import ParamsRef, UnitKind, UnitResult, UnitSpec


class JobState(StrEnum):
    """Where a job stands."""

    SUBMITTED = "submitted"  # stored; not yet checked against money and policy
    ADMITTED = "admitted"  # may run; its money is set aside; its order is open
    PROVISIONING = "provisioning"  # has machines; nothing runs yet
    RUNNING = "running"  # at least one run or unit is under way
    RECOVERING = "recovering"  # lost what it needs; waits for a replacement
    SUCCEEDED = "succeeded"  # done
    FAILED = "failed"  # ended with a reason
    CANCELLED = "cancelled"  # ended by its tenant


_ENDS: Final = {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}

JOB_TRANSITIONS: Final = {
    JobState.SUBMITTED: {JobState.ADMITTED, JobState.FAILED, JobState.CANCELLED},
    JobState.ADMITTED: {JobState.PROVISIONING, JobState.FAILED, JobState.CANCELLED},
    JobState.PROVISIONING: {
        JobState.RUNNING,
        JobState.RECOVERING,
        JobState.FAILED,
        JobState.CANCELLED,
    },
    JobState.RUNNING: {JobState.RECOVERING, *_ENDS},
    JobState.RECOVERING: {JobState.RUNNING, *_ENDS},
    JobState.SUCCEEDED: set[JobState](),
    JobState.FAILED: set[JobState](),
    JobState.CANCELLED: set[JobState](),
}


class JobReason(StrEnum):
    """Why a job ended as it did; numbered tenant 1xxx, provider 2xxx, network 3xxx in `JOB_CODES`."""

    DONE = "done"  # all of it succeeded
    CANCELLED = "cancelled"  # the tenant cancelled it
    EXIT_CODE = "exit_code"  # a command ended with another code than 0
    RECIPE_FAILED = "recipe_failed"  # the recipe raised, or broke a limit, on machine after machine
    LIMIT_BROKEN = "limit_broken"  # a run broke a limit: memory, disk, time, processes
    FUNDS_GONE = "funds_gone"  # budget or account used up
    LEASE_ENDED = "lease_ended"  # the time is over that it leased its machines for
    NOTHING_FITS = "nothing_fits"  # no machine fitted while the order stood
    MACHINES_LOST = "machines_lost"  # lost its machine again and again


JOB_CODES: Final = {
    JobReason.DONE: 1000,
    JobReason.CANCELLED: 1001,
    JobReason.EXIT_CODE: 1002,
    JobReason.RECIPE_FAILED: 1003,
    JobReason.LIMIT_BROKEN: 1004,
    JobReason.FUNDS_GONE: 1005,
    JobReason.LEASE_ENDED: 1006,
    JobReason.MACHINES_LOST: 2001,
    JobReason.NOTHING_FITS: 3001,
}


class RunState(StrEnum):
    """One attempt of one node."""

    ASSIGNED = "assigned"  # its machine has been told, or will be
    PREPARING = "preparing"  # files are being fetched
    RUNNING = "running"  # its command runs
    EXITED = "exited"  # its command ended, with a code
    STOPPED = "stopped"  # ended because its job did
    LOST = "lost"  # its machine was lost, or could not run it


RUN_TRANSITIONS: Final = {
    RunState.ASSIGNED: {
        RunState.PREPARING,
        RunState.RUNNING,
        RunState.EXITED,
        RunState.STOPPED,
        RunState.LOST,
    },
    RunState.PREPARING: {RunState.RUNNING, RunState.EXITED, RunState.STOPPED, RunState.LOST},
    RunState.RUNNING: {RunState.EXITED, RunState.STOPPED, RunState.LOST},
    RunState.EXITED: set[RunState](),
    RunState.STOPPED: set[RunState](),
    RunState.LOST: set[RunState](),
}


class UnitState(StrEnum):
    """One paid piece of training."""

    OPEN = "open"  # nobody has it
    ASSIGNED = "assigned"  # a machine works on it; its price is held
    DELIVERED = "delivered"  # the machine committed to an output; not judged yet
    ACCEPTED = "accepted"  # paid
    REJECTED = "rejected"  # judged worthless; not paid
    EXPIRED = "expired"  # not delivered in time; not paid


UNIT_TRANSITIONS: Final = {
    UnitState.OPEN: {UnitState.ASSIGNED, UnitState.EXPIRED},
    UnitState.ASSIGNED: {UnitState.DELIVERED, UnitState.EXPIRED, UnitState.REJECTED},
    UnitState.DELIVERED: {UnitState.ACCEPTED, UnitState.REJECTED, UnitState.EXPIRED},
    UnitState.ACCEPTED: set[UnitState](),
    UnitState.REJECTED: set[UnitState](),
    UnitState.EXPIRED: {UnitState.OPEN},
}


class Phase(StrEnum):
    """Where a training run stands within its round."""

    INIT = "init"  # the first parameters are being made
    TRAIN = "train"  # islands do their inner steps
    EVALUATE = "evaluate"  # another machine checks deltas on held-out data
    FINISH = "finish"  # last evaluation, and a sample of what the model writes
    DONE = "done"  # the model is put together


PHASE_TRANSITIONS: Final = {
    Phase.INIT: {Phase.TRAIN},
    Phase.TRAIN: {Phase.EVALUATE},
    Phase.EVALUATE: {Phase.TRAIN, Phase.FINISH},
    Phase.FINISH: {Phase.DONE},
    Phase.DONE: set[Phase](),
}


class Job(Struct, frozen=True, kw_only=True):
    """What a tenant launched."""

    id: JobId
    tenant_id: PrincipalId
    name: str
    state: JobState
    spec: JobSpec
    shares: Shares  # the network's parts of each payment when it was launched
    order_id: OrderId | None = None
    created_at: Instant
    ended_at: Instant | None = None
    reason: JobReason | None = None
    detail: str = ""
    exit_code: int | None = None

    @property
    def ended(self) -> bool:
        """Whether the job has come to its end."""
        return self.state in _ENDS


class Run(Struct, frozen=True, kw_only=True):
    """One attempt of one node of a batch job."""

    id: RunId
    job_id: JobId
    lease_id: LeaseId
    rank: int
    state: RunState
    exit_code: int | None = None
    reason: str = ""
    output: str | None = None  # blob
    checkpoint: str | None = None  # blob: what the next attempt of this node goes on from
    created_at: Instant
    started_at: Instant | None = None
    ended_at: Instant | None = None


class Unit(Struct, frozen=True, kw_only=True):
    """One unit with where it stands."""

    id: UnitId
    job_id: JobId
    kind: UnitKind
    round: int
    state: UnitState
    lease_id: LeaseId | None
    machine_id: MachineId | None
    spec: UnitSpec
    price_micro_usd: int
    assigned_at: Instant | None = None
    expires_at: Instant | None = None
    delivered_at: Instant | None = None
    output: str | None = None  # blob
    output_bytes: int = 0
    result: UnitResult | None = None
    verdict: str = ""  # why it was accepted or rejected
    norm: float | None = None
    cosine: float | None = None
    doubted_by: UnitId | None = None  # the evaluation that spoke against it


class Training(Struct, frozen=True, kw_only=True):
    """How far a training run has come; with the blobs it names, all that a restart needs."""

    job_id: JobId
    phase: Phase
    round: int = 0
    parameters: int = 0
    layout: str = ""  # blob: names and shapes
    outer: str | None = (
        None  # blob: the coordinator's state (parameters, momentum, what it remembers of deltas)
    )
    params: ParamsRef | None = None  # as published
    state: str | None = None  # blob: published optimiser state
    started_at: Instant  # of this phase
    deadline: Instant | None = None  # of this phase
    heldout_loss: float | None = None  # last measured
    tokens: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    bytes_data_parallel: int = 0
    failures_in_row: int = 0  # units that failed since the last one that was delivered
    sample: str = ""
    artifact: str | None = None  # blob: the finished model


class Round(Struct, frozen=True, kw_only=True):
    """What became of one round."""

    job_id: JobId
    round: int
    heldout_loss: float | None  # of the parameters that the round started from
    islands: int
    accepted: int
    rejected: int
    expired: int
    tokens: int
    seconds: float
    bytes_up: int
    bytes_down: int
    bytes_data_parallel: int


class Island(Struct, frozen=True, kw_only=True):
    """One lease's part in a training run: how fast it is with this recipe."""

    lease_id: LeaseId
    job_id: JobId
    machine_id: MachineId
    epoch: int
    price_micro_usd_per_hour: int
    reference_steps_per_second: float  # measured when the machine joined
    steps_per_second: float | None = None  # measured with this recipe; None before its first unit
    priced_steps_per_second: float | None = (
        None  # the first such measure: what its units are priced by
    )
