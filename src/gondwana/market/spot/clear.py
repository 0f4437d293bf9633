"""The call auction of every bucket at once: one price per bucket, and who trades at it. Pure, whole numbers, numpy.

The price is the lowest that clears: the highest ask that trades, or the highest bid that does not, whichever is more.
So a tenant's own cap never sets what he pays for one device (to understate it gains nothing, only loses the device), no
bid above the price is left beside an ask below it, and payers and payees meet at the same number: the budget balances
by itself. It is then kept within the bounds of its last minutes; at a bounded price the higher cap is served first,
among equals the one who stands longer. A bid for several devices is served whole or passed over, and sets no price
when it is passed over while a lower one trades.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Flags = NDArray[np.bool_]

NO_PRICE: Final = -1
PRICE_MAX: Final = (
    2**40 - 1
)  # micro-USD per device-hour: a million dollars; a higher cap counts as this
BUCKETS_MAX: Final = 2**22  # buckets and prices share 63 bits when they are sorted
ACCOUNTS_MAX: Final = 2**32
ROUNDS_MAX: Final = 64  # of passing over bids that are too large; what is left then waits a minute
_PRICE_BITS: Final = 40
_ACCOUNT_BITS: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """Bids or asks as columns, those that stand longest first."""

    bucket: Numbers
    price: Numbers  # micro-USD per device-hour: a cap or a floor
    devices: Numbers  # above 0; a bid wants all or none, an ask may be sold in parts
    account: Numbers  # a number per account, the same on both sides

    def __len__(self) -> int:
        return len(self.bucket)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleared:
    """What a call came to, by bucket, and by bid in the order given."""

    price: (
        Numbers  # micro-USD per device-hour; NO_PRICE where there was no call, or nothing to go by
    )
    accepted: Flags  # bids that may have their devices at that price
    traded: Numbers  # devices
    bidders: Numbers  # accounts that count: none that asks in the same bucket
    askers: Numbers

    def is_thin(self, bucket: int, sides_min: int) -> bool:
        """Whether too few stand on a side for a call."""
        return min(int(self.bidders[bucket]), int(self.askers[bucket])) < sides_min


def clear(
    bids: Side, asks: Side, *, lower: Numbers, upper: Numbers, last: Numbers, sides_min: int
) -> Cleared:
    """Clear all buckets. `lower`, `upper`: of each bucket's price; `last`: its price so far, or NO_PRICE.

    Bids of an account that asks in the same bucket trade, but count for no price and no side. A bucket with fewer than
    `sides_min` accounts on a side has no call.
    """
    buckets, supply = len(last), _Supply(asks, len(last))
    order = np.argsort((bids.bucket << _PRICE_BITS) + PRICE_MAX - _capped(bids.price), kind="stable")  # fmt: skip
    bucket, cap, devices = bids.bucket[order], bids.price[order], bids.devices[order]
    limit = supply.at_or_below(bucket, cap)
    counts, bidders, askers = _sides(bucket, bids.account[order], devices <= limit, asks, buckets)
    is_thick = np.minimum(bidders, askers) >= sides_min
    in_call = is_thick[bucket]
    trades = _fill(bucket, devices, np.where(in_call & counts, limit, 0))
    free = _clearing_price(bucket, cap, devices, trades, counts, supply)
    price = np.where(free == NO_PRICE, last, np.clip(free, lower, upper))
    price = np.where(is_thick, price, NO_PRICE)
    sold = supply.at_or_below(np.arange(buckets), price)
    may = in_call & (cap >= price[bucket]) & (price[bucket] != NO_PRICE)
    taken = _fill(bucket, devices, np.where(may, sold[bucket], 0))
    accepted = np.zeros(len(bids), dtype=np.bool_)
    accepted[order] = taken
    traded = np.bincount(bucket[taken], weights=devices[taken], minlength=buckets)
    return Cleared(
        price=price,
        accepted=accepted,
        traded=traded.astype(np.int64),
        bidders=bidders,
        askers=askers,
    )


class _Supply:
    """Asks of all buckets, each bucket's cheapest first, with what they add up to."""

    def __init__(self, asks: Side, buckets: int) -> None:
        self._keys = (asks.bucket << _PRICE_BITS) + _capped(asks.price)
        order = np.argsort(self._keys, kind="stable")
        self._keys = self._keys[order]
        self.price = asks.price[order]
        self.total = np.concatenate(([0], np.cumsum(asks.devices[order])))
        self.start = np.searchsorted(self._keys, np.arange(buckets + 1) << _PRICE_BITS)

    def at_or_below(self, bucket: Any, price: Any) -> Numbers:
        """Devices of each bucket to be had at a price or below."""
        keys = (bucket << _PRICE_BITS) + np.minimum(price, PRICE_MAX)
        end = np.searchsorted(self._keys, keys, side="right")
        return np.maximum(0, self.total[end] - self.total[self.start[bucket]])

    def price_at(self, bucket: Numbers, depth: Numbers) -> Numbers:
        """What the last of so many devices of a bucket is asked for; they are there."""
        return self.price[np.searchsorted(self.total, self.total[self.start[bucket]] + depth) - 1]


def _capped(price: Numbers) -> Numbers:
    return np.clip(price, 0, PRICE_MAX)


def _sides(
    bucket: Numbers, account: Numbers, is_able: Flags, asks: Side, buckets: int
) -> tuple[Flags, Numbers, Numbers]:
    """(which bids count, how many accounts bid in each bucket, how many ask).

    A bid counts if all that is asked at its cap or below would do for it, and its account asks nothing there itself.
    """
    asking = _distinct((asks.bucket << _ACCOUNT_BITS) + asks.account)
    bidding = (bucket << _ACCOUNT_BITS) + account
    place = np.minimum(np.searchsorted(asking, bidding), max(0, len(asking) - 1))
    is_others = asking[place] != bidding if len(asking) else is_able
    counts = is_able & is_others
    return counts, _count(_distinct(bidding[counts]), buckets), _count(asking, buckets)


def _distinct(keys: Numbers) -> Numbers:
    """Each key once, rising; np.unique counts by hashes, which is slower by far."""
    keys = np.sort(keys)
    return keys[np.concatenate(([True], keys[1:] != keys[:-1]))] if len(keys) else keys


def _count(keys: Numbers, buckets: int) -> Numbers:
    return np.bincount(keys >> _ACCOUNT_BITS, minlength=buckets)


def _fill(bucket: Numbers, devices: Numbers, limit: Numbers) -> Flags:
    """Which bids are served, best first within each bucket: each whole, if with those before it it keeps to its limit.

    `limit` falls within a bucket, but may be 0 for a bid that is not asked. One that does not fit is passed over.
    """
    taken = np.zeros(len(bucket), dtype=np.bool_)
    left = np.flatnonzero(devices <= limit)
    had = np.zeros(int(bucket.max()) + 1 if len(bucket) else 0, dtype=np.int64)
    for _ in range(ROUNDS_MAX):
        if not len(left):
            break
        where, want = bucket[left], devices[left]
        total = np.cumsum(want)
        first = np.concatenate(([True], where[1:] != where[:-1]))
        before = np.maximum.accumulate(np.where(first, total - want, 0))
        fails = had[where] + total - before > limit[left]
        failed = np.add.accumulate(fails)
        earlier = np.maximum.accumulate(np.where(first, failed - fails, 0))
        served = failed == earlier  # nothing before it in its bucket failed, nor did it
        taken[left[served]] = True
        np.add.at(had, where[served], want[served])
        left = left[~served]
        left = left[had[bucket[left]] + devices[left] <= limit[left]]
    return taken


def _clearing_price(
    bucket: Numbers, cap: Numbers, devices: Numbers, taken: Flags, counts: Flags, supply: _Supply
) -> Numbers:
    """Per bucket the higher of the highest ask that trades and the first bid after the last that does."""
    buckets = len(supply.start) - 1
    price = np.full(buckets, NO_PRICE, dtype=np.int64)
    served = np.flatnonzero(taken)
    if not len(served):
        return price
    where = bucket[served]
    is_last = np.concatenate((where[1:] != where[:-1], [True]))
    last, where = served[is_last], where[is_last]
    traded = np.bincount(bucket[served], weights=devices[served], minlength=buckets).astype(
        np.int64
    )
    price[where] = supply.price_at(where, traded[where])
    counted = np.flatnonzero(counts)
    place = np.searchsorted(counted, last, side="right")
    follows = counted[np.minimum(place, len(counted) - 1)]
    is_there = (place < len(counted)) & (bucket[follows] == where)
    price[where] = np.maximum(price[where], np.where(is_there, cap[follows], NO_PRICE))
    return price
