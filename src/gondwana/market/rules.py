"""Decisions of the market; pure. A test needs no database."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.money import format_usd
from gondwana.core.units import format_bytes
from gondwana.market.model import Charge, Lease, LeaseState, Order, OrderState, Screening
from gondwana.supply.model import MachineState, OfferState, Supply
from gondwana.wire.jobs import Resources

RESERVATION_SECONDS_MAX: Final = (
    300  # reservations hold real capacity, so they may not linger (Akash lost inventory)
)
ORDER_SECONDS_MAX: Final = 24 * 3600  # an order that nothing fits for a day has expired
PROOF_GAP_SECONDS_MAX: Final = (
    12.0  # proofs further apart prove nothing of the time between (two heartbeats + slack)
)
RUNWAY_SECONDS: Final = 3600  # a lease's escrow at the start, or the job's budget if smaller
OWNER_ACCELERATOR_NONE: Final = "CPU"


def accelerator(supply: Supply) -> str:
    """The name of what the machine sells: its accelerator, or `CPU`."""
    inventory = supply.machine.inventory
    return (
        inventory.accelerators[0].name
        if inventory and inventory.accelerators
        else OWNER_ACCELERATOR_NONE
    )


def cpus_offered(supply: Supply) -> float:
    """Cores under the owner's terms."""
    inventory, terms = supply.machine.inventory, supply.machine.cpus_max
    cores = float(inventory.cpu_count) if inventory else 0.0
    return min(cores, terms) if terms else cores


def memory_offered_bytes(supply: Supply) -> int:
    """Memory under the owner's terms."""
    inventory, terms = supply.machine.inventory, supply.machine.memory_bytes_max
    memory = inventory.memory_bytes if inventory else 0
    return min(memory, terms) if terms else memory


def steps_per_second(supply: Supply) -> float:
    """Measured speed: reference training steps per second; 0 where it could not be measured."""
    speed = supply.machine.speed
    return (speed.steps_per_second or 0.0) if speed else 0.0


def price_per_work(supply: Supply) -> tuple[bool, float, int, str]:
    """Sort key: price per measured speed, unmeasured machines last, then price, then name (no random ties)."""
    speed, price = steps_per_second(supply), supply.offer.price_micro_usd_per_device_hour
    return (speed == 0, price / speed if speed else 0.0, price, supply.machine.name)


def screen(order: Order, supplies: Iterable[Supply]) -> Screening:
    """The machines that fit, cheapest per measured speed first; or the constraint that left none, and a way out."""
    left = list(supplies)
    if not left:
        return Screening(
            fits=(),
            why_not="no machine has joined",
            hint="gondwana provider join URL --token TOKEN",
        )
    for name, passes, hint in _constraints(order):
        kept = [supply for supply in left if passes(supply)]
        if not kept:
            return Screening(
                fits=(), why_not=f"{name}: none of {len(left)} machines", hint=hint(left)
            )
        left = kept
    return Screening(fits=tuple(sorted(left, key=price_per_work)))


_Constraint = tuple[str, Callable[[Supply], bool], Callable[[Sequence[Supply]], str]]


def _constraints(order: Order) -> list[_Constraint]:
    want, cap = order.resources, order.price_cap_micro_usd_per_device_hour
    names = " or ".join(wanted.name or "any" for wanted in want.accelerators)
    return [
        (
            "up and open for work",
            _is_open,
            lambda left: "gondwana offers shows which machines are up",
        ),
        (
            "a sandbox for other people's work",
            lambda s: (
                s.machine.isolation == "sandbox"
                or (s.machine.isolation == "plain" and s.machine.owner_id == order.tenant_id)
            ),
            lambda left: "their owners must install bubblewrap: gondwana doctor",
        ),
        (
            f"accelerator {names}",
            lambda s: _has_accelerator(s, want),
            lambda left: "there are: " + ", ".join(sorted({accelerator(s) for s in left})),
        ),
        (
            f"at least {want.cpus_min:g} CPUs",
            lambda s: cpus_offered(s) >= want.cpus_min,
            lambda left: f"the largest has {max(map(cpus_offered, left)):g}: lower resources.cpus",
        ),
        (
            f"at least {format_bytes(want.memory_bytes_min)} of memory",
            lambda s: memory_offered_bytes(s) >= want.memory_bytes_min,
            lambda left: (
                f"the largest has {format_bytes(max(map(memory_offered_bytes, left)))}: "
                "lower resources.memory"
            ),
        ),
        (
            f"price at most {format_usd(cap or 0)} per device-hour",
            lambda s: cap is None or s.offer.price_micro_usd_per_device_hour <= cap,
            lambda left: (
                "the cheapest that fits otherwise asks "
                f"{format_usd(min(s.offer.price_micro_usd_per_device_hour for s in left))}: "
                "raise gondwana.price_cap_usd_per_gpu_hour"
            ),
        ),
        (
            f"{order.devices} free device(s)",
            lambda s: s.devices_free >= order.devices,
            lambda left: (
                f"{len(left)} would fit but are taken: wait, or allow dearer or smaller machines"
            ),
        ),
    ]


def _is_open(supply: Supply) -> bool:
    return supply.offer.state is OfferState.OPEN and supply.machine.state is MachineState.UP


def _has_accelerator(supply: Supply, want: Resources) -> bool:
    if not want.accelerators:
        return True
    have = accelerator(supply)
    if have == OWNER_ACCELERATOR_NONE:
        return False
    return any(
        wanted.name in ("", have) and wanted.count <= supply.machine.devices
        for wanted in want.accelerators
    )


def match(order: Order, held: int, screening: Screening) -> tuple[Supply, ...]:
    """The machines to lease now at their posted price: all that the order still lacks, or none below its minimum.

    `held` counts the leases that the order already has; a gang that lost one machine gets just that one replaced.
    """
    lacking = order.count_max - held
    chosen = screening.fits[:lacking]
    return chosen if chosen and held + len(chosen) >= order.count_min else ()


def order_state(order: Order, held: int, now: Instant) -> OrderState:
    """Where the order stands with `held` leases; a matched order opens again when it lost one."""
    if order.state in (OrderState.CLOSED, OrderState.EXPIRED):
        return order.state
    if held >= order.count_max:
        return OrderState.MATCHED
    return OrderState.EXPIRED if held == 0 and now >= order.expires_at else OrderState.OPEN


def has_lapsed(lease: Lease, now: Instant) -> bool:
    """Whether a reservation was not confirmed in time."""
    return lease.state is LeaseState.RESERVED and now - lease.reserved_at >= RESERVATION_SECONDS_MAX


def prove(lease: Lease, now: Instant, *, alive: bool, billable: bool = True) -> int:
    """Proven milliseconds after one more signed heartbeat: the time since the last one, if that is recent enough.

    The control plane's clock alone counts, so a wrong clock on the machine changes nothing.
    """
    if (
        not alive
        or lease.state not in (LeaseState.ACTIVE, LeaseState.RECLAIMING)
        or lease.proven_at is None
    ):
        return lease.proven_ms
    gap = now - lease.proven_at
    return lease.proven_ms + (
        int(gap * 1000) if billable and 0 <= gap <= PROOF_GAP_SECONDS_MAX else 0
    )


def escrow_micro_usd(lease: Lease, budget_left_micro_usd: int | None) -> int:
    """What to set aside when a lease opens: its runway, or what is left of the budget if that is less."""
    if lease.charge is Charge.UNIT:
        return 0  # training pays from the task's escrow
    runway = lease.price_micro_usd_per_hour * RUNWAY_SECONDS // 3600
    return runway if budget_left_micro_usd is None else min(runway, budget_left_micro_usd)
