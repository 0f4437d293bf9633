"""What was expected of a job is kept beside what became of it, once, and tells the next job of the same work."""

import pytest

from gondwana.api.plan_views import plan_view, prediction_view
from gondwana.core.values import replace
from gondwana.jobs import admit, plans, predictions, store
from gondwana.jobs.report import heartbeat, run_report
from gondwana.jobs.rules.work import work_key
from gondwana.loops.settle_predictions import settle_predictions
from gondwana.market import store as market
from gondwana.market.history import History, histories
from gondwana.market.model import CloseReason
from gondwana.market.plans.list_prices import packaged
from gondwana.market.plans.model import Basis
from gondwana.wire.agent import LeaseProof, RunReport


@pytest.fixture
def world(database, make_world):
    return make_world(database)


def plan(world, spec):
    return plans.make(world.reader, world.context.shelf, packaged(), world.tenant, spec, world.now)


def launch(world, spec):
    """As the API does."""
    seen = admit.look(world.reader, world.context.shelf, world.tenant, spec, world.now)
    expected = plans.predict(world.reader, world.tenant, spec, seen)
    job = world.write(admit.submit, world.random, world.now, world.tenant, spec, seen)
    world.write(predictions.save, replace(expected, job_id=job.id))
    world.reconcile()
    return store.job(world.reader, job.id)


def serve(world, job, *, seconds, code=0):
    """Its machine runs the command for so long, proving each ten seconds, and then it ends."""
    (lease,) = market.leases_of_job(world.reader, job.id)
    (run,) = store.runs_of_job(world.reader, job.id)

    def report(number, state, **more):
        told = {"run_id": run.id, "lease_id": lease.id, "epoch": lease.epoch}
        message = RunReport(number=number, state=state, **told, **more)
        world.write(run_report, world.now, lease.machine_id, message)

    report(1, "running")
    proof = LeaseProof(lease_id=lease.id, epoch=lease.epoch, alive=True)
    for _ in range(seconds // 10):
        world.clock.advance(10)
        world.write(heartbeat, world.now, lease.machine_id, (proof,))
    report(2, "exited", exit_code=code)
    world.reconcile()
    return store.job(world.reader, job.id)


def told(world, job):
    return prediction_view(world.reader, job)


def test_predicted_and_actual_stand_side_by_side_and_the_next_plan_knows(world, make):
    world.join(price=3_600_000)
    spec = make.spec(seconds_max=600.0)
    assert plan(world, spec).front.basis is Basis.LIMIT
    job = launch(world, spec)
    before = told(world, job)
    assert (before.bucket, before.basis, before.machines) == ("CPU", "limit", 1)
    assert before.actual_seconds is None
    assert before.seconds == pytest.approx(600, rel=0.01)
    done = serve(world, job, seconds=120)
    assert done.ended
    after = told(world, job)
    assert (after.actual_machines, after.actual_seconds) == (1, 120.0)
    assert after.actual_cost_micro_usd == 120_000
    (accuracy,) = predictions.accuracy(world.reader)
    assert accuracy.seconds.median == pytest.approx(0.2, rel=0.01)
    again = plan(world, replace(spec, name="again"))
    assert again.front.basis is Basis.MEASURED
    assert again.front.default.forecast.seconds == pytest.approx(120, rel=0.01)
    other = plan(world, replace(spec, run="echo other"))
    assert other.front.basis is Basis.LIMIT


def test_a_job_is_compared_once(world, make):
    world.join()
    job = launch(world, make.spec())
    assert settle_predictions(world.context, world.now) == 0
    serve(world, job, seconds=10)
    world.reconcile(20)
    before = predictions.of_job(world.reader, job.id)
    assert world.write(predictions.settle, world.now, job.id) is False
    assert predictions.to_settle(world.reader) == []
    assert predictions.of_job(world.reader, job.id) == before
    assert world.kinds(job.id).count("job.compared") == 1


def test_what_failed_says_nothing_of_the_model(world, make):
    world.join()
    job = launch(world, make.spec())
    serve(world, job, seconds=10, code=3)
    world.reconcile(20)
    assert told(world, job).actual_seconds == 10.0
    assert predictions.accuracy(world.reader) == ()
    assert predictions.past(world.reader, work_key(world.tenant, job.spec)) is None


def test_a_job_without_a_prediction_tells_none(world):
    world.join()
    job = world.submit()
    assert told(world, job) is None
    assert world.write(predictions.settle, world.now, job.id) is False


def test_work_is_told_apart_by_what_runs_and_for_whom_not_by_its_machines(make):
    key = work_key("pri_a", make.spec())
    assert work_key("pri_a", make.spec(name="x", price_cap_micro_usd_per_device_hour=1)) == key
    assert work_key("pri_b", make.spec()) != key
    assert work_key("pri_a", make.spec(run="true")) != key
    trained = work_key("pri_a", make.train_spec())
    assert work_key("pri_a", make.train_spec(rounds=99, islands_max=2)) == trained
    assert work_key("pri_a", make.train_spec(config={"width": 2})) != trained


def test_a_machine_has_a_past_by_how_its_leases_ended(world, make):
    world.join()
    job = launch(world, make.spec())
    assert histories(world.reader, ["mac_kauri", "mac_other"]) == {"mac_kauri": History()}
    serve(world, job, seconds=30)
    lost = launch(world, make.spec(name="lost"))
    (lease,) = market.leases_of_job(world.reader, lost.id)
    world.write(market.close, world.now, lease, CloseReason.MACHINE_LOST)
    past = histories(world.reader, ["mac_kauri"])
    assert past == {"mac_kauri": History(seconds_proven=30, interruptions=1)}


def test_a_training_is_planned_many_ways_and_bound(world, make):
    for n in range(4):
        world.join(f"m{n}", price=1_000_000 * (n + 1))
    planned = plan(world, make.train_spec(parameters=1_000_000, tokens_per_step=512))
    view = plan_view(planned)
    assert view.basis == "told"
    assert len(view.front) > 2
    assert view.default.is_default
    assert view.default.machines == ("m0", "m1", "m2", "m3")
    assert {each.codec for each in view.front} <= {"int4", "int8", "fp32"}
    assert view.no_comparison == "no comparison: CPU is not in the table of list prices"


def test_where_nothing_fits_the_cheapest_way_out_comes_first(world, make):
    world.join("a", price=350_000)
    world.join("b", price=900_000)
    spec = make.spec(price_cap_micro_usd_per_device_hour=200_000)
    view = plan_view(plan(world, spec))
    assert not view.fits
    assert view.front == ()
    first = view.relaxations[0]
    assert first.words == "raise the price cap from $0.20 to $0.35 per device-hour"
    assert (first.machines, first.added_micro_usd_per_hour) == (("a",), 150_000)
    raised = replace(spec, price_cap_micro_usd_per_device_hour=350_000)
    assert plan_view(plan(world, raised)).fits
