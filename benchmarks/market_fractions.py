"""How many orders for whole machines are served where parts of machines are sold: by who of equals takes an order.

    python benchmarks/market_fractions.py [--seeds 10] [--orders 20000] [--json]

Orders for 1, 2, 4 or 8 devices (60, 15, 12 and 13 %) come by Poisson to machines of one model and price and hold them
for an exponential time; what finds no room is lost. `alike`: 60 machines of 8 devices; `mixed`: 120 of 1, 60 of 2, 30
of 4 and 15 of 8 devices, in any order. Served by the product's own search, in turns with the same search told who
joined first, or to take the fullest machine, or the emptiest. No policy serves more than there is over what is asked.
"""

import argparse
import heapq
import json
from collections.abc import Callable

import numpy as np

from gondwana.market.book import FREE, Book, Row
from gondwana.market.fractions import BEST_FIT, Demand
from gondwana.market.search import Want, cheapest

SIZES, CHANCE = (1, 2, 4, 8), (0.60, 0.15, 0.12, 0.13)
WORLDS = {"alike": {8: 60}, "mixed": {1: 120, 2: 60, 4: 30, 8: 15}}
LOADS = (0.8, 0.9, 1.0)
WARM_SHARE = 5  # the first fifth is not counted: the machines fill
MODEL = "A"


class Fixed(Demand):
    """One preference, whatever is asked."""

    def __init__(self, ranks: np.ndarray) -> None:
        super().__init__()
        self._fixed = ranks

    def preferences(self, models: tuple[str, ...], devices: int) -> np.ndarray:
        """It."""
        return self._fixed


POLICIES: dict[str, Callable[[], Demand]] = {
    "joined first": lambda: Fixed(np.zeros_like(BEST_FIT)),
    "best fit": lambda: Fixed(BEST_FIT),
    "emptiest": lambda: Fixed(BEST_FIT[::-1].copy()),
    "gondwana": Demand,
}


def fleet(world: dict[int, int], random: np.random.Generator) -> Book:
    """The machines, all free."""
    devices = random.permutation([size for size, count in world.items() for _ in range(count)])
    return Book(
        Row(machine_id=f"m{n}", model=MODEL, region="x", cost=1, price=1, free=size, devices=size, cpu_milli=0,
            memory_bytes=0, tags=0, owner="o", serial=n)
        for n, size in enumerate(devices.tolist())
    )  # fmt: skip


def run(
    world: dict[int, int], load: float, demand: Demand, seed: int, orders: int
) -> dict[str, float]:
    """Percent of orders served: of all devices asked for, and of orders for 8."""
    random = np.random.default_rng(seed)
    book = fleet(world, random)
    book.demand = demand
    sizes = random.choice(SIZES, orders, p=CHANCE)
    total = sum(size * count for size, count in world.items())
    at = np.cumsum(random.exponential(sizes.mean() / (load * total), orders))
    lasts = random.exponential(1.0, orders)
    ends: list[tuple[float, str, int]] = []
    asked, served = np.zeros(9), np.zeros(9)
    for n in range(orders):
        while ends and ends[0][0] <= at[n]:
            _, machine_id, size = heapq.heappop(ends)
            _take(book, machine_id, -size)
        size = int(sizes[n])
        demand.add((MODEL,), size, 1)
        found = cheapest(book, Want(models=(MODEL,), devices=size), 1)
        counts = n >= orders // WARM_SHARE
        asked[size] += counts
        for machine_id in found:
            _take(book, machine_id, size)
            heapq.heappush(ends, (at[n] + lasts[n], machine_id, size))
            served[size] += counts
    weights = np.arange(9)
    return {
        "devices": 100 * (served @ weights) / (asked @ weights),
        "of_8": 100 * served[8] / asked[8],
    }


def _take(book: Book, machine_id: str, devices: int) -> None:
    book.set_free(machine_id, book.number(FREE, machine_id) - devices)


def measure(seeds: int, orders: int) -> dict[str, dict[str, dict[str, float]]]:
    """Means over seeds by world and load, then policy, with the standard error of each."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name, world in WORLDS.items():
        for load in LOADS:
            of_case = found[f"{name} at {load:.0%}"] = {}
            for policy, make in POLICIES.items():
                runs = [run(world, load, make(), seed, orders) for seed in range(seeds)]
                of_case[policy] = {
                    key: round(float(np.mean([each[key] for each in runs])), 2) for key in runs[0]
                } | {
                    f"{key}_error": round(
                        float(np.std([each[key] for each in runs]) / seeds**0.5), 2
                    )
                    for key in runs[0]
                }
    return found


def main() -> None:
    """Print percentages, and with --json one last line for machines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)  # fmt: skip
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--orders", type=int, default=20_000)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    found = measure(args.seeds, args.orders)
    print(f"{'served, percent (± standard error)':34}{'devices':>16}{'orders for 8':>18}")
    for case, policies in found.items():
        print(case)
        for policy, each in policies.items():
            devices = f"{each['devices']:.2f} ± {each['devices_error']:.2f}"
            of_8 = f"{each['of_8']:.2f} ± {each['of_8_error']:.2f}"
            print(f"  {policy:32}{devices:>16}{of_8:>18}")
    if args.json:
        print(json.dumps({"market_fractions": found}))


if __name__ == "__main__":
    main()
