"""How fast an order is matched among a million devices, how many leases become durable a second, how soon one does.

    python benchmarks/market.py [--devices 1000000] [--orders 10000] [--seconds 60] [--only sqlite|postgres] [--json]

- match: one call of the product's search from Python with the devices it takes, in processor time of the thread;
  growth is the median at a million devices over that at a thousand.
- durable leases: orders that wait are leased by the product's own pass (`loops.match_orders`: it proposes from memory,
  the writer looks again). A lease is all it means: devices free at that moment, the machine's next epoch, order and
  job moved, escrow posted in the books, run stored, events written, hash chain sealed, synced to disk.
- order to lease: orders come at 1,000 a second, stored in bulk (what launching costs itself is not in it). All that a
  server does beside runs in its two threads: what serves orders and jobs whenever something was committed, and what
  keeps the books (metering every lease, prices, …): in a minute all of it comes but what is done once an hour. From an
  order's being handed to the writer, so its own commit is in it, to its lease's being synced and active.
SQLite runs with synchronous = FULL, PostgreSQL as a server of the benchmark's own (fsync on, 1 GB of buffers).
- auction, spot, placement: the figures of `market_auction.py`, `market_spot.py` and `market_placement.py`, which print
  more of each.
"""

import argparse
import json
import os
import platform
import resource
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil

import market_auction
import market_placement
import market_spot
from gondwana.blobs.memory import MemoryStore
from gondwana.core.clock import Instant, SystemClock
from gondwana.core.random import SecureRandom
from gondwana.db.database import Database
from gondwana.jobs.context import Context
from gondwana.ledger.chain import seal
from gondwana.loops.match_orders import match_orders
from gondwana.loops.run import BOOKKEEPING, SERVING, Reconcilers
from gondwana.market.book import FREE, Book
from gondwana.market.search import SEARCH, cheapest
from gondwana.server.passes import keep_books, serve_news
from gondwana.server.serve import tune_interpreter
from market_world import BORN, World, jobs, store_jobs, store_supply, store_tenants, wants

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "store"))
from postgres import Cluster, binaries

MATCHES = 20_000
ROUNDS = 4  # of waiting orders; the median tells
ORDERS_PER_SECOND, TICK_SECONDS = 1_000, 0.01
SILENT_SECONDS_MAX = 1e9  # the world's machines have no agents
# as docs/howto/run-a-control-plane.md has it, on a server that has run for a while: files of its log, of 16 MB each,
# are there to be written again
POSTGRES = {"shared_buffers": "1GB", "max_wal_size": "4GB", "min_wal_size": "2GB"}
LOG_FILES = 100
LATE_SECONDS_MAX = 20.0  # an order that waits longer counts as unserved
TARGETS = {
    "match_p50_us": 50, "match_p99_us": 1_000, "match_growth": 5, "match_memory_mib": 64,
    "durable_leases_per_second": 3_000, "order_to_lease_p99_ms": 100, "rebuild_s": 5,
    "call_auction_cpu_ms": 100, "gang_auction_gap": 0.02, "gang_auction_cpu_s": 1, "placement_cpu_ms": 10,
    "placement_speedup": 10,
}  # fmt: skip
BESIDE = {
    "match_p50_us": "SQLite 840, PostgreSQL 5,400 (field notes)",
    "match_growth": "numpy scan 68",
    "durable_leases_per_second": "kube-scheduler 680-810, Nomad C2M 1,500, Gödel 1,000-1,300 pods a second",
    "order_to_lease_p99_ms": "Akash 30,000-120,000",
    "gang_auction_gap": "a bare MILP solver lost to a greedy in 60 s (field notes)",
}
AT_LEAST = ("durable_leases_per_second", "placement_speedup")
CLEARING = {
    "auction": market_auction.measure, "spot": market_spot.measure, "placement": market_placement.measure,
}  # fmt: skip


# -- matching


def match_us(book: Book, count: int) -> list[float]:
    """Microseconds of the thread's processor time of each match, and of taking what it found."""
    asked = list(wants(count))
    for want, machines in asked[:100]:  # compiled or loaded by now
        cheapest(book, want, machines)
    spent: list[float] = []
    for want, machines in asked:
        begun = time.thread_time_ns()
        found = cheapest(book, want, machines)
        if len(found) == machines:
            for machine_id in found:
                row = book.row_of(machine_id)
                book.set_free(machine_id, int(book.columns[FREE, row]) - want.devices)
        spent.append((time.thread_time_ns() - begun) / 1_000)
    return spent


def measure_match(devices: int) -> dict[str, float]:
    """The figures of matching."""
    small, large = Book(World.of(1_000).rows()), Book(World.of(devices).rows())
    spent = match_us(large, MATCHES)
    p50, p99 = np.percentile(spent, [50, 99])
    return {
        "match_p50_us": p50,
        "match_p99_us": p99,
        "match_growth": p50 / np.median(match_us(small, MATCHES)),
        "match_memory_mib": large.memory_bytes() / 2**20,
    }


# -- leases


class Plane:
    """One database, and a control plane over it as far as the market needs one."""

    def __init__(self, database: Database, cluster: Cluster | None) -> None:
        self.database = database
        self.cluster = cluster
        self.context = Context(
            database=database, blobs=MemoryStore(SystemClock()), random=SecureRandom(),
            down_after_seconds=SILENT_SECONDS_MAX,
        )  # fmt: skip
        database.writer.listen(self.context.follow)

    def analyze(self) -> None:
        """Let PostgreSQL see how its tables have grown, as it does by itself once a minute."""
        if self.cluster is not None:
            self.cluster.sql("ANALYZE", "market")

    def cpu_seconds(self) -> float:
        """Processor time of this process and of the server, so far."""
        own = time.process_time()
        if self.cluster is None:
            return own
        server = psutil.Process(self.cluster.pid)
        times = [server.cpu_times(), *(child.cpu_times() for child in server.children())]
        return own + sum(each.user + each.system for each in times)


@contextmanager
def plane(kind: str) -> Iterator[Plane]:
    """A fresh database of a kind."""
    if kind == "sqlite":
        with (
            tempfile.TemporaryDirectory() as folder,
            Database.open(Path(folder) / "market.db", before_commit=seal) as database,
        ):
            yield Plane(database, None)
        return
    cluster = Cluster(**POSTGRES)
    try:
        cluster.start()
        _fill_log(cluster)
        with Database.open(cluster.create("market"), before_commit=seal) as database:
            yield Plane(database, cluster)
    finally:
        cluster.remove()


def _fill_log(cluster: Cluster) -> None:
    """Have a fresh server make the files of its log, which it keeps: to make one holds every commit up for 50 ms."""
    for _ in range(LOG_FILES):
        cluster.sql("SELECT pg_logical_emit_message(false, 'gondwana', ''); SELECT pg_switch_wal()")
    cluster.sql("CHECKPOINT")


def measure_rate(plane: Plane, tenants: list[str], orders: int) -> dict[str, float]:
    """Leases a second, and processor microseconds of each, while many orders wait."""
    rates: list[float] = []
    spent: list[float] = []
    for number in range(ROUNDS):
        now = Instant(BORN + 1_000 + number)
        plane.database.writer.call(store_jobs, jobs(tenants, number * orders, orders, now))
        plane.database.writer.call(lambda tx: None)  # by then whoever follows has heard of them
        cpu, wall = plane.cpu_seconds(), time.perf_counter()
        leases = match_orders(plane.context, now)
        wall, cpu = time.perf_counter() - wall, plane.cpu_seconds() - cpu
        assert leases > 0.9 * orders, f"{leases} of {orders}"
        plane.analyze()
        rates.append(leases / wall)
        spent.append(cpu / leases * 1e6)
    return {
        "durable_leases_per_second": float(np.median(rates)),
        "durable_leases_per_second_best": max(rates),
        "lease_cpu_us": float(np.median(spent)),
    }


def measure_latency(plane: Plane, tenants: list[str], seconds: float) -> dict[str, float]:
    """Milliseconds from an order to its lease, while they come at a steady rate."""
    size, first = round(ORDERS_PER_SECOND * TICK_SECONDS), 10_000_000
    ticks = round(seconds / TICK_SECONDS)
    opened = Instant(BORN + 3_000)  # market time as the first order comes
    made = [
        jobs(tenants, first + n * size, size, Instant(opened + n * TICK_SECONDS))
        for n in range(ticks)
    ]
    begun: dict[str, float] = {}
    ended: dict[str, float] = {}
    news, over = threading.Event(), threading.Event()

    def hear(events) -> None:
        now = time.perf_counter()
        ended.update(
            {each.event.job_id: now for each in events if each.event.kind == "lease.active"}
        )
        news.set()

    def now() -> Instant:
        return Instant(opened + time.perf_counter() - start)

    serving = Reconcilers(plane.context, SERVING)
    keeping = Reconcilers(plane.context, BOOKKEEPING, time.thread_time)
    for each in (keeping, serving):
        each.run(opened)  # as in a server that is up: what comes once an hour has been done

    plane.database.writer.listen(hear)
    loops = [
        threading.Thread(target=serve_news, args=(serving, news, over, now)),
        threading.Thread(target=keep_books, args=(keeping, over, now)),
    ]
    start, pause = time.perf_counter(), threading.Event()
    for each in loops:
        each.start()
    for number, part in enumerate(made):
        pause.wait(max(0.0, start + number * TICK_SECONDS - time.perf_counter()))
        begun.update(dict.fromkeys((job.id for job in part), time.perf_counter()))
        plane.database.writer.submit(store_jobs, part)
    took = time.perf_counter() - start
    patience = time.perf_counter() + LATE_SECONDS_MAX
    while len(ended) < len(begun) and time.perf_counter() < patience:
        pause.wait(0.1)
    over.set()
    for each in loops:
        each.join()
    waited = [(ended[job] - begun[job]) * 1_000 for job in begun if job in ended]
    assert len(waited) > 0.9 * len(begun), f"{len(waited)} of {len(begun)} were leased"
    p50, p99 = np.percentile(waited, [50, 99])
    return {
        "order_to_lease_p50_ms": p50, "order_to_lease_p99_ms": p99, "orders_per_second": len(begun) / took,
        "orders_unserved": len(begun) - len(waited),
    }  # fmt: skip


def measure_leases(kind: str, world: World, orders: int, seconds: float) -> dict[str, float] | None:
    """The figures of one database; None where it is not installed."""
    if kind == "postgres" and binaries() is None:
        return None
    with plane(kind) as one:
        store_supply(one.database, world)
        one.analyze()
        tenants = store_tenants(one.database, "t")
        cpu, wall = one.cpu_seconds(), time.perf_counter()
        match_orders(one.context, BORN)
        rebuilt = {"rebuild_s": time.perf_counter() - wall, "rebuild_cpu_s": one.cpu_seconds() - cpu}  # fmt: skip
        rate = measure_rate(one, tenants, orders)
        return {**rebuilt, **rate, **measure_latency(one, tenants, seconds)}


# -- telling


def line(name: str, value: float) -> str:
    """A figure with its target, and what others have."""
    target = TARGETS.get(name)
    bound = "" if target is None else f"{'≥' if name in AT_LEAST else '≤'} {target:,}"
    shown = (
        f"{value:,.0f}" if value >= 1_000 else f"{value:,.2f}" if value >= 0.1 else f"{value:.4f}"
    )
    return f"  {name:34}{shown:>12}{bound:>9}  {BESIDE.get(name, '')}".rstrip()


def missed(found: dict[str, float], where: str) -> list[str]:
    """The figures that miss their targets."""
    return [
        f"{where} {name}"
        for name, target in TARGETS.items()
        if name in found and (found[name] < target if name in AT_LEAST else found[name] > target)
    ]


def told(one: dict[str, float], leases: dict[str, dict[str, float] | None]) -> dict[str, object]:
    """All figures in one: those of SQLite, but the leases a second of both."""
    rounded = {name: round(value, 4) for name, value in one.items()}
    rates = {
        kind: found and round(found["durable_leases_per_second"]) for kind, found in leases.items()
    }
    first = next((found for found in leases.values() if found), {})
    names = ("order_to_lease_p99_ms", "rebuild_s")
    return {
        **rounded, "durable_leases_per_second": rates,
        **{name: round(first[name], 3) for name in names if name in first},
        "by_database": {kind: found and {name: round(value, 3) for name, value in found.items()}
                        for kind, found in leases.items()},
        "load_average": [round(each, 2) for each in os.getloadavg()],
    }  # fmt: skip


def main() -> None:
    """Measure, print, and fail where a target is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--devices", type=int, default=1_000_000)
    parser.add_argument(
        "--orders", type=int, default=10_000, help="that wait at once, at most 10,000"
    )
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="of orders that come one by one"
    )
    parser.add_argument("--only", choices=["match", "sqlite", "postgres", *CLEARING])
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    asked = parser.parse_args()
    tune_interpreter()  # as the server does
    world = World.of(asked.devices)
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
          f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, search {SEARCH.__name__}; "
          f"{asked.devices:,} devices in {len(world):,} offers\n")  # fmt: skip
    one: dict[str, float] = {}
    if asked.only in (None, "match"):
        one = measure_match(asked.devices)
        print("match one order", *(line(*each) for each in one.items()), "", sep="\n")
    for name, measure in CLEARING.items():
        if asked.only in (None, name):
            found = measure()
            print(name, *(line(*each) for each in found.items()), "", sep="\n", flush=True)
            one |= found
    leases: dict[str, dict[str, float] | None] = {}
    for kind in ("sqlite", "postgres"):
        if asked.only in (None, kind):
            leases[kind] = durable = measure_leases(kind, world, asked.orders, asked.seconds)
            lines = (
                [line(*each) for each in durable.items()] if durable else ["  not installed here"]
            )
            print(kind, *lines, "", sep="\n", flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(f"peak memory of this process {peak:,.0f} MiB, load {os.getloadavg()[0]:.1f} at the end")
    if asked.json:
        print(json.dumps(told(one, leases)))
    over = missed(one, "the market's")
    over += [each for kind, found in leases.items() if found for each in missed(found, kind)]
    if over:
        raise SystemExit(f"missed: {', '.join(over)}")


if __name__ == "__main__":
    main()
