"""Work out each hour how the insurance fund stands; anybody may read it."""

from gondwana.core.clock import Instant
from gondwana.jobs import service_credits
from gondwana.jobs.context import Context
from gondwana.jobs.insured import exposures_micro_usd
from gondwana.ledger import solvency


def publish_solvency(context: Context, now: Instant) -> int:
    """Returns how many days' first reports were published: 0 or 1."""
    reader = context.database.reader()
    made = solvency.report(
        reader,
        now,
        exposures=exposures_micro_usd(reader, now),
        open_claims_micro_usd=service_credits.open_claims_micro_usd(reader),
    )
    return int(context.database.writer.call(solvency.publish, made))
