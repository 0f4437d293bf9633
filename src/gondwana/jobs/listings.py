"""What supply has becomes what the market lists: measured numbers under the owner's terms."""

from collections.abc import Iterable

from gondwana.core.devices import CPU, device
from gondwana.db.transaction import Reader
from gondwana.market.model import Listing
from gondwana.supply import store as supply
from gondwana.supply.model import MachineState, OfferState, Supply
from gondwana.wire.machines import Accelerator


def listings(reader: Reader) -> list[Listing]:
    """Every standing offer as the market sees it now; for people, and where a reason is wanted: it looks at all."""
    return [to_listing(each) for each in supply.supply(reader)]


def listings_of(reader: Reader, machine_ids: Iterable[str]) -> list[Listing]:
    """The standing offers of these machines, in this order; those that sell nothing are left out."""
    ids = list(dict.fromkeys(machine_ids))
    found = supply.supply_of(reader, ids)
    return [to_listing(found[machine_id]) for machine_id in ids if machine_id in found]


def to_listing(each: Supply) -> Listing:
    """One offer as the market sees it."""
    machine, inventory = each.machine, each.machine.inventory
    cores = float(inventory.cpu_count) if inventory else 0.0
    memory = inventory.memory_bytes if inventory else 0
    accelerators = inventory.accelerators if inventory else ()
    return Listing(
        offer_id=each.offer.id,
        machine_id=machine.id,
        name=machine.name,
        owner_id=machine.owner_id,
        region=machine.region,
        is_open=each.offer.state is OfferState.OPEN and machine.state is MachineState.UP,
        isolation=machine.isolation,
        accelerator=accelerators[0].name if accelerators else CPU,
        devices=machine.devices,
        devices_free=each.devices_free,
        cpus=min(cores, machine.cpus_max) if machine.cpus_max else cores,
        memory_bytes=min(memory, machine.memory_bytes_max) if machine.memory_bytes_max else memory,
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
    )


def _capability(accelerators: tuple[Accelerator, ...]) -> str:
    """What the driver tells, else what is known of the model."""
    if not accelerators:
        return ""
    known = device(accelerators[0].name)
    return accelerators[0].compute_capability or (known.compute_capability if known else "")
