"""What owners' pricing policies are told, from their machines' leases and from the market's open offers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from heapq import nsmallest

from gondwana.core.clock import Instant
from gondwana.db.transaction import Reader
from gondwana.jobs.listings import listings_of
from gondwana.jobs.shelf import Shelf
from gondwana.market.history import Served, served_since
from gondwana.market.model import Listing
from gondwana.supply.pricing.rules import utilisation_basis_points
from gondwana.supply.pricing.store import Standing
from gondwana.wire.pricing import PriceFacts


@dataclass(slots=True)
class _Bucket:
    """The open offers of one model in one region: the lowest ask of the two cheapest owners, and devices by owner."""

    lowest: dict[str, int] = field(default_factory=dict[str, int])
    devices: dict[str, int] = field(default_factory=dict[str, int])
    _two: list[tuple[int, str]] | None = None  # known once it was asked
    _all: int = 0

    def add(self, listing: Listing) -> None:
        owner, price = listing.owner_id, listing.price_micro_usd_per_device_hour
        self.lowest[owner] = min(price, self.lowest.get(owner, price))
        self.devices[owner] = self.devices.get(owner, 0) + listing.devices_free

    def others(self, owner: str) -> tuple[int | None, int]:
        """(the lowest ask of other owners, how many devices they offer)."""
        if self._two is None:
            self._two = nsmallest(2, ((price, each) for each, price in self.lowest.items()))
            self._all = sum(self.devices.values())
        lowest = next((price for price, each in self._two if each != owner), None)
        return lowest, self._all - self.devices.get(owner, 0)


def facts_of(
    reader: Reader, shelf: Shelf, policies: Sequence[Standing], now: Instant
) -> dict[str, PriceFacts]:
    """What each policy is told now, by machine; a machine that sells nothing any more is left out."""
    ids = [each.machine_id for each in policies]
    own = {str(each.machine_id): each for each in listings_of(reader, ids)}
    wanted = {(each.accelerator, each.region) for each in own.values()}
    buckets = _buckets(shelf.listings(reader), wanted)
    longest = max((each.policy.interval_seconds for each in policies), default=0)
    served: dict[str, list[Served]] = {}
    for lease in served_since(reader, ids, now - longest):
        served.setdefault(lease.machine_id, []).append(lease)
    return {
        each.machine_id: _facts(
            each,
            own[each.machine_id],
            buckets.get((own[each.machine_id].accelerator, own[each.machine_id].region), _Bucket()),
            served.get(each.machine_id, []),
            now=now,
        )
        for each in policies
        if each.machine_id in own
    }


def _buckets(
    listings: Iterable[Listing], wanted: set[tuple[str, str]]
) -> dict[tuple[str, str], _Bucket]:
    found: dict[tuple[str, str], _Bucket] = {}
    for each in listings:
        key = (each.accelerator, each.region)
        sells = each.is_open and each.isolation == "sandbox" and each.devices_free > 0
        if key in wanted and sells:
            found.setdefault(key, _Bucket()).add(each)
    return found


def _facts(
    each: Standing, listing: Listing, bucket: _Bucket, served: Sequence[Served], *, now: Instant
) -> PriceFacts:
    lowest, devices = bucket.others(listing.owner_id)
    since = now - each.policy.interval_seconds
    spans = [
        (lease.devices, lease.active_at, now if lease.closed_at is None else lease.closed_at)
        for lease in served
    ]
    return PriceFacts(
        price_micro_usd_per_device_hour=listing.price_micro_usd_per_device_hour,
        changed_at=each.changed_at,
        utilisation_basis_points=utilisation_basis_points(
            listing.devices, spans, since=since, now=now
        ),
        lowest_competing_micro_usd_per_device_hour=lowest,
        competing_devices=devices,
        model=listing.accelerator,
        region=listing.region,
        answer_micro_usd_per_device_hour=each.answer,
        answered_at=each.answered_at,
        answer_error=each.answer_error,
    )
