"""Reconcilers over a real database: what is due is done once, and one broken thing stops nobody else."""

import pytest

from gondwana.core.clock import Instant
from gondwana.db.rows import to_row
from gondwana.jobs import money
from gondwana.jobs import store as jobs
from gondwana.jobs.end import end_job
from gondwana.jobs.model import JobReason, JobState
from gondwana.jobs.report import heartbeat, run_report
from gondwana.jobs.rules.batch import End
from gondwana.loops.each import AT_ONCE_MAX, write_each
from gondwana.loops.run import EVERY_SECONDS, WORK_SHARE, Reconcilers
from gondwana.market import rules
from gondwana.market import store as market
from gondwana.market.model import CloseReason, LeaseState, OrderState
from gondwana.supply.model import MachineState
from gondwana.wire.agent import LeaseProof, RunReport


def job_of(world, job):
    return jobs.job(world.reader, job.id)


def leases_of(world, job):
    return market.leases_of_job(world.reader, job.id)


def begin(world, job):
    """The job's run is taken by its machine."""
    (run,) = jobs.runs_of_job(world.reader, job.id)
    (lease,) = leases_of(world, job)
    told = RunReport(
        number=1, run_id=run.id, lease_id=lease.id, epoch=lease.epoch, state="preparing"
    )
    world.write(run_report, world.now, lease.machine_id, told)


def beat(world, *names):
    """The machines prove to be alive."""
    for name in names:
        world.write(heartbeat, world.now, f"mac_{name}", ())


def test_a_job_goes_from_order_to_run_in_one_pass(world):
    world.join()
    job = world.submit()
    world.reconcile()
    (lease,) = leases_of(world, job)
    (run,) = jobs.runs_of_job(world.reader, job.id)
    assert (lease.state, run.lease_id) == (LeaseState.ACTIVE, lease.id)
    assert market.order(world.reader, job.order_id).state is OrderState.MATCHED


def test_a_second_pass_over_the_same_changes_nothing(world):
    world.join()
    world.submit()
    world.reconcile()
    before = len(world.events())
    Reconcilers(world.context).run(world.now)
    assert len(world.events()) == before


def test_what_keeps_the_books_for_long_rests_for_longer(world, monkeypatch):
    seconds, ran = iter([0.0, 3.0, 3.0, 3.1]), []

    def slow(context, now):
        ran.append(now)
        return 0

    monkeypatch.setitem(EVERY_SECONDS, slow, 1.0)
    reconcilers = Reconcilers(world.context, [slow], lambda: next(seconds))
    for after in (0, 3.0 / WORK_SHARE - 1, 3.0 / WORK_SHARE):
        reconcilers.run(Instant(world.now + after))
    assert [now - world.now for now in ran] == [0, 3.0 / WORK_SHARE]


@pytest.mark.parametrize("reconcile", EVERY_SECONDS, ids=lambda each: each.__name__)
def test_a_reconciler_with_nothing_to_do_does_nothing(world, reconcile):
    before = len(world.events())
    assert reconcile(world.context, world.now) == 0
    assert len(world.events()) == before


def test_an_order_that_nothing_fitted_for_a_day_ends_its_job_and_frees_it(world):
    world.join()
    first, waiting = world.submit(), world.submit()
    world.reconcile()
    assert job_of(world, waiting).state is JobState.ADMITTED
    begin(world, first)
    world.clock.advance(rules.ORDER_SECONDS_MAX)
    beat(world, "kauri")
    world.reconcile()
    ended = job_of(world, waiting)
    assert (ended.state, ended.reason) == (JobState.FAILED, JobReason.NOTHING_FITS)
    assert market.order(world.reader, waiting.order_id).state is OrderState.EXPIRED
    assert not job_of(world, first).ended


def test_a_job_that_loses_its_machine_after_days_goes_on_elsewhere(world):
    world.join()
    job = world.submit()
    world.reconcile()
    world.clock.advance(3 * rules.ORDER_SECONDS_MAX)
    world.reconcile(1.0)  # silent since the start: the machine goes down
    assert world.machine().state is MachineState.DOWN
    assert job_of(world, job).state is JobState.RECOVERING
    world.join("rimu")
    world.reconcile(1.0)
    assert [(lease.machine_id, lease.state) for lease in leases_of(world, job)] == [
        ("mac_kauri", LeaseState.CLOSED), ("mac_rimu", LeaseState.ACTIVE),
    ]  # fmt: skip


def test_a_reservation_that_nobody_confirmed_lapses_and_the_job_gets_another(world):
    world.join()
    job = world.submit()
    world.reserve(job, "mac_kauri")
    world.clock.advance(rules.RESERVATION_SECONDS_MAX)
    beat(world, "kauri")
    lapse = next(each for each in EVERY_SECONDS if each.__name__ == "lapse_reservations")
    assert lapse(world.context, world.now) == 1
    (lease,) = leases_of(world, job)
    assert lease.reason is CloseReason.RESERVATION_LAPSED
    assert market.order(world.reader, job.order_id).state is OrderState.OPEN
    world.reconcile()
    assert [lease.state for lease in leases_of(world, job)] == [
        LeaseState.CLOSED,
        LeaseState.ACTIVE,
    ]


def test_an_order_that_cannot_be_served_does_not_hold_up_the_others(world, make):
    broken = make.order("ghost", job_id="job_that_is_not", tenant_id=world.tenant)
    world.write(market.place_order, broken)
    world.join()
    job = world.submit()
    world.reconcile()
    assert len(leases_of(world, job)) == 1


def test_a_training_run_that_cannot_be_read_does_not_stop_the_others(world, make):
    def damage(tx, job_id):
        tx.execute("UPDATE unit SET spec = '{}' WHERE job_id = ?", (job_id,))

    alone = make.train_spec(islands_max=1)
    world.join("a")
    broken = world.submit(alone)
    world.reconcile()
    assert len(jobs.units_of_job(world.reader, broken.id)) == 1
    world.write(damage, broken.id)
    world.join("b")
    fine = world.submit(alone)
    world.reconcile()
    assert len(jobs.units_of_job(world.reader, fine.id)) == 1


def test_each_call_has_a_transaction_of_its_own(world, make):
    def put(tx, name):
        tx.execute(market.SQL.save_order, to_row(make.order(name, tenant_id=world.tenant)))
        if name == "bad":
            raise ValueError(name)

    names = ["one", "bad", "two"]
    assert write_each(world.context, put, [(name,) for name in names]) == 2
    assert set(market.open_orders(world.reader, world.now)) == {"ord_one", "ord_two"}


def test_more_than_fit_one_commit_are_all_done(world, make):
    def put(tx, number):
        tx.execute(market.SQL.save_order, to_row(make.order(f"{number}", tenant_id=world.tenant)))

    assert write_each(world.context, put, [(n,) for n in range(AT_ONCE_MAX + 3)]) == AT_ONCE_MAX + 3
    assert len(market.open_orders(world.reader, world.now)) == AT_ONCE_MAX + 3


def prove_seconds(world, lease, seconds):
    """The lease's machine proves that it served it for so long."""
    for _ in range(int(seconds / 5)):
        world.clock.advance(5.0)
        proof = LeaseProof(lease_id=lease.id, epoch=lease.epoch, alive=True)
        world.write(heartbeat, world.now, lease.machine_id, (proof,))


def test_a_job_costs_no_more_than_its_budget_however_late_that_is_noticed(world, make):
    world.join(price=3_600_000_000)  # a dollar a second
    job = world.submit(make.spec(budget_micro_usd=7_000_000))
    world.reconcile()
    (lease,) = leases_of(world, job)
    prove_seconds(world, lease, 60)
    world.reconcile()
    ended = job_of(world, job)
    assert (ended.state, ended.reason) == (JobState.FAILED, JobReason.FUNDS_GONE)
    assert money.paid_micro_usd(world.reader, ended) == 7_000_000
    assert (
        money.earned_micro_usd(world.reader, "mac_kauri") == 6_790_000
    )  # three of a hundred are the network's
    assert money.available(world.reader, world.tenant) == 1_000_000_000 - 7_000_000


def test_what_a_job_paid_is_what_left_its_tenants_account(world):
    world.join(price=3_600_000)
    job = world.submit()
    world.reconcile()
    (lease,) = leases_of(world, job)
    for _ in range(4):
        prove_seconds(world, lease, 35)
        world.reconcile()
    how = End(state=JobState.CANCELLED, reason=JobReason.CANCELLED)
    world.write(end_job, world.now, job_of(world, job), how)
    assert money.paid_micro_usd(world.reader, job) == 140_000
    assert money.available(world.reader, world.tenant) == 1_000_000_000 - 140_000
