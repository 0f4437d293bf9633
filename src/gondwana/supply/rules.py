"""Decisions about machines; pure."""

import itertools
from collections.abc import Iterable
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidValue, WrongState
from gondwana.core.values import replace
from gondwana.ledger.service import SlaClass
from gondwana.supply.model import TRANSITIONS, Machine, MachineState, OfferState
from gondwana.wire.calendar import (
    DISCOUNT_BASIS_POINTS_MAX,
    DISCOUNTS_MAX,
    RESERVE_SECONDS_MAX,
    Discount,
)
from gondwana.wire.jobs import LEASE_SECONDS_MAX, is_notice
from gondwana.wire.machines import Accelerator, MachineInventory, MachineSpeed

HEARTBEAT_SECONDS: Final = 5.0
DOWN_AFTER_SECONDS: Final = 15.0  # three heartbeats missed
RETURN_FACTOR: Final = 4.0  # times that: an agent tries to reconnect at least every 45 seconds
REJECTIONS_MAX: Final = (
    3  # in a row; honest deltas are practically never rejected (field notes, wan-training 4)
)
DEVICES_MAX: Final = 64
CPUS_MAX: Final = 4096
BYTES_MAX: Final = 2**53  # 9 petabytes; a whole number in any client
TEXT_CHARS_MAX: Final = 100  # of a name that a driver or a system gives
INTERCONNECTS: Final = frozenset({"pcie", "nvlink", "xgmi"})
ISOLATIONS: Final = frozenset({"sandbox", "plain", "none"})
STEPS_PER_SECOND_MAX: Final = (
    1e6  # of the reference training step; the fastest accelerators do thousands
)
SPEED_MAX: Final = 1e15  # in any other unit
SPEED_MIN: Final = 1e-6  # a step in ten days
PRICE_MAX_MICRO_USD_PER_DEVICE_HOUR: Final = 1_000_000_000

SERVING: Final = frozenset(
    {MachineState.UP, MachineState.PAUSED, MachineState.DRAINING, MachineState.OWNER_BUSY}
)
"""States in which a machine's running leases go on."""

STOPPED: Final = "stopped by its owner"
"""The reason of a machine whose agent was stopped: it comes back when it is started again."""

RECLAIMED: Final = "taken back by its owner"
"""The reason of a machine that sells nothing since its owner gave notice to all whom it serves."""

OWNER_VERBS: Final = {
    "pause": MachineState.PAUSED,
    "resume": MachineState.UP,
    "drain": MachineState.DRAINING,
    "leave": MachineState.LEFT,
}


def check_terms(
    price_micro_usd_per_device_hour: int, devices: int, *, cpus_max: float | None = None,
    memory_bytes_max: int | None = None,
) -> None:  # fmt: skip
    """Raise InvalidValue for a price, or for so many devices, processors or bytes, that cannot be sold."""
    if not 0 <= price_micro_usd_per_device_hour <= PRICE_MAX_MICRO_USD_PER_DEVICE_HOUR:
        raise InvalidValue(
            field="price",
            value=price_micro_usd_per_device_hour / 1e6,
            hint="dollars an hour, from 0 to 1000",
        )
    if not 1 <= devices <= DEVICES_MAX:
        raise InvalidValue(field="devices", value=devices, hint=f"from 1 to {DEVICES_MAX}")
    if cpus_max is not None and not 0 < cpus_max <= CPUS_MAX:
        raise InvalidValue(field="cpus_max", value=cpus_max, hint=f"more than 0, to {CPUS_MAX}")
    if memory_bytes_max is not None and not 0 < memory_bytes_max <= BYTES_MAX:
        raise InvalidValue(field="memory_bytes_max", value=memory_bytes_max, hint="bytes")


def country_code(text: str) -> str:
    """The code of a country as it is stored; none for none. Raises InvalidValue."""
    code = text.strip().upper()
    if code and not (len(code) == 2 and code.isascii() and code.isalpha()):
        raise InvalidValue(
            field="country", value=text[:80], hint="two letters of ISO 3166, e.g. DE"
        )
    return code


def check_floor(floor_micro_usd_per_device_hour: int, *, no_spot: bool = False) -> None:
    """Raise InvalidValue for a spot floor that cannot be, or one beside the wish to sell no spot."""
    if no_spot:
        raise InvalidValue("a floor and no spot", field="no_spot", hint="one of the two")
    if not 0 <= floor_micro_usd_per_device_hour <= PRICE_MAX_MICRO_USD_PER_DEVICE_HOUR:
        raise InvalidValue(
            field="spot_floor",
            value=floor_micro_usd_per_device_hour / 1e6,
            hint="dollars an hour, from 0 to 1000",
        )


def check_notice(notice_seconds: int) -> None:
    """Raise InvalidValue for a notice that cannot be promised."""
    if not is_notice(notice_seconds):
        raise InvalidValue(
            field="notice_seconds", value=notice_seconds, hint="0 for none, or from 1h to 720h"
        )


def check_ahead(reserve_seconds_max: int) -> None:
    """Raise InvalidValue for reservations so far ahead that nobody can promise them."""
    if not 0 <= reserve_seconds_max <= RESERVE_SECONDS_MAX:
        raise InvalidValue(
            field="reserve",
            value=reserve_seconds_max,
            hint="0 for none, to 366d; e.g. --reserve 30d",
        )


def ladder(discounts: Iterable[Discount]) -> tuple[Discount, ...]:
    """The steps, the shortest first; raises InvalidValue for a ladder that does not go up."""
    steps = tuple(sorted(discounts, key=lambda each: each.seconds))
    if len(steps) > DISCOUNTS_MAX:
        raise InvalidValue(field="discount", value=len(steps), hint=f"at most {DISCOUNTS_MAX}")
    for each in steps:
        lasts = 0 < each.seconds <= LEASE_SECONDS_MAX
        if not lasts or not 0 < each.basis_points <= DISCOUNT_BASIS_POINTS_MAX:
            hint = "a time up to 366d and a percentage up to 90: --discount 24h=5%"
            raise InvalidValue(
                field="discount", value=f"{each.seconds}s={each.basis_points / 100:g}%", hint=hint
            )
    for before, each in itertools.pairwise(steps):
        if each.seconds == before.seconds or each.basis_points <= before.basis_points:
            raise InvalidValue(
                "a longer lease has a greater discount", field="discount",
                value=f"{each.seconds}s={each.basis_points / 100:g}%", hint="--discount 24h=5% --discount 168h=15%",
            )  # fmt: skip
    return steps


def sla_class(told: str) -> SlaClass:
    """What an owner says he promises; raises InvalidValue for what is no class."""
    if told not in list(SlaClass):
        raise InvalidValue(field="sla", value=told, hint=f"one of {', '.join(SlaClass)}")
    return SlaClass(told)


def bounded_inventory(told: MachineInventory) -> MachineInventory:
    """What is kept of what an agent says its machine has: of bounded size, with numbers one can reckon with."""
    return MachineInventory(
        cpu_model=told.cpu_model[:TEXT_CHARS_MAX],
        cpu_count=_between(told.cpu_count, CPUS_MAX),
        memory_bytes=_between(told.memory_bytes, BYTES_MAX),
        disk_free_bytes=_between(told.disk_free_bytes, BYTES_MAX),
        os=told.os[:TEXT_CHARS_MAX],
        architecture=told.architecture[:TEXT_CHARS_MAX],
        python=told.python[:TEXT_CHARS_MAX],
        accelerators=tuple(_bounded_accelerator(each) for each in told.accelerators[:DEVICES_MAX]),
    )


def bounded_isolation(told: str) -> str:
    """The isolation, if it is one that is known; "none" otherwise."""
    return told if told in ISOLATIONS else "none"


def _bounded_accelerator(told: Accelerator) -> Accelerator:
    return Accelerator(
        name=told.name[:TEXT_CHARS_MAX],
        vendor=told.vendor[:TEXT_CHARS_MAX],
        memory_bytes=_between(told.memory_bytes, BYTES_MAX),
        uuid=told.uuid[:TEXT_CHARS_MAX],
        driver=told.driver[:TEXT_CHARS_MAX],
        compute_capability=told.compute_capability[:TEXT_CHARS_MAX],
        interconnect=told.interconnect if told.interconnect in INTERCONNECTS else "",
    )


def _between(told: int, most: int) -> int:
    return max(0, min(told, most))


def move(machine: Machine, to: MachineState) -> MachineState:
    """`to`, if the machine may go there; raises WrongState otherwise."""
    if to not in TRANSITIONS[machine.state]:
        raise WrongState(
            f"machine '{machine.name}' is {machine.state}, it cannot become {to}",
            hint=f"gondwana provider show {machine.name}",
        )
    return to


def owner_verb(machine: Machine, verb: str, *, leased: bool) -> MachineState:
    """Where `pause`, `resume`, `drain` or `leave` takes the machine; raises WrongState or InvalidValue."""
    if verb not in OWNER_VERBS:
        raise InvalidValue(field="verb", value=verb, hint=f"one of {', '.join(OWNER_VERBS)}")
    if verb == "leave" and leased:
        raise WrongState(
            f"machine '{machine.name}' still serves a lease",
            hint=f"gondwana provider drain {machine.name} finishes it first",
        )
    if verb == "resume" and machine.state is not MachineState.PAUSED:
        raise WrongState(f"machine '{machine.name}' is {machine.state}, not paused")
    to = OWNER_VERBS[verb]
    return to if machine.state is to else move(machine, to)  # said twice is said once


def measured(told: MachineSpeed) -> MachineSpeed:
    """The speed as it may be stored and reckoned with: what cannot be a speed counts as not measured."""
    return replace(
        told,
        matmul_gflops=_speed(told.matmul_gflops),
        memory_bytes_per_second=_speed(told.memory_bytes_per_second),
        steps_per_second=_speed(told.steps_per_second, STEPS_PER_SECOND_MAX),
        torch=told.torch and told.torch[:TEXT_CHARS_MAX],
    )


def _speed(told: float | None, most: float = SPEED_MAX) -> float | None:
    return told if told is not None and SPEED_MIN <= told <= most else None


def state_on_facts(machine: Machine) -> MachineState:
    """The state after an agent has connected and told what it measured."""
    if machine.state in {MachineState.JOINING, MachineState.PROBING, MachineState.DOWN}:
        return MachineState.UP
    return machine.state


def offer_state(machine_state: MachineState) -> OfferState:
    """What becomes of a machine's offer in this state of the machine."""
    if machine_state is MachineState.UP:
        return OfferState.OPEN
    return OfferState.WITHDRAWN if machine_state is MachineState.LEFT else OfferState.PAUSED


def is_silent(
    machine: Machine, now: Instant, down_after_seconds: float = DOWN_AFTER_SECONDS
) -> bool:
    """Whether the machine has gone without a proof of life for too long."""
    serving = machine.state in SERVING
    return serving and now - (machine.proven_at or machine.joined_at) > down_after_seconds


def state_on_silence(machine: Machine) -> MachineState:
    """The state of a machine that went silent: what its owner asked for (pause, drain) stays asked for."""
    stays = machine.state in (MachineState.PAUSED, MachineState.DRAINING)
    return machine.state if stays else MachineState.DOWN


def may_judge_silence(
    now: Instant, listening_since: Instant, down_after_seconds: float = DOWN_AFTER_SECONDS
) -> bool:
    """Whether agents have had the time to come back to a control plane that was away itself."""
    return now - listening_since > down_after_seconds * RETURN_FACTOR


def after_verdict(machine: Machine, *, accepted: bool) -> int:
    """Rejections in a row after one more verdict; at REJECTIONS_MAX the machine is suspended."""
    return 0 if accepted else machine.rejections_in_row + 1
