"""What was expected of jobs when they were launched, and what became of them: loaded and saved."""

from dataclasses import dataclass
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.events import Event
from gondwana.core.ids import JobId
from gondwana.core.values import replace
from gondwana.db.many import insert_values
from gondwana.db.queries import load_queries
from gondwana.db.rows import from_row, from_rows, to_row
from gondwana.db.transaction import Reader, Transaction
from gondwana.jobs import money, store
from gondwana.jobs.listings import listings_of
from gondwana.jobs.model import Island, Job, JobState
from gondwana.jobs.rules.work import Measured, Past, link_of, measured_batch, measured_training
from gondwana.market import store as market
from gondwana.market.model import Lease
from gondwana.market.plans.accuracy import JOBS_MAX, Accuracy, Actual, Expected, accuracies
from gondwana.supply import store as supply

SQL: Final = load_queries("gondwana.jobs", "predictions.sql")
ENDED_MAX: Final = 200  # settled in one pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """One job's; what became of it is None until it has ended."""

    job_id: JobId
    work_key: str
    bucket: str
    basis: str
    machines: int
    seconds: float
    cost_micro_usd: int
    step_seconds: float | None = None
    utilisation: float | None = None
    settled_at: Instant | None = None
    succeeded: bool | None = None
    actual_machines: int | None = None
    actual_seconds: float | None = None
    actual_cost_micro_usd: int | None = None
    actual_step_seconds: float | None = None
    reference_steps: float | None = None
    parameters: int | None = None
    steps_per_reference_step: float | None = None
    overhead_seconds: float | None = None
    start_seconds: float | None = None

    @property
    def expected(self) -> Expected:
        """What was told at launch."""
        return Expected(
            bucket=self.bucket,
            basis=self.basis,
            machines=self.machines,
            seconds=self.seconds,
            cost_micro_usd=self.cost_micro_usd,
            step_seconds=self.step_seconds,
            utilisation=self.utilisation,
        )

    @property
    def actual(self) -> Actual | None:
        """What became of it; None before that is known, or where no machine ever served it."""
        if self.actual_seconds is None:
            return None
        return Actual(
            machines=self.actual_machines or 0,
            seconds=self.actual_seconds,
            cost_micro_usd=self.actual_cost_micro_usd or 0,
            step_seconds=self.actual_step_seconds,
            succeeded=bool(self.succeeded),
        )


def save(tx: Transaction, new: Prediction) -> None:
    """Store what is expected of a job that is just launched."""
    insert_values(tx, "job_prediction", [new])


def of_job(reader: Reader, job_id: JobId) -> Prediction | None:
    """What was expected of a job; None where nothing was."""
    row = reader.one(SQL.of_job, {"job_id": job_id})
    return None if row is None else from_row(Prediction, row)


def past(reader: Reader, work_key: str) -> Past | None:
    """What the same work took when it last went well; None where it never did."""
    row = reader.one(SQL.past, {"work_key": work_key})
    if row is None:
        return None
    found = from_row(Prediction, row)
    return Past(
        reference_steps=found.reference_steps,
        parameters=found.parameters,
        steps_per_reference_step=found.steps_per_reference_step,
        overhead_seconds=found.overhead_seconds,
        start_seconds=found.start_seconds,
    )


def to_settle(reader: Reader) -> list[JobId]:
    """Jobs that have ended, of which it is not yet written what became of them."""
    return [JobId(row["job_id"]) for row in reader.all(SQL.ended, {"limit": ENDED_MAX})]


def settle(tx: Transaction, now: Instant, job_id: JobId) -> bool:
    """Write what became of a job that has ended; whether there was something to write."""
    job, before = store.job(tx, job_id), of_job(tx, job_id)
    if before is None or before.settled_at is not None or job.ended_at is None:
        return False
    leases = [each for each in market.leases_of_job(tx, job_id) if each.active_at is not None]
    began = min((each.active_at for each in leases if each.active_at is not None), default=None)
    seconds = None if began is None else job.ended_at - began
    told = _measured(tx, job, leases, seconds)
    after = replace(
        before,
        settled_at=now,
        succeeded=job.state is JobState.SUCCEEDED,
        actual_machines=len({each.machine_id for each in leases}),
        actual_seconds=seconds,
        actual_cost_micro_usd=money.paid_micro_usd(tx, job),
        actual_step_seconds=told.step_seconds,
        reference_steps=told.past.reference_steps,
        parameters=told.past.parameters,
        steps_per_reference_step=told.past.steps_per_reference_step,
        overhead_seconds=told.past.overhead_seconds,
        start_seconds=told.past.start_seconds,
    )
    tx.execute(SQL.settle, to_row(after))
    data = {"seconds": after.actual_seconds, "seconds_predicted": after.seconds}
    tx.emit(Event(at=now, kind="job.compared", subject=job_id, job_id=job_id, data=data))
    return True


def _measured(reader: Reader, job: Job, leases: list[Lease], seconds: float | None) -> Measured:
    train = job.spec.train
    if train is None:
        machines = [supply.machine(reader, each.machine_id) for each in leases]
        speeds = [(each.speed.steps_per_second or 0.0) if each.speed else 0.0 for each in machines]
        return measured_batch(store.runs_of_job(reader, job.id), speeds)
    training = store.training(reader, job.id)
    islands = from_rows(Island, reader.all(SQL.islands, {"job_id": job.id}))
    listed = listings_of(reader, [each.machine_id for each in islands])
    return measured_training(
        train,
        store.rounds(reader, job.id),
        store.units_of_job(reader, job.id),
        islands,
        links={str(each.machine_id): link_of(each) for each in listed},
        parameters=training.parameters if training else 0,
        seconds=seconds,
    )


def accuracy(reader: Reader) -> tuple[Accuracy, ...]:
    """How far off the newest plans were, per bucket and basis."""
    rows = reader.all(SQL.settled, {"limit": JOBS_MAX})
    found = from_rows(Prediction, rows)
    return accuracies((each.expected, each.actual) for each in found if each.actual is not None)
