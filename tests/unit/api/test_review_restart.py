"""An agent that died and came back before it was missed."""

import pytest

from gondwana.api.link import Session
from gondwana.jobs import store as jobs
from gondwana.jobs.model import JobState, RunState, UnitState
from gondwana.jobs.rules.memory import REST_SECONDS
from gondwana.market import store as market
from gondwana.market.model import CloseReason, LeaseState
from gondwana.supply import store as supply
from gondwana.wire import agent as wire


def connect(world, boot, name="kauri"):
    session, machine_id = Session(world.plane, "192.0.2.7"), f"mac_{name}"
    hello = wire.Hello(protocol=wire.PROTOCOL, machine_id=machine_id, agent_version="0", boot=boot)
    (challenge,) = session.hello(hello)
    claim = wire.challenge_claim(machine_id, challenge.nonce)
    session.answer(wire.ChallengeAnswer(signature=world.key(name).sign(claim)))
    return session


def begin(world, session, state="running"):
    """A job whose run has begun in the agent's present life: (job, run, lease)."""
    job = world.submit()
    world.reconcile()
    (lease,) = market.leases_of_job(world.reader, job.id)
    (run,) = jobs.runs_of_job(world.reader, job.id)
    about = {"number": 1, "run_id": run.id, "lease_id": lease.id, "epoch": lease.epoch}
    session.handle(wire.RunReport(**about, state=state))
    session.handle(wire.LogChunk(**about, offset=0, data=b"first life\n"))
    return job, run, lease


@pytest.mark.parametrize("state", ["preparing", "running"])
def test_what_an_agents_earlier_life_ran_is_lost_at_once_and_goes_on_under_a_new_lease(
    world, state
):
    world.join()
    job, run, lease = begin(world, connect(world, "life-1"), state)
    session = connect(world, "life-2")
    assert jobs.run(world.reader, run.id).state is RunState.LOST
    assert market.lease(world.reader, lease.id).reason is CloseReason.MACHINE_LOST
    assert session.desired()[0].leases == ()
    world.reconcile()
    assert session.desired() == [], "never straight back to the machine that failed it"
    world.clock.advance(REST_SECONDS)
    world.write(supply.prove_life, "mac_kauri", world.now)
    world.reconcile()
    (duty,) = session.desired()[0].leases
    assert duty.lease_id != lease.id
    assert duty.run.run_id != run.id
    about = {"run_id": duty.run.run_id, "lease_id": duty.lease_id, "epoch": duty.epoch}
    session.handle(wire.RunReport(number=1, **about, state="running"))
    session.handle(wire.LogChunk(number=2, **about, offset=0, data=b"second life\n"))
    assert jobs.read_log(world.reader, run.id, 0) == b"first life\n"
    assert jobs.read_log(world.reader, duty.run.run_id, 0) == b"second life\n"
    assert jobs.job(world.reader, job.id).state is JobState.RUNNING


def test_a_link_that_only_broke_keeps_its_runs(world):
    world.join()
    _, run, lease = begin(world, connect(world, "life-1"))
    connect(world, "life-1")
    assert jobs.run(world.reader, run.id).state is RunState.RUNNING
    assert market.lease(world.reader, lease.id).state is LeaseState.ACTIVE


def test_a_run_that_had_not_begun_is_still_wanted_of_the_new_life(world):
    world.join()
    connect(world, "life-1")
    job = world.submit()
    world.reconcile()
    (duty,) = connect(world, "life-2").desired()[0].leases
    assert duty.run.run_id == jobs.runs_of_job(world.reader, job.id)[0].id


def test_a_unit_keeps_nothing_private_so_the_new_life_does_it_again_in_the_same_time(world, make):
    world.join()
    connect(world, "life-1")
    job = world.submit(make.train_spec())
    world.reconcile()
    world.reconcile()
    (unit,) = jobs.units_of_job(world.reader, job.id)
    (duty,) = connect(world, "life-2").desired()[0].leases
    assert [each.id for each in duty.units] == [unit.id]
    assert jobs.unit(world.reader, unit.id).state is UnitState.ASSIGNED
