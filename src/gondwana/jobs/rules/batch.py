"""Decisions about jobs in general and about batch runs; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.errors import WrongState
from gondwana.core.money import due_micro_usd
from gondwana.jobs.model import (
    JOB_TRANSITIONS,
    RUN_TRANSITIONS,
    Job,
    JobReason,
    JobState,
    Run,
    RunState,
)
from gondwana.market.model import WITH_NOTICE, Lease, LeaseState, Listing
from gondwana.market.rules import RUNWAY_SECONDS
from gondwana.wire.agent import LAST_CALL_SECONDS
from gondwana.wire.jobs import JobSpec

ATTEMPTS_MAX: Final = (
    3  # of one rank that its machines could not run; a third failure is hardly the machine's
)
OVERTIME_SECONDS_MAX: Final = (
    600.0  # fetching, set-up and the way of a report, on top of a run's own limit
)
LOW_SECONDS: Final = 600  # time for a person to add money
DRAIN_SECONDS: Final = 120  # time for a program to save its work
CALLED_SECONDS_MAX: Final = LAST_CALL_SECONDS + 30.0  # an agent's clock may run that much ahead
STUCK_SECONDS_MAX: Final = (
    3600.0  # that nodes which are done wait, at their tenant's cost, for one that was lost
)
LIMIT_REASONS: Final = frozenset(
    {"out_of_memory", "out_of_time", "out_of_disk", "too_many_processes"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a job ends."""

    state: JobState
    reason: JobReason
    detail: str = ""
    exit_code: int | None = None


def move(job: Job, to: JobState) -> JobState:
    """`to`, if the job may go there; raises WrongState otherwise."""
    if to not in JOB_TRANSITIONS[job.state]:
        raise WrongState(
            f"job '{job.name}' is {job.state}, it cannot become {to}",
            hint=f"gondwana jobs show {job.id}",
        )
    return to


def may_move_run(run: Run, to: RunState) -> bool:
    """Whether a report of `to` is news; a repeated or late report is not."""
    return to in RUN_TRANSITIONS[run.state]


def is_overdue(spec: JobSpec, run: Run, now: Instant) -> bool:
    """Whether a run's machine should have ended it long ago: a run has a limit, whoever serves it."""
    began = run.started_at or run.created_at
    return (
        bool(RUN_TRANSITIONS[run.state]) and now - began > spec.seconds_max + OVERTIME_SECONDS_MAX
    )


def latest_runs(runs: Sequence[Run]) -> dict[int, Run]:
    """The last attempt of each rank; of two that began at one instant the one that is not lost."""
    by_age = sorted(runs, key=lambda run: (run.created_at, run.state is not RunState.LOST, run.id))
    return {run.rank: run for run in by_age}


def is_whole(spec: JobSpec, runs: Sequence[Run]) -> bool:
    """Whether every node of the gang is at work or done; a gang that lacks one is not running."""
    latest = _of_nodes(spec, runs)
    return _has_all(spec, latest) and all(run.state is not RunState.LOST for run in latest.values())


def _of_nodes(spec: JobSpec, runs: Sequence[Run]) -> dict[int, Run]:
    """The last attempt of each rank that the job still has."""
    return {rank: run for rank, run in latest_runs(runs).items() if rank < spec.num_nodes}


def _has_all(spec: JobSpec, latest: Mapping[int, Run]) -> bool:
    """Whether there are enough nodes: all of a gang; of an elastic job those that it got."""
    return len(latest) == spec.num_nodes or (spec.is_elastic and bool(latest))


def batch_end(spec: JobSpec, runs: Sequence[Run]) -> End | None:
    """How a batch job ends by what its runs came to, or None while it goes on."""
    latest = _of_nodes(spec, runs)
    for rank, run in sorted(latest.items()):
        failed = _failed(rank, run)
        if failed is not None:
            return failed
    if _has_all(spec, latest) and all(run.state is RunState.EXITED for run in latest.values()):
        return End(state=JobState.SUCCEEDED, reason=JobReason.DONE, exit_code=0)
    for rank in latest:
        lost = [run for run in runs if run.rank == rank and _was_lost(run)]
        if len(lost) >= ATTEMPTS_MAX:
            detail = (
                f"node {rank} was lost {len(lost)} times; last: {lost[-1].reason or 'machine lost'}"
            )
            return End(
                state=JobState.FAILED, reason=JobReason.MACHINES_LOST, detail=detail, exit_code=1
            )
    return None


def stuck_end(spec: JobSpec, runs: Sequence[Run], now: Instant) -> End | None:
    """The end of a job whose other nodes are done, and wait too long for one that was lost; None while they may."""
    latest = _of_nodes(spec, runs)
    lost = [rank for rank, run in sorted(latest.items()) if run.state is RunState.LOST]
    done = [run for run in latest.values() if run.state is RunState.EXITED]
    if not lost or not done or len(lost) + len(done) < len(latest):
        return None
    since = max(run.ended_at or run.created_at for run in latest.values())
    if now - since < STUCK_SECONDS_MAX:
        return None
    return End(
        state=JobState.FAILED,
        reason=JobReason.NOTHING_FITS,
        detail=f"node {lost[0]} was lost, the others are done, and no machine took its place in time",
        exit_code=1,
    )


def _was_lost(run: Run) -> bool:
    """Whether an attempt was lost by somebody's fault; one that both sides agreed to end was not."""
    return run.state is RunState.LOST and run.reason not in WITH_NOTICE


def checkpoints(runs: Sequence[Run]) -> dict[int, str]:
    """What each node saved last, by rank: what its next attempt goes on from."""
    ordered = sorted(runs, key=lambda run: (run.created_at, run.id))
    return {run.rank: run.checkpoint for run in ordered if run.checkpoint is not None}


def was_stopped_by_notice(lease: Lease, run: Run, exit_code: int | None, now: Instant) -> bool:
    """Whether a run ended because its lease is about to, so that the job goes on elsewhere; code 0 says it is done."""
    if exit_code == 0 or not RUN_TRANSITIONS[run.state]:
        return False
    ends_soon = lease.ends_at is not None and now >= lease.ends_at - CALLED_SECONDS_MAX
    return lease.state is LeaseState.RECLAIMING or ends_soon


def _failed(rank: int, run: Run) -> End | None:
    """How one node's end fails its job; None while it runs, or where it succeeded."""
    if run.state is not RunState.EXITED:
        return None
    if run.reason in LIMIT_REASONS:
        reason, told = JobReason.LIMIT_BROKEN, f"node {rank}: {run.reason.replace('_', ' ')}"
    elif run.exit_code == 0:
        return None
    elif run.exit_code is None:  # e.g. what it left could not be taken
        reason, told = JobReason.EXIT_CODE, f"node {rank}: {run.reason}"
    else:
        reason, told = JobReason.EXIT_CODE, f"node {rank} ended with code {run.exit_code}"
    return End(state=JobState.FAILED, reason=reason, detail=told, exit_code=run.exit_code or 1)


class Runway(StrEnum):
    """How long the money of a lease still lasts."""

    FINE = ""  # longer than the run may take, or than anybody needs to react
    LOW = "low"  # the tenant is warned
    DRAIN = "drain"  # about to be stopped: what is not saved will be lost
    DRY = "dry"  # stopped now: the next proof might come after the last paid second


def runway(spec: JobSpec, *, proven_seconds: int, paid_seconds: int, gap_seconds: float) -> Runway:
    """Where a lease stands whose escrow pays for `paid_seconds` more.

    `gap_seconds` is how much may be proven before anybody looks again: a lease that has less is stopped, so that no
    owner works unpaid. An escrow that lasts as long as the run may take is never too small.
    """
    if paid_seconds >= spec.seconds_max - proven_seconds:
        return Runway.FINE
    if paid_seconds < gap_seconds:
        return Runway.DRY
    if paid_seconds < DRAIN_SECONDS:
        return Runway.DRAIN
    return Runway.LOW if paid_seconds < LOW_SECONDS else Runway.FINE


def paid_micro_usd(lease: Lease, escrow_micro_usd: int) -> int:
    """What a lease has cost its tenant so far: its proven seconds, as far as all that came into its escrow reached."""
    return min(lease.due_micro_usd, escrow_micro_usd)


def free_rank(spec: JobSpec, leases: Sequence[Lease]) -> int:
    """The lowest node number that no live lease has."""
    taken = {lease.rank for lease in leases}
    return next(rank for rank in range(max(spec.num_nodes, len(taken) + 1)) if rank not in taken)


def environment(job: Job, run: Run, addresses: Mapping[int, str], devices: int) -> dict[str, str]:
    """What a node's command sees: the job's own variables, and SkyPilot's rank and address variables."""
    listed = "\n".join(addresses[rank] for rank in sorted(addresses))
    return {
        **job.spec.envs,
        "SKYPILOT_NODE_RANK": str(run.rank),
        "SKYPILOT_NODE_IPS": listed,
        "SKYPILOT_NUM_NODES": str(job.spec.num_nodes),
        "SKYPILOT_NUM_GPUS_PER_NODE": str(devices if job.spec.resources.accelerators else 0),
        "SKYPILOT_TASK_ID": job.id,
        "GONDWANA_JOB_ID": job.id,
        "GONDWANA_RUN_ID": run.id,
    }


def batch_hold_micro_usd(spec: JobSpec, machines: Sequence[Listing], devices: int) -> int:
    """What launching a batch job sets aside: an hour of its machines, or its budget or duration if that is less."""
    rate = sum(listing.price_micro_usd_per_device_hour * devices for listing in machines)
    runway = due_micro_usd(rate, int(min(RUNWAY_SECONDS, spec.seconds_max)))
    return runway if spec.budget_micro_usd is None else min(runway, spec.budget_micro_usd)
