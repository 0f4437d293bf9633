"""How long the spot market takes to clear all its books: the call auction of a large region, once a minute.

    python benchmarks/market_spot.py [--bids 100000] [--asks 300000] [--rounds 9] [--json]

Bids and asks lie in 1,200 buckets (40 models × 30 regions, both by Zipf); 40 % of the bids are gangs, of 2 to 16
devices, all or none; asks are machines of 1 to 8 devices. Every account counts once a side, own-account bids set no
price, and the price is bounded by the last one. The figure is processor time of the thread, the median of the rounds.
The limit beside it: sorting the asks' keys, which any sort-and-cut auction has to do, takes so much by itself.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import numpy as np

from gondwana.market.spot.clear import NO_PRICE, PRICE_MAX, Side, clear
from market_world import DEVICES, DEVICES_CHANCE, MODELS, REGIONS, zipf

BUCKETS = MODELS * REGIONS
GANGS, GANGS_CHANCE = (1, 2, 4, 8, 16), (0.6, 0.15, 0.1, 0.1, 0.05)
TARGET_MS, FIELD_MS = 100.0, 87.0


def side(random, count: int, accounts: int, low: int, sizes, chance) -> Side:
    bucket = zipf(random, MODELS, count) * REGIONS + zipf(random, REGIONS, count)
    price = random.integers(low, 3_000_000, count)
    devices = random.choice(sizes, count, p=chance)
    return Side(
        bucket=bucket, price=price, devices=devices, account=random.integers(0, accounts, count)
    )


def median_ms(run: Callable[[], object], rounds: int) -> float:
    spent = []
    for _ in range(rounds):
        begun = time.thread_time()
        run()
        spent.append(1e3 * (time.thread_time() - begun))
    return statistics.median(spent)


def measure(bids: int = 100_000, asks: int = 300_000, rounds: int = 9) -> dict[str, float]:
    """The figures, by their keys in `make bench NAME=market`."""
    random = np.random.default_rng(2)
    wanted = side(random, bids, bids // 20, 50_000, GANGS, GANGS_CHANCE)
    sold = side(random, asks, asks // 10, 30_000, DEVICES, DEVICES_CHANCE)
    last = random.integers(NO_PRICE, 1_000_000, BUCKETS)
    lower, upper = (
        np.where(last < 0, 0, last * 9 // 10),
        np.where(last < 0, PRICE_MAX, last * 11 // 10),
    )

    def call():
        return clear(wanted, sold, lower=lower, upper=upper, last=last, sides_min=10)

    cleared = call()
    keys = (sold.bucket << 40) + sold.price
    return {
        "call_auction_cpu_ms": median_ms(call, rounds),
        "call_auction_sort_ms": median_ms(lambda: np.argsort(keys, kind="stable"), rounds),
        "call_auction_buckets_called": float((cleared.price != NO_PRICE).sum()),
        "call_auction_bids_served": float(cleared.accepted.sum()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bids", type=int, default=100_000)
    parser.add_argument("--asks", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found = measure(asked.bids, asked.asks, asked.rounds)
    if asked.json:
        print(json.dumps(found))
        return
    print(f"call auction, {asked.bids:,} bids × {asked.asks:,} asks in {BUCKETS:,} buckets")
    print(
        f"  {found['call_auction_cpu_ms']:8.1f} ms CPU   target ≤ {TARGET_MS:.0f}, plain sort and cut {FIELD_MS:.0f}"
    )
    print(
        f"  {found['call_auction_sort_ms']:8.1f} ms       of which sorting the asks: the limit of any such auction"
    )
    print(f"  {found['call_auction_buckets_called']:8.0f}          buckets had a call")
    print(f"  {found['call_auction_bids_served']:8.0f}          bids were served")


if __name__ == "__main__":
    main()
