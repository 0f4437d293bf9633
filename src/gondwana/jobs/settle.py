"""Settle leases: what their proven seconds cost is posted, and each goes on, is warned about, or stops."""

from collections.abc import Sequence

from gondwana.core.clock import Instant
from gondwana.core.ids import JobId
from gondwana.db.transaction import Transaction
from gondwana.jobs import end, money, store
from gondwana.jobs.model import Job, JobReason, JobState
from gondwana.jobs.rules import batch
from gondwana.jobs.rules.batch import Runway
from gondwana.market import store as market
from gondwana.market.model import Charge, LeaseState

_SERVE = (LeaseState.ACTIVE, LeaseState.RECLAIMING)


def settle(tx: Transaction, now: Instant, gap_seconds: float, lease_ids: Sequence[str]) -> int:
    """Settle leases, as often as anybody likes: the sum is always the same. Returns how many serve by the second."""
    leases = [
        lease
        for lease in market.leases(tx, lease_ids)
        if lease.state in _SERVE and lease.charge is Charge.SECOND
    ]
    jobs = store.jobs_by_id(tx, list({lease.job_id for lease in leases}))
    paid, over = money.meter(tx, now, leases, jobs), set[JobId]()
    for lease in leases:
        job = jobs[lease.job_id]
        if job.id in over:
            continue
        stands = batch.runway(
            job.spec,
            proven_seconds=lease.seconds_proven,
            paid_seconds=paid[lease.id],
            gap_seconds=gap_seconds,
        )
        if stands is not Runway.DRY:
            market.notice(tx, now, lease, stands, paid_seconds=paid[lease.id])
        elif not job.ended:
            _end(tx, now, job)
            over.add(job.id)
    return len(leases)


def _end(tx: Transaction, now: Instant, job: Job) -> None:
    how = batch.End(
        state=JobState.FAILED,
        reason=JobReason.FUNDS_GONE,
        detail="the budget or the account is used up",
        exit_code=1,
    )
    end.end_job(tx, now, job, how)
