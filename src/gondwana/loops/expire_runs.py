"""Runs that their machines should have ended long ago are taken from them; the job goes on elsewhere."""

from typing import Final

from gondwana.core.clock import Instant
from gondwana.db.transaction import Transaction
from gondwana.jobs import end, store
from gondwana.jobs.context import Context
from gondwana.jobs.model import RunState
from gondwana.jobs.rules import batch
from gondwana.loops.each import write_each
from gondwana.market import store as market
from gondwana.market.model import CloseReason
from gondwana.supply.rules import may_judge_silence

MANIFEST_SECONDS_MAX: Final = 300.0  # an agent says within seconds that it has begun


def expire_runs(context: Context, now: Instant) -> int:
    """Returns how many runs were taken from their machines."""
    reader = context.database.reader()
    overdue = store.overdue_runs(reader, now)
    expired = write_each(context, _expire, [(now, run.id) for run in overdue])
    if not may_judge_silence(now, context.listening_since, context.down_after_seconds):
        return expired  # agents had no time yet to come and take what is theirs
    before = Instant(now - MANIFEST_SECONDS_MAX)
    untaken = store.untaken_runs(reader, before)
    return expired + write_each(context, _untaken, [(now, run.id, before) for run in untaken])


def _untaken(tx: Transaction, now: Instant, run_id: str, before: Instant) -> None:
    run = store.run(tx, run_id)
    lease = market.lease(tx, run.lease_id)
    served = (lease.proven_at or now) > (lease.active_at or now)
    if run.state is RunState.ASSIGNED and run.created_at <= before and not served:
        end.close_lease(tx, now, lease, CloseReason.MANIFEST_UNTAKEN)


def _expire(tx: Transaction, now: Instant, run_id: str) -> None:
    run = store.run(tx, run_id)
    if batch.is_overdue(store.job(tx, run.job_id).spec, run, now):
        end.close_lease(tx, now, market.lease(tx, run.lease_id), CloseReason.RUN_FAILED)
