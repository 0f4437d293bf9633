"""How much of the best known welfare the gang auction finds, and in how much processor time: 200 orders × 2,000 offers.

    python benchmarks/market_auction.py [--instances 6] [--restarts 2000] [--json]

Each instance is drawn from a seed: machines with 1 to 8 free devices of 4 models in 5 regions, log-normal prices; gangs
of 1 to 64 machines with 1 to 8 devices each, filters, log-normal caps; all gangs want 0.9 or 1.3 of the devices.
`gang_auction_gap` is how far the median instance stays below the best known welfare, as a share of it. Best known: the
most of three searches of 10,000 restarts each with other seeds, and of one that also tries dearer machines than the
cheapest. That is no proof of an optimum; no bound is reported, since those at hand (linear relaxations) are 7 to 42 %
loose for gangs that need all or nothing. Time is processor time of the thread for the whole clearing, from dataclasses
to prices, once the search is compiled (compiling takes some seconds, once in the life of an installation).
`sealed`: the same with three bids for each gang, which the sequence is not chosen by (so that asking honestly pays).
"""

import argparse
import json
import platform
import statistics
import time

import numpy as np

from gondwana.core.ids import MachineId, OrderId, PrincipalId
from gondwana.core.values import replace
from gondwana.market.auction import greedy, rules
from gondwana.market.auction.greedy_twin import worth_of
from gondwana.market.auction.model import Ask, Auction, Gang

ORDERS, OFFERS, INSTANCES, RESTARTS = 200, 2_000, 6, 2_000
LONG_RESTARTS, LONG_SEEDS = 10_000, (1, 2, 3)
OTHER_PRICES = 12  # tries at other machines than the cheapest
LOADS = (0.9, 1.3)
PRICE = 2_000_000  # micro-USD per device-hour, the median offer
TARGETS = {"gang_auction_gap": 0.02, "gang_auction_cpu_s": 1.0}
BESIDE = "HiGHS for 60 to 90 s: 0.9 % below its bound once, once less than half of a greedy's welfare (field notes)"
SIMPLE = (
    "value per device",
    "total value",
    "value by root of size",
    "gain",
    "gain by root",
    "arrival",
)


def instance(seed: int, load: float) -> Auction:
    """An auction of standing offers, drawn from a seed."""
    random = np.random.default_rng(seed)
    devices = random.choice([1, 2, 4, 8], size=OFFERS, p=[0.3, 0.2, 0.2, 0.3])
    prices = (np.exp(random.normal(0, 0.35, OFFERS)) * PRICE).astype(np.int64)
    model, region = random.integers(0, 4, OFFERS), random.integers(0, 5, OFFERS)
    asks = [
        Ask(machine_id=MachineId(f"m{n}"), owner_id=PrincipalId(f"o{n // 4}"), devices=int(devices[n]), serial=n,
            price_micro_usd_per_device_hour=int(prices[n]), limit_micro_usd_per_device_hour=int(prices[n]))
        for n in range(OFFERS)
    ]  # fmt: skip
    shapes = [
        (
            int(random.choice([1, 2, 4, 8], p=[0.25, 0.2, 0.2, 0.35])),
            int(random.geometric(0.15)) + 1,
        )
        for _ in range(ORDERS)
    ]
    scale = load * devices.sum() / sum(each * count for each, count in shapes)
    gangs, fits = [], []
    for n, (each, count) in enumerate(shapes):
        wanted = int(np.clip(round(count * scale), 1, 64))
        ok = devices >= each
        if random.random() < 0.7:
            ok &= np.isin(model, random.choice(4, size=random.integers(1, 4), replace=False))
        if random.random() < 0.5:
            ok &= np.isin(region, random.choice(5, size=random.integers(1, 6), replace=False))
        gangs.append(Gang(order_id=OrderId(f"ord{n}"), count_min=wanted, count_max=wanted, devices=each,
                          cap_micro_usd_per_device_hour=int(np.exp(random.normal(0.3, 0.4)) * PRICE)))  # fmt: skip
        fits.append(np.flatnonzero(ok))
    return Auction(gangs=tuple(gangs), asks=tuple(asks), fits=tuple(fits))


def with_bids(auction: Auction, seed: int) -> Auction:
    """The same with three sealed bids for each gang, 0 to 30 % below what their machines stand at."""
    random = np.random.default_rng(seed)
    asks, fits = list(auction.asks), []
    for number, (gang, part) in enumerate(zip(auction.gangs, auction.fits, strict=True)):
        new = range(len(asks), len(asks) + 3)
        for place in new:
            limit = int(np.exp(random.normal(0, 0.35)) * PRICE)
            asks.append(Ask(machine_id=MachineId(f"b{place}"), owner_id=PrincipalId(f"b{place}"),
                            devices=gang.devices, serial=place,
                            price_micro_usd_per_device_hour=int(limit * random.uniform(0.7, 1)),
                            limit_micro_usd_per_device_hour=limit, bid_id=f"bid{number}_{place}"))  # fmt: skip
        fits.append(np.concatenate((part, new)))
    return replace(auction, asks=tuple(asks), fits=tuple(fits))


def best_known(auction: Auction) -> int:
    """The most welfare that long searches find, all asks known."""
    prices = np.array([ask.price_micro_usd_per_device_hour for ask in auction.asks], dtype=np.int64)
    table = greedy.table_of(auction, prices)
    best, most = np.arange(len(auction.gangs)), 0
    for seed in LONG_SEEDS:
        found = greedy.best_sequence(auction, prices, restarts=LONG_RESTARTS, seed=seed)
        worth = worth_of(table, np.array(found))
        if worth > most:
            best, most = np.array(found), worth
    return max(most, _other_machines(auction, table, prices, best))


def _other_machines(
    auction: Auction, table: greedy.Table, prices: np.ndarray, best: np.ndarray
) -> int:
    """The same search where asks look dearer than they are, the more devices they have, or by chance."""
    random, most = np.random.default_rng(9), 0
    devices = np.array([ask.devices for ask in auction.asks])
    for _ in range(OTHER_PRICES):
        looks = prices * (
            1
            + random.uniform(0, 0.06) * devices
            + random.uniform(0, 0.1, len(prices)) * random.random()
        )
        other = greedy.table_of(auction, looks.astype(np.int64))
        true = other._replace(prices=prices[other.asks])
        start = np.stack([best, *greedy.sequences(table)])
        found = greedy.SEARCH(true, start, 2_000, 5)
        most = max(most, worth_of(true, found))
    return most


def _one(auction: Auction, restarts: int) -> dict[str, float]:
    known = best_known(auction)
    began = time.thread_time()
    cleared = rules.clear(auction, restarts=restarts)
    seconds = time.thread_time() - began
    prices = np.array([ask.price_micro_usd_per_device_hour for ask in auction.asks], dtype=np.int64)
    table = greedy.table_of(auction, prices)
    simple = {name: 1 - worth_of(table, each) / known
              for name, each in zip(SIMPLE, greedy.sequences(table), strict=True)}  # fmt: skip
    return {"gap": 1 - cleared.welfare_micro_usd_per_hour / known, "cpu_s": seconds, **simple}


def rows(instances: int, restarts: int) -> list[dict[str, float]]:
    """Each instance: its seed and load, the gap and time of the auction, the gaps of simple sequences."""
    rules.clear(instance(0, 0.9), restarts=1)  # compiles
    found = []
    for seed in range(instances):
        drawn = instance(seed, LOADS[seed % 2])
        sealed = _one(with_bids(drawn, seed), restarts)
        told = {"seed": seed, "load": LOADS[seed % 2], **_one(drawn, restarts)}
        found.append({**told, "sealed gap": sealed["gap"], "sealed cpu_s": sealed["cpu_s"]})
    return found


def measure(instances: int = INSTANCES, restarts: int = RESTARTS) -> dict[str, float]:
    """The figures that `benchmarks/market.py` prints."""
    return _figures(rows(instances, restarts))


def _figures(found: list[dict[str, float]]) -> dict[str, float]:
    def median(key: str) -> float:
        return statistics.median(row[key] for row in found)

    return {
        "gang_auction_gap": median("gap"),
        "gang_auction_gap_worst": max(row["gap"] for row in found),
        "gang_auction_cpu_s": median("cpu_s"),
        "gang_auction_sealed_gap": median("sealed gap"),
        "gang_auction_fcfs_gap": median("arrival"),
        "gang_auction_value_per_device_gap": median("value per device"),
    }


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--instances", type=int, default=INSTANCES)
    parser.add_argument("--restarts", type=int, default=RESTARTS)
    parser.add_argument("--json", action="store_true")
    told = parser.parse_args()
    found = rows(told.instances, told.restarts)
    figures = _figures(found)
    if told.json:
        print(json.dumps({**figures, "targets": TARGETS, "rows": found}))
        return
    print(
        f"gang auction, {ORDERS} orders x {OFFERS:,} offers, {told.restarts:,} restarts; {platform.machine()}"
    )
    print(
        f"beside: {BESIDE}\n\nseed load | % below the best known: auction, sealed | {', '.join(SIMPLE)} | CPU s"
    )
    for row in found:
        simple = " ".join(f"{100 * row[name]:6.2f}" for name in SIMPLE)
        print(f"{row['seed']:4} {row['load']:4} | {100 * row['gap']:6.3f} {100 * row['sealed gap']:6.3f} | {simple} "
              f"| {row['cpu_s']:.3f}")  # fmt: skip
    for name, value in figures.items():
        target = f" (target {TARGETS[name]})" if name in TARGETS else ""
        print(f"{name} {value:.4f}{target}")


if __name__ == "__main__":
    main()
