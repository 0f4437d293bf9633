"""Batch jobs whose runs have all ended, or failed for good, come to their end."""

from gondwana.core.clock import Instant
from gondwana.db.transaction import Transaction
from gondwana.jobs import end, store
from gondwana.jobs.context import Context
from gondwana.jobs.rules import batch


def finish_jobs(context: Context, now: Instant) -> int:
    """Returns how many jobs ended."""
    reader, ended = context.database.reader(), 0
    for job in store.live_jobs(reader):
        if job.spec.train is None and batch.batch_end(job.spec, store.runs_of_job(reader, job.id)):
            context.database.writer.call(_finish, now, job.id)
            ended += 1
    return ended


def _finish(tx: Transaction, now: Instant, job_id: str) -> None:
    job = store.job(tx, job_id)
    how = None if job.ended else batch.batch_end(job.spec, store.runs_of_job(tx, job.id))
    if how is not None:
        end.end_job(tx, now, job, how)
