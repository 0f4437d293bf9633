"""What the market holds of each device model in each region: how much is there, free, leased, and at what price.

Depth, not identities: counts and prices, never whose. A device counts once: it is rentable, leased, or closed to
others (its machine is not up, its owner does not sell now, or it has no sandbox for other people's work). A machine
that was not measured yet counts nowhere: nobody knows what it has.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from gondwana.core.clock import Instant
from gondwana.market.book import DEVICES, EMPTY, FREE, PRICE, TAGS, WORK, Depth, Numbers
from gondwana.market.measures import price_micro_usd_per_million_steps
from gondwana.market.model import Listing

DEPTH_STEPS_MAX: Final = 24  # of one bucket; a longer book is told in fewer, wider steps
SECONDS_PER_HOUR: Final = 3_600


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """So many devices may be had at this price or below."""

    price_micro_usd_per_device_hour: int
    devices: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """One model in one region; prices are of rentable devices, None where there are none (or none was measured)."""

    model: str
    region: str
    devices: int  # rentable + leased + closed
    rentable: int
    leased: int
    closed: int
    ask_lowest: int | None = None  # micro-USD per device-hour
    ask_median: int | None = None  # half of the rentable devices cost at most this
    ask_highest: int | None = None
    work_lowest: int | None = None  # micro-USD per million reference steps
    work_median: int | None = None
    depth: tuple[Step, ...] = ()

    def has_changed(self, last: "Tick | None") -> bool:
        """Whether a tick has to be written after the last one."""
        return last is None or any(getattr(self, name) != getattr(last, name) for name in FIGURES)


FIGURES: Final = (
    "devices", "rentable", "leased", "closed", "ask_lowest", "ask_median", "ask_highest", "work_lowest", "work_median",
)  # fmt: skip
"""What a tick keeps of a bucket."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A bucket as it was from `at` on, until its next tick."""

    model: str
    region: str
    at: Instant
    hour: int  # since 1970
    is_latest: bool
    is_fine: bool  # not yet thinned to one an hour
    devices: int
    rentable: int
    leased: int
    closed: int
    ask_lowest: int | None
    ask_median: int | None
    ask_highest: int | None
    work_lowest: int | None
    work_median: int | None


def buckets(listings: Iterable[Listing]) -> list[Bucket]:
    """Every bucket with a device in it, by model and region."""
    found: dict[tuple[str, str], list[Listing]] = {}
    for listing in listings:
        found.setdefault((listing.accelerator, listing.region), []).append(listing)
    return [_of_listings(model, region, found[model, region]) for model, region in sorted(found)]


def buckets_of(book: Depth, rentable: int) -> Iterator[Bucket]:
    """The same of a book in memory; `rentable`: the tags of what others than its owner may lease."""
    for key in sorted(book.keys):
        bucket = book.keys[key]
        start = int(book.starts[bucket])
        columns = book.columns[:, start : start + int(book.counts[bucket])]
        if not columns.shape[1]:
            continue
        free, devices = columns[FREE], int(columns[DEVICES].sum())
        sold = columns[:, (free > 0) & ((columns[TAGS] & rentable) == rentable)]
        worked = sold[:, sold[WORK] != EMPTY]
        yield _bucket(
            *key,
            leased=devices - int(free.sum()),
            free=int(np.maximum(free, 0).sum()),
            asks=_rising(sold[PRICE], sold[FREE]),
            works=_rising(worked[WORK], worked[FREE]),
        )


def empty(model: str, region: str) -> Bucket:
    """A bucket whose machines have all left."""
    return Bucket(model=model, region=region, devices=0, rentable=0, leased=0, closed=0)


def to_tick(bucket: Bucket, now: Instant) -> Tick:
    """The tick of a bucket that has changed."""
    figures = {name: getattr(bucket, name) for name in FIGURES}
    return Tick(
        model=bucket.model,
        region=bucket.region,
        at=now,
        hour=int(now // SECONDS_PER_HOUR),
        is_latest=True,
        is_fine=True,
        **figures,
    )


def _of_listings(model: str, region: str, listings: Sequence[Listing]) -> Bucket:
    leased = sum(each.devices - each.devices_free for each in listings)
    free = sum(
        max(0, each.devices_free) for each in listings
    )  # below 0: leased, then rejoined with fewer
    sold = [each for each in listings if _is_rentable(each)]
    worked = [
        (work, each.devices_free)
        for each in sold
        if (work := price_micro_usd_per_million_steps(each)) is not None
    ]
    asks = [(each.price_micro_usd_per_device_hour, each.devices_free) for each in sold]
    return _bucket(
        model, region, leased=leased, free=free, asks=_rising(*_columns(asks)), works=_rising(*_columns(worked))
    )  # fmt: skip


def _columns(pairs: Sequence[tuple[int, int]]) -> Numbers:
    return np.array(pairs, dtype=np.int64).reshape(-1, 2).T


@dataclass(frozen=True, slots=True)
class _Sold:
    """What is sold at rising prices: each price once, with the devices to be had at it or below."""

    prices: Numbers
    devices: Numbers

    @property
    def total(self) -> int:
        return int(self.devices[-1]) if len(self.devices) else 0

    def price_at(self, place: int) -> int | None:
        return int(self.prices[place]) if len(self.prices) else None


def _rising(prices: Numbers, devices: Numbers) -> _Sold:
    order = np.argsort(prices, kind="stable")
    prices, had = prices[order], np.cumsum(devices[order])
    is_last = np.append(prices[1:] != prices[:-1], True)[: len(prices)]
    return _Sold(prices[is_last], had[is_last])


def _bucket(
    model: str, region: str, *, leased: int, free: int, asks: _Sold, works: _Sold
) -> Bucket:
    """A bucket by its devices, and what is asked for those that are rentable."""
    return Bucket(
        model=model,
        region=region,
        devices=leased + free,
        rentable=asks.total,
        leased=leased,
        closed=free - asks.total,
        ask_lowest=asks.price_at(0),
        ask_median=_median(asks),
        ask_highest=asks.price_at(-1),
        work_lowest=works.price_at(0),
        work_median=_median(works),
        depth=_depth(asks),
    )


def _is_rentable(listing: Listing) -> bool:
    """Whether somebody who is not its owner would get a device of it now."""
    return listing.is_open and listing.isolation == "sandbox" and listing.devices_free > 0


def _median(sold: _Sold) -> int | None:
    """The lowest price at which half of the devices may be had."""
    return sold.price_at(int(np.searchsorted(sold.devices, sold.total / 2)))


def _depth(asks: _Sold) -> tuple[Step, ...]:
    """Devices to be had by price, adding up; of too many prices some in between are left out."""
    last = len(asks.prices) - 1
    places = range(last + 1)
    if last >= DEPTH_STEPS_MAX:
        places = [last * n // (DEPTH_STEPS_MAX - 1) for n in range(DEPTH_STEPS_MAX)]
    return tuple(
        Step(price_micro_usd_per_device_hour=int(asks.prices[n]), devices=int(asks.devices[n]))
        for n in places
    )
