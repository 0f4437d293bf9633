"""Known defects of markets like ours, each as what must hold here instead (some are tested where they belong)."""

from dataclasses import replace

import pytest

from gondwana.core.errors import WrongState
from gondwana.jobs import end, report
from gondwana.jobs import store as jobs
from gondwana.jobs.model import JobReason, JobState
from gondwana.jobs.rules.batch import End
from gondwana.loops.run import Reconcilers
from gondwana.market import store as market
from gondwana.market.model import CLOSE_CODES, CloseReason, LeaseState, OrderState
from gondwana.supply.rules import DOWN_AFTER_SECONDS
from gondwana.wire.agent import LeaseProof

CANCELLED = End(state=JobState.CANCELLED, reason=JobReason.CANCELLED)
BROKE = End(state=JobState.FAILED, reason=JobReason.FUNDS_GONE)
DONE = End(state=JobState.SUCCEEDED, reason=JobReason.DONE)


@pytest.fixture
def defect_world(audited_database, make_world):
    return make_world(audited_database)


def serving(world, count=1):
    """Jobs that are served, with their leases."""
    for number in range(count):
        world.join(f"m{number}")
    submitted = [world.submit() for _ in range(count)]
    world.reconcile()
    return submitted, [market.leases_of_job(world.reader, job.id)[0] for job in submitted]


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        (CANCELLED, CloseReason.JOB_CANCELLED),
        (BROKE, CloseReason.FUNDS_GONE),
        (DONE, CloseReason.JOB_DONE),
    ],
)
def test_a_lease_is_closed_with_the_reason_for_which_its_job_ended(defect_world, how, reason):
    (job,), (lease,) = serving(defect_world)
    running = jobs.job(defect_world.reader, job.id)
    running = defect_world.write(jobs.move_job, defect_world.now, running, JobState.RUNNING)
    defect_world.write(end.end_job, defect_world.now, running, how)
    closed = market.lease(defect_world.reader, lease.id)
    assert (closed.state, closed.reason) == (LeaseState.CLOSED, reason)
    assert CLOSE_CODES[reason] // 1000 == (3 if reason is CloseReason.FUNDS_GONE else 1)


def test_no_lease_is_closed_without_a_reason_and_its_event_tells_it(defect_world):
    submitted, leases = serving(defect_world, 4)
    first = jobs.job(defect_world.reader, submitted[0].id)
    defect_world.write(end.end_job, defect_world.now, first, CANCELLED)
    ends = (CloseReason.OWNER_LEFT, CloseReason.RUN_FAILED, CloseReason.MACHINE_LOST)
    for lease, reason in zip(leases[1:], ends, strict=True):
        defect_world.write(end.close_lease, defect_world.now, lease, reason)
    rows = defect_world.reader.all("SELECT id FROM lease WHERE state = 'closed' AND reason IS NULL")
    assert rows == []
    told = [each.data["reason"] for each in defect_world.events() if each.kind == "lease.closed"]
    assert told == ["job_cancelled", "owner_left", "run_failed", "machine_lost"]


def test_the_order_of_a_job_that_has_ended_is_never_opened_again(defect_world):
    (job,), (lease,) = serving(defect_world)
    defect_world.write(end.end_job, defect_world.now, jobs.job(defect_world.reader, job.id), CANCELLED)  # fmt: skip
    over = market.lease(defect_world.reader, lease.id)
    defect_world.write(end.close_lease, defect_world.now, over, CloseReason.MACHINE_LOST)
    order = market.order(defect_world.reader, job.order_id)
    assert order.state is OrderState.CLOSED
    with pytest.raises(WrongState):
        defect_world.write(market.move_order, defect_world.now, order, OrderState.OPEN)


def test_a_control_plane_that_starts_anew_closes_no_lease(defect_world):
    _, leases = serving(defect_world, 3)
    defect_world.clock.advance(3600.0)  # it was away for an hour
    anew = replace(defect_world.context, listening_since=defect_world.now)
    Reconcilers(anew).run(defect_world.now)
    for lease in leases:
        proof = LeaseProof(lease_id=lease.id, epoch=lease.epoch, alive=True)
        defect_world.write(report.heartbeat, defect_world.now, lease.machine_id, (proof,))
    defect_world.clock.advance(DOWN_AFTER_SECONDS - 1.0)
    Reconcilers(anew).run(defect_world.now)
    states = [market.lease(defect_world.reader, lease.id).state for lease in leases]
    assert states == [LeaseState.ACTIVE] * 3


def test_one_machine_that_goes_silent_closes_only_its_own_leases(defect_world):
    _, leases = serving(defect_world, 3)
    for _ in range(4):
        defect_world.clock.advance(10.0)
        for lease in leases[1:]:
            proof = LeaseProof(lease_id=lease.id, epoch=lease.epoch, alive=True)
            defect_world.write(report.heartbeat, defect_world.now, lease.machine_id, (proof,))
        defect_world.reconcile()
    reasons = [market.lease(defect_world.reader, lease.id).reason for lease in leases]
    assert reasons == [CloseReason.MACHINE_LOST, None, None]
