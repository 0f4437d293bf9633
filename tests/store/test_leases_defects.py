"""Known defects of markets like ours, each as what must hold here instead (some are tested where they belong)."""

import pytest

from gondwana.core.errors import NothingFits, WrongState
from gondwana.core.values import replace
from gondwana.jobs import auctions, end, report
from gondwana.jobs import store as jobs
from gondwana.jobs.listings import listings_of
from gondwana.jobs.model import JobReason, JobState
from gondwana.jobs.rules.batch import End
from gondwana.jobs.waits import waits_for
from gondwana.ledger.accounts import tenant_available
from gondwana.ledger.store import balance
from gondwana.loops.keep_machines import keep_machines
from gondwana.loops.match_orders import match_orders
from gondwana.loops.run import Reconcilers
from gondwana.market import store as market
from gondwana.market.keeping import PATIENCE_SECONDS
from gondwana.market.model import CLOSE_CODES, CloseReason, LeaseState, OrderState
from gondwana.policy.model import Scope
from gondwana.supply.rules import DOWN_AFTER_SECONDS
from gondwana.wire.agent import LeaseProof
from gondwana.wire.jobs import Accelerators, MarketTerms, Resources

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


def gpus(count):
    return Resources(accelerators=(Accelerators(name="H100", count=count),))


def join_gpus(world, make, name, count, **changes):
    inventory = make.inventory(accelerators=("H100",) * count)
    return world.join(name, devices=count, inventory=inventory, **changes)


def cancel(world, job):
    world.write(end.end_job, world.now, jobs.job(world.reader, job.id), CANCELLED)


def test_an_order_that_free_devices_are_too_scattered_for_is_told_so_and_machines_are_kept_for_it(
    defect_world, make
):
    world = defect_world
    for name in ("a", "b"):
        join_gpus(world, make, name, 4)
    halves = [world.submit(make.spec(name=f"half-{n}", resources=gpus(3))) for n in range(2)]
    match_orders(world.context, world.now)
    whole = world.submit(make.spec(name="whole", resources=gpus(4)))
    match_orders(world.context, world.now)
    assert "gondwana queue" in waits_for(world.reader, whole.order_id)
    world.clock.advance(PATIENCE_SECONDS)
    keep_machines(world.context, world.now)
    small = world.submit(make.spec(name="small", resources=gpus(1), seconds_max=9e5))
    cancel(world, halves[0])
    match_orders(world.context, world.now)
    (mine,) = market.leases_of_job(world.reader, whole.id)
    (other,) = market.leases_of_job(world.reader, small.id)
    assert mine.devices == 4
    assert other.machine_id != mine.machine_id


@pytest.mark.parametrize("how", [CANCELLED, BROKE, DONE])
def test_whatever_ends_a_lease_its_devices_are_free_again_everywhere(defect_world, make, how):
    world = defect_world
    join_gpus(world, make, "a", 4)
    job = world.submit(make.spec(resources=gpus(3)))
    world.reconcile()
    running = world.write(
        jobs.move_job, world.now, jobs.job(world.reader, job.id), JobState.RUNNING
    )
    free = [each.devices_free for each in listings_of(world.reader, ["mac_a"])]
    assert free == [1]
    world.write(end.end_job, world.now, running, how)
    world.context.shelf.returned(["mac_a"])
    told = {bucket.model: bucket for bucket in world.context.shelf.buckets(world.reader)}
    assert [each.devices_free for each in listings_of(world.reader, ["mac_a"])] == [4]
    assert (told["H100"].rentable, told["H100"].leased) == (4, 0)


def test_a_bid_is_for_one_machine_whose_model_everybody_knows(defect_world, make):
    world = defect_world
    owner = world.principal("bidder", Scope.PROVIDER)
    join_gpus(world, make, "a", 2, owner_id=owner)
    world.join("cpu", owner_id=owner)
    terms = MarketTerms(mechanism="auction")
    cap = {"price_cap_micro_usd_per_device_hour": 9_000_000, "market": terms}
    job = world.submit(make.spec(resources=gpus(2), **cap))
    place_bid = (auctions.place_bid, world.random, world.now, owner, job.order_id)
    with pytest.raises(NothingFits, match="accelerator H100"):
        world.write(*place_bid, "cpu", 1_000_000)
    bid = world.write(*place_bid, "a", 1_000_000)
    assert bid.machine_id == "mac_a"


def test_money_of_a_job_that_has_ended_is_there_for_the_next_to_the_cent(defect_world):
    world = defect_world
    before = balance(world.reader, tenant_available(world.tenant)).available_micro_usd
    (job,), _ = serving(world)
    assert balance(world.reader, tenant_available(world.tenant)).available_micro_usd < before
    cancel(world, job)
    assert balance(world.reader, tenant_available(world.tenant)).available_micro_usd == before
    world.deposit(world.tenant, 1_000_000)  # after the end: nothing of it goes to the ended job
    world.reconcile(60.0)
    after = balance(world.reader, tenant_available(world.tenant)).available_micro_usd
    assert after == before + 1_000_000


def test_what_a_lease_used_and_what_its_run_said_stay_after_its_end(defect_world):
    world = defect_world
    (job,), (lease,) = serving(world)
    (run,) = jobs.runs_of_job(world.reader, job.id)
    world.write(jobs.add_log, run.id, 0, b"said\n")
    for _ in range(3):
        world.clock.advance(5.0)
        proof = LeaseProof(lease_id=lease.id, epoch=lease.epoch, alive=True)
        world.write(report.heartbeat, world.now, lease.machine_id, (proof,))
    cancel(world, job)
    assert market.lease(world.reader, lease.id).seconds_proven == 15
    assert jobs.read_log(world.reader, run.id, 0) == b"said\n"
