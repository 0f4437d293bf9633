"""What supply has becomes what the market lists: measured numbers under the owner's terms."""

import functools
from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

from msgspec import Struct
from msgspec.json import Decoder

from gondwana.core.decoding import learnt
from gondwana.core.devices import CPU, device
from gondwana.core.ids import MachineId
from gondwana.db.together import Asked
from gondwana.db.transaction import Reader
from gondwana.market.book import EMPTY, Row
from gondwana.market.measures import work_price
from gondwana.market.model import Listing, Tag
from gondwana.market.rules import cost_of, serial
from gondwana.supply import store as supply
from gondwana.supply.model import MachineState, OfferState, Supply
from gondwana.wire.machines import Accelerator

HAS_ACCELERATOR, RUNS_WORK, HAS_SANDBOX, IS_OPEN = (1 << bit for bit in range(4))
"""Bits of a row's tags, and one for each step of notice that an owner promises."""
NOTICE_STEPS_HOURS: Final = (1, 2, 4, 8, 24, 72, 168, 720)
NOTICE_BIT_FIRST: Final = 40
FILTER_BITS: Final = tuple(1 << bit for bit in (*range(4, 40), *range(48, 63)))
"""Bits that `jobs.verdicts` lends to filters."""


class _Named(Struct):
    name: str


class _Inventory(Struct):
    """What a search needs of a machine's inventory. The database would parse its text once for each of these."""

    cpu_count: float = 0.0
    memory_bytes: int = 0
    accelerators: tuple[_Named, ...] = ()


class _Speed(Struct):
    steps_per_second: float | None = None


learnt(_Inventory)
learnt(_Speed)
_INVENTORY: Final = Decoder(_Inventory).decode
_SPEED: Final = Decoder(_Speed).decode


def listings(reader: Reader) -> list[Listing]:
    """Every standing offer as the market sees it now; for people, and where a reason is wanted: it looks at all."""
    return [to_listing(each) for each in supply.supply(reader)]


def listings_of(reader: Reader, machine_ids: Iterable[str]) -> list[Listing]:
    """The standing offers of these machines, in this order; those that sell nothing are left out."""
    return listings_of_asked(machine_ids).of(reader)


def listings_of_asked(machine_ids: Iterable[str]) -> Asked[list[Listing]]:
    """The same, not asked yet."""
    ids = list(dict.fromkeys(machine_ids))
    return supply.supply_of_asked(ids).then(
        lambda found: [to_listing(found[each]) for each in ids if each in found]
    )


def rows(reader: Reader) -> Iterator[Row]:
    """Every standing offer as the book in memory holds it: as `to_row` has it of its listing, but sooner."""
    for each in supply.numbers(reader):
        (machine_id, owner, region, is_open, isolation, devices, cpus_max, memory_max, joined_at, price, notice,
         leased, inventory, speed) = each  # fmt: skip
        has = _INVENTORY(inventory)
        accelerator = has.accelerators[0].name if has.accelerators else CPU
        steps = speed and _SPEED(speed).steps_per_second
        yield _row(
            machine_id, accelerator, region, owner, price, steps or 0.0, devices - leased, devices,
            _within(has.cpu_count, cpus_max), _within(has.memory_bytes, memory_max),
            _tags(accelerator, isolation, bool(is_open), notice), joined_at, notice,
        )  # fmt: skip


def to_row(listing: Listing) -> Row:
    """A standing offer as the book in memory holds it."""
    return _row(
        listing.machine_id, listing.accelerator, listing.region, listing.owner_id,
        listing.price_micro_usd_per_device_hour, listing.steps_per_second, listing.devices_free, listing.devices,
        listing.cpus, listing.memory_bytes,
        _tags(listing.accelerator, listing.isolation, listing.is_open, listing.notice_seconds), listing.joined_at,
        listing.notice_seconds,
    )  # fmt: skip


def _row(
    machine_id: MachineId, accelerator: str, region: str, owner: str, price: int, steps: float, free: int,
    devices: int, cpus: float, memory_bytes: int, tags: int, joined_at: float, notice_seconds: int,
) -> Row:  # fmt: skip
    work = work_price(price, steps)
    return Row(
        machine_id, accelerator, region, cost_of(price, steps), price, free, devices, round(cpus * 1_000),
        memory_bytes, tags, owner, serial(joined_at, machine_id), notice_seconds, EMPTY if work is None else work,
    )  # fmt: skip


def _tags(accelerator: str, isolation: str, is_open: bool, notice_seconds: int) -> int:
    return (
        (HAS_ACCELERATOR if accelerator != CPU else 0)
        | (RUNS_WORK if isolation in ("sandbox", "plain") else 0)
        | (HAS_SANDBOX if isolation == "sandbox" else 0)
        | (IS_OPEN if is_open else 0)
        | notice_tags(notice_seconds)
    )


@functools.lru_cache(maxsize=1_024)
def notice_tags(seconds: int) -> int:
    """A bit for each step that a notice reaches; what lies between two steps is looked at exactly."""
    reached = (hours * 3_600 <= seconds for hours in NOTICE_STEPS_HOURS)
    return sum(1 << (NOTICE_BIT_FIRST + step) for step, is_on in enumerate(reached) if is_on)


A = TypeVar("A", int, float)


def _within(amount: A, most: A | None) -> A:
    """What there is, under the owner's terms."""
    return min(amount, most) if most else amount


def to_listing(each: Supply) -> Listing:
    """One offer as the market sees it."""
    machine, inventory = each.machine, each.machine.inventory
    assert inventory is not None, "what was not measured sells nothing"
    accelerators = inventory.accelerators
    return Listing(
        offer_id=each.offer.id,
        machine_id=machine.id,
        name=machine.name,
        owner_id=machine.owner_id,
        region=machine.region,
        country=machine.country,
        reliability=machine.reliability,
        trust=machine.trust,
        is_open=each.offer.state is OfferState.OPEN and machine.state is MachineState.UP,
        isolation=machine.isolation,
        accelerator=accelerators[0].name if accelerators else CPU,
        devices=machine.devices,
        devices_free=each.devices_free,
        cpus=_within(float(inventory.cpu_count), machine.cpus_max),
        memory_bytes=_within(inventory.memory_bytes, machine.memory_bytes_max),
        steps_per_second=(machine.speed.steps_per_second or 0.0) if machine.speed else 0.0,
        price_micro_usd_per_device_hour=each.offer.price_micro_usd_per_device_hour,
        epoch=each.epoch,
        joined_at=machine.joined_at,
        sla=machine.sla,
        device_memory_bytes=min((each.memory_bytes for each in accelerators), default=0),
        vendor=accelerators[0].vendor if accelerators else "",
        tflops=(machine.speed.matmul_gflops or 0.0) / 1_000 if machine.speed else 0.0,
        compute_capability=_capability(accelerators),
        driver=accelerators[0].driver if accelerators else "",
        interconnect=accelerators[0].interconnect if accelerators else "",
        notice_seconds=each.offer.notice_seconds,
        spot_floor_micro_usd_per_device_hour=each.offer.spot_floor_micro_usd_per_device_hour,
        up_bits_per_second=machine.network.up_bits_per_second if machine.network else 0,
        down_bits_per_second=machine.network.down_bits_per_second if machine.network else 0,
        site=machine.site,
        address=machine.address,
        network=machine.network,
        tags=tuple(
            Tag(name=one.name, signer=one.signer, expires_at=one.expires_at) for one in each.tags
        ),
        reserve_seconds_max=each.offer.reserve_seconds_max,
        discounts=each.offer.discounts,
    )


def _capability(accelerators: tuple[Accelerator, ...]) -> str:
    """What the driver tells, else what is known of the model."""
    if not accelerators:
        return ""
    known = device(accelerators[0].name)
    return accelerators[0].compute_capability or (known.compute_capability if known else "")
