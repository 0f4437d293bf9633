"""Leases that end ahead of their jobs: notices, agreed times, and what the next attempt goes on from."""

import pytest

from gondwana.core.errors import StaleEpoch, WrongState
from gondwana.core.values import replace
from gondwana.db.blob_references import held_blobs
from gondwana.jobs import end, reclaims, report, resizes
from gondwana.jobs import store as jobs
from gondwana.jobs.duty import duty
from gondwana.jobs.model import JobReason, JobState, RunState
from gondwana.jobs.rules.batch import ATTEMPTS_MAX
from gondwana.ledger.audit import audit
from gondwana.market import store as market
from gondwana.market.model import CloseReason, LeaseState, OrderState
from gondwana.market.rules import RECLAIM_SECONDS_MIN
from gondwana.supply import store as supply
from gondwana.supply.model import MachineState
from gondwana.wire.agent import LEASE_ENDED, CheckpointReport, LeaseNotice, LeaseProof, RunReport
from gondwana.wire.jobs import MarketTerms

HOUR = 3600


@pytest.fixture
def lease_world(audited_database, make_world):
    """A machine with an hour's notice, and another one that is dearer."""
    world = make_world(audited_database)
    for name, price in (("kauri", 1_000_000), ("rimu", 2_000_000)):
        world.join(name, price=price)
        world.write(supply.set_notice, world.now, world.machine(name), HOUR)
    return world


def running(world, spec=None):
    """A job whose run runs, with its one lease."""
    job = world.submit(spec)
    world.reconcile()
    (lease,) = market.leases_of_job(world.reader, job.id)
    begin(world, lease)
    return job, market.lease(world.reader, lease.id)


def begin(world, lease):
    (run,) = jobs.runs_of_lease(world.reader, lease.id)
    told(world, lease, run, "running")
    return run


def told(world, lease, run, state, **more):
    message = RunReport(
        number=1, run_id=run.id, lease_id=lease.id, epoch=lease.epoch, state=state, **more
    )
    world.write(report.run_report, world.now, lease.machine_id, message)


def save(world, lease, content):
    """The lease's run saves a checkpoint; its blob."""
    (run,) = jobs.runs_of_lease(world.reader, lease.id)
    blob = world.blobs.put(content)
    message = CheckpointReport(
        number=1, run_id=run.id, lease_id=lease.id, epoch=lease.epoch, checkpoint=blob
    )
    world.write(report.checkpoint_report, world.blobs, world.now, lease.machine_id, message)
    return blob


def pass_time(world, seconds, *names):
    """Time passes, and the machines prove to be alive meanwhile."""
    for _ in range(int(seconds // 10)):
        world.clock.advance(10.0)
        for name in names or ("kauri", "rimu"):
            live = market.live_leases_of_machine(world.reader, f"mac_{name}")
            proofs = tuple(
                LeaseProof(lease_id=each.id, epoch=each.epoch, alive=True) for each in live
            )
            world.write(report.heartbeat, world.now, f"mac_{name}", proofs)
    world.reconcile(seconds % 10)


def reclaim(world, lease):
    return world.write(reclaims.reclaim_lease, world.now, lease)


def leases_of(world, job):
    return market.leases_of_job(world.reader, job.id)


# -- notice


def test_a_lease_carries_the_notice_that_its_machine_promised_when_it_was_made(lease_world):
    _, lease = running(lease_world)
    assert (lease.machine_id, lease.notice_seconds) == ("mac_kauri", HOUR)
    lease_world.write(supply.set_notice, lease_world.now, lease_world.machine("kauri"), 0)
    assert market.lease(lease_world.reader, lease.id).notice_seconds == HOUR


def test_a_reclaimed_lease_serves_until_its_notice_is_over_and_not_a_second_longer(lease_world):
    job, lease = running(lease_world)
    noticed = reclaim(lease_world, lease)
    assert (noticed.state, noticed.reclaim_at) == (
        LeaseState.RECLAIMING,
        lease_world.now + HOUR,
    )
    assert market.lease(lease_world.reader, lease.id) == noticed
    pass_time(lease_world, HOUR - 10)
    kept = market.lease(lease_world.reader, lease.id)
    assert kept.state is LeaseState.RECLAIMING
    assert kept.seconds_proven >= HOUR - 20  # and it is paid meanwhile
    pass_time(lease_world, 10)
    first, second = leases_of(lease_world, job)
    assert (first.state, first.reason) == (LeaseState.CLOSED, CloseReason.RECLAIMED)
    assert (second.machine_id, second.state) == ("mac_rimu", LeaseState.ACTIVE)
    kinds = lease_world.kinds(lease.id)
    assert kinds == ["lease.reserved", "lease.active", "lease.reclaiming", "lease.closed"]


def test_a_second_notice_changes_nothing(lease_world):
    _, lease = running(lease_world)
    first = reclaim(lease_world, lease)
    lease_world.clock.advance(600.0)
    assert reclaim(lease_world, first) == first
    stored = market.lease(lease_world.reader, lease.id)
    assert stored.reclaim_at == first.reclaim_at
    assert lease_world.kinds(lease.id).count("lease.reclaiming") == 1


def test_a_notice_to_a_lease_that_ended_meanwhile_is_refused_and_changes_nothing(lease_world):
    _, seen = running(lease_world)
    lease_world.write(market.close, lease_world.now, seen, CloseReason.JOB_DONE)
    events = len(lease_world.events())
    with pytest.raises(WrongState):
        lease_world.write(
            market.reclaim, lease_world.now, seen, lease_world.now, CloseReason.RECLAIMED
        )
    assert len(lease_world.events()) == events
    assert market.lease(lease_world.reader, seen.id).reason is CloseReason.JOB_DONE


def test_a_lease_without_an_agreed_notice_ends_after_the_time_to_save_and_its_owner_broke_it(
    lease_world,
):
    lease_world.write(supply.set_notice, lease_world.now, lease_world.machine("kauri"), 0)
    job, lease = running(lease_world)
    noticed = reclaim(lease_world, lease)
    assert noticed.reclaim_at == lease_world.now + RECLAIM_SECONDS_MIN
    pass_time(lease_world, RECLAIM_SECONDS_MIN)
    assert leases_of(lease_world, job)[0].reason is CloseReason.OWNER_LEFT


def test_a_machine_that_is_taken_back_sells_nothing_new_and_warns_all_whom_it_serves(lease_world):
    job, lease = running(lease_world)
    machine, noticed = lease_world.write(
        reclaims.reclaim_machine, lease_world.now, lease_world.machine("kauri")
    )
    assert (machine.state, [each.id for each in noticed]) == (MachineState.PAUSED, [lease.id])
    pass_time(lease_world, HOUR)
    assert [each.machine_id for each in leases_of(lease_world, job)] == ["mac_kauri", "mac_rimu"]
    assert lease_world.machine("kauri").state is MachineState.PAUSED


def test_the_tenant_may_leave_during_the_notice(lease_world):
    from gondwana.jobs.end import end_job
    from gondwana.jobs.rules.batch import End

    job, lease = running(lease_world)
    reclaim(lease_world, lease)
    how = End(state=JobState.CANCELLED, reason=JobReason.CANCELLED)
    lease_world.write(end_job, lease_world.now, jobs.job(lease_world.reader, job.id), how)
    (closed,) = leases_of(lease_world, job)
    assert closed.reason is CloseReason.JOB_CANCELLED


def test_an_order_that_wants_more_notice_than_anybody_promises_fits_nowhere_and_is_told_why(
    lease_world, make
):
    from gondwana.core.errors import NothingFits

    wanted = make.spec(market=MarketTerms(notice_seconds_min=2 * HOUR))
    with pytest.raises(NothingFits) as refused:
        lease_world.submit(wanted)
    assert "2 h 00 min of notice" in refused.value.message
    assert "1 h 00 min" in refused.value.hint


def test_the_cheapest_machine_that_promises_enough_notice_is_taken(lease_world, make):
    lease_world.write(supply.set_notice, lease_world.now, lease_world.machine("rimu"), 5 * HOUR)
    for hours in (2, 5):
        wanted = make.spec(market=MarketTerms(notice_seconds_min=hours * HOUR))
        job, lease = running(lease_world, wanted)
        assert lease.machine_id == "mac_rimu"
        lease_world.write(
            report.run_report, lease_world.now, lease.machine_id,
            RunReport(number=1, run_id=jobs.runs_of_job(lease_world.reader, job.id)[0].id,
                      lease_id=lease.id, epoch=lease.epoch, state="exited", exit_code=0),
        )  # fmt: skip
        lease_world.reconcile()


def test_a_lease_without_notice_for_a_machine_is_told_to_its_agent_with_the_reason(lease_world):
    _, lease = running(lease_world)
    assert duty(lease_world.reader, "mac_kauri")[0].notice is None
    noticed = reclaim(lease_world, lease)
    (told_now,) = duty(lease_world.reader, "mac_kauri")
    assert told_now.notice == LeaseNotice(reason="reclaimed", ends_at=noticed.reclaim_at)
    lease_world.write(market.notice, lease_world.now, noticed, "drain", paid_seconds=60)
    (told_now,) = duty(lease_world.reader, "mac_kauri")
    assert told_now.notice == LeaseNotice(reason="funds", ends_at=None)


# -- checkpoints


def test_the_next_attempt_goes_on_from_what_the_last_one_saved(lease_world):
    job, lease = running(lease_world)
    save(lease_world, lease, b"ten")
    last = save(lease_world, lease, b"twenty")
    assert last in held_blobs(lease_world.reader)
    reclaim(lease_world, lease)
    pass_time(lease_world, HOUR)
    (next_duty,) = duty(lease_world.reader, "mac_rimu")
    assert next_duty.run.checkpoint == last
    (_, second) = leases_of(lease_world, job)
    begin(lease_world, second)
    third = save(lease_world, second, b"thirty")
    (still,) = duty(lease_world.reader, "mac_rimu")
    assert still.run.checkpoint == last  # its own is for the one after it
    kept = held_blobs(lease_world.reader)
    assert third in kept
    assert last not in kept


def test_a_checkpoint_of_a_lease_that_is_over_is_too_late(lease_world):
    _, lease = running(lease_world)
    reclaim(lease_world, lease)
    pass_time(lease_world, HOUR)
    with pytest.raises(StaleEpoch):
        save(lease_world, lease, b"late")


def test_a_job_that_did_not_succeed_leaves_what_it_saved_and_one_that_did_leaves_it_not(
    lease_world,
):
    for code in (1, 0):
        job, lease = running(lease_world)
        blob = save(lease_world, lease, b"saved by code %d" % code)
        (run,) = jobs.runs_of_job(lease_world.reader, job.id)
        told(lease_world, lease, run, "exited", exit_code=code)
        lease_world.reconcile()
        assert jobs.job(lease_world.reader, job.id).ended
        assert (blob in held_blobs(lease_world.reader)) is bool(code)


def test_a_run_that_ends_itself_on_notice_goes_on_elsewhere_at_once_and_did_not_fail(lease_world):
    job, lease = running(lease_world)
    blob = save(lease_world, lease, b"ten")
    reclaim(lease_world, lease)
    (run,) = jobs.runs_of_job(lease_world.reader, job.id)
    pass_time(lease_world, 20)
    told(lease_world, lease, run, "exited", exit_code=143)
    lease_world.reconcile()
    first, second = leases_of(lease_world, job)
    assert (first.reason, second.state) == (CloseReason.RECLAIMED, LeaseState.ACTIVE)
    assert jobs.job(lease_world.reader, job.id).state is JobState.RECOVERING
    assert duty(lease_world.reader, second.machine_id)[0].run.checkpoint == blob


def test_a_run_that_ends_well_during_the_notice_has_succeeded(lease_world):
    job, lease = running(lease_world)
    reclaim(lease_world, lease)
    (run,) = jobs.runs_of_job(lease_world.reader, job.id)
    told(lease_world, lease, run, "exited", exit_code=0)
    lease_world.reconcile()
    assert jobs.job(lease_world.reader, job.id).state is JobState.SUCCEEDED


def test_ends_that_were_agreed_do_not_count_as_lost_attempts(lease_world):
    job, lease = running(lease_world)
    for _ in range(ATTEMPTS_MAX + 1):
        reclaim(lease_world, lease)
        pass_time(lease_world, HOUR)
        paused = lease_world.machine(lease.machine_id.removeprefix("mac_"))
        lease_world.write(supply.move, lease_world.now, paused, MachineState.UP)
        lease = leases_of(lease_world, job)[-1]
        assert lease.state is LeaseState.ACTIVE
        begin(lease_world, lease)
    runs = jobs.runs_of_job(lease_world.reader, job.id)
    assert [run.state for run in runs] == [*[RunState.LOST] * (ATTEMPTS_MAX + 1), RunState.RUNNING]
    assert jobs.job(lease_world.reader, job.id).state is JobState.RUNNING


# -- an agreed time


def test_a_lease_for_a_time_ends_with_it_and_the_job_says_so(lease_world, make):
    job, lease = running(lease_world, make.spec(market=MarketTerms(lease_seconds=HOUR)))
    assert lease.ends_at == lease_world.now + HOUR
    pass_time(lease_world, HOUR - 10)
    assert not jobs.job(lease_world.reader, job.id).ended
    pass_time(lease_world, 10)
    ended = jobs.job(lease_world.reader, job.id)
    assert (ended.state, ended.reason) == (JobState.FAILED, JobReason.LEASE_ENDED)
    assert leases_of(lease_world, job)[0].reason is CloseReason.LEASE_ENDED
    assert market.order(lease_world.reader, job.order_id).state is OrderState.CLOSED


def test_a_machine_knows_from_the_start_when_an_agreed_time_ends_and_hears_when_it_is_extended(
    lease_world, make
):
    job, lease = running(lease_world, make.spec(market=MarketTerms(lease_seconds=30 * HOUR)))
    (told_now,) = duty(lease_world.reader, "mac_kauri")
    assert told_now.notice == LeaseNotice(reason=LEASE_ENDED, ends_at=lease.ends_at)
    lease_world.write(resizes.extend, lease_world.now, job, HOUR)
    (told_now,) = duty(lease_world.reader, "mac_kauri")
    assert told_now.notice == LeaseNotice(reason=LEASE_ENDED, ends_at=lease.ends_at + HOUR)


@pytest.mark.parametrize(
    ("before_the_end", "reason"),
    [(HOUR, JobReason.EXIT_CODE), (160, JobReason.EXIT_CODE), (120, JobReason.LEASE_ENDED)],
)
def test_a_run_of_an_agreed_time_ends_on_notice_only_in_its_last_two_minutes(
    lease_world, make, before_the_end, reason
):
    job, lease = running(lease_world, make.spec(market=MarketTerms(lease_seconds=HOUR)))
    blob = save(lease_world, lease, b"ten")
    pass_time(lease_world, HOUR - before_the_end)
    (run,) = jobs.runs_of_job(lease_world.reader, job.id)
    told(lease_world, lease, run, "exited", exit_code=75)
    lease_world.reconcile()
    ended = jobs.job(lease_world.reader, job.id)
    assert (ended.state, ended.reason) == (JobState.FAILED, reason)
    assert blob in held_blobs(lease_world.reader)  # it can be gone on from


def test_a_replacement_has_what_is_left_of_the_agreed_time(lease_world, make):
    job, lease = running(lease_world, make.spec(market=MarketTerms(lease_seconds=3 * HOUR)))
    reclaim(lease_world, lease)
    pass_time(lease_world, HOUR)
    assert [each.ends_at for each in leases_of(lease_world, job)] == [lease.ends_at] * 2


def test_a_job_whose_time_is_over_while_it_seeks_a_machine_again_ends_and_leases_no_other(
    lease_world, make
):
    job, _ = running(lease_world, make.spec(market=MarketTerms(lease_seconds=HOUR)))
    lease_world.write(
        supply.move, lease_world.now, lease_world.machine("rimu"), MachineState.PAUSED
    )
    kauri = lease_world.machine("kauri")
    lease_world.write(
        end.lose_machine, lease_world.now, kauri, MachineState.DOWN, CloseReason.MACHINE_LOST
    )
    pass_time(lease_world, HOUR)
    ended = jobs.job(lease_world.reader, job.id)
    assert (ended.state, ended.reason) == (JobState.FAILED, JobReason.LEASE_ENDED)
    assert len(leases_of(lease_world, job)) == 1


def test_nothing_is_placed_for_a_job_whose_agreed_time_is_over(lease_world, make):
    job, _ = running(lease_world, make.spec(market=MarketTerms(lease_seconds=HOUR)))
    kauri = lease_world.machine("kauri")
    lease_world.write(
        end.lose_machine, lease_world.now, kauri, MachineState.DOWN, CloseReason.MACHINE_LOST
    )
    lease_world.clock.advance(HOUR)
    assert lease_world.reserve(job, "mac_rimu") == []


def test_the_books_balance_after_all_of_it(lease_world):
    job, lease = running(lease_world)
    reclaim(lease_world, lease)
    pass_time(lease_world, HOUR)
    assert audit(lease_world.reader).ok
    first, second = leases_of(lease_world, job)
    assert replace(first, id="") != replace(second, id="")
