"""Batch jobs whose runs have all ended, or failed for good, come to their end."""

from collections.abc import Iterable
from typing import Final

from gondwana.core.clock import Instant
from gondwana.db.transaction import Reader, Transaction
from gondwana.jobs import end, store
from gondwana.jobs.context import Context
from gondwana.jobs.model import Job
from gondwana.jobs.rules import batch
from gondwana.loops.each import write_each

LOOK_SECONDS: Final = 10.0  # between two looks at all that live


def finish_jobs(context: Context, now: Instant) -> int:
    """Of the jobs of which a run just ended; returns how many ended."""
    heard = context.ended_runs.take(now)
    if heard is None:
        return finish_stuck(context, now)
    return _finish_all(context, now, store.jobs_by_id(context.database.reader(), heard).values())


def finish_stuck(context: Context, now: Instant) -> int:
    """Of all jobs: some end because a while is over, or were not ended for an error; returns how many ended."""
    return _finish_all(context, now, store.jobs_with_ended_runs(context.database.reader()))


def _finish_all(context: Context, now: Instant, jobs: Iterable[Job]) -> int:
    reader = context.database.reader()
    over = [
        job.id
        for job in jobs
        if job.spec.train is None and not job.ended and _how(reader, now, job)
    ]
    return write_each(context, _finish, [(now, job_id) for job_id in over])


def _finish(tx: Transaction, now: Instant, job_id: str) -> None:
    job = store.job(tx, job_id)
    how = None if job.ended else _how(tx, now, job)
    if how is not None:
        end.end_job(tx, now, job, how)


def _how(reader: Reader, now: Instant, job: Job) -> batch.End | None:
    runs = store.runs_of_job(reader, job.id)
    return batch.batch_end(job.spec, runs) or batch.stuck_end(job.spec, runs, now)
