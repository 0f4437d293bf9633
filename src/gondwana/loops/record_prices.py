"""Write down once a minute what the market holds and asks, where that has changed; thin and forget what is old."""

from collections.abc import Iterable, Iterator, Mapping

from gondwana.core.clock import Instant
from gondwana.jobs.context import Context
from gondwana.loops.each import beside, write_parts
from gondwana.market import ticks
from gondwana.market.prices import Bucket, Tick, empty, to_tick


def record_prices(context: Context, now: Instant) -> int:
    """Returns how many buckets (a device model in a region) have changed."""
    reader, writer = context.database.reader(), context.database.writer
    last = {(tick.model, tick.region): tick for tick in ticks.latest(reader)}
    changed = list(_changed(beside(writer, context.shelf.buckets(reader)), last, now))
    recorded = write_parts(context, ticks.record, (), changed)
    if ticks.has_old(reader, now):
        writer.call(ticks.forget, now)
    return recorded


def _changed(
    held: Iterable[Bucket], last: Mapping[tuple[str, str], Tick], now: Instant
) -> Iterator[Tick]:
    """What is to be written: of each bucket that is otherwise now, and of those whose machines have all left."""
    seen = set[tuple[str, str]]()
    for bucket in held:
        key = (bucket.model, bucket.region)
        seen.add(key)
        if bucket.has_changed(last.get(key)):
            yield to_tick(bucket, now)
    for key, tick in last.items():
        if key not in seen and (gone := empty(*key)).has_changed(tick):
            yield to_tick(gone, now)
