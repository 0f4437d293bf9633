"""What can be asked of an offer: only what the network measured, or what its owner agreed to."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gondwana.ledger.service import SlaClass
from gondwana.market.model import Listing
from gondwana.market.rules import price_micro_usd_per_million_steps

Scalar = int | float | str


class Kind(StrEnum):
    """What a field's values are."""

    TEXT = "text"
    MODEL = "model"  # of an accelerator, in any spelling that core.devices knows
    WORD = "word"  # one of a few
    LEVEL = "level"  # the same, in an order
    WHOLE = "whole"  # a whole number
    NUMBER = "number"
    BYTES = "bytes"  # GB is 1024³ bytes, as in a job file
    CARD_BYTES = "card_bytes"  # GB is 1000³ bytes, as on a card's box: a driver tells a little less than 1024³
    USD = "usd"  # in micro-USD


ORDERED: Final = frozenset(
    {Kind.LEVEL, Kind.WHOLE, Kind.NUMBER, Kind.BYTES, Kind.CARD_BYTES, Kind.USD}
)
SLA_LEVELS: Final = (SlaClass.HOME, SlaClass.MIXED, SlaClass.DATACENTRE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field: what it is of a listing, None where that was not measured."""

    name: str
    kind: Kind
    of: Callable[[Listing], Scalar | None]
    example: str
    words: tuple[str, ...] = ()


FIELDS: Final = {
    field.name: field
    for field in (
        Field(name="model", kind=Kind.MODEL, of=lambda each: each.accelerator, example="H100"),
        Field(name="devices", kind=Kind.WHOLE, of=lambda each: each.devices, example="4"),
        Field(name="free", kind=Kind.WHOLE, of=lambda each: each.devices_free, example="1"),
        Field(name="cpus", kind=Kind.NUMBER, of=lambda each: each.cpus or None, example="8"),
        Field(name="memory", kind=Kind.BYTES, of=lambda each: each.memory_bytes or None, example="64GB"),
        Field(name="device_memory", kind=Kind.CARD_BYTES, of=lambda each: each.device_memory_bytes or None,
              example="80GB"),
        Field(name="vendor", kind=Kind.TEXT, of=lambda each: each.vendor or None, example="nvidia"),
        Field(name="steps", kind=Kind.NUMBER, of=lambda each: round(each.steps_per_second, 3) or None, example="10"),
        Field(name="price", kind=Kind.USD, of=lambda each: each.price_micro_usd_per_device_hour, example="2.50"),
        Field(name="price_per_million_steps", kind=Kind.USD, of=price_micro_usd_per_million_steps, example="0.05"),
        Field(name="region", kind=Kind.TEXT, of=lambda each: each.region, example="eu-*"),
        Field(name="sla", kind=Kind.LEVEL, of=lambda each: SLA_LEVELS.index(each.sla), example="datacentre",
              words=SLA_LEVELS),
        Field(name="isolation", kind=Kind.WORD, of=lambda each: each.isolation or None, example="sandbox",
              words=("sandbox", "plain", "none")),
        Field(name="machine", kind=Kind.TEXT, of=lambda each: each.name, example="atlas"),
    )
}  # fmt: skip
"""Name -> field, in the order in which they are told."""

FOREIGN: Final = {
    "accelerator": "model", "gpu": "model", "gpu_name": "model", "device": "model", "name": "machine",
    "gpus": "devices", "num_gpus": "devices", "count": "devices", "devices_free": "free", "available": "free",
    "cores": "cpus", "cpu_cores": "cpus", "ram": "memory", "cpu_ram": "memory", "mem": "memory",
    "gpu_memory": "device_memory", "gpu_ram": "device_memory", "vram": "device_memory",
    "steps_per_second": "steps", "speed": "steps", "dlperf": "steps", "dph": "price", "dph_total": "price",
    "cost": "price", "dlperf_usd": "price_per_million_steps", "work": "price_per_million_steps",
    "location": "region", "geolocation": "region", "country": "region", "class": "sla",
}  # fmt: skip
"""What others call it -> our name, to suggest."""
