"""What can be asked of an offer: only what the network measured, or what its owner agreed to.

docs/reference/filter-fields.md is made from the table, and the parser refuses by it: they cannot drift apart.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gondwana.ledger.service import SlaClass
from gondwana.market.measures import (
    BANDWIDTH_CLASSES,
    bandwidth_class,
    price_micro_usd_per_million_steps,
    price_micro_usd_per_tflop_hour,
)
from gondwana.market.model import Listing
from gondwana.wire.machines import Trust

Scalar = int | float | str


class Kind(StrEnum):
    """What a field's values are."""

    TEXT = "text"
    MODEL = "model"  # of an accelerator, in any spelling that core.devices knows
    WORD = "word"  # one of a few
    TAG = "tag"  # a name, or name@signer; a machine has any number of them
    LEVEL = "level"  # one of a few, in an order
    WHOLE = "whole"  # a whole number
    NUMBER = "number"
    SHARE = "share"  # from 0 to 1, or in percent
    VERSION = "version"  # numbers with dots between
    SECONDS = "seconds"  # a time: 90s, 30m, 2h, 3d
    BYTES = "bytes"  # GB is 1024³ bytes, as in a job file
    CARD_BYTES = "card_bytes"  # GB is 1000³ bytes, as on a card's box: a driver tells a little less than 1024³
    USD = "usd"  # in micro-USD


ORDERED: Final = frozenset(
    {Kind.LEVEL, Kind.WHOLE, Kind.NUMBER, Kind.SHARE, Kind.VERSION, Kind.SECONDS, Kind.BYTES, Kind.CARD_BYTES, Kind.USD}
)  # fmt: skip
SLA_LEVELS: Final = (SlaClass.HOME, SlaClass.MIXED, SlaClass.DATACENTRE)
TRUST_LEVELS: Final = tuple(Trust)
VERSION_PARTS_MAX: Final = 3
VERSION_PART_MAX: Final = 999_999  # of each part: three of them are one whole number of 64 bits
_VERSION: Final = re.compile(r"(\d{1,6})(?:\.(\d{1,6}))?(?:\.(\d{1,6}))?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field: what it is of a listing, None where that was not measured."""

    name: str
    kind: Kind
    of: Callable[[Listing], Scalar | None]
    example: str
    means: str  # for people
    source: str  # who says so: what is not measured is stated by somebody
    words: tuple[str, ...] = ()
    is_single: bool = False  # differs from machine to machine, so that looking at all of them is no way to find one


def version_number(text: str) -> int | None:
    """A version as one number that grows with it: `550.54.14`; None for what is none."""
    found = _VERSION.match(text)
    if found is None:
        return None
    number = 0
    for part in found.groups():
        number = number * (VERSION_PART_MAX + 1) + int(part or 0)
    return number


def _level(words: tuple[str, ...], word: str) -> int | None:
    return words.index(word) if word in words else None


def _bandwidth(listing: Listing) -> int | None:
    found = bandwidth_class(listing.up_bits_per_second, listing.down_bits_per_second)
    return None if found is None else _level(BANDWIDTH_CLASSES, found)


_OWNER, _DRIVER, _MEASURED = "stated by the owner", "told by the driver", "measured"

FIELDS: Final = {
    field.name: field
    for field in (
        Field(name="model", kind=Kind.MODEL, of=lambda each: each.accelerator, example="H100", source=_DRIVER,
              means="the accelerator, in any spelling: RTX4090, rtx_4090, NVIDIA GeForce RTX 4090; CPU without one"),
        Field(name="devices", kind=Kind.WHOLE, of=lambda each: each.devices, example="4", source=_OWNER,
              means="how many accelerators the machine sells (1 without any)"),
        Field(name="free", kind=Kind.WHOLE, of=lambda each: each.devices_free, example="1", source=_MEASURED,
              means="how many of them are free now; an order always gets what it needs, so it does not ask this"),
        Field(name="cpus", kind=Kind.NUMBER, of=lambda each: each.cpus or None, example="8", source=_MEASURED,
              means="processors, under the owner's terms"),
        Field(name="memory", kind=Kind.BYTES, of=lambda each: each.memory_bytes or None, example="64GB",
              source=_MEASURED, means="the machine's memory, under the owner's terms; GB is 1024³ bytes"),
        Field(name="device_memory", kind=Kind.CARD_BYTES, of=lambda each: each.device_memory_bytes or None,
              example="80GB", source=_DRIVER, means="memory of one accelerator; GB is 1000³ bytes, as on its box"),
        Field(name="vendor", kind=Kind.TEXT, of=lambda each: each.vendor or None, example="nvidia", source=_DRIVER,
              means="who makes the accelerator: nvidia, amd, apple"),
        Field(name="compute_capability", kind=Kind.VERSION, of=lambda each: version_number(each.compute_capability),
              example="8.0", source=_DRIVER, means="NVIDIA's word for a generation: 8.0 is A100, 9.0 is H100"),
        Field(name="driver", kind=Kind.VERSION, of=lambda each: version_number(each.driver), example="550.54",
              source=_DRIVER, means="the accelerator driver's version"),
        Field(name="interconnect", kind=Kind.WORD, of=lambda each: each.interconnect or None, example="nvlink",
              words=("pcie", "nvlink", "xgmi"), source=_DRIVER, means="what joins the machine's accelerators"),
        Field(name="tflops", kind=Kind.NUMBER, of=lambda each: round(each.tflops, 3) or None, example="40",
              source=_MEASURED, means="a matrix product on one device, in 10¹² operations a second (bfloat16 on an "
              "accelerator, float32 on a processor)"),
        Field(name="steps", kind=Kind.NUMBER, of=lambda each: round(each.steps_per_second, 3) or None, example="10",
              source=_MEASURED, means="reference training steps a second"),
        Field(name="price", kind=Kind.USD, of=lambda each: each.price_micro_usd_per_device_hour, example="2.50",
              source=_OWNER, means="dollars for a device-hour"),
        Field(name="price_per_tflop", kind=Kind.USD, of=price_micro_usd_per_tflop_hour, example="0.01",
              source="the price over what was measured", means="dollars for a measured TFLOP/s for an hour"),
        Field(name="price_per_million_steps", kind=Kind.USD, of=price_micro_usd_per_million_steps, example="0.05",
              source="the price over what was measured", means="dollars for a million reference training steps"),
        Field(name="region", kind=Kind.TEXT, of=lambda each: each.region, example="eu-*", source=_OWNER,
              means="where the machine is"),
        Field(name="country", kind=Kind.TEXT, of=lambda each: each.country or None, example="DE", source=_OWNER,
              means="the same as an ISO 3166 code of two letters"),
        Field(name="bandwidth", kind=Kind.LEVEL, of=_bandwidth, example="fast", words=BANDWIDTH_CLASSES,
              source=_MEASURED, means="class of the slower of up and down: narrow, home from 20 Mbit/s, fast from "
              "100 Mbit/s, gigabit from 1 Gbit/s, backbone from 10 Gbit/s; unknown until it is measured"),
        Field(name="reliability", kind=Kind.SHARE, of=lambda each: round(each.reliability, 6), example="0.98",
              source=_MEASURED, means="proven time over promised time in the last 30 days; a new machine begins at "
              "0.95, as if it had served a day"),
        Field(name="trust", kind=Kind.LEVEL, of=lambda each: TRUST_LEVELS.index(each.trust), example="proven",
              words=TRUST_LEVELS, source=_MEASURED, means="new, proven (a day of work, as reliable as 0.95), or "
              "staked (and its owner has money at stake)"),
        Field(name="tags", kind=Kind.TAG, of=lambda each: " ".join(sorted({tag.name for tag in each.tags})),
              example="gdpr", source="signed by an auditor", means="compliance tags that stand now: gdpr, or "
              "soc2@auditor for just one signer"),
        Field(name="sla", kind=Kind.LEVEL, of=lambda each: SLA_LEVELS.index(each.sla), example="datacentre",
              words=SLA_LEVELS, source=_OWNER, means="what the owner promises of its being there"),
        Field(name="notice", kind=Kind.SECONDS, of=lambda each: each.notice_seconds, example="1h", source=_OWNER,
              means="how long before he takes the machine back its owner promises to say so; 0s is no promise"),
        Field(name="spot", kind=Kind.WORD, example="yes", words=("yes", "no"), source=_OWNER,
              of=lambda each: "no" if each.spot_floor_micro_usd_per_device_hour is None else "yes",
              means="whether it is sold on spot too"),
        Field(name="isolation", kind=Kind.WORD, of=lambda each: each.isolation or None, example="sandbox",
              words=("sandbox", "plain", "none"), source=_MEASURED, means="what stands between a job and the machine"),
        Field(name="machine", kind=Kind.TEXT, of=lambda each: each.name, example="atlas", source=_OWNER,
              means="the machine's name", is_single=True),
    )
}  # fmt: skip
"""Name -> field, in the order in which they are told."""

FOREIGN: Final = {
    "accelerator": "model", "gpu": "model", "gpu_name": "model", "device": "model", "name": "machine",
    "gpus": "devices", "num_gpus": "devices", "count": "devices", "devices_free": "free", "available": "free",
    "cores": "cpus", "cpu_cores": "cpus", "ram": "memory", "cpu_ram": "memory", "mem": "memory",
    "gpu_memory": "device_memory", "gpu_ram": "device_memory", "vram": "device_memory",
    "gpu_total_ram": "device_memory", "compute_cap": "compute_capability", "cuda_capability": "compute_capability",
    "capability": "compute_capability", "driver_version": "driver", "cuda_vers": "driver", "cuda_max_good": "driver",
    "total_flops": "tflops", "flops": "tflops", "teraflops": "tflops", "flops_usd": "price_per_tflop",
    "price_per_tflop_hour": "price_per_tflop", "bw_nvlink": "interconnect", "nvlink": "interconnect",
    "topology": "interconnect", "inet_up": "bandwidth", "inet_down": "bandwidth", "network": "bandwidth",
    "network_tier": "bandwidth", "reliability2": "reliability", "uptime": "reliability", "verified": "trust",
    "notice_seconds": "notice", "use_spot": "spot", "spot_price": "spot", "min_bid": "spot", "interruptible": "spot",
    "tag": "tags", "compliance": "tags", "certified": "tags", "labels": "tags",
    "steps_per_second": "steps", "speed": "steps", "dlperf": "steps", "dph": "price", "dph_total": "price",
    "cost": "price", "dlperf_usd": "price_per_million_steps", "work": "price_per_million_steps",
    "location": "region", "geolocation": "country", "zone": "region", "class": "sla",
}  # fmt: skip
"""What others call it -> our name, to suggest."""
