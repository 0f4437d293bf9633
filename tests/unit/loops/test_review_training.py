"""Rounds of training over real bytes: who delivers when, who judges whom, what is kept."""

import pytest

from gondwana.core.errors import WrongState
from gondwana.core.values import replace
from gondwana.db.blob_references import held_blobs
from gondwana.jobs import end, rounds
from gondwana.jobs import store as jobs
from gondwana.jobs.model import JobReason, JobState, Phase, UnitState
from gondwana.jobs.report import heartbeat, unit_report
from gondwana.jobs.rules import batch
from gondwana.ledger.accounts import task_escrow, tenant_available
from gondwana.ledger.store import balance
from gondwana.loops import merge_round
from gondwana.market import rules as market_rules
from gondwana.market import store as market
from gondwana.sim.learning import make_shard, work
from gondwana.wire.agent import UnitReport
from gondwana.wire.units import UnitKind

SHARDS = 40


class Run:
    """A training job on machines that do what they are asked when the test says so."""

    def __init__(self, world, make, names=("kauri", "rimu", "totara"), owners=None, **changes):
        self.world = world
        for name in names:
            world.join(name, **({"owner_id": owners[name]} if owners else {}))
        shards = [world.blobs.put(make_shard(7, number)) for number in range(SHARDS)]
        given = {
            "shards": tuple(shards[:-2]), "heldout": tuple(shards[-2:]), "rounds": 3, "warm_rounds": 0,
            "islands_min": len(names), "islands_max": len(names), "window_seconds": 10.0, "inner_steps": 20,
            "codec": "fp32",
        }  # fmt: skip
        spec = make.spec(
            run="", workdir=world.blobs.put(b"code"), train=make.train(**{**given, **changes})
        )
        self.names, self.id = names, world.submit(spec).id
        world.reconcile()

    @property
    def job(self):
        return jobs.job(self.world.reader, self.id)

    @property
    def training(self):
        return jobs.training(self.world.reader, self.id)

    def units(self, *, kind=None, state=None, round=None):
        return [
            unit
            for unit in jobs.units_of_job(self.world.reader, self.id)
            if (kind is None or unit.kind is kind)
            and (state is None or unit.state is state)
            and (round is None or unit.round == round)
        ]

    def deliver(self, unit, *, seconds=2.0, lie=None):
        lease = market.lease(self.world.reader, unit.lease_id)
        output, result = work(unit.spec, self.world.blobs.read, seconds)
        report = UnitReport(
            number=1, unit_id=unit.id, lease_id=lease.id, epoch=lease.epoch, result=lie or result,
            output=None if output is None else self.world.blobs.put(output),
        )  # fmt: skip
        self.world.write(unit_report, self.world.blobs, self.world.now, unit.machine_id, report)

    def step(self, seconds=2.0):
        """Everybody delivers what it was given, and the reconcilers look at it."""
        self.world.clock.advance(seconds)
        for name in self.names:
            self.world.write(heartbeat, self.world.now, f"mac_{name}", ())
        for unit in self.units(state=UnitState.ASSIGNED):
            self.deliver(unit, seconds=seconds)
        self.world.reconcile()

    def until(self, phase, round=0):
        for _ in range(60):
            self.world.reconcile()  # what the phase begins with is given out
            if (self.training.phase, self.training.round) == (phase, round):
                return
            self.step()
        raise AssertionError(f"{self.training.phase} {self.training.round}")


def cancel(world, job):
    how = batch.End(state=JobState.CANCELLED, reason=JobReason.CANCELLED, exit_code=130)
    world.write(end.end_job, world.now, job, how)


def test_a_delta_that_comes_while_the_others_are_judged_is_judged_too(world, make):
    run = Run(world, make)
    run.until(Phase.TRAIN)
    first, *others = run.units(kind=UnitKind.TRAIN)
    late, prompt = first, others
    for unit in prompt:
        run.deliver(unit)
    train, before = run.job.spec.train, run.training
    judged = merge_round.judge(
        world.context, before, train, run.units(kind=UnitKind.TRAIN, state=UnitState.DELIVERED)
    )
    run.deliver(late)  # between the judgement and its transaction
    with pytest.raises(WrongState):
        world.write(rounds.close_training, world.now, before, train, judged)
    assert run.training.phase is Phase.TRAIN
    world.reconcile()
    assert run.training.phase is Phase.EVALUATE
    assert all(unit.norm is not None for unit in run.units(kind=UnitKind.TRAIN, round=0))


def test_a_round_that_was_read_before_its_job_was_cancelled_changes_nothing(world, make):
    run = Run(world, make)
    run.until(Phase.TRAIN)
    for unit in run.units(kind=UnitKind.TRAIN):
        run.deliver(unit)
    train, before = run.job.spec.train, run.training
    delivered = run.units(kind=UnitKind.TRAIN, state=UnitState.DELIVERED)
    judged = merge_round.judge(world.context, before, train, delivered)
    cancel(world, run.job)
    with pytest.raises(WrongState):
        world.write(rounds.close_training, world.now, before, train, judged)
    assert {unit.state for unit in run.units(kind=UnitKind.TRAIN)} == {UnitState.EXPIRED}
    assert not held_blobs(world.reader)


def test_only_what_a_run_still_needs_is_kept(world, make):
    run = Run(world, make)
    run.until(Phase.TRAIN, 1)
    first = run.training
    run.until(Phase.TRAIN, 2)
    held, now = held_blobs(world.reader), run.training
    assert {now.outer, now.layout, now.params.checkpoint, *now.params.changes} <= held
    assert set(run.job.spec.train.shards) <= held
    assert first.outer not in held
    assert not {unit.output for unit in run.units(kind=UnitKind.TRAIN, round=0)} & held
    run.until(Phase.DONE, 3)
    assert held_blobs(world.reader) == {run.training.artifact}
    assert run.job.state is JobState.SUCCEEDED


def test_a_run_that_finds_no_machines_any_more_leaves_the_model_it_has(world, make):
    run = Run(world, make)
    run.until(Phase.TRAIN, 1)
    world.reconcile(60.0)  # all machines are silent
    assert run.job.state is JobState.RECOVERING
    world.reconcile(market_rules.ORDER_SECONDS_MAX + 60.0)
    assert (run.job.state, run.job.reason) == (JobState.FAILED, JobReason.NOTHING_FITS)
    assert run.training.artifact is not None
    assert run.training.artifact in held_blobs(world.reader)
    assert balance(world.reader, task_escrow(run.id)).available_micro_usd == 0
    assert balance(world.reader, tenant_available(world.tenant)).available_micro_usd > 0


def test_a_machine_cannot_say_that_it_took_longer_than_it_had(world, make):
    run = Run(world, make)
    run.until(Phase.TRAIN)
    world.clock.advance(2.0)
    unit = run.units(kind=UnitKind.TRAIN)[0]
    _, result = work(unit.spec, world.blobs.read, 1.0)
    run.deliver(unit, lie=replace(result, seconds=1e6, steps=10**9, tokens=2**40))
    told = jobs.unit(world.reader, unit.id).result
    assert told.seconds == pytest.approx(2.0)
    assert told.steps == unit.spec.inner_steps


def test_an_evaluator_that_leaves_out_what_it_was_asked_is_not_paid(world, make):
    run = Run(world, make)
    run.until(Phase.EVALUATE)
    (asked,) = run.units(kind=UnitKind.EVALUATE, state=UnitState.ASSIGNED)
    assert asked.spec.candidates
    _, result = work(asked.spec, world.blobs.read, 1.0)
    run.deliver(asked, lie=replace(result, candidates=()))
    world.reconcile()
    assert jobs.unit(world.reader, asked.id).state is UnitState.REJECTED


def test_an_owner_does_not_judge_its_own_machines_while_somebody_else_can(world, make):
    cheat = world.principal("cheat")
    owners = {"kauri": cheat, "rimu": cheat, "totara": world.owner}
    run = Run(world, make, owners=owners, gates=replace(make.train().gates, evaluate_per_round=3))
    for number in range(3):
        run.until(Phase.EVALUATE, number)
        for _ in range(6):
            run.step()
            if run.training.round > number:
                break
    for unit in run.units(kind=UnitKind.EVALUATE):
        judge = owners[unit.machine_id.removeprefix("mac_")]
        machines = {jobs.unit(world.reader, one.unit_id).machine_id for one in unit.spec.candidates}
        assert judge not in {owners[name.removeprefix("mac_")] for name in machines}
