"""Close the leases whose notice is over, and end the jobs whose time is."""

from gondwana.core.clock import Instant
from gondwana.core.ids import JobId
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
    """Returns how many leases, and jobs that had just lost theirs, came to their end."""
    reader = context.database.reader()
    calls = [
        (now, lease.id, _artifact(context, lease, now)) for lease in market.ending(reader, now)
    ]
    done = write_each(context, _end, calls)
    over = [
        (now, order.job_id, _model(context, order.job_id))
        for order in market.timed_out_orders(reader, now)
    ]
    return done + write_each(context, _end_job, over)


def _artifact(context: Context, lease: Lease, now: Instant) -> str | None:
    """Of a training whose time is over: the model that it has so far."""
    if rules.due_end(lease, now) is not CloseReason.LEASE_ENDED:
        return None
    return _model(context, lease.job_id)


def _model(context: Context, job_id: JobId) -> str | None:
    training = store.training(context.database.reader(), job_id)
    return merge_round.artifact(context, training) if training else None


def _end(tx: Transaction, now: Instant, lease_id: str, artifact: str | None) -> None:
    lease = market.lease(tx, lease_id)
    reason = rules.due_end(lease, now)
    if reason is CloseReason.LEASE_ENDED:
        _end_job(tx, now, lease.job_id, artifact)
    elif reason is not None:
        end.close_lease(tx, now, lease, reason)


def _end_job(tx: Transaction, now: Instant, job_id: JobId, artifact: str | None) -> None:
    job = store.job(tx, job_id)
    rounds.give_up(tx, now, job, JobReason.LEASE_ENDED, end.TIME_OVER, artifact=artifact)
