"""Where nothing fits: what would have to change in the job so that something does, the cheapest change first.

Each wish is dropped, alone and with one other; of what then fits the cheapest machines are taken, and the wish is put
back as far as they meet it: that is the value to write. The market's own screening decides what fits.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.devices import CPU
from gondwana.core.money import format_usd
from gondwana.core.units import format_bytes, format_seconds
from gondwana.core.values import replace
from gondwana.market.model import Listing, Order
from gondwana.market.rules import asked, price_per_work
from gondwana.market.screening import screen
from gondwana.market.terms import Term
from gondwana.market.where import FIELD, loosened, tests_of, with_term, without_term
from gondwana.wire.jobs import Accelerators

LISTINGS_MAX: Final = (
    2_000  # looked at; of more, those of a wanted model first, then the cheapest per work
)
RELAXATIONS_MAX: Final = 8  # told
MODELS_NAMED_MAX: Final = 4
TERMS_MAX: Final = 4  # of a filter


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing to write otherwise, or to wait for."""

    field: str  # the job file's key; "" where there is nothing to write
    was: str
    now: str  # what to write
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Relaxation:
    """One or two changes, the machines that then fit, and what they cost."""

    changes: tuple[Change, ...]
    order: Order  # as it would be
    machines: tuple[Listing, ...]
    price_micro_usd_per_hour: int
    added_micro_usd_per_hour: (
        int  # above the most that the job's own price cap allows; 0 without one
    )
    variant: int = 0  # which of the job's alternatives it is of

    @property
    def words(self) -> str:
        """What to do, as a person would say it."""
        return ", and ".join(change.words for change in self.changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """Something that a job asks for and could do without."""

    name: str
    is_asked: Callable[[Order], bool]
    dropped: Callable[[Order], Order]
    offered: Callable[
        [Listing], Listing
    ]  # a machine as it would be; itself, where the job is what changes
    kept: Callable[
        [Order, Order, Sequence[Listing]], tuple[Order, Change]
    ]  # as it was, without, machines -> with


def relaxations(order: Order, listings: Iterable[Listing], now: Instant) -> tuple[Relaxation, ...]:
    """What would make the order fit, the least added cost first; nothing where it fits already.

    A pair of changes is told only where it is cheaper than either alone.
    """
    pool = _pool(order, listings)
    if len(screen(order, pool, now).fits) >= order.count_min:
        return ()
    wishes = [wish for wish in _WISHES if wish.is_asked(order)] + _of_filters(order, pool, now)
    alone = {wish.name: found for wish in wishes if (found := _relaxed(order, pool, (wish,), now))}
    found = list(alone.values())
    for pair in combinations(wishes, 2):
        made = _relaxed(order, pool, pair, now)
        singles = [alone[wish.name] for wish in pair if wish.name in alone]
        if made and all(_cost(made) < _cost(single) for single in singles):
            found.append(made)
    return cheapest(found)


def cheapest(found: Iterable[Relaxation]) -> tuple[Relaxation, ...]:
    """Those that are told, the least added cost first."""
    return tuple(sorted(found, key=_order)[:RELAXATIONS_MAX])


def _cost(each: Relaxation) -> tuple[int, int]:
    return each.added_micro_usd_per_hour, each.price_micro_usd_per_hour


def _order(each: Relaxation) -> tuple[object, ...]:
    return (*_cost(each), len(each.changes), each.words)


def _pool(order: Order, listings: Iterable[Listing]) -> list[Listing]:
    wanted = {each.name for each in order.resources.accelerators}
    near = sorted(
        listings,
        key=lambda each: (each.accelerator not in wanted, *price_per_work(each), each.machine_id),
    )
    return near[:LISTINGS_MAX]


def _relaxed(
    order: Order, pool: Sequence[Listing], wishes: Sequence[_Wish], now: Instant
) -> Relaxation | None:
    without, offered = order, list(pool)
    for wish in wishes:
        without = wish.dropped(without)
        offered = [wish.offered(each) for each in offered]
    fits = screen(without, offered, now).fits
    count = without.count_min if without.count_min > 0 else min(order.count_min, len(fits))
    if not 0 < count <= len(fits):
        return None
    by_price = sorted(
        fits, key=lambda each: (each.price_micro_usd_per_device_hour, price_per_work(each))
    )
    chosen = by_price[:count]
    relaxed, changes = (
        replace(without, count_min=count, count_max=max(count, min(order.count_max, len(fits)))),
        [],
    )
    for wish in wishes:
        relaxed, change = wish.kept(order, relaxed, chosen)
        changes.append(change)
    if any(change.was == change.now for change in changes):
        return None  # one of the two need not change: the other alone does it
    hourly = sum(each.price_micro_usd_per_device_hour for each in chosen) * relaxed.devices
    cap = order.price_cap_micro_usd_per_device_hour
    allowed = hourly if cap is None else cap * order.devices * order.count_min
    return Relaxation(
        changes=tuple(changes),
        order=relaxed,
        machines=tuple(chosen),
        price_micro_usd_per_hour=hourly,
        added_micro_usd_per_hour=max(0, hourly - allowed),
    )


def _same(listing: Listing) -> Listing:
    return listing


def _keep_cap(order: Order, relaxed: Order, chosen: Sequence[Listing]) -> tuple[Order, Change]:
    was = order.price_cap_micro_usd_per_device_hour or 0
    most = max(was, *(each.price_micro_usd_per_device_hour for each in chosen))
    change = Change(
        field="gondwana.price_cap_usd_per_gpu_hour",
        was=_usd(was),
        now=_usd(most),
        words=f"raise the price cap from {format_usd(was)} to {_dollars(most)} per device-hour",
    )
    return replace(relaxed, price_cap_micro_usd_per_device_hour=most), change


def _keep_cpus(order: Order, relaxed: Order, chosen: Sequence[Listing]) -> tuple[Order, Change]:
    was = order.resources.cpus_min
    least = min(was, *(each.cpus for each in chosen))
    change = Change(
        field="resources.cpus", was=f"{was:g}", now=f"{least:g}",
        words=f"ask for {least:g} processors instead of {was:g}",
    )  # fmt: skip
    return replace(relaxed, resources=replace(relaxed.resources, cpus_min=least)), change


def _keep_memory(order: Order, relaxed: Order, chosen: Sequence[Listing]) -> tuple[Order, Change]:
    was = order.resources.memory_bytes_min
    least = min(was, *(each.memory_bytes for each in chosen))
    change = Change(
        field="resources.memory", was=f"{was}B", now=f"{least}B",
        words=f"ask for {format_bytes(least)} of memory instead of {format_bytes(was)}",
    )  # fmt: skip
    return replace(relaxed, resources=replace(relaxed.resources, memory_bytes_min=least)), change


def _drop_model(order: Order) -> Order:
    counts = sorted({each.count for each in order.resources.accelerators})
    wanted = tuple(Accelerators(name="", count=count) for count in counts)
    return replace(order, resources=replace(order.resources, accelerators=wanted))


def _keep_model(order: Order, relaxed: Order, chosen: Sequence[Listing]) -> tuple[Order, Change]:
    was = [each.name or "any" for each in order.resources.accelerators]
    models = sorted({each.accelerator for each in chosen})
    wanted = tuple(
        Accelerators(name=model, count=each.count)
        for model in models
        for each in relaxed.resources.accelerators
    )
    named = " or ".join(models[:MODELS_NAMED_MAX])
    change = Change(
        field="resources.accelerators",
        was=", ".join(sorted(was)),
        now=", ".join(models),
        words=f"take {named} instead of {' or '.join(sorted(set(was)))}",
    )
    return replace(relaxed, resources=replace(relaxed.resources, accelerators=wanted)), change


def _drop_accelerators(order: Order) -> Order:
    return replace(order, devices=1, resources=replace(order.resources, accelerators=()))


def _only_without(listing: Listing) -> Listing:
    """A machine with an accelerator is no way to do without one."""
    return listing if listing.accelerator == CPU else replace(listing, isolation="none")


def _keep_no_accelerators(
    order: Order, relaxed: Order, chosen: Sequence[Listing]
) -> tuple[Order, Change]:
    change = Change(
        field="resources.accelerators",
        was=", ".join(sorted(each.name or "any" for each in order.resources.accelerators)),
        now="",
        words="do without an accelerator",
    )
    return relaxed, change


def _drop_devices(order: Order) -> Order:
    wanted = tuple(replace(each, count=1) for each in order.resources.accelerators)
    return replace(order, devices=1, resources=replace(order.resources, accelerators=wanted))


def _keep_devices(order: Order, relaxed: Order, chosen: Sequence[Listing]) -> tuple[Order, Change]:
    count = min(order.devices, *(each.devices_free for each in chosen))
    wanted = tuple(replace(each, count=count) for each in relaxed.resources.accelerators)
    change = Change(
        field="resources.accelerators",
        was=str(order.devices),
        now=str(count),
        words=f"ask for {count} device{'s' if count > 1 else ''} a machine instead of {order.devices}",
    )
    changed = replace(relaxed.resources, accelerators=wanted)
    return replace(relaxed, devices=count, resources=changed), change


def _keep_count(order: Order, relaxed: Order, chosen: Sequence[Listing]) -> tuple[Order, Change]:
    key = "num_nodes" if order.count_min == order.count_max else "gondwana.train.islands.min"
    change = Change(
        field=key,
        was=str(order.count_min),
        now=str(len(chosen)),
        words=f"run on {len(chosen)} machine{'s' if len(chosen) > 1 else ''} instead of {order.count_min}",
    )
    return relaxed, change


def _of_filters(order: Order, pool: Sequence[Listing], now: Instant) -> list[_Wish]:
    """A wish for each term of the order's filter: those that the fewest machines have, since each is tried in pairs."""
    tests = tests_of(order, now)
    fits = [sum(test(asked(order, each)) for each in pool) for _, test in tests]
    scarce = sorted(range(len(tests)), key=lambda place: fits[place])[:TERMS_MAX]
    wishes = [_of_term(tests[place][0]) for place in sorted(scarce) if fits[place] < len(pool)]
    if len(tests) > 1:
        wishes.append(_WHOLE_FILTER)
    return wishes


def _of_term(term: Term) -> _Wish:
    def keep(order: Order, relaxed: Order, chosen: Sequence[Listing]) -> tuple[Order, Change]:
        looser = loosened(term, [asked(order, each) for each in chosen])
        filters = with_term(relaxed.filters, looser) if looser else relaxed.filters
        words = f"ask for {looser} instead of {term}" if looser else f"do without {term}"
        told = Change(field=FIELD, was=str(term), now="" if looser is None else str(looser), words=words)  # fmt: skip
        return replace(relaxed, filters=filters), told

    return _Wish(
        name=f"where {term}",
        is_asked=lambda order: True,
        dropped=lambda order: replace(order, filters=without_term(order.filters, term)),
        offered=_same,
        kept=keep,
    )


def _keep_no_filters(
    order: Order, relaxed: Order, chosen: Sequence[Listing]
) -> tuple[Order, Change]:
    words = f"drop the filter {order.filters}"
    return relaxed, Change(field=FIELD, was=order.filters, now="", words=words)


def _keep_notice(order: Order, relaxed: Order, chosen: Sequence[Listing]) -> tuple[Order, Change]:
    was = order.notice_seconds_min
    least = min(was, *(each.notice_seconds for each in chosen))
    change = Change(
        field="gondwana.notice_hours_min",
        was=f"{was / 3600:g}",
        now=f"{least / 3600:g}",
        words=f"accept {format_seconds(least)} of notice instead of {format_seconds(was)}",
    )
    return replace(relaxed, notice_seconds_min=least), change


def _keep_waiting(order: Order, relaxed: Order, chosen: Sequence[Listing]) -> tuple[Order, Change]:
    return relaxed, Change(
        field="", was="taken", now="free", words="wait for machines that are leased now"
    )


def _keep_closed(order: Order, relaxed: Order, chosen: Sequence[Listing]) -> tuple[Order, Change]:
    return relaxed, Change(
        field="",
        was="closed",
        now="open",
        words="wait for machines that are down, or sell nothing now",
    )


def _usd(micro_usd: int) -> str:
    return f"{micro_usd / 1e6:.6f}".rstrip("0").rstrip(".")


def _dollars(micro_usd: int) -> str:
    """Exact: a cap that is a cent too low fits nothing."""
    return format_usd(micro_usd) if micro_usd % 10_000 == 0 else format_usd(micro_usd, decimals=6)


_WISHES: Final = (
    _Wish(
        name="price",
        is_asked=lambda order: order.price_cap_micro_usd_per_device_hour is not None,
        dropped=lambda order: replace(order, price_cap_micro_usd_per_device_hour=None),
        offered=_same,
        kept=_keep_cap,
    ),
    _Wish(
        name="cpus",
        is_asked=lambda order: order.resources.cpus_min > 0,
        dropped=lambda order: replace(order, resources=replace(order.resources, cpus_min=0.0)),
        offered=_same,
        kept=_keep_cpus,
    ),
    _Wish(
        name="memory",
        is_asked=lambda order: order.resources.memory_bytes_min > 0,
        dropped=lambda order: replace(
            order, resources=replace(order.resources, memory_bytes_min=0)
        ),
        offered=_same,
        kept=_keep_memory,
    ),
    _Wish(
        name="model",
        is_asked=lambda order: any(each.name for each in order.resources.accelerators),
        dropped=_drop_model,
        offered=_same,
        kept=_keep_model,
    ),
    _Wish(
        name="accelerator",
        is_asked=lambda order: bool(order.resources.accelerators),
        dropped=_drop_accelerators,
        offered=_only_without,
        kept=_keep_no_accelerators,
    ),
    _Wish(
        name="devices",
        is_asked=lambda order: order.devices > 1,
        dropped=_drop_devices,
        offered=_same,
        kept=_keep_devices,
    ),
    _Wish(
        name="count",
        is_asked=lambda order: order.count_min > 1,
        dropped=lambda order: replace(order, count_min=0),
        offered=_same,
        kept=_keep_count,
    ),
    _Wish(
        name="notice",
        is_asked=lambda order: order.notice_seconds_min > 0,
        dropped=lambda order: replace(order, notice_seconds_min=0),
        offered=_same,
        kept=_keep_notice,
    ),
    _Wish(
        name="taken",
        is_asked=lambda order: True,
        dropped=lambda order: order,
        offered=lambda each: replace(each, devices_free=each.devices),
        kept=_keep_waiting,
    ),
    _Wish(
        name="closed",
        is_asked=lambda order: True,
        dropped=lambda order: order,
        offered=lambda each: replace(each, is_open=True),
        kept=_keep_closed,
    ),
)
"""What a job may give up beside terms of its filter; a sandbox for strangers' work is not among it."""
_WHOLE_FILTER: Final = _Wish(
    name="filters",
    is_asked=lambda order: bool(order.filters),
    dropped=lambda order: replace(order, filters=""),
    offered=_same,
    kept=_keep_no_filters,
)
