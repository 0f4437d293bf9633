"""Give open orders the machines they want, and make reservations active."""

from collections import Counter
from collections.abc import Iterator, Sequence

from gondwana.core.clock import Instant
from gondwana.core.values import replace
from gondwana.db.together import together
from gondwana.db.transaction import Reader
from gondwana.jobs import place, reservations
from gondwana.jobs.calendar import Ahead
from gondwana.jobs.choosing import Chooser
from gondwana.jobs.context import Context
from gondwana.jobs.place import Proposal
from gondwana.loops.each import beside, parts, write_parts
from gondwana.market import store as market
from gondwana.market.alternatives import has_kinds
from gondwana.market.calendar import store as calendar
from gondwana.market.keeping import Hold, may_take
from gondwana.market.model import Lease, Order


def match_orders(context: Context, now: Instant) -> int:
    """Reserve and confirm for every open order that may fit now; returns how many leases became active.

    The shelf proposes from memory; the writer looks again before it reserves.
    """
    reader, given = context.database.reader(), (context.random, now)
    shelf, fairness, proposed = context.shelf, context.fairness, Counter[str]()
    holds, booked, reserved = together(
        reader, market.holds_asked(), calendar.all_booked_asked(), market.reserved_asked()
    )
    ahead = Ahead.of(reader, booked, now)
    proposals = beside(
        context.database.writer, _proposals(context, reader, now, proposed, holds, ahead)
    )
    written_count = 0

    def catch_up(written: Sequence[Proposal]) -> None:
        """Look at what became of these, while others are written."""
        nonlocal written_count
        named = [each for one in written for each in one.machine_ids]
        written_count += len(named)
        proposed.subtract(named)
        known = [each for each in dict.fromkeys(named) if proposed[each] <= 0]
        for each in known:
            del proposed[each]
        shelf.returned(known)
        shelf.refresh(reader)
        fairness.catch_up(reader, shelf, context.database.writer.give_way)

    try:
        active = write_parts(context, place.place, given, proposals, catch_up)
    finally:
        shelf.returned(proposed)
        fairness.end()
    if active < written_count:  # some may have been reserved and not confirmed
        reserved = market.reserved(reader)
    return active + write_parts(
        context, place.confirm_reserved, given, [lease.id for lease in reserved]
    )


def _proposals(
    context: Context, reader: Reader, now: Instant, proposed: Counter[str], holds: Sequence[Hold], ahead: Ahead
) -> Iterator[Proposal]:  # fmt: skip
    """What may fit now, each order when it is its turn; how often a machine is named is noted in `proposed`."""
    chooser = Chooser(reader=reader, shelf=context.shelf, probes=context.probes, now=now)
    fairness, shelf = context.fairness, context.shelf
    if fairness.held_back(holds):
        shelf.reconsider()
    shelf.wake(fairness.freed(reader, shelf, now))
    waiting = shelf.without_idle(reader, context.open_orders.ids(reader, now), now)
    read = context.open_orders.take_read()
    for part in parts(fairness.turns(reader, shelf, waiting, now, read)):
        past = market.leases_of_jobs(reader, [each.order.job_id for each in part])
        reserved = reservations.waiting(reader, [each.order for each in part], now)
        for each in part:
            order, leases = each.order, past[each.order.job_id]
            held, kept = market.held_by(leases, order.id), list(_kept(context, holds, order, now))
            kept += ahead.not_for(order, leases)
            asked = fairness.asked(each)
            booked = reserved.get(order.id, [])
            variant, machine_ids = (
                _propose(chooser, order, asked, leases, kept, booked)
                if asked
                else (order, list[str]())
            )
            proposed.update(machine_ids)
            offered = [found for name in machine_ids if (found := shelf.listing(name))]
            if allowed := fairness.settle(each, held, offered):
                yield Proposal(order=variant, machine_ids=allowed)
            elif machine_ids:
                shelf.refused(variant, [name for name in machine_ids if name not in booked])


def _propose(
    chooser: Chooser, order: Order, asked: Order, leases: Sequence[Lease], kept: Sequence[str], booked: Sequence[str]
) -> tuple[Order, list[str]]:  # fmt: skip
    """What an order may get now: what is booked for it, and of the market what lacks then; in which kind.

    `asked`: the order within quotas, which name the models where any would do: that makes no kinds of them.
    """
    if not booked:
        if has_kinds(order):
            return chooser.propose_any(asked, leases, kept)
        if asked.resources != order.resources:
            # where nothing fits it sleeps until anything is better, not just what it may have now
            with chooser.shelf.trying(order.id, is_last=True):
                return order, chooser.propose(asked, leases, kept)
        return order, chooser.propose(asked, leases, kept)
    held, most = market.held_by(leases, asked.id), asked.count_max - len(booked)
    if held >= most:
        return order, list(booked)
    rest = replace(asked, count_min=max(0, asked.count_min - len(booked)), count_max=most)
    return order, [*booked, *chooser.propose(rest, leases, [*kept, *booked])]


def _kept(context: Context, holds: Sequence[Hold], order: Order, now: Instant) -> Iterator[str]:
    """The machines that are kept for others."""
    for each in holds:
        listing = context.shelf.listing(each.machine_id)
        if not may_take(order, each, listing.devices_free if listing else 0, now):
            yield each.machine_id
