"""How a training run goes from phase to phase: one transaction each, conditional on where the run stands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gondwana.core.clock import Instant
from gondwana.core.errors import WrongState
from gondwana.core.values import replace
from gondwana.db.blob_references import hold_blobs, release_blobs
from gondwana.db.transaction import Transaction
from gondwana.jobs import cases, end, holders, money, store
from gondwana.jobs.model import Job, JobReason, JobState, Phase, Round, Training, Unit, UnitState
from gondwana.jobs.rules import batch
from gondwana.jobs.rules import islands as speeds
from gondwana.jobs.rules import rounds as rules
from gondwana.market.model import CloseReason
from gondwana.supply import rules as supply_rules
from gondwana.supply import store as supply
from gondwana.supply.model import MachineState
from gondwana.wire.jobs import Train
from gondwana.wire.units import ParamsRef, UnitKind

BYTES_PER_GRADIENT = 4  # what fp32 data parallel would send for each parameter and step


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What the gates say of one delivered unit."""

    unit: Unit
    accepted: bool
    verdict: str
    norm: float | None = None
    cosine: float | None = None
    needs_evaluation: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What the coordinator publishes: blobs."""

    outer: str
    params: ParamsRef
    state: str | None


def begin_rounds(
    tx: Transaction, now: Instant, before: Training, unit: Unit, train: Train, *, layout: str, parameters: int,
    published: Published,
) -> None:  # fmt: skip
    """The first parameters are there: pay for them and start the first round."""
    accept_unit(tx, now, unit)
    after = replace(
        before, phase=Phase.TRAIN, layout=layout, parameters=parameters, outer=published.outer,
        params=published.params, started_at=now, deadline=Instant(now + speeds.phase_seconds_max(train, Phase.TRAIN)),
    )  # fmt: skip
    hold_blobs(tx, [layout], holder=holders.of_job(before.job_id), at=now)
    _hold_published(tx, now, store.move_training(tx, now, before, after))


def close_training(
    tx: Transaction, now: Instant, before: Training, train: Train, judged: Sequence[Judged]
) -> None:
    """The inner steps are over: turn away what the numbers speak against; the rest goes before an evaluator.

    Raises WrongState when a delta came that nobody has judged: unjudged, it would be merged.
    """
    units = [
        unit
        for unit in store.units_of_round(tx, before.job_id, before.round)
        if unit.kind is UnitKind.TRAIN
    ]
    known = {one.unit.id for one in judged}
    if any(unit.state is UnitState.DELIVERED and unit.id not in known for unit in units):
        raise WrongState("another delta came meanwhile")
    for unit in units:
        if unit.state is UnitState.ASSIGNED:
            end.expire_unit(tx, now, unit, verdict=rules.TOO_LATE)
    for one in judged:
        marked = replace(one.unit, norm=one.norm, cosine=one.cosine)
        if one.accepted:
            store.save_unit(
                tx, replace(marked, verdict="needs_evaluation" if one.needs_evaluation else "")
            )
        else:
            reject_unit(tx, now, marked, one.verdict)
    deadline = Instant(now + speeds.phase_seconds_max(train, Phase.EVALUATE))
    store.move_training(tx, now, before, replace(before, phase=Phase.EVALUATE, deadline=deadline))


def finish_round(
    tx: Transaction, now: Instant, before: Training, train: Train, judged: Sequence[Judged],
    published: Published | None, *, tokens: int,
) -> None:  # fmt: skip
    """Pay what was merged, turn away the rest, publish, and go on to the next round or to the end."""
    for one in judged:
        if one.accepted:
            accept_unit(tx, now, one.unit)
        else:
            reject_unit(tx, now, one.unit, one.verdict)
    units = store.units_of_round(tx, before.job_id, before.round)
    current = store.training(tx, before.job_id) or before
    earlier = sum(done.bytes_down for done in store.rounds(tx, before.job_id))
    done = _round(before, current, units, now, tokens, bytes_down=current.bytes_down - earlier)
    last = before.round + 1 >= train.rounds
    after = replace(
        current,
        phase=Phase.FINISH if last else Phase.TRAIN,
        round=before.round + 1,
        started_at=now,
        deadline=Instant(
            now + speeds.phase_seconds_max(train, Phase.FINISH if last else Phase.TRAIN)
        ),
        tokens=current.tokens + tokens,
        bytes_data_parallel=current.bytes_data_parallel + done.bytes_data_parallel,
    )
    if published is not None:
        after = replace(
            after, outer=published.outer, params=published.params, state=published.state
        )
    release_blobs(tx, holder=holders.of_round(before.job_id))
    _hold_published(tx, now, store.move_training(tx, now, before, after))
    store.save_round(tx, now, done)


def finish_training(
    tx: Transaction, now: Instant, before: Training, job: Job, *, artifact: str
) -> None:
    """The model is put together: name it as the job's output and end the job."""
    hold_blobs(tx, [artifact], holder=job.id, at=now)
    current = store.training(tx, job.id) or before
    store.move_training(tx, now, before, replace(current, phase=Phase.DONE, artifact=artifact))
    how = batch.End(state=JobState.SUCCEEDED, reason=JobReason.DONE, exit_code=0)
    end.end_job(tx, now, store.job(tx, job.id), how)


def give_up(
    tx: Transaction, now: Instant, job: Job, reason: JobReason, detail: str, *, artifact: str | None
) -> None:
    """End a training job that cannot go on; the model it has so far stays as its output."""
    training = store.training(tx, job.id)
    if artifact is not None and training is not None:
        hold_blobs(tx, [artifact], holder=job.id, at=now)
        store.save_training(tx, replace(training, artifact=artifact))
    how = batch.End(state=JobState.FAILED, reason=reason, detail=detail, exit_code=1)
    end.end_job(tx, now, store.job(tx, job.id), how)


def accept_evaluation(
    tx: Transaction, now: Instant, unit: Unit, doubted: Mapping[str, str]
) -> None:
    """Pay the evaluator and remember what it measured; `doubted` maps the units it speaks against to the reason."""
    accept_unit(tx, now, unit)
    training = store.training(tx, unit.job_id)
    if training is not None and unit.result is not None:
        sample = unit.result.sample or training.sample
        store.save_training(
            tx, replace(training, heldout_loss=unit.result.heldout_loss, sample=sample)
        )
    for unit_id in doubted:
        accused = store.unit(tx, unit_id)
        if accused is not None and accused.state is UnitState.DELIVERED:
            store.save_unit(tx, replace(accused, doubted_by=unit.id))


def accept_unit(tx: Transaction, now: Instant, unit: Unit) -> None:
    """Pay for a unit, once; and learn from it how fast its island is."""
    current = store.unit(tx, unit.id)
    if current is None or current.state is not UnitState.DELIVERED:
        return
    money.accept_unit(tx, now, unit, store.job(tx, unit.job_id))
    store.move_unit(tx, now, replace(unit, verdict="accepted"), UnitState.ACCEPTED)
    if unit.kind is UnitKind.TRAIN:
        _learn_speed(tx, unit)
        _record_verdict(tx, now, unit, accepted=True)


def reject_unit(tx: Transaction, now: Instant, unit: Unit, verdict: str) -> None:
    """Turn a delivered unit away; a machine whose work is rejected again and again is suspended."""
    current = store.unit(tx, unit.id)
    if current is None or current.state is not UnitState.DELIVERED:
        return
    end.reject_unit(tx, now, unit, verdict=verdict)
    _record_verdict(tx, now, unit, accepted=False)


def _record_verdict(tx: Transaction, now: Instant, unit: Unit, *, accepted: bool) -> None:
    if unit.machine_id is None:
        return
    machine = supply.machine(tx, unit.machine_id)
    count = supply_rules.after_verdict(machine, accepted=accepted)
    machine = supply.save(tx, replace(machine, rejections_in_row=count))
    suspendable = MachineState.SUSPENDED in supply_rules.TRANSITIONS[machine.state]
    if count >= supply_rules.REJECTIONS_MAX and suspendable:
        end.lose_machine(tx, now, machine, MachineState.SUSPENDED, CloseReason.WORK_REJECTED)
        cases.slash_rejections(tx, now, machine, unit)


def _learn_speed(tx: Transaction, unit: Unit) -> None:
    island = store.island_of_lease(tx, unit.lease_id or "")
    if island is None or unit.result is None or unit.result.seconds <= 0:
        return
    rate = unit.result.steps / unit.result.seconds
    priced = island.priced_steps_per_second or rate
    store.save_island(tx, replace(island, steps_per_second=rate, priced_steps_per_second=priced))


def _round(
    before: Training,
    current: Training,
    units: Sequence[Unit],
    now: Instant,
    tokens: int,
    *,
    bytes_down: int,
) -> Round:
    training = [unit for unit in units if unit.kind is UnitKind.TRAIN]
    counts = {state: sum(unit.state is state for unit in training) for state in UnitState}
    steps = sum(unit.spec.inner_steps for unit in training if unit.state is UnitState.ACCEPTED)
    return Round(
        job_id=before.job_id,
        round=before.round,
        heldout_loss=current.heldout_loss,
        islands=len({unit.machine_id for unit in training}),
        accepted=counts[UnitState.ACCEPTED],
        rejected=counts[UnitState.REJECTED],
        expired=counts[UnitState.EXPIRED],
        tokens=tokens,
        seconds=now - before.started_at,
        bytes_up=sum(unit.output_bytes for unit in training),
        bytes_down=bytes_down,
        bytes_data_parallel=steps * before.parameters * BYTES_PER_GRADIENT,
    )


def _hold_published(tx: Transaction, now: Instant, training: Training) -> None:
    """Keep what the round starts from, until the next one is published."""
    assert training.params is not None
    names = [training.params.checkpoint, *training.params.changes, training.outer, training.state]
    held = [name for name in names if name is not None]
    hold_blobs(tx, held, holder=holders.of_round(training.job_id), at=now)
