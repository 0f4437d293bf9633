"""How long a plan takes among a million devices: `gondwana plan`, as a server makes it, from a job to all that is told.

    python benchmarks/market_plans.py [--devices 1000000] [--rounds 15] [--json]

Jobs: one device of a model; a gang of 8 machines with 8 devices each; a training on up to 16 islands; and a gang that
nothing fits, for which the cheapest relaxations are sought. Processor time of the thread, median of the rounds after
the first, which also reads the book. SQLite. The limit beside it: one search of the book takes some 20 µs; the rest is
reading the machines that may serve, at most 1,024 of them, and what they are expected to take.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from gondwana.core.clock import Instant
from gondwana.core.ids import PrincipalId
from gondwana.core.units import GIB
from gondwana.db.database import Database
from gondwana.jobs import plans
from gondwana.jobs.shelf import Shelf
from gondwana.market.plans.list_prices import packaged
from gondwana.wire.jobs import Accelerators, JobSpec, Resources, Train
from market_world import BORN, World, store_supply, store_tenants

BLOB = "ab" * 32
NOW = Instant(BORN + 1_000)


def on(name: str, count: int = 1, **more) -> Resources:
    return Resources(accelerators=(Accelerators(name=name, count=count),), **more)


TRAINING = Train(
    recipe="train.py", shards=(BLOB,), heldout=(BLOB,), islands_max=16, parameters=10**8, tokens_per_step=2**17
)  # fmt: skip
LARGE = on("M39", 8, memory_bytes_min=256 * GIB)
JOBS = {
    "one": JobSpec(name="one", run="true", resources=on("M3")),
    "gang": JobSpec(name="gang", run="true", num_nodes=8, resources=on("M0", 8)),
    "training": JobSpec(name="training", train=TRAINING, resources=on("M1"), workdir=BLOB),
    "refused": JobSpec(name="refused", run="true", num_nodes=8, resources=LARGE),
}


def measure(devices: int = 1_000_000, rounds: int = 15) -> dict[str, float]:
    """Milliseconds of each job's plan, and how many plans, or relaxations, there were."""
    found: dict[str, float] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        Database.open(Path(folder) / "market.db") as database,
    ):
        store_supply(database, World.of(devices))
        tenant = PrincipalId(store_tenants(database, "t")[0])
        shelf, prices, reader = Shelf(), packaged(), database.reader()
        for name, spec in JOBS.items():
            spent: list[float] = []
            for _ in range(rounds + 1):
                begun = time.thread_time()
                planned = plans.make(reader, shelf, prices, tenant, spec, NOW)
                spent.append(1e3 * (time.thread_time() - begun))
            found[f"plan_{name}_cpu_ms"] = statistics.median(spent[1:])
            found[f"plan_{name}_found"] = float(
                len(planned.front.plans) or len(planned.relaxations)
            )
    return found


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--devices", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found = measure(asked.devices, asked.rounds)
    if asked.json:
        print(json.dumps(found))
        return
    print(f"plans among {asked.devices:,} devices, processor time")
    for name in JOBS:
        what = "relaxations" if name == "refused" else "plans"
        spent, count = found[f"plan_{name}_cpu_ms"], found[f"plan_{name}_found"]
        print(f"  {name:10}{spent:8.1f} ms   {count:.0f} {what}")


if __name__ == "__main__":
    main()
