"""Write down what became of jobs that have ended, beside what was expected of them."""

from gondwana.core.clock import Instant
from gondwana.jobs import predictions
from gondwana.jobs.context import Context
from gondwana.loops.each import write_each


def settle_predictions(context: Context, now: Instant) -> int:
    """Returns how many jobs were compared."""
    ended = predictions.to_settle(context.database.reader())
    return write_each(context, predictions.settle, [(now, job_id) for job_id in ended])
