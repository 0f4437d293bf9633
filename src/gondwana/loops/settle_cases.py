"""What silence decides: slashes that nobody appealed, appeals that nobody judged, reports that nobody read."""

from gondwana.core.clock import Instant
from gondwana.jobs.context import Context
from gondwana.ledger import reports, slashes
from gondwana.loops.each import write_each


def settle_cases(context: Context, now: Instant) -> int:
    """Returns how many cases and reports ended."""
    reader = context.database.reader()
    cases = [(now, case_id) for case_id in slashes.to_settle(reader, now)]
    lapsed = [(now, report_id) for report_id in reports.to_lapse(reader, now)]
    return write_each(context, slashes.settle, cases) + write_each(context, reports.lapse, lapsed)
