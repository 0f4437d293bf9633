"""From an order to machines at work: reserve, confirm, start."""

from gondwana.core.clock import Instant
from gondwana.core.errors import FundsTooLow
from gondwana.core.ids import LeaseId, RunId, new_id
from gondwana.core.random import Random
from gondwana.db.transaction import Reader, Transaction
from gondwana.jobs import end, money, store
from gondwana.jobs.listings import listings
from gondwana.jobs.model import Island, Job, JobReason, JobState, Run, RunState
from gondwana.jobs.rules import batch
from gondwana.market import rules as market_rules
from gondwana.market import store as market
from gondwana.market.model import CloseReason, Lease, LeaseState, Listing, Order, OrderState
from gondwana.supply import store as supply

NEVER_AGAIN = frozenset({CloseReason.WORK_REJECTED, CloseReason.RUN_FAILED})
"""Ends of a lease after which the same job does not come back to that machine."""


def reserve(tx: Transaction, random: Random, now: Instant, order_id: str) -> list[Lease]:
    """Reserve what the order still lacks, all of a gang or nothing; may be none."""
    order = market.order(tx, order_id)
    if order.state is not OrderState.OPEN:
        return []
    job = store.job(tx, order.job_id)
    live = market.leases_of_job(tx, job.id, live=True)
    screening = market_rules.screen(order, _candidates(tx, order))
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


def _candidates(tx: Transaction, order: Order) -> list[Listing]:
    past = market.leases_of_job(tx, order.job_id)
    serving = {lease.machine_id for lease in past if lease.state is not LeaseState.CLOSED}
    barred = {lease.machine_id for lease in past if lease.reason in NEVER_AGAIN}
    return [each for each in listings(tx) if each.machine_id not in serving | barred]
