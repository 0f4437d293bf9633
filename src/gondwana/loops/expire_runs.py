"""Runs that their machines should have ended long ago are taken from them; the job goes on elsewhere."""

from gondwana.core.clock import Instant
from gondwana.db.transaction import Transaction
from gondwana.jobs import end, store
from gondwana.jobs.context import Context
from gondwana.jobs.rules import batch
from gondwana.loops.each import write_each
from gondwana.market import store as market
from gondwana.market.model import CloseReason


def expire_runs(context: Context, now: Instant) -> int:
    """Returns how many runs were taken from their machines."""
    reader = context.database.reader()
    overdue = [
        run.id
        for job in store.live_jobs(reader)
        if job.spec.train is None
        for run in store.runs_of_job(reader, job.id)
        if batch.is_overdue(job.spec, run, now)
    ]
    return write_each(context, _expire, [(now, run_id) for run_id in overdue])


def _expire(tx: Transaction, now: Instant, run_id: str) -> None:
    run = store.run(tx, run_id)
    if batch.is_overdue(store.job(tx, run.job_id).spec, run, now):
        end.close_lease(tx, now, market.lease(tx, run.lease_id), CloseReason.RUN_FAILED)
