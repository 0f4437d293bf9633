"""Write down once a minute what the market holds and asks, where that has changed; thin and forget what is old."""

from gondwana.core.clock import Instant
from gondwana.jobs.context import Context
from gondwana.market import ticks
from gondwana.market.prices import empty, to_tick


def record_prices(context: Context, now: Instant) -> int:
    """Returns how many buckets (a device model in a region) have changed."""
    reader = context.database.reader()
    last = {(tick.model, tick.region): tick for tick in ticks.latest(reader)}
    held = {(each.model, each.region): each for each in context.shelf.buckets(reader)}
    gone = [empty(*key) for key in last.keys() - held.keys()]
    changed = [
        to_tick(bucket, now)
        for bucket in (*held.values(), *gone)
        if bucket.has_changed(last.get((bucket.model, bucket.region)))
    ]
    recorded = context.database.writer.call(ticks.record, changed) if changed else 0
    if ticks.has_old(reader, now):
        context.database.writer.call(ticks.forget, now)
    return recorded
