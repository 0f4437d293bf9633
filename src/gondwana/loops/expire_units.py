"""Units that were not delivered in time expire; their round gives the work to others."""

from gondwana.core.clock import Instant
from gondwana.db.transaction import Transaction
from gondwana.jobs import end, store
from gondwana.jobs.context import Context
from gondwana.jobs.model import UnitState
from gondwana.jobs.rules.rounds import TOO_LATE
from gondwana.loops.each import write_each
from gondwana.supply.rules import may_judge_silence


def expire_units(context: Context, now: Instant) -> int:
    """Returns how many units expired."""
    if not may_judge_silence(now, context.listening_since, context.down_after_seconds):
        return 0  # what was finished while the control plane was away is about to be reported
    due = store.overdue_units(context.database.reader(), now)
    return write_each(context, _expire, [(now, unit.id) for unit in due])


def _expire(tx: Transaction, now: Instant, unit_id: str) -> None:
    unit = store.unit(tx, unit_id)
    if (
        unit is not None
        and unit.state is UnitState.ASSIGNED
        and unit.expires_at is not None
        and now >= unit.expires_at
    ):
        end.expire_unit(tx, now, unit, verdict=TOO_LATE)
        end.drop_useless(tx, now, unit)
