"""Close the leases whose notice is over, and end the jobs whose time is."""

from gondwana.core.clock import Instant
from gondwana.db.transaction import Transaction
from gondwana.jobs import end, rounds, store
from gondwana.jobs.context import Context
from gondwana.jobs.model import JobReason
from gondwana.loops import merge_round
from gondwana.loops.each import write_each
from gondwana.market import rules
from gondwana.market import store as market
from gondwana.market.model import CloseReason, Lease


def end_leases(context: Context, now: Instant) -> int:
    """Returns how many leases came to their end."""
    due = market.ending(context.database.reader(), now)
    calls = [(now, lease.id, _artifact(context, lease, now)) for lease in due]
    return write_each(context, _end, calls)


def _artifact(context: Context, lease: Lease, now: Instant) -> str | None:
    """Of a training whose time is over: the model that it has so far."""
    if rules.due_end(lease, now) is not CloseReason.LEASE_ENDED:
        return None
    training = store.training(context.database.reader(), lease.job_id)
    return merge_round.artifact(context, training) if training else None


def _end(tx: Transaction, now: Instant, lease_id: str, artifact: str | None) -> None:
    lease = market.lease(tx, lease_id)
    reason = rules.due_end(lease, now)
    if reason is CloseReason.LEASE_ENDED:
        job = store.job(tx, lease.job_id)
        rounds.give_up(tx, now, job, JobReason.LEASE_ENDED, end.TIME_OVER, artifact=artifact)
    elif reason is not None:
        end.close_lease(tx, now, lease, reason)
