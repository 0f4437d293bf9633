"""What a tenant may change, wait for and rely on: standing jobs, more time, more machines, the manifest."""

import pytest

from gondwana.core.errors import Exhausted, InvalidValue, NothingFits, WrongState
from gondwana.core.values import replace
from gondwana.jobs import admit, report, resizes
from gondwana.jobs import store as jobs
from gondwana.jobs.duty import duty
from gondwana.jobs.heard import LOOK_SECONDS
from gondwana.jobs.model import JobReason, JobState, RunState, UnitState
from gondwana.jobs.rules.batch import STUCK_SECONDS_MAX
from gondwana.loops.expire_runs import MANIFEST_SECONDS_MAX, expire_runs
from gondwana.loops.run import EVERY_SECONDS
from gondwana.market import store as market
from gondwana.market.model import CloseReason, LeaseState, OrderState
from gondwana.market.rules import ORDER_SECONDS_MAX
from gondwana.wire.agent import RunReport
from gondwana.wire.jobs import MarketTerms
from gondwana.wire.manifests import manifest_hash

HOUR = 3600
STANDING = MarketTerms(is_standing=True)


@pytest.fixture
def changed_world(audited_database, make_world):
    return make_world(audited_database)


def stored(world, job):
    return jobs.job(world.reader, job.id)


def order_of(world, job):
    return market.order(world.reader, job.order_id)


def leases_of(world, job, *, live=False):
    return market.leases_of_job(world.reader, job.id, live=live)


def stand(world, seconds, *names):
    """Time passes, and the machines prove to be alive at its end."""
    world.clock.advance(seconds)
    for name in names:
        world.write(report.heartbeat, world.now, f"mac_{name}", ())
    world.reconcile()


def told(world, run, state, **more):
    lease = market.lease(world.reader, run.lease_id)
    message = RunReport(
        number=1, run_id=run.id, lease_id=lease.id, epoch=lease.epoch, state=state, **more
    )
    world.write(report.run_report, world.now, lease.machine_id, message)


def begin(world, job):
    """Every run of the job runs."""
    for run in jobs.runs_of_job(world.reader, job.id):
        if run.state is RunState.ASSIGNED:
            told(world, run, "running")
    return stored(world, job)


# -- standing jobs


def test_a_standing_job_is_accepted_where_nothing_fits_and_runs_when_something_does(
    changed_world, make
):
    with pytest.raises(NothingFits):
        changed_world.submit(make.spec())
    spec = make.spec(market=STANDING, price_cap_micro_usd_per_device_hour=2_000_000)
    job = changed_world.submit(spec)
    stand(changed_world, 3 * ORDER_SECONDS_MAX)
    assert stored(changed_world, job).state is JobState.ADMITTED  # an order never expires of itself
    changed_world.join("dear", price=3_000_000)
    stand(changed_world, 1.0, "dear")
    assert leases_of(changed_world, job) == []
    changed_world.join("fair", price=2_000_000)
    stand(changed_world, 1.0, "fair")
    (lease,) = leases_of(changed_world, job)
    assert (lease.machine_id, lease.state) == ("mac_fair", LeaseState.ACTIVE)


def test_an_order_that_is_not_standing_expires_after_a_day(changed_world):
    changed_world.join()
    first, second = changed_world.submit(), changed_world.submit()
    changed_world.reconcile()
    for _ in range(2):
        stand(changed_world, ORDER_SECONDS_MAX / 2, "kauri")
    ended = {stored(changed_world, job).reason for job in (first, second)}
    assert JobReason.NOTHING_FITS in ended


@pytest.mark.parametrize("exits", [True, False])
def test_a_gang_whose_lost_node_nobody_replaces_within_an_hour_holds_the_others_no_longer(
    changed_world, make, exits
):
    joined(changed_world, 2)
    job = changed_world.submit(make.spec(num_nodes=2, seconds_max=30 * 86_400.0))
    changed_world.reconcile()
    job = begin(changed_world, job)
    done, lost = jobs.runs_of_job(changed_world.reader, job.id)
    if exits:
        told(changed_world, done, "exited", exit_code=0)
    told(changed_world, lost, "exited", reason="agent: no sandbox")
    names = ("m0", "m1")
    stand(changed_world, STUCK_SECONDS_MAX - 1.0, *names)
    assert len(leases_of(changed_world, job, live=True)) == 1
    stand(changed_world, LOOK_SECONDS, *names)
    ended = stored(changed_world, job)
    assert ended.ended is exits
    assert len(leases_of(changed_world, job, live=True)) == 1 - exits
    if exits:
        assert (ended.state, ended.reason) == (JobState.FAILED, JobReason.NOTHING_FITS)


def test_a_standing_job_needs_a_limit_to_what_it_may_cost(changed_world, make):
    with pytest.raises(InvalidValue) as refused:
        changed_world.submit(make.spec(market=STANDING))
    assert "budget_usd" in refused.value.hint


def test_a_tenant_has_no_more_standing_jobs_than_the_network_looks_at(
    changed_world, make, monkeypatch
):
    monkeypatch.setattr(admit, "STANDING_MAX", 2)
    spec = make.spec(market=STANDING, price_cap_micro_usd_per_device_hour=1)
    waiting = [changed_world.submit(spec) for _ in range(2)]
    with pytest.raises(Exhausted):
        changed_world.submit(spec)
    how = admit.batch.End(state=JobState.CANCELLED, reason=JobReason.CANCELLED)
    from gondwana.jobs.end import end_job

    changed_world.write(end_job, changed_world.now, stored(changed_world, waiting[0]), how)
    changed_world.submit(spec)


# -- the manifest


def test_an_order_carries_the_hash_of_what_it_runs_and_only_its_machine_sees_that(
    changed_world, make
):
    spec = make.spec(run="echo secret", envs={"A": "1"})
    changed_world.join()
    job = changed_world.submit(spec)
    assert order_of(changed_world, job).manifest_hash == manifest_hash(spec)
    (reserved,) = changed_world.reserve(job, "mac_kauri")
    assert duty(changed_world.reader, "mac_kauri") == ()  # reserved is not leased
    changed_world.reconcile()
    (given,) = duty(changed_world.reader, "mac_kauri")
    assert (given.lease_id, given.manifest_hash) == (reserved.id, manifest_hash(spec))
    assert given.run.envs == {"A": "1"}
    assert "A" not in given.run.environment


def test_what_nobody_takes_within_five_minutes_is_closed_as_the_providers_fault(changed_world):
    for name in ("first", "second"):
        changed_world.join(name)
    job = changed_world.submit()
    changed_world.reconcile()
    (lease,) = leases_of(changed_world, job)
    names = ("first", "second")
    stand(changed_world, MANIFEST_SECONDS_MAX - 10.0, *names)
    assert leases_of(changed_world, job)[0].state is LeaseState.ACTIVE
    stand(changed_world, 10.0 + EVERY_SECONDS[expire_runs], *names)
    closed = market.lease(changed_world.reader, lease.id)
    assert (closed.state, closed.reason) == (LeaseState.CLOSED, CloseReason.MANIFEST_UNTAKEN)
    assert order_of(changed_world, job).state in (OrderState.OPEN, OrderState.MATCHED)


def test_a_run_that_was_begun_in_time_stays(changed_world):
    changed_world.join()
    job = changed_world.submit()
    changed_world.reconcile()
    begin(changed_world, job)
    stand(changed_world, MANIFEST_SECONDS_MAX + 60.0, "kauri")
    assert leases_of(changed_world, job)[0].state is LeaseState.ACTIVE


def test_a_machine_that_refuses_a_manifest_is_not_blamed_and_the_job_goes_on(changed_world):
    for name in ("first", "second"):
        changed_world.join(name)
    job = changed_world.submit()
    changed_world.reconcile()
    (run,) = jobs.runs_of_job(changed_world.reader, job.id)
    told(changed_world, run, "exited", reason="manifest_mismatch: not what was ordered")
    (lease,) = leases_of(changed_world, job)
    assert lease.reason is CloseReason.MANIFEST_MISMATCH
    changed_world.clock.advance(1.0)
    changed_world.reconcile()
    assert len(leases_of(changed_world, job)) == 2


# -- more time


def test_extending_moves_the_agreed_ends_and_the_runs_limit(changed_world, make):
    changed_world.join()
    spec = make.spec(market=MarketTerms(lease_seconds=2 * HOUR), seconds_max=2.0 * HOUR)
    job = changed_world.submit(spec)
    changed_world.reconcile()
    job = begin(changed_world, job)
    (before,) = leases_of(changed_world, job)
    extended = changed_world.write(resizes.extend, changed_world.now, job, HOUR)
    (after,) = leases_of(changed_world, job)
    assert after.ends_at == before.ends_at + HOUR
    assert stored(changed_world, job) == extended
    assert extended.spec.market.lease_seconds == 3 * HOUR
    assert order_of(changed_world, job).lease_seconds == 3 * HOUR
    (given,) = duty(changed_world.reader, "mac_kauri")
    assert (given.run.seconds_max, given.notice.ends_at) == (3.0 * HOUR, after.ends_at)
    assert "lease.extended" in changed_world.kinds(after.id)


def test_a_job_without_an_agreed_time_gets_more_time_for_its_runs(changed_world):
    changed_world.join()
    job = changed_world.submit()
    changed_world.reconcile()
    extended = changed_world.write(resizes.extend, changed_world.now, stored(changed_world, job), HOUR)  # fmt: skip
    assert extended.spec.seconds_max == job.spec.seconds_max + HOUR
    (lease,) = leases_of(changed_world, job)
    assert lease.ends_at is None


@pytest.mark.parametrize("seconds", [0, -HOUR, 400 * 86_400])
def test_no_more_time_is_agreed_than_may_be(changed_world, seconds):
    changed_world.join()
    job = changed_world.submit()
    with pytest.raises(InvalidValue):
        changed_world.write(resizes.extend, changed_world.now, stored(changed_world, job), seconds)
    assert stored(changed_world, job).spec == job.spec


def test_what_has_ended_is_neither_extended_nor_resized(changed_world):
    from gondwana.jobs.end import end_job

    changed_world.join()
    job = changed_world.submit()
    how = admit.batch.End(state=JobState.CANCELLED, reason=JobReason.CANCELLED)
    ended = changed_world.write(end_job, changed_world.now, stored(changed_world, job), how)
    for change in (resizes.extend, resizes.resize):
        with pytest.raises(WrongState):
            changed_world.write(change, changed_world.now, ended, 2)


# -- more and fewer machines


def joined(world, count):
    for number in range(count):
        world.join(f"m{number}", price=1_000_000 * (number + 1))


def test_a_training_gets_more_islands_and_gives_the_dearest_back(changed_world, make):
    joined(changed_world, 4)
    spec = make.train_spec(islands_min=1, islands_max=2)
    job = changed_world.submit(replace(spec, budget_micro_usd=50_000_000))
    changed_world.reconcile()
    changed_world.write(resizes.resize, changed_world.now, stored(changed_world, job), 4)
    assert order_of(changed_world, job).state is OrderState.OPEN
    changed_world.clock.advance(1.0)
    changed_world.reconcile()
    assert len(leases_of(changed_world, job, live=True)) == 4
    assert order_of(changed_world, job).state is OrderState.MATCHED
    for unit in jobs.units_of_job(changed_world.reader, job.id):
        assert unit.state is UnitState.ASSIGNED
    busy = {unit.lease_id for unit in jobs.units_of_job(changed_world.reader, job.id)}
    changed_world.write(resizes.resize, changed_world.now, stored(changed_world, job), 2)
    kept = leases_of(changed_world, job, live=True)
    assert len(kept) == 2
    assert busy & {lease.id for lease in kept} or not busy
    closed = [each for each in leases_of(changed_world, job) if each.state is LeaseState.CLOSED]
    assert [lease.reason for lease in closed] == [CloseReason.RESIZED] * 2
    assert {lease.machine_id for lease in closed} <= {"mac_m1", "mac_m2", "mac_m3"}
    assert order_of(changed_world, job).state is OrderState.MATCHED
    changed_world.clock.advance(1.0)
    changed_world.reconcile()
    assert len(leases_of(changed_world, job, live=True)) == 2  # and nothing new is sought


def test_a_training_keeps_the_least_it_can_do_with(changed_world, make):
    joined(changed_world, 2)
    spec = make.train_spec(islands_min=2, islands_max=2)
    job = changed_world.submit(replace(spec, budget_micro_usd=50_000_000))
    with pytest.raises(InvalidValue) as refused:
        changed_world.write(resizes.resize, changed_world.now, stored(changed_world, job), 1)
    assert "islands.min" in refused.value.hint


def test_a_gang_is_not_resized_and_says_how_it_could_be(changed_world, make):
    joined(changed_world, 3)
    job = changed_world.submit(make.spec(num_nodes=2))
    changed_world.reconcile()
    with pytest.raises(WrongState) as refused:
        changed_world.write(resizes.resize, changed_world.now, stored(changed_world, job), 3)
    assert "elastic" in refused.value.hint
    assert len(leases_of(changed_world, job, live=True)) == 2


def test_an_elastic_job_gets_nodes_while_it_runs_and_ends_with_those_it_has(changed_world, make):
    joined(changed_world, 3)
    job = changed_world.submit(make.spec(num_nodes=1, is_elastic=True))
    changed_world.reconcile()
    job = begin(changed_world, job)
    changed_world.write(resizes.resize, changed_world.now, job, 3)
    changed_world.clock.advance(1.0)
    changed_world.reconcile()
    job = begin(changed_world, job)
    runs = jobs.runs_of_job(changed_world.reader, job.id)
    assert sorted(run.rank for run in runs) == [0, 1, 2]
    changed_world.write(resizes.resize, changed_world.now, stored(changed_world, job), 2)
    live = leases_of(changed_world, job, live=True)
    assert sorted(lease.rank for lease in live) == [0, 1]
    assert stored(changed_world, job).state is JobState.RUNNING
    for run in jobs.runs_of_job(changed_world.reader, job.id):
        if run.state is RunState.RUNNING:
            told(changed_world, run, "exited", exit_code=0)
    changed_world.reconcile()
    ended = stored(changed_world, job)
    assert (ended.state, ended.reason) == (JobState.SUCCEEDED, JobReason.DONE)


def test_an_elastic_job_that_grew_before_it_began_leases_nothing_until_it_may_begin(
    changed_world, make
):
    job = changed_world.submit(
        make.spec(
            num_nodes=2,
            is_elastic=True,
            price_cap_micro_usd_per_device_hour=9_000_000,
            market=MarketTerms(is_standing=True),
        )
    )
    changed_world.write(resizes.resize, changed_world.now, job, 3)
    joined(changed_world, 2)
    changed_world.reconcile()
    assert leases_of(changed_world, job) == []
    changed_world.join("third", price=1_000_000)
    changed_world.reconcile()
    assert len(jobs.runs_of_job(changed_world.reader, job.id)) == 3


def test_the_same_size_again_changes_nothing(changed_world, make):
    joined(changed_world, 2)
    job = changed_world.submit(make.spec(num_nodes=2, is_elastic=True))
    changed_world.reconcile()
    events = len(changed_world.events())
    changed_world.write(resizes.resize, changed_world.now, stored(changed_world, job), 2)
    assert len(changed_world.events()) == events
