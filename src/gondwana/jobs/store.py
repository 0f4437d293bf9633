"""Jobs, runs, logs, training and units, loaded and saved; every change of state writes its event."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from gondwana.core.clock import Instant
from gondwana.core.errors import NoSuchThing, WrongState
from gondwana.core.events import Event
from gondwana.core.ids import JobId, PrincipalId
from gondwana.core.values import replace
from gondwana.db.conditional import change_all, expect_state
from gondwana.db.many import insert_values, of_keys, read_keys
from gondwana.db.queries import load_queries
from gondwana.db.rows import from_row, from_rows, to_row
from gondwana.db.together import Asked
from gondwana.db.transaction import Reader, Row, Transaction
from gondwana.jobs.model import (
    PHASE_TRANSITIONS,
    RUN_TRANSITIONS,
    UNIT_TRANSITIONS,
    Island,
    Job,
    JobState,
    Phase,
    Round,
    Run,
    RunState,
    Training,
    Unit,
    UnitState,
)
from gondwana.jobs.rules import batch
from gondwana.jobs.rules import islands as speeds
from gondwana.wire.units import UnitKind

SQL: Final = load_queries("gondwana.jobs")
JOBS_MAX: Final = 10_000  # live jobs looked at in one pass
LOG_BYTES_MAX: Final = 16 * 1024 * 1024  # kept of one run
LOG_PIECES_MAX: Final = 64  # read at once


def job(reader: Reader, id: str) -> Job:
    """One job; raises NoSuchThing."""
    row = reader.one(SQL.job_by_id, {"id": id})
    if row is None:
        raise NoSuchThing(job=id, hint="gondwana jobs list")
    return from_row(Job, row)


def jobs_by_id(reader: Reader, ids: Sequence[str]) -> dict[JobId, Job]:
    """These jobs; those that do not exist are left out."""
    return jobs_by_id_asked(ids).of(reader)


def jobs_by_id_asked(ids: Sequence[str]) -> Asked[dict[JobId, Job]]:
    """The same, not asked yet."""
    return of_keys(Job, SQL.jobs_by_id, ids).then(lambda jobs: {each.id: each for each in jobs})


def job_of(reader: Reader, tenant_id: PrincipalId, name_or_id: str) -> Job:
    """A tenant's job by id, or its newest of that name; raises NoSuchThing."""
    row = reader.one(SQL.job_by_id, {"id": name_or_id})
    row = row or reader.one(SQL.job_by_name, {"tenant_id": tenant_id, "name": name_or_id})
    if row is None or row["tenant_id"] != tenant_id:
        raise NoSuchThing(job=name_or_id, hint="gondwana jobs list")
    return from_row(Job, row)


def jobs(
    reader: Reader, tenant_id: PrincipalId | None, *, before: str | None = None, limit: int
) -> list[Job]:
    """Jobs of one tenant or of all, newest first."""
    given = {"before": before, "limit": limit}
    rows = (
        reader.all(SQL.jobs, given)
        if tenant_id is None
        else reader.all(SQL.jobs_of_tenant, {**given, "tenant_id": tenant_id})
    )
    return from_rows(Job, rows)


def live_jobs(reader: Reader) -> list[Job]:
    """Jobs that have not ended, oldest first."""
    return from_rows(Job, reader.all(SQL.live_jobs, {"limit": JOBS_MAX}))


def jobs_with_ended_runs(reader: Reader) -> list[Job]:
    """Jobs that have not ended, though a run of theirs has, oldest first."""
    return from_rows(Job, reader.all(SQL.jobs_with_ended_runs, {"limit": JOBS_MAX}))


def jobs_in_training(reader: Reader) -> list[Job]:
    """Jobs that have not ended and whose training has begun, oldest first."""
    return from_rows(Job, reader.all(SQL.jobs_in_training, {"limit": JOBS_MAX}))


def count_live_jobs(reader: Reader, tenant_id: PrincipalId) -> int:
    """How many of a tenant's jobs have not ended."""
    row = reader.one(SQL.count_live_jobs, {"tenant_id": tenant_id})
    return int(row["jobs"]) if row else 0


def add_job(tx: Transaction, new: Job) -> None:
    """Store a submitted job."""
    tx.execute(SQL.save_job, to_row(new))
    tx.emit(
        Event(
            at=new.created_at,
            kind="job.submitted",
            subject=new.id,
            job_id=new.id,
            data={"name": new.name},
        )
    )


def move_job(tx: Transaction, now: Instant, target: Job, to: JobState) -> Job:
    """The job in its new state; staying is no change. Raises WrongState."""
    move_jobs(tx, now, [target], to)
    return replace(target, state=to)


def move_jobs(tx: Transaction, now: Instant, targets: Sequence[Job], to: JobState) -> None:
    """Move all of the jobs; staying is no change. Raises WrongState where one cannot, by the call's end."""
    moving = [each for each in targets if each.state is not to]
    for each in moving:
        batch.move(each, to)  # or it raises
    for state in {each.state for each in moving}:
        ids = [each.id for each in moving if each.state is state]
        change_all(tx, SQL.move_jobs, ids, state, to.value, state.value)
    kind = f"job.{to}"
    tx.emit_many([Event(at=now, kind=kind, subject=each.id, job_id=each.id) for each in moving])


def save_job(tx: Transaction, changed: Job) -> Job:
    """Store facts about a job that are no change of state."""
    tx.execute(SQL.save_job, to_row(changed))
    return changed


def end_job(tx: Transaction, now: Instant, target: Job, end: batch.End) -> Job:
    """The job, ended with its reason."""
    ended = replace(
        target,
        state=batch.move(target, end.state),
        reason=end.reason,
        detail=end.detail,
        exit_code=end.exit_code,
        ended_at=now,
    )
    expect_state(tx, SQL.job_by_id, target.id, target.state)
    tx.execute(SQL.save_job, to_row(ended))
    data = {"reason": end.reason, "detail": end.detail}
    tx.emit(Event(at=now, kind=f"job.{end.state}", subject=target.id, job_id=target.id, data=data))
    return ended


def run(reader: Reader, id: str) -> Run:
    """One run; raises NoSuchThing."""
    row = reader.one(SQL.run_by_id, {"id": id})
    if row is None:
        raise NoSuchThing(run=id)
    return from_row(Run, row)


def runs_of_job(reader: Reader, job_id: JobId) -> list[Run]:
    """All attempts of all nodes, oldest first."""
    return from_rows(Run, reader.all(SQL.runs_of_job, {"job_id": job_id}))


def runs_of_lease(reader: Reader, lease_id: str) -> list[Run]:
    """What a lease ran."""
    return from_rows(Run, reader.all(SQL.runs_of_lease, {"lease_id": lease_id}))


def overdue_runs(reader: Reader, now: Instant) -> list[Run]:
    """Runs that are longer at work than their jobs' limits allow, and a while more."""
    given = {"before": now - batch.OVERTIME_SECONDS_MAX, "limit": JOBS_MAX}
    found = from_rows(Run, reader.all(SQL.overdue_runs, given))
    jobs = jobs_by_id(reader, list({run.job_id for run in found}))
    return [run for run in found if batch.is_overdue(jobs[run.job_id].spec, run, now)]


def untaken_runs(reader: Reader, before: Instant) -> list[Run]:
    """Runs that were assigned until then, and that their machines have not begun."""
    rows = reader.all(SQL.untaken_runs, {"before": before, "limit": JOBS_MAX})
    return from_rows(Run, rows)


def save_run(tx: Transaction, now: Instant, changed: Run, *, machine_id: str) -> Run:
    """Store a run in its new state, with its event; raises WrongState where the table has no such arrow."""
    known = tx.one(SQL.run_by_id, {"id": changed.id})
    if known is not None and changed.state not in RUN_TRANSITIONS[RunState(known["state"])]:
        raise WrongState(f"the run is {known['state']}, it cannot become {changed.state}")
    tx.execute(SQL.save_run, to_row(changed))
    tx.emit(_run_event(now, changed, machine_id))
    return changed


def add_runs(
    tx: Transaction, now: Instant, new: Sequence[Run], machines: Mapping[str, str]
) -> None:
    """Store new runs, with their events; `machines`: lease -> machine."""
    insert_values(tx, "run", new)
    tx.emit_many([_run_event(now, each, machines[each.lease_id]) for each in new])


def leases_with_runs(reader: Reader, job_ids: Sequence[JobId]) -> set[str]:
    """The leases of these jobs that have run something."""
    return {row["lease_id"] for row in read_keys(reader, SQL.leases_with_runs, job_ids)}


def _run_event(now: Instant, run: Run, machine_id: str) -> Event:
    data = {"rank": run.rank, "machine_id": machine_id, "exit_code": run.exit_code, "reason": run.reason}  # fmt: skip
    return Event(at=now, kind=f"run.{run.state}", subject=run.id, job_id=run.job_id, data=data)


def save_checkpoint(tx: Transaction, now: Instant, run: Run, checkpoint: str) -> Run:
    """The run, with what the next attempt of its node goes on from."""
    tx.execute(SQL.save_checkpoint, {"id": run.id, "checkpoint": checkpoint})
    data = {"rank": run.rank, "checkpoint": checkpoint}
    tx.emit(Event(at=now, kind="run.checkpoint", subject=run.id, job_id=run.job_id, data=data))
    return replace(run, checkpoint=checkpoint)


def end_run(
    tx: Transaction, now: Instant, target: Run, to: RunState, *, machine_id: str, reason: str = ""
) -> None:
    """End a run that its machine no longer serves; one that ended already stays as it is."""
    if batch.may_move_run(target, to):
        save_run(
            tx, now, replace(target, state=to, ended_at=now, reason=reason), machine_id=machine_id
        )


def add_log(tx: Transaction, run_id: str, offset: int, data: bytes) -> int:
    """Append what is new of a piece of log; returns the bytes stored by now. A gap waits for its repeat."""
    end = log_bytes(tx, run_id)
    fresh = data[max(0, end - offset) :] if offset <= end else b""
    fresh = fresh[: max(0, LOG_BYTES_MAX - end)]
    if fresh:
        tx.execute(SQL.add_log, {"run_id": run_id, "start": end, "data": fresh})
    return end + len(fresh)


def log_bytes(reader: Reader, run_id: str) -> int:
    """How long a run's output is."""
    row = reader.one(SQL.log_end, {"run_id": run_id})
    return int(row["bytes"]) if row else 0


def read_log(reader: Reader, run_id: str, offset: int) -> bytes:
    """A run's output from byte `offset` on, at most some pieces of it."""
    rows = reader.all(SQL.read_log, {"run_id": run_id, "offset": offset, "limit": LOG_PIECES_MAX})
    return b"".join(bytes(row["data"])[max(0, offset - row["start"]) :] for row in rows)


def training(reader: Reader, job_id: JobId) -> Training | None:
    """How far a job's training has come, or None before it began."""
    row = reader.one(SQL.training_of_job, {"job_id": job_id})
    return from_row(Training, row) if row else None


def save_training(tx: Transaction, changed: Training) -> Training:
    """Store facts about a training run."""
    tx.execute(SQL.save_training, to_row(changed))
    return changed


def move_training(tx: Transaction, now: Instant, before: Training, after: Training) -> Training:
    """Store the training run in its next phase, if it still stands where `before` says and its job goes on.

    Raises WrongState.
    """
    current = training(tx, before.job_id)
    if current is None or (current.phase, current.round) != (before.phase, before.round):
        raise WrongState("the training run has moved on")
    if job(tx, before.job_id).ended:
        raise WrongState("the job ended meanwhile")
    if after.phase is not before.phase and after.phase not in PHASE_TRANSITIONS[before.phase]:
        raise WrongState(f"training cannot go from {before.phase} to {after.phase}")
    saved = save_training(tx, replace(after, bytes_down=current.bytes_down))
    data = {"phase": after.phase, "round": after.round, "heldout_loss": after.heldout_loss}
    tx.emit(
        Event(at=now, kind="training.phase", subject=after.job_id, job_id=after.job_id, data=data)
    )
    return saved


def rounds(reader: Reader, job_id: JobId) -> list[Round]:
    """What became of each round."""
    return from_rows(Round, reader.all(SQL.rounds_of_job, {"job_id": job_id}))


def save_round(tx: Transaction, now: Instant, done: Round) -> None:
    """Store what became of a round."""
    tx.execute(SQL.save_round, to_row(done))
    data = {key: value for key, value in to_row(done).items() if key != "job_id"}
    tx.emit(
        Event(at=now, kind="training.round", subject=done.job_id, job_id=done.job_id, data=data)
    )


def islands(reader: Reader, job_id: JobId) -> list[Island]:
    """A job's islands whose leases are live; those whose owners want them back get nothing new."""
    return from_rows(Island, reader.all(SQL.islands_of_job, {"job_id": job_id}))


def able_islands(reader: Reader, job: Job, kind: UnitKind, now: Instant) -> list[Island]:
    """The islands that may be given such a unit now: those whose leases last until it is done."""
    assert job.spec.train is not None, "only training jobs have islands"
    leaves = {
        row["lease_id"]: Instant(min(row[name] for name in ("reclaim_at", "ends_at") if row[name] is not None))
        for row in reader.all(SQL.leaving_islands, {"job_id": job.id})
    }  # fmt: skip
    return [
        each
        for each in islands(reader, job.id)
        if speeds.can_finish(job.spec.train, each, kind, now, leaves.get(each.lease_id))
    ]


def island_of_lease(reader: Reader, lease_id: str) -> Island | None:
    """The island that a lease is, if it is one."""
    row = reader.one(SQL.island_of_lease, {"lease_id": lease_id})
    return from_row(Island, row) if row else None


def save_island(tx: Transaction, changed: Island) -> None:
    """Store an island."""
    tx.execute(SQL.save_island, to_row(changed))


def unit(reader: Reader, id: str) -> Unit | None:
    """One unit, if it exists."""
    row = reader.one(SQL.unit_by_id, {"id": id})
    return from_row(Unit, row) if row else None


def units_of_round(reader: Reader, job_id: JobId, round: int) -> list[Unit]:
    """All units of one round."""
    return _units(reader.all(SQL.units_of_round, {"job_id": job_id, "round": round}))


def units_delivered(reader: Reader, job_id: JobId) -> list[Unit]:
    """Units of a job that wait for a verdict."""
    return _units(reader.all(SQL.units_delivered_of_job, {"job_id": job_id}))


def units_of_job(reader: Reader, job_id: JobId) -> list[Unit]:
    """All units of a job."""
    return _units(reader.all(SQL.units_of_job, {"job_id": job_id}))


def units_assigned_to(reader: Reader, lease_id: str) -> list[Unit]:
    """What a lease's machine should be working on."""
    return _units(reader.all(SQL.units_assigned_to_lease, {"lease_id": lease_id}))


def overdue_units(reader: Reader, now: Instant) -> list[Unit]:
    """Units that should have been delivered by now."""
    return _units(reader.all(SQL.overdue_units, {"now": now, "limit": JOBS_MAX}))


def add_unit(tx: Transaction, now: Instant, new: Unit) -> Unit:
    """Store a new unit with its event."""
    tx.execute(SQL.save_unit, to_row(new))
    _emit_unit(tx, now, new)
    return new


def move_unit(tx: Transaction, now: Instant, changed: Unit, to: UnitState) -> Unit:
    """Store `changed` in the state `to`, with its event; raises WrongState where the table has no such arrow."""
    if to not in UNIT_TRANSITIONS[changed.state]:
        raise WrongState(f"the unit is {changed.state}, it cannot become {to}")
    expect_state(tx, SQL.unit_by_id, changed.id, changed.state)
    moved = replace(changed, state=to)
    tx.execute(SQL.save_unit, to_row(moved))
    _emit_unit(tx, now, moved)
    return moved


def save_unit(tx: Transaction, changed: Unit) -> Unit:
    """Store facts about a unit that are no change of state."""
    tx.execute(SQL.save_unit, to_row(changed))
    return changed


def unit_counts(
    reader: Reader, *, job_id: JobId | None = None, machine_id: str | None = None
) -> list[Row]:
    """How many units came to which end, of a job (by lease and kind) or of a machine (training units alone)."""
    if job_id is not None:
        return reader.all(SQL.unit_counts_of_job, {"job_id": job_id})
    return reader.all(SQL.unit_counts_of_machine, {"machine_id": machine_id})


def earned_by_units(reader: Reader, machine_id: str) -> int:
    """What a machine's owner earned by accepted units, in micro-USD; evaluations are paid whole."""
    row = reader.one(SQL.earned_by_units, {"machine_id": machine_id})
    return int(row["micro_usd"]) if row else 0


def earned_by_seconds(reader: Reader, machine_id: str) -> int:
    """What a machine's owner earned by proven seconds, in micro-USD."""
    row = reader.one(SQL.earned_by_seconds, {"machine_id": machine_id})
    return int(row["micro_usd"]) if row else 0


def count_bytes_down(tx: Transaction, job_id: str, count: int) -> None:
    """More bytes went to a training run's islands."""
    tx.execute(SQL.count_bytes_down, {"job_id": job_id, "bytes": count})


def begin_training(tx: Transaction, now: Instant, target: Job) -> Training:
    """The training run of a job that just got its machines."""
    tx.emit(Event(at=now, kind="training.begun", subject=target.id, job_id=target.id))
    return save_training(tx, Training(job_id=target.id, phase=Phase.INIT, started_at=now))


def _units(rows: Sequence[Row]) -> list[Unit]:
    return from_rows(Unit, rows)


def _emit_unit(tx: Transaction, now: Instant, subject: Unit) -> None:
    data: dict[str, Any] = {
        "kind": subject.kind,
        "round": subject.round,
        "machine_id": subject.machine_id,
        "price_micro_usd": subject.price_micro_usd,
    }
    if subject.verdict:
        data["verdict"] = subject.verdict
    tx.emit(
        Event(
            at=now,
            kind=f"unit.{subject.state}",
            subject=subject.id,
            job_id=subject.job_id,
            data=data,
        )
    )
