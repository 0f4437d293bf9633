"""Jobs that several kinds of machines would do for: each kind is the same order with other wishes; pure.

Whoever looks for machines looks for one variant after the other, and the one that is found is what is proposed, written
and paid: a gang is never made of two. `ordered`: the first that fits now wins, even if dearer; else the cheapest.
"""

from collections.abc import Iterable, Sequence

from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidValue
from gondwana.core.values import replace
from gondwana.market.model import Lease, LeaseState, Listing, Mechanism, Order
from gondwana.market.screening import screen
from gondwana.wire.jobs import Resources


def variants(order: Order) -> tuple[Order, ...]:
    """The order as it is with each of its alternatives that quotas left of it; an order without any is the only one."""
    wanted = order.resources
    if not wanted.alternatives:
        return (order,)
    found: list[Order] = []
    for each in wanted.alternatives:
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

    What runs there counts on as many devices; of these, the variants that all of the machines would serve, if any.
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
    return same or alike


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
