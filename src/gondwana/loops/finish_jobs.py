"""Batch jobs whose runs have all ended, or failed for good, come to their end."""

from gondwana.core.clock import Instant
from gondwana.db.transaction import Reader, Transaction
from gondwana.jobs import end, store
from gondwana.jobs.context import Context
from gondwana.jobs.model import Job
from gondwana.jobs.rules import batch
from gondwana.loops.each import write_each


def finish_jobs(context: Context, now: Instant) -> int:
    """Returns how many jobs ended."""
    reader, heard = context.database.reader(), context.ended_runs.take(now)
    jobs = (
        store.jobs_with_ended_runs(reader)
        if heard is None
        else store.jobs_by_id(reader, heard).values()
    )
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
