"""Jobs that several kinds of machines would do for: each kind is the same order with other wishes; pure.

Whoever looks for machines looks for one variant after the other, and the one that is found is what is proposed, written
and paid: a gang is never made of two. `ordered`: the first that fits now wins, even if dearer; else the cheapest.
Several accelerators of which any will do are kinds too where a gang is bought at once: its machines work in step.
"""

from collections.abc import Iterable, Sequence

from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidValue
from gondwana.core.values import replace
from gondwana.market.model import Charge, Lease, LeaseState, Listing, Mechanism, Order
from gondwana.market.screening import screen
from gondwana.wire.jobs import Alternative, Resources, kinds_of


def has_kinds(order: Order) -> bool:
    """Whether an order is looked for in one kind of machine after the other."""
    return bool(_kinds(order))


def _kinds(order: Order) -> tuple[Alternative, ...]:
    wanted = order.resources
    in_step = order.count_max > 1 and order.charge is Charge.SECOND  # islands need not be alike
    at_once = order.mechanism is Mechanism.POSTED and order.starts_at is None
    if wanted.alternatives or (in_step and at_once and len(wanted.accelerators) > 1):
        return kinds_of(wanted)
    return ()


def variants(order: Order) -> tuple[Order, ...]:
    """The order as it is with each of its kinds that quotas left of it; an order without any is the only one."""
    wanted, kinds = order.resources, _kinds(order)
    if not kinds:
        return (order,)
    found: list[Order] = []
    for each in kinds:
        accelerators = tuple(one for one in each.accelerators if one in wanted.accelerators)
        if each.accelerators and not accelerators:
            continue
        found.append(
            replace(
                order,
                resources=Resources(
                    accelerators=accelerators, cpus_min=each.cpus_min, memory_bytes_min=each.memory_bytes_min
                ),
                devices=max((one.count for one in accelerators), default=1),
                filters=joined(order.filters, each.where),
            )
        )  # fmt: skip
    return tuple(found)


def going_on(
    found: Sequence[Order], leases: Iterable[Lease], running: Sequence[Listing], now: Instant
) -> Sequence[Order]:
    """Of an order's variants those that go with the machines it has, which `running` are offers of.

    What runs there counts on as many devices; of these, the variants that all of the machines would serve, if any. Else
    those of the machines' models: a price may have risen, or an owner sells no more.
    """
    has = {
        lease.devices
        for lease in leases
        if lease.state is not LeaseState.CLOSED and any(lease.order_id == each.id for each in found)
    }
    if not has:
        return found
    alike = [each for each in found if each.devices in has]
    free = [replace(each, devices_free=each.devices) for each in running]
    same = [each for each in alike if len(screen(each, free, now).fits) == len(free)]
    return same or [each for each in alike if _are_of(each, running)] or alike


def _are_of(order: Order, running: Iterable[Listing]) -> bool:
    """Whether these machines all have a model that the order names, if it names any."""
    names = {each.name for each in order.resources.accelerators}
    return all(not names or "" in names or each.accelerator in names for each in running)


def joined(first: str, second: str) -> str:
    """A filter that asks for both."""
    return f"{first} {second}".strip()


def check_alternatives(resources: Resources, mechanism: Mechanism, *, is_ahead: bool) -> None:
    """Raise InvalidValue for alternatives that an order cannot be bought with; `is_ahead`: for a time to come."""
    how = "ahead" if is_ahead else f"by {mechanism}" if mechanism is not Mechanism.POSTED else ""
    if resources.alternatives and how:
        key = "ordered" if resources.is_ordered else "any_of"
        raise InvalidValue(
            f"Alternatives that differ in more than the accelerator, or stand in an order, are bought at once and at "
            f"posted prices, not {how}.",
            field=f"resources.{key}", value=how,
            hint="write gondwana.mechanism: posted, or alternatives of one count under resources.accelerators",
        )  # fmt: skip
