"""Post what proven seconds cost; top escrows up, or stop the job before it costs more than is there."""

from gondwana.core.clock import Instant
from gondwana.db.transaction import Transaction
from gondwana.jobs import end, money, store
from gondwana.jobs.context import Context
from gondwana.jobs.model import JobReason, JobState
from gondwana.jobs.rules import batch
from gondwana.loops.each import write_each
from gondwana.market import store as market
from gondwana.market.model import LeaseState


def meter_leases(context: Context, now: Instant) -> int:
    """Returns how many leases were looked at."""
    leases = market.metered(context.database.reader())
    return write_each(context, _meter, [(now, lease.id) for lease in leases])


def _meter(tx: Transaction, now: Instant, lease_id: str) -> None:
    lease = market.lease(tx, lease_id)
    if lease.state is LeaseState.CLOSED:
        return
    job = store.job(tx, lease.job_id)
    if money.meter(tx, now, lease, job) or job.ended:
        return
    how = batch.End(
        state=JobState.FAILED,
        reason=JobReason.FUNDS_GONE,
        detail="the budget or the account is used up",
        exit_code=1,
    )
    end.end_job(tx, now, job, how)
