"""From an order to machines at work: reserve, confirm, start."""

from collections.abc import Sequence

from gondwana.core.clock import Instant
from gondwana.core.errors import FundsTooLow
from gondwana.core.ids import LeaseId, RunId, new_id
from gondwana.core.random import Random
from gondwana.db.transaction import Reader, Transaction
from gondwana.jobs import end, money, store
from gondwana.jobs.listings import listings_of
from gondwana.jobs.model import Island, Job, JobReason, JobState, Run, RunState
from gondwana.jobs.rules import batch
from gondwana.market import rules as market_rules
from gondwana.market import store as market
from gondwana.market.model import CloseReason, Lease, LeaseState, OrderState
from gondwana.supply import store as supply

NEVER_AGAIN = frozenset({CloseReason.WORK_REJECTED, CloseReason.RUN_FAILED})
"""Ends of a lease after which the same job does not come back to that machine."""


def reserve(
    tx: Transaction, random: Random, now: Instant, order_id: str, proposed: Sequence[str]
) -> list[Lease]:
    """Reserve of the proposed machines what the order still lacks, all of a gang or nothing; may be none.

    Whoever proposed may have seen old numbers: each machine is looked at again, here.
    """
    order = market.order(tx, order_id)
    if order.state is not OrderState.OPEN:
        return []
    job = store.job(tx, order.job_id)
    past = market.leases_of_job(tx, job.id)
    live = [lease for lease in past if lease.state is not LeaseState.CLOSED]
    barred = barred_machines(past)
    candidates = listings_of(tx, (each for each in proposed if each not in barred))
    screening = market_rules.screen(order, candidates)
    chosen = market_rules.match(order, market.held_by(live, order.id), screening)
    leases: list[Lease] = []
    for each in chosen:
        rank = batch.free_rank(job.spec, [*live, *leases])
        leases.append(market.reserve(tx, random, now, order, each, rank))
    if not leases:
        return []
    held = market.held_by([*live, *leases], order.id)
    market.move_order(tx, now, order, market_rules.order_state(order, held, now))
    if job.state is JobState.ADMITTED:
        store.move_job(tx, now, job, JobState.PROVISIONING)
    return leases


def confirm(tx: Transaction, random: Random, now: Instant, lease_id: LeaseId) -> Lease:
    """Make a reservation active: its escrow is opened, its run or island stored. Without funds the job ends."""
    lease = market.lease(tx, lease_id)
    if lease.state is not LeaseState.RESERVED:
        return lease
    job = store.job(tx, lease.job_id)
    if job.ended:
        return market.close(tx, now, lease, CloseReason.JOB_DONE)
    try:
        money.open_lease(tx, now, lease, job)
    except FundsTooLow as error:
        closed = market.close(tx, now, lease, CloseReason.FUNDS_GONE)
        how = batch.End(
            state=JobState.FAILED, reason=JobReason.FUNDS_GONE, detail=error.message, exit_code=1
        )
        end.end_job(tx, now, job, how)
        return closed
    active = market.activate(tx, now, lease)
    if job.spec.train:
        store.save_island(tx, _island(tx, active))
        if (
            store.training(tx, job.id) is None
            and len(_active(tx, job)) >= job.spec.train.islands_min
        ):
            store.begin_training(tx, now, job)
    else:
        _start_gang(tx, random, now, job)
    return active


def _start_gang(tx: Transaction, random: Random, now: Instant, job: Job) -> None:
    """Give each active lease its run, once the whole gang has its machines."""
    leases = _active(tx, job)
    if len(leases) < job.spec.num_nodes:
        return
    running = {run.lease_id for run in store.runs_of_job(tx, job.id)}
    for lease in leases:
        if lease.id not in running:
            run = Run(
                id=RunId(new_id("run", now, random)),
                job_id=job.id,
                lease_id=lease.id,
                rank=lease.rank,
                state=RunState.ASSIGNED,
                created_at=now,
            )
            store.save_run(tx, now, run, machine_id=lease.machine_id)


def _active(tx: Reader, job: Job) -> list[Lease]:
    return [
        lease
        for lease in market.leases_of_job(tx, job.id, live=True)
        if lease.state is LeaseState.ACTIVE
    ]


def _island(tx: Transaction, lease: Lease) -> Island:
    machine = supply.machine(tx, lease.machine_id)
    speed = machine.speed.steps_per_second if machine.speed else None
    return Island(
        lease_id=lease.id,
        job_id=lease.job_id,
        machine_id=lease.machine_id,
        epoch=lease.epoch,
        price_micro_usd_per_hour=lease.price_micro_usd_per_hour,
        reference_steps_per_second=speed or 0.0,
    )


def barred_machines(leases: Sequence[Lease]) -> list[str]:
    """The machines that a job gets no lease of now: those that serve it, and those that failed it."""
    barred = (
        lease.machine_id
        for lease in leases
        if lease.state is not LeaseState.CLOSED or lease.reason in NEVER_AGAIN
    )
    return list(dict.fromkeys(barred))
