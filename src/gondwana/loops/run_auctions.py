"""Clear the auctions whose windows have closed, all together, and end bids that hold devices for nothing."""

from collections.abc import Sequence

from gondwana.core.clock import Instant
from gondwana.core.errors import GondwanaError
from gondwana.jobs import auctions
from gondwana.jobs.auctions import Award
from gondwana.jobs.context import Context
from gondwana.loops.each import write_each
from gondwana.market.auction import store


def run_auctions(context: Context, now: Instant) -> int:
    """Returns how many auctions were settled and bids ended."""
    reader = context.database.reader()
    over = [(now, bid.id) for bid in store.bids_over(reader, now)]
    done = write_each(context, auctions.expire_bid, over)
    due = store.due(reader, now)
    if due:
        done += _settle(context, now, auctions.clear(reader, context.shelf, now, due))
    return done


def _settle(context: Context, now: Instant, awards: Sequence[Award]) -> int:
    """Settle each, many in one commit; what may not be placed now is tried again later, and stops no other."""
    submit = context.database.writer.submit
    settled = [submit(auctions.settle, context.random, now, award) for award in awards]
    errors = [future.exception() for future in settled]
    refused = [
        (now, award.order.id)
        for award, error in zip(awards, errors, strict=True)
        if isinstance(error, GondwanaError)
    ]
    write_each(context, auctions.postpone, refused)
    for error in errors:
        if error is not None and not isinstance(error, GondwanaError):
            raise error
    return len(awards) - len(refused)
