"""Take every training run as far as it can go now: units out, deltas in, gates, merge, publish (architecture, 10).

Heavy work (decoding, merging) is done outside transactions; what it leads to is applied only if the run still stands
where it was read.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from gondwana.core.clock import Instant
from gondwana.core.errors import ExposureTooHigh, FundsTooLow, GondwanaError, WrongState
from gondwana.jobs import rounds, store, units
from gondwana.jobs.context import Context
from gondwana.jobs.model import Island, Job, JobReason, Phase, Training, Unit, UnitState
from gondwana.jobs.rules import islands as speeds
from gondwana.jobs.rules import rounds as rules
from gondwana.loops import evaluate_round, merge_round
from gondwana.supply import store as supply
from gondwana.wire.jobs import Train
from gondwana.wire.units import UnitKind

_log = logging.getLogger(__name__)


def advance_training(context: Context, now: Instant) -> int:
    """Returns how many training runs made a step."""
    reader, steps = context.database.reader(), 0
    known = context.trainings.take(now)
    jobs = (
        store.jobs_in_training(reader)
        if known is None
        else [job for job in store.jobs_by_id(reader, known).values() if not job.ended]
    )
    context.trainings.keep(job.id for job in jobs)
    for job in jobs:
        training = store.training(reader, job.id)
        if training is not None:
            steps += _advance_alone(context, job, training, now)
    return steps


def _advance_alone(context: Context, job: Job, training: Training, now: Instant) -> bool:
    try:
        return _advance(context, job, training, now)
    except GondwanaError as error:  # e.g. no room on the disk: the next pass tries again
        _log.warning("job %s waits: %s", job.id, error)
        return False
    except Exception:  # one broken run must not stop the others
        _log.exception("job %s is stuck", job.id)
        return False


def _advance(context: Context, job: Job, training: Training, now: Instant) -> bool:
    """One step of one run; whether there was one."""
    train = job.spec.train
    assert train is not None
    if training.failures_in_row >= rules.FAILURES_MAX:
        _give_up(context, job, training, JobReason.RECIPE_FAILED, _last_failure(context, job), now)
        return True
    try:
        return _PHASES[training.phase](context, job, training, train, now)
    except WrongState as error:
        _log.info("job %s: %s", job.id, error)
    except FundsTooLow as error:
        _give_up(context, job, training, JobReason.FUNDS_GONE, error.message, now)
    return False


def _init(context: Context, job: Job, training: Training, train: Train, now: Instant) -> bool:
    reader = context.database.reader()
    tried = [unit for unit in store.units_of_round(reader, job.id, 0) if unit.kind is UnitKind.INIT]
    delivered = [unit for unit in tried if unit.state is UnitState.DELIVERED]
    if delivered:
        return merge_round.begin(context, training, train, delivered[0], now)
    everybody = store.able_islands(reader, job, UnitKind.INIT, now)
    if any(unit.state is UnitState.ASSIGNED for unit in tried) or not everybody:
        return False
    failed = {unit.lease_id for unit in tried}
    untried = [one for one in everybody if one.lease_id not in failed] or everybody
    return _give_strongest(
        untried, lambda island: _given(context, units.assign_init, now, job, island)
    )


def _train(context: Context, job: Job, training: Training, train: Train, now: Instant) -> bool:
    reader, writer = context.database.reader(), context.database.writer
    current = store.units_of_round(reader, job.id, training.round)
    everybody = store.able_islands(reader, job, UnitKind.TRAIN, now)
    if rules.is_warm(train, training.round):
        everybody = _untainted(context, everybody)
    while lacking := rules.lacking(train, training, current, everybody, now):
        shard_bytes = context.blobs.size(train.shards[0]) or 0
        output_bytes = merge_round.upload_bytes(
            context, training, units.codec(train, training.round)
        )
        given = [
            _given(
                context, units.assign_train, now, job, training, island, shard_bytes=shard_bytes,
                output_bytes=output_bytes,
            )
            for island in lacking
        ]  # fmt: skip
        if any(given):
            return True
        everybody = [one for one in everybody if one not in lacking]
    if not rules.train_over(current, now, training.deadline):
        return False
    judged = merge_round.judge(context, training, train, _delivered(current))
    writer.call(rounds.close_training, now, training, train, judged)
    return True


def _untainted(context: Context, everybody: list[Island]) -> list[Island]:
    """The islands whose last work was not rejected, if there are any: a lone liar would waste the whole warm start."""
    reader = context.database.reader()
    clean = [
        one for one in everybody if supply.machine(reader, one.machine_id).rejections_in_row == 0
    ]
    return clean or everybody


def _evaluate(context: Context, job: Job, training: Training, train: Train, now: Instant) -> bool:
    reader, writer = context.database.reader(), context.database.writer
    current = store.units_of_round(reader, job.id, training.round)
    if evaluate_round.accept_delivered(context, current, now):
        return True
    if any(unit.kind is UnitKind.EVALUATE and unit.state is UnitState.ASSIGNED for unit in current):
        return False
    everybody = store.able_islands(reader, job, UnitKind.EVALUATE, now)
    machines = {one.machine_id for one in (*everybody, *current) if one.machine_id is not None}
    owners = {str(name): str(supply.machine(reader, name).owner_id) for name in machines}
    refused = False
    while asked := evaluate_round.next_question(training, train, current, everybody, owners):
        if _given(context, units.assign_evaluation, now, job, training, *asked):
            return True
        refused, everybody = True, [one for one in everybody if one != asked[0]]
    nobody = refused or not everybody
    if nobody and training.deadline is not None and now < training.deadline:
        return False  # nobody is left to ask; somebody may come
    judged = evaluate_round.verdicts(_delivered(current), evaluate_round.opinions(current))
    published, tokens = merge_round.merge(
        context, training, train, [one.unit for one in judged if one.accepted]
    )
    writer.call(rounds.finish_round, now, training, train, judged, published, tokens=tokens)
    return True


def _finish(context: Context, job: Job, training: Training, train: Train, now: Instant) -> bool:
    """Measure the finished model once more, let it write a sample, and name it as the job's output."""
    reader, writer = context.database.reader(), context.database.writer
    current = store.units_of_round(reader, job.id, training.round)
    if evaluate_round.accept_delivered(context, current, now):
        return True
    last = [unit for unit in current if unit.kind is UnitKind.EVALUATE]
    measured = any(unit.state is UnitState.ACCEPTED for unit in last)
    if any(unit.state is UnitState.ASSIGNED for unit in last):
        return False
    everybody = store.able_islands(reader, job, UnitKind.EVALUATE, now)
    if not measured and len(last) < rules.ATTEMPTS_MAX and everybody:
        tried = {unit.lease_id for unit in last}
        untried = [one for one in everybody if one.lease_id not in tried] or everybody
        if _give_strongest(
            untried,
            lambda island: _given(
                context, units.assign_evaluation, now, job, training, island, (), sample_chars=train.sample_chars
            ),
        ):  # fmt: skip
            return True
        everybody = []
    if not measured and not everybody and training.deadline is not None and now < training.deadline:
        return False
    artifact = merge_round.artifact(context, training)
    assert artifact is not None, "there are parameters after the first round"
    writer.call(rounds.finish_training, now, training, job, artifact=artifact)
    return True


def _give_strongest(islands: Sequence[Island], give: Callable[[Island], bool]) -> bool:
    """Whether one of the islands was given a unit, the strongest first."""
    ordered = sorted(
        islands, key=lambda one: (speeds.speed(one, islands), one.lease_id), reverse=True
    )
    return any(give(island) for island in ordered)


def _given(context: Context, assign: Callable[..., Any], *wanted: Any, **more: Any) -> bool:
    """Whether the unit was given; for now not to an island whose owner holds all the unverified work he may."""
    try:
        context.database.writer.call(assign, context.random, *wanted, **more)
    except ExposureTooHigh as error:
        _log.debug("%s: %s", wanted, error)
        return False
    return True


def _done(context: Context, job: Job, training: Training, train: Train, now: Instant) -> bool:
    return False


_PHASES: dict[Phase, Callable[[Context, Job, Training, Train, Instant], bool]] = {
    Phase.INIT: _init,
    Phase.TRAIN: _train,
    Phase.EVALUATE: _evaluate,
    Phase.FINISH: _finish,
    Phase.DONE: _done,
}


def _delivered(current: list[Unit]) -> list[Unit]:
    return [
        unit
        for unit in current
        if unit.kind is UnitKind.TRAIN and unit.state is UnitState.DELIVERED
    ]


def _give_up(
    context: Context, job: Job, training: Training, reason: JobReason, detail: str, now: Instant
) -> None:
    artifact = merge_round.artifact(context, training)
    context.database.writer.call(rounds.give_up, now, job, reason, detail, artifact=artifact)


def _last_failure(context: Context, job: Job) -> str:
    failed = [
        unit
        for unit in store.units_of_job(context.database.reader(), job.id)
        if unit.state is UnitState.REJECTED or unit.verdict.startswith(rules.DIED)
    ]
    return failed[-1].verdict if failed else "the recipe failed"
