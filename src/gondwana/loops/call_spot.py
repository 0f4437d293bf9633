"""Call the spot market once a minute: serve who wants machines, reprice what runs, give notice to who has to go.

Between two calls only buckets without a call are served, at what is asked: nobody waits a minute for a price that is
already posted.
"""

from typing import Final

from gondwana.core.clock import Instant
from gondwana.jobs import spot as jobs
from gondwana.jobs import spot_books
from gondwana.jobs.calendar import Ahead
from gondwana.jobs.context import Context
from gondwana.loops.each import write_parts
from gondwana.market.spot import rules
from gondwana.market.spot import store as spot

REST_SECONDS: Final = 2.0


def call_spot(context: Context, now: Instant) -> int:
    """Returns how many leases began, were repriced or had notice."""
    reader = context.database.reader()
    if not spot.is_wanted(reader):
        return 0
    settings, is_due = jobs.settings(reader), False
    listings = Ahead.read(reader, now).for_spot(context.shelf.listings(reader))
    books = spot_books.books(reader, listings, now)
    past = spot.past(reader, [book.key for book in books], now, settings)
    outcomes = rules.call(books, past, settings, now)
    if spot.is_due(reader, now, settings):
        calls = jobs.to_calls(outcomes, now)
        is_due = context.database.writer.call(spot.record, now, settings, calls)
    if not is_due:
        outcomes = [each for each in outcomes if each.price is None]
    grants = [grant for each in outcomes for grant in each.grants]
    prices = [priced for each in outcomes for priced in each.prices.items()]
    evicted = [standing for each in outcomes for standing in each.evicted]
    back = jobs.withdrawn(reader, listings)
    given = now, settings.notice_seconds
    return (
        write_parts(context, jobs.evict, given, evicted)
        + write_parts(context, jobs.take_back, given, back)
        + write_parts(context, jobs.reprice, (now,), prices)
        + write_parts(context, jobs.grant, (context.random, now), jobs.proposals(reader, grants))
    )
