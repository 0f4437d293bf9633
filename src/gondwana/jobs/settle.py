"""Settle one lease: what its proven seconds cost is posted, and it goes on, is warned about, or stops."""

from gondwana.core.clock import Instant
from gondwana.db.transaction import Transaction
from gondwana.jobs import end, money, store
from gondwana.jobs.model import JobReason, JobState
from gondwana.jobs.rules import batch
from gondwana.jobs.rules.batch import Runway
from gondwana.market import store as market
from gondwana.market.model import Charge, LeaseState


def settle(tx: Transaction, now: Instant, lease_id: str, gap_seconds: float) -> None:
    """Settle one lease, as often as anybody likes: the sum is always the same."""
    lease = market.lease(tx, lease_id)
    if lease.state in (LeaseState.RESERVED, LeaseState.CLOSED) or lease.charge is not Charge.SECOND:
        return
    job = store.job(tx, lease.job_id)
    paid = money.meter(tx, now, lease, job)
    stands = batch.runway(
        job.spec, proven_seconds=lease.seconds_proven, paid_seconds=paid, gap_seconds=gap_seconds
    )
    if stands is not Runway.DRY:
        market.notice(tx, now, lease, stands, paid_seconds=paid)
    elif not job.ended:
        how = batch.End(
            state=JobState.FAILED,
            reason=JobReason.FUNDS_GONE,
            detail="the budget or the account is used up",
            exit_code=1,
        )
        end.end_job(tx, now, job, how)
