"""Which machines fit an order, or which of its constraints left none and what would help; pure."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from gondwana.core.clock import Instant
from gondwana.core.devices import CPU, meant_device
from gondwana.core.money import format_usd
from gondwana.core.units import format_bytes, format_seconds
from gondwana.market import where
from gondwana.market.model import Charge, Listing, Mechanism, Order, Screening
from gondwana.market.rules import asked, price_per_work
from gondwana.wire.jobs import Resources

_Passes = Callable[[Order, Listing], bool]


def screen(
    order: Order, listings: Iterable[Listing], now: Instant, counts: Sequence[int] = ()
) -> Screening:
    """The machines that fit, cheapest per measured speed first; or the constraint that left none, and a way out.

    `now` is for tags that a filter asks: they expire. `counts`: how many machines come to each constraint, where only
    some of them are given (`market.nearest.witnesses`).
    """
    left = list(listings)
    if not left:
        return Screening(
            fits=(),
            why_not="no machine has joined",
            hint="gondwana provider join URL --price 0.20",
        )
    constraints = (*_OF_MACHINES, *_filters(order, now), *_OF_MONEY)
    tests = [one.passes for one in constraints if not one.is_implied]
    fits = [each for each in left if _passes_all(tests, order, each)]
    if len(fits) > 1:
        fits.sort(key=price_per_work)
    return Screening(fits=tuple(fits)) if fits else _why_not(order, left, constraints, counts)


def _passes_all(tests: Sequence[_Passes], order: Order, listing: Listing) -> bool:
    for passes in tests:  # noqa: SIM110 - 0.3 instead of 0.6 µs of every lease that `all` of a generator takes
        if not passes(order, listing):
            return False
    return True


def _why_not(
    order: Order, left: list[Listing], constraints: Sequence["_Constraint"], counts: Sequence[int]
) -> Screening:
    """Which constraint leaves none, and a way out."""
    for number, (name, passes, hint, _) in enumerate(constraints):
        kept = [listing for listing in left if passes(order, listing)]
        if not kept:
            count = counts[number] if counts else len(left)
            why_not = f"{name(order)}: none of {count} machines"
            return Screening(fits=(), why_not=why_not, hint=hint(order, left, count))
        left = kept
    raise AssertionError("some machines fit")


class _Constraint(NamedTuple):
    """One that an order sets: how it is called, which machines pass, and what would help if none of `count` does."""

    name: Callable[[Order], str]
    passes: _Passes
    hint: Callable[[Order, Sequence[Listing], int], str]
    is_implied: bool = False  # by a later one: it is only there to tell the two apart


def promises_enough(order: Order, listing: Listing) -> bool:
    """Whether the owner promises as much notice as the order wants."""
    return listing.notice_seconds >= order.notice_seconds_min


def _is_open(order: Order, listing: Listing) -> bool:
    return listing.is_open


def _is_apart(order: Order, listing: Listing) -> bool:
    own = listing.owner_id == order.tenant_id
    return listing.isolation == "sandbox" or (listing.isolation == "plain" and own)


def _has_accelerator(order: Order, listing: Listing) -> bool:
    wanted, model = order.resources.accelerators, listing.accelerator
    return not wanted or (model != CPU and any(each.name in ("", model) for each in wanted))


def _has_enough_of_it(order: Order, listing: Listing) -> bool:
    wanted = order.resources.accelerators
    if not wanted:
        return True
    if listing.accelerator == CPU:
        return False
    return any(
        each.name in ("", listing.accelerator) and each.count <= listing.devices for each in wanted
    )


def _is_within_cap(order: Order, listing: Listing) -> bool:
    cap = order.price_cap_micro_usd_per_device_hour
    return cap is None or listing.price_micro_usd_per_device_hour <= cap


_OF_MACHINES: Final = (
    _Constraint(
        lambda order: "up and open for work",
        _is_open,
        lambda order, left, _: "gondwana offers shows which machines are up",
    ),
    _Constraint(
        lambda order: "a sandbox for other people's work",
        _is_apart,
        lambda order, left, _: "their owners must install bubblewrap: gondwana doctor",
    ),
    _Constraint(
        lambda order: f"accelerator {_names(order.resources)}",
        _has_accelerator,
        lambda order, left, _: _there_are(order.resources, left),
        is_implied=True,
    ),
    _Constraint(
        lambda order: f"{_counts(order.resources)} in one machine",
        _has_enough_of_it,
        lambda order, left, _: _fewer(order, max(each.devices for each in left)),
    ),
    _Constraint(
        lambda order: f"at least {order.resources.cpus_min:g} CPUs",
        lambda order, listing: listing.cpus >= order.resources.cpus_min,
        lambda order, left, _: (
            f"the largest has {max(each.cpus for each in left):g}: lower resources.cpus"
        ),
    ),
    _Constraint(
        lambda order: f"at least {format_bytes(order.resources.memory_bytes_min)} of memory",
        lambda order, listing: listing.memory_bytes >= order.resources.memory_bytes_min,
        lambda order, left, _: (
            f"the largest has {format_bytes(max(each.memory_bytes for each in left))}: "
            "lower resources.memory"
        ),
    ),
    _Constraint(
        lambda order: (
            f"{format_seconds(order.notice_seconds_min)} of notice before it is taken back"
        ),
        promises_enough,
        lambda order, left, _: (
            "the longest that is promised is "
            f"{format_seconds(max(each.notice_seconds for each in left))}: "
            "lower gondwana.notice_hours_min"
        ),
    ),
)
_OF_MONEY: Final = (
    _Constraint(
        lambda order: (
            f"price at most {format_usd(order.price_cap_micro_usd_per_device_hour or 0)} per device-hour"
        ),
        _is_within_cap,
        lambda order, left, _: (
            "the cheapest that fits otherwise asks "
            f"{format_usd(min(each.price_micro_usd_per_device_hour for each in left))}: "
            "raise gondwana.price_cap_usd_per_gpu_hour"
        ),
    ),
    _Constraint(
        lambda order: f"{order.devices} free device(s)",
        lambda order, listing: listing.devices_free >= order.devices,
        lambda order, left, count: (
            f"{count} would fit but are taken: wait, or allow dearer or smaller machines"
        ),
    ),
)


def _filters(order: Order, now: Instant) -> Iterator[_Constraint]:
    """Each term of the order's filter."""
    for term, test in where.tests_of(order, now) if order.filters else ():
        at_asked = _at_asked(order, test)
        yield _Constraint(
            lambda order, term=term: f"where: {term}",
            lambda order, listing, test=at_asked: test(listing),
            lambda order, left, _, term=term: where.nearest(
                term, [asked(order, each) for each in left]
            ),
        )


def _at_asked(order: Order, test: Callable[[Listing], bool]) -> Callable[[Listing], bool]:
    """The test at the price that is asked of the order."""
    if order.mechanism is not Mechanism.SPOT:
        return test
    return lambda listing: test(asked(order, listing))


def meets_filter(order: Order, now: Instant) -> Callable[[Listing], bool]:
    """Whether a listing has all that an order's filter asks, at the price that is asked of the order."""
    tests = [_at_asked(order, test) for _, test in where.tests_of(order, now)]
    return lambda listing: all(test(listing) for test in tests)


def _names(want: Resources) -> str:
    return " or ".join(wanted.name or "any" for wanted in want.accelerators)


def _counts(want: Resources) -> str:
    return " or ".join(f"{each.count} {each.name or 'accelerators'}" for each in want.accelerators)


def _fewer(order: Order, most: int) -> str:
    """What to write where no machine has more than `most` devices of a wanted model."""
    wanted = order.resources.accelerators
    name = wanted[0].name if len(wanted) == 1 else ""
    hint = f"the largest has {most}: ask for {f'{name}:{most}' if name else most}"
    if order.charge is Charge.UNIT:  # an island is one machine
        return hint
    nodes = -(-order.count_min * min(each.count for each in wanted) // most)
    return f"{hint}, or num_nodes: {nodes} of {most}"


def _there_are(want: Resources, left: Sequence[Listing]) -> str:
    meant = [name for each in want.accelerators if (name := meant_device(each.name))]
    hint = "there are: " + ", ".join(sorted({each.accelerator for each in left}))
    return f"did you mean {' or '.join(meant)}? {hint}" if meant else hint
