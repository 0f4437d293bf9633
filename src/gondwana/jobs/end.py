"""How things end: a lease, a machine's silence, a job. Each end settles its money and tells why."""

from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.values import replace
from gondwana.db.blob_references import hold_blobs, release_blobs
from gondwana.db.transaction import Transaction
from gondwana.jobs import holders, money, reservations, store, undelivered
from gondwana.jobs.model import Job, JobReason, JobState, RunState, Unit, UnitState
from gondwana.jobs.rules import batch, rounds
from gondwana.market import rules as market_rules
from gondwana.market import store as market
from gondwana.market.model import (
    WITH_NOTICE,
    CloseReason,
    Lease,
    LeaseState,
    OrderState,
)
from gondwana.supply import store as supply
from gondwana.supply.model import Machine, MachineState

PROVIDER_ENDS = frozenset(
    {
        CloseReason.MACHINE_LOST,
        CloseReason.OWNER_LEFT,
        CloseReason.RUN_FAILED,
        CloseReason.WORK_REJECTED,
        CloseReason.MANIFEST_UNTAKEN,
        CloseReason.MANIFEST_MISMATCH,
        *WITH_NOTICE,
    }
)
"""Ends after which the job goes on elsewhere, from its checkpoint and under the same price cap."""

TIME_OVER: Final = "the time is over that its machines were leased for"
ENDED_BY: Final = {
    JobReason.CANCELLED: CloseReason.JOB_CANCELLED,
    JobReason.FUNDS_GONE: CloseReason.FUNDS_GONE,
    JobReason.LEASE_ENDED: CloseReason.LEASE_ENDED,
}
"""Why the leases of a job close that ended so; otherwise it is done."""


def close_lease(tx: Transaction, now: Instant, lease: Lease, reason: CloseReason) -> None:
    """End a lease: what it was working on ends, its money is settled, its order opens again where the job goes on."""
    lost = reason in PROVIDER_ENDS
    for run in store.runs_of_lease(tx, lease.id):
        to = RunState.LOST if lost else RunState.STOPPED
        store.end_run(tx, now, run, to, machine_id=lease.machine_id, reason=reason)
    for unit in store.units_assigned_to(tx, lease.id):
        expire_unit(tx, now, unit, verdict=reason)
    closed = market.close(tx, now, lease, reason)
    money.close_lease(tx, now, closed)
    if lost and reason not in WITH_NOTICE:
        undelivered.penalise(tx, now, closed)
    if lost or reason is CloseReason.RESERVATION_LAPSED:
        _recover(tx, now, closed)


def end_noticed(tx: Transaction, now: Instant, lease: Lease) -> None:
    """End a lease that was given notice, or whose time is over: the job goes on elsewhere, or ends with its time."""
    if lease.state is LeaseState.RECLAIMING:
        close_lease(tx, now, lease, lease.reason or CloseReason.RECLAIMED)
        return
    how = batch.End(
        state=JobState.FAILED,
        reason=JobReason.LEASE_ENDED,
        detail=TIME_OVER,
        exit_code=1,
    )
    end_job(tx, now, store.job(tx, lease.job_id), how)


def expire_unit(tx: Transaction, now: Instant, unit: Unit, *, verdict: str) -> Unit:
    """A unit that was not delivered in time: nobody is paid, its price is free again for the next."""
    return _release(tx, now, replace(unit, verdict=verdict), UnitState.EXPIRED)


def drop_useless(tx: Transaction, now: Instant, unit: Unit) -> None:
    """After a unit expired: end its lease if its machine only ever lets the round down; the job goes on elsewhere."""
    lease_id, units = unit.lease_id, store.units_of_round(tx, unit.job_id, unit.round)
    if lease_id is not None and rounds.is_useless(units, lease_id):
        close_lease(tx, now, market.lease(tx, lease_id), CloseReason.RUN_FAILED)


def reject_unit(tx: Transaction, now: Instant, unit: Unit, *, verdict: str) -> Unit:
    """A unit that was judged worthless: nobody is paid."""
    return _release(tx, now, replace(unit, verdict=verdict), UnitState.REJECTED)


def lose_machine(
    tx: Transaction, now: Instant, machine: Machine, to: MachineState, why: CloseReason
) -> Machine:
    """Take a machine off the market in the state `to`, and end its leases."""
    moved = supply.move(tx, now, machine, to, reason=why)
    for lease in market.live_leases_of_machine(tx, machine.id):
        close_lease(tx, now, lease, why)
    return moved


def lose_begun_runs(tx: Transaction, now: Instant, machine_id: str) -> None:
    """The machine's agent started anew: what its earlier life had begun is lost, and goes on under another lease.

    A unit of training stays: it keeps nothing private, so the new life does it again in the time that is left.
    """
    for lease in market.live_leases_of_machine(tx, machine_id):
        states = {run.state for run in store.runs_of_lease(tx, lease.id)}
        if states & {RunState.PREPARING, RunState.RUNNING}:
            close_lease(tx, now, lease, CloseReason.MACHINE_LOST)


def end_job(tx: Transaction, now: Instant, job: Job, end: batch.End) -> Job:
    """End a job: its leases close, what is left of its money goes back, its outputs stay."""
    if job.ended:
        return job
    ended = store.end_job(tx, now, job, end)
    reason = ENDED_BY.get(end.reason, CloseReason.JOB_DONE)
    if end.state is not JobState.SUCCEEDED:
        _keep_checkpoints(tx, now, job)
    for lease in market.leases_of_job(tx, job.id, live=True):
        close_lease(tx, now, lease, reason)
    if job.order_id:
        order = market.order(tx, job.order_id)
        if order.starts_at is not None:
            reservations.cancel(tx, now, order.id)
        if order.state in (OrderState.OPEN, OrderState.MATCHED):
            market.move_order(tx, now, order, OrderState.CLOSED)
    for unit in store.units_delivered(tx, job.id):
        expire_unit(tx, now, unit, verdict="job_ended")
    money.close_job(tx, now, job)
    for holder in (
        holders.of_job(job.id),
        holders.of_round(job.id),
        holders.of_checkpoints(job.id),
    ):
        release_blobs(tx, holder=holder)
    return ended


def seek_again(tx: Transaction, now: Instant, lease: Lease) -> list[Lease]:
    """Let the lease's order look for what it lacks now; the job's live leases."""
    live = market.leases_of_job(tx, lease.job_id, live=True)
    order = market.renew_order(tx, now, market.order(tx, lease.order_id))
    held = market.held_by(live, order.id)
    market.move_order(tx, now, order, market_rules.order_state(order, held, now))
    return live


def _keep_checkpoints(tx: Transaction, now: Instant, job: Job) -> None:
    """What a job saved that did not succeed stays with its outputs: it can be gone on from."""
    kept = batch.checkpoints(store.runs_of_job(tx, job.id))
    if kept:
        hold_blobs(tx, kept.values(), holder=job.id, at=now)


def _release(tx: Transaction, now: Instant, unit: Unit, to: UnitState) -> Unit:
    money.release_unit(tx, now, unit, store.job(tx, unit.job_id), to=to)
    return store.move_unit(tx, now, unit, to)


def _recover(tx: Transaction, now: Instant, lease: Lease) -> None:
    job = store.job(tx, lease.job_id)
    if job.ended:
        return
    live = seek_again(tx, now, lease)
    needs_all = job.spec.train is None
    if job.state in (JobState.RUNNING, JobState.PROVISIONING) and (needs_all or not live):
        store.move_job(tx, now, job, JobState.RECOVERING)
