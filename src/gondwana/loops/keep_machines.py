"""Keep machines for orders that smaller ones would pass by for ever."""

from collections.abc import Sequence
from dataclasses import dataclass

from gondwana.core.clock import Instant
from gondwana.core.values import replace
from gondwana.db.transaction import Reader, Transaction
from gondwana.jobs.context import Context
from gondwana.jobs.listings import listings_of
from gondwana.jobs.rules import memory
from gondwana.market import keeping, screening
from gondwana.market import store as market
from gondwana.market.alternatives import variants
from gondwana.market.keeping import Hold
from gondwana.market.model import Lease, Order


def keep_machines(context: Context, now: Instant) -> int:
    """Choose anew for whom machines are kept, and which; returns how many are."""
    reader = context.database.reader()
    wanted = _wanted(context, reader, now)
    if set(map(_meaning, market.holds(reader))) != set(map(_meaning, wanted)):
        context.database.writer.call(_write, now, wanted)
    return len(wanted)


def _meaning(hold: Hold) -> tuple[str, str, int, float]:
    return hold.machine_id, hold.order_id, hold.devices, hold.whole_at


def _wanted(context: Context, reader: Reader, now: Instant) -> list[Hold]:
    """One order by age and one by turn for each kind of device, as far as anything can be kept for it."""
    context.shelf.begin_pass()
    ids = context.open_orders.ids(reader, now)
    by_turn = context.fairness.queue(reader, context.shelf, ids, now)
    chosen: dict[str, list[Hold]] = {}
    kinds = set[tuple[tuple[str, ...], bool]]()
    searched = looked = 0
    for order, is_aged in keeping.urgent([each for each in by_turn if keeping.is_urgent(each, now)], now):  # fmt: skip
        kind = (keeping.kind_of(order), is_aged)
        hopeless = context.fairness.is_hopeless(order.id, now)
        if order.id in chosen or kind in kinds or hopeless:
            continue
        found, searched = list[Hold](), searched + 1
        for variant in variants(order):
            if could := _could(context, reader, now, variant):
                taken = [hold.machine_id for holds in chosen.values() for hold in holds]
                found, looked = could.keep(reader, taken, now), looked + 1
            if found:  # where several kinds would do, the first of which enough can be kept
                break
        if found:
            chosen[order.id] = found
            kinds.add(kind)
        else:
            context.fairness.give_up(order.id, Instant(now + keeping.HOPELESS_SECONDS))
        is_enough = looked >= keeping.LOOKED_AT_MAX or searched >= keeping.SEARCHED_MAX
        if is_enough or len(chosen) >= keeping.KEEPERS_MAX:
            break
    return [hold for holds in chosen.values() for hold in holds]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Could:
    """An order, and enough machines that could serve it if nothing were leased."""

    order: Order
    past: Sequence[Lease]  # all leases of its job
    lacking: int
    machine_ids: Sequence[str]

    def keep(self, reader: Reader, taken: Sequence[str], now: Instant) -> list[Hold]:
        """Those of them to keep; none where so many will not be free as far as anybody knows."""
        named = listings_of(reader, self.machine_ids)
        free = [replace(each, devices_free=each.devices) for each in named]
        fits = screening.screen(self.order, free, now).fits
        serving = market.serving(reader, [each.machine_id for each in fits])
        barred = {*taken, *memory.barred(self.past, now)}
        return keeping.keep(self.order, self.lacking, fits, serving, barred, now)


def _could(context: Context, reader: Reader, now: Instant, order: Order) -> _Could | None:
    """The machines for an order by the book alone, which is cheap; None where there are too few in all."""
    past = market.leases_of_jobs(reader, [order.job_id])[order.job_id]
    lacking = max(1, order.count_min - market.held_by(past, order.id))
    wide = replace(order, count_max=keeping.FITTING_MAX)
    names = context.shelf.find(reader, wide, now, taken_too=True, in_pass=True)
    if len(names) < lacking:
        return None
    return _Could(order=order, past=past, lacking=lacking, machine_ids=names)


def _write(tx: Transaction, now: Instant, wanted: Sequence[Hold]) -> None:
    market.keep(tx, now, wanted)
