"""What the simulator found: machines that fail at once, never end, or go silent when their owners want them back."""

import numpy as np
import pytest

from gondwana.api.deps import Write
from gondwana.api.routes import machines as routes
from gondwana.blobs.base import BlobLimits
from gondwana.core.errors import StorageFull, WrongState
from gondwana.core.values import replace
from gondwana.jobs import end, units
from gondwana.jobs import store as jobs
from gondwana.jobs.model import JobReason, JobState, Phase, RunState, UnitState
from gondwana.jobs.proofs import Proof, Proofs
from gondwana.jobs.report import heartbeat, run_report, unit_report
from gondwana.jobs.rules import batch
from gondwana.jobs.rules.rounds import FAILURES_MAX, UNIT_FAILURES_MAX
from gondwana.loops.expire_units import expire_units
from gondwana.market import store as market
from gondwana.market.model import CloseReason, LeaseState
from gondwana.policy import store as policy
from gondwana.policy.model import Caller, Scope
from gondwana.supply import store as supply
from gondwana.supply.model import MachineState
from gondwana.supply.rules import STOPPED
from gondwana.training import outer
from gondwana.training.manifest import Layout, Tensor
from gondwana.wire.agent import LeaseProof, RunReport, UnitReport


def leases_of(world, job):
    return market.leases_of_job(world.reader, job.id)


def fail(world, job, why):
    """The machine of the job's assigned unit says why it could not do it."""
    (unit,) = [u for u in jobs.units_of_job(world.reader, job.id) if u.state is UnitState.ASSIGNED]
    lease = market.lease(world.reader, unit.lease_id)
    report = UnitReport(
        number=1, unit_id=unit.id, lease_id=lease.id, epoch=lease.epoch, failure=why
    )
    world.write(unit_report, world.blobs, world.now, lease.machine_id, report)


def fail_often(world, job, why):
    for _ in range(UNIT_FAILURES_MAX):
        world.clock.advance(1.0)
        fail(world, job, why)
        world.reconcile()


def test_a_machine_that_fails_unit_after_unit_is_given_no_more_of_them(world, make):
    world.join()
    job = world.submit(make.train_spec())
    world.reconcile()
    fail_often(world, job, "agent: the disk is broken")
    (lease,) = leases_of(world, job)
    assert (lease.state, lease.reason) == (LeaseState.CLOSED, CloseReason.RUN_FAILED)
    world.join("rimu")
    world.reconcile()
    assert leases_of(world, job)[-1].machine_id == "mac_rimu"


def test_a_machine_that_is_always_too_late_is_given_no_more_units(world, make):
    world.join()
    job = world.submit(make.train_spec())
    for _ in range(UNIT_FAILURES_MAX):
        world.write(heartbeat, world.now, "mac_kauri", ())
        world.reconcile(1.0)
        (unit,) = jobs.units_assigned_to(world.reader, leases_of(world, job)[0].id)
        world.clock.advance(unit.expires_at - world.now)
    world.write(heartbeat, world.now, "mac_kauri", ())
    world.reconcile(1.0)
    assert [lease.reason for lease in leases_of(world, job)] == [CloseReason.RUN_FAILED]


def test_a_unit_does_not_expire_before_agents_had_time_to_come_back(world, make):
    world.join()
    job = world.submit(make.train_spec())
    world.reconcile()
    (unit,) = jobs.units_of_job(world.reader, job.id)
    world.clock.advance(unit.expires_at - world.now + 1.0)
    restarted = replace(world.context, listening_since=world.now)
    assert expire_units(restarted, world.now) == 0
    assert expire_units(world.context, world.now) == 1


def test_a_full_disk_of_the_control_plane_is_not_held_against_machines(world, make):
    world.join()
    job = world.submit(make.train_spec())
    world.reconcile()
    fail_often(world, job, "agent: StorageFull: There is no room left on the disk.")
    assert [lease.state for lease in leases_of(world, job)] == [LeaseState.ACTIVE]


def test_a_unit_is_not_given_to_a_job_that_was_cancelled_meanwhile(world, make):
    world.join(price=0)
    job = world.submit(make.train_spec())
    world.reconcile()
    (island,) = jobs.islands(world.reader, job.id)
    job = jobs.job(world.reader, job.id)
    world.write(
        end.end_job, world.now, job, batch.End(state=JobState.CANCELLED, reason=JobReason.CANCELLED)
    )
    with pytest.raises(WrongState):
        world.write(units.assign_init, world.random, world.now, job, island)
    assert [unit.state for unit in jobs.units_of_job(world.reader, job.id)] == [UnitState.EXPIRED]


def test_a_run_that_its_machine_never_ends_goes_elsewhere(world, make):
    world.join()
    job = world.submit(make.spec(seconds_max=60.0))
    world.reconcile()
    limit = 60.0 + batch.OVERTIME_SECONDS_MAX
    for passed, states in ((limit, [RunState.ASSIGNED]), (30.0, [RunState.LOST])):
        world.clock.advance(passed)
        live = market.live_leases_of_machine(world.reader, "mac_kauri")
        proofs = tuple(LeaseProof(lease_id=each.id, epoch=each.epoch, alive=True) for each in live)
        world.write(heartbeat, world.now, "mac_kauri", proofs)
        world.reconcile()
        runs = jobs.runs_of_job(world.reader, job.id)
        assert [run.state for run in runs] == states, passed


@pytest.mark.parametrize(
    "asked, then", [(MachineState.PAUSED, MachineState.PAUSED), (MachineState.DRAINING, MachineState.LEFT)]
)  # fmt: skip
def test_what_an_owner_asked_for_outlives_a_silence(world, asked, then):
    world.join()
    job = world.submit()
    world.reconcile()
    world.write(supply.move, world.now, world.machine(), asked)
    world.reconcile(60.0)
    world.reconcile(1.0)
    assert world.machine().state is then
    assert [lease.reason for lease in leases_of(world, job)] == [CloseReason.MACHINE_LOST]


def test_a_paused_machine_that_is_silent_is_looked_at_without_writing(world):
    world.join()
    world.write(supply.move, world.now, world.machine(), MachineState.PAUSED)
    world.reconcile(60.0)
    before = len(world.events())
    world.reconcile(60.0)
    assert len(world.events()) == before


def test_a_gang_that_lacks_a_node_is_not_running_whatever_the_others_report(world, make):
    def say(state, **told):
        report = RunReport(
            number=1, run_id=second.id, lease_id=second.lease_id, epoch=lease.epoch, state=state, **told
        )  # fmt: skip
        world.write(run_report, world.now, lease.machine_id, report)

    world.join("kauri")
    world.join("rimu")
    job = world.submit(make.spec(num_nodes=2))
    world.reconcile()
    first, second = jobs.runs_of_job(world.reader, job.id)
    lease = market.lease(world.reader, second.lease_id)
    say("running")
    lost = market.lease(world.reader, first.lease_id)
    world.write(end.close_lease, world.now, lost, CloseReason.MACHINE_LOST)
    say("exited", exit_code=0)
    assert jobs.job(world.reader, job.id).state is JobState.RECOVERING


def test_a_full_disk_makes_a_job_wait_with_its_end_and_is_no_error_of_ours(world, make, caplog):
    world.join()
    job = world.submit(make.train_spec())
    world.reconcile()
    layout = Layout(tensors=(Tensor(name="w", shape=(3,)),))
    state = outer.start(np.ones(3, np.float32))
    training = replace(
        jobs.training(world.reader, job.id),
        failures_in_row=FAILURES_MAX,
        layout=world.blobs.put(layout.to_json().encode()),
        outer=world.blobs.put(outer.encode_outer_state(state)),
    )
    world.write(jobs.save_training, training)
    room, world.blobs._limits = world.blobs._limits, BlobLimits(total_bytes_max=1)
    world.reconcile()
    assert jobs.job(world.reader, job.id).state is JobState.RUNNING
    world.blobs._limits = room
    world.reconcile()
    assert jobs.job(world.reader, job.id).reason is JobReason.RECIPE_FAILED
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_machines_that_were_heard_are_not_lost_when_that_could_not_be_written(world, monkeypatch):
    def full(tx, proofs):
        raise StorageFull

    world.join()
    world.context.proofs.add(Proof(machine_id="mac_kauri", at=world.now, leases=()))
    world.clock.advance(60.0)
    world.context.proofs.add(Proof(machine_id="mac_kauri", at=world.now, leases=()))
    with monkeypatch.context() as patch:
        patch.setattr("gondwana.jobs.proofs._write", full)
        world.reconcile()
    world.reconcile(1.0)
    assert world.machine().state is MachineState.UP
    assert world.machine().proven_at == world.now - 1.0


def test_a_newer_proof_is_not_replaced_by_one_that_could_not_be_written(world, monkeypatch):
    proofs = Proofs()
    old, new = (Proof(machine_id="m", at=at, leases=()) for at in (1.0, 2.0))
    written = []
    proofs.add(old)
    monkeypatch.setattr("gondwana.jobs.proofs._write", lambda tx, some: (proofs.add(new), 1 / 0))
    assert proofs.flush(world.database.writer).exception() is not None
    monkeypatch.setattr("gondwana.jobs.proofs._write", lambda tx, some: written.extend(some))
    proofs.flush(world.database.writer).result()
    assert written == [new]


def test_a_round_waits_for_somebody_to_judge_it(world, make):
    world.join()
    job = world.submit(make.train_spec())
    world.reconcile()
    (lease,) = leases_of(world, job)
    waiting = replace(
        jobs.training(world.reader, job.id),
        phase=Phase.EVALUATE,
        deadline=world.now + 100.0,
        params=make.training().params,
    )
    world.write(jobs.save_training, waiting)
    world.write(end.close_lease, world.now, lease, CloseReason.MACHINE_LOST)
    world.write(supply.move, world.now, world.machine(), MachineState.PAUSED)
    for passed, phase in ((99.0, Phase.EVALUATE), (1.0, Phase.TRAIN)):
        world.reconcile(passed)
        assert jobs.training(world.reader, job.id).phase is phase, passed


def test_a_machine_drained_for_good_while_its_agent_stops_does_not_come_back(world):
    world.join()
    world.write(supply.move, world.now, world.machine(), MachineState.DRAINING, STOPPED)
    owner = Caller(principal=policy.principal(world.reader, world.owner), scopes=(Scope.PROVIDER,))
    routes.owner_verb("kauri", "drain", owner, Write(world.plane, owner, None, ""))
    world.reconcile()
    assert world.machine().state is MachineState.LEFT
