"""How fast, how small and how even the books are: transfers per processor second, bytes, hot accounts, reads, audit.

    python benchmarks/ledger.py [--transfers 1000000] [--postgres-transfers 200000] [--only sqlite|postgres] [--json]

What is posted is what the product posts most: meterings of leases, at the network's usual shares three transfers each
(fee, verification, the owner's rest), in batches of 1,000 transfers, one durable commit each, through the product's own
writer with every constraint, trigger and the hash chain on. Beside it the physical limit of the same rows: a bare
`executemany` into one table without any rule, committed in the same batches. SQLite runs with synchronous = FULL;
PostgreSQL is a server of the benchmark's own with its defaults (fsync on); its processor time is the client's and the
server's together.
"""

import argparse
import json
import os
import platform
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from gondwana.core.clock import Instant
from gondwana.core.values import replace
from gondwana.db.database import Database
from gondwana.ledger import rules
from gondwana.ledger.accounts import provider_holdback
from gondwana.ledger.audit import audit
from gondwana.ledger.chain import seal
from gondwana.ledger.model import Balance, Entry, LeaseTerms, Shares
from gondwana.ledger.store import balance, post, post_all

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "store"))
from postgres import Cluster, binaries

LEGS = 3
ENTRIES_PER_BATCH = 334  # 1,002 transfers
LEASES = 1_000
PROVIDERS = 500
ESCROW_MICRO_USD = 10**12
READS = 50_000
ROUNDS = 5  # hot and spread take turns; the median tells
TARGETS = {
    "sqlite": {"transfers_per_cpu_second": 20_000, "hot_ratio": 0.9, "bytes_per_transfer": 100,
               "balance_reads_per_second": 50_000, "audit_cpu_seconds_per_million": 10},
    "postgres": {"transfers_per_second": 10_000, "hot_ratio": 0.9, "bytes_per_transfer": 200},
}  # fmt: skip
AT_MOST = {"bytes_per_transfer", "audit_cpu_seconds_per_million"}


@dataclass(slots=True)
class Meters:
    """Leases that are metered over and over: a source of real entries."""

    leases: list[LeaseTerms]
    paid: dict[str, int]
    seconds: int = 0

    def batches(self, transfers: int) -> Iterator[list[Entry]]:
        """Batches of meterings with so many transfers in all."""
        batch: list[Entry] = []
        while transfers > 0:
            self.seconds += 60
            for lease in self.leases:
                paid = self.paid.get(lease.lease_id, 0)
                escrow = Balance(credits_posted=ESCROW_MICRO_USD, debits_posted=paid)
                entry = rules.meter(lease, self.seconds, escrow)
                self.paid[lease.lease_id] = paid + entry.total_micro_usd()
                batch.append(entry)
                transfers -= len(entry.legs)
                if len(batch) == ENTRIES_PER_BATCH:
                    yield batch
                    batch = []


def meters(database: Database, tag: str, *, providers: int) -> Meters:
    """Leases with money in their escrows; `tag` tells one set from the next."""
    terms = LeaseTerms(lease_id="", tenant_id=f"pri_{tag:0>20}", provider_id="", price_micro_usd_per_hour=2_490_000,
                       shares=Shares())  # fmt: skip
    leases = [
        replace(terms, lease_id=f"lea_{tag}{n:018d}", provider_id=f"pri_{tag}{n % providers:018d}",
                job_id=f"job_{tag}{n // 10:018d}")
        for n in range(LEASES)
    ]  # fmt: skip
    funds = rules.deposit("bank", terms.tenant_id, LEASES * ESCROW_MICRO_USD, key="1")
    database.writer.call(post, funds, Instant(1.0))
    opened = [rules.open_lease(lease, ESCROW_MICRO_USD) for lease in leases]
    database.writer.call(post_all, opened, Instant(2.0))
    return Meters(leases=leases, paid={})


class Place:
    """One database to measure: where it is, what it costs, how large it is."""

    def __init__(self, where: Path | str, cluster: Cluster | None = None) -> None:
        self.where = where
        self.cluster = cluster

    @contextmanager
    def open(self) -> Iterator[Database]:
        """The product's database with its hash chain."""
        with Database.open(self.where, inline=True, before_commit=seal) as database:
            yield database

    def cpu_seconds(self) -> float:
        """Processor time of this process and of the server, so far."""
        own = time.process_time()
        if self.cluster is None:
            return own
        server = psutil.Process(self.cluster.pid)
        times = [server.cpu_times(), *(child.cpu_times() for child in server.children())]
        return own + sum(each.user + each.system for each in times)

    def bytes(self, database: Database) -> int:
        """What the books take on disk, indexes and all."""
        if self.cluster is None:
            raw = sqlite3.connect(self.where)
            raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            raw.close()
            return Path(self.where).stat().st_size
        tables = (
            "ledger_transfer",
            "ledger_entry",
            "ledger_name",
            "ledger_account",
            "ledger_batch",
        )
        return sum(
            database.reader().one("SELECT pg_total_relation_size(:table) AS size", {"table": table})["size"]
            for table in tables
        )  # fmt: skip


def post_batches(
    place: Place, database: Database, batches: list[list[Entry]]
) -> tuple[float, float]:
    """(processor seconds, seconds) to post and commit them."""
    cpu, wall = place.cpu_seconds(), time.perf_counter()
    for number, batch in enumerate(batches):
        database.writer.call(post_all, batch, Instant(1_000.0 + number))
    return place.cpu_seconds() - cpu, time.perf_counter() - wall


def bare_cpu_seconds(rows: int) -> float:
    """Processor seconds of a bare `executemany` of as many rows, committed in the same batches."""
    with tempfile.TemporaryDirectory() as folder:
        raw = sqlite3.connect(Path(folder) / "bare.db", isolation_level=None)
        raw.execute("PRAGMA journal_mode = WAL")
        raw.execute("PRAGMA synchronous = FULL")
        raw.execute("CREATE TABLE t (seq INTEGER PRIMARY KEY, amount INTEGER, pending INTEGER, debit INTEGER,"
                    " credit INTEGER, leg INTEGER, kind INTEGER)")  # fmt: skip
        made = [(n, 41_500, None, n % 1_000, n % 500, n % LEGS, 0) for n in range(1, rows + 1)]
        size, start = ENTRIES_PER_BATCH * LEGS, time.process_time()
        for first in range(0, rows, size):
            raw.execute("BEGIN IMMEDIATE")
            raw.executemany(
                "INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?)", made[first : first + size]
            )
            raw.execute("COMMIT")
        spent = time.process_time() - start
        raw.close()
    return spent


def hot_ratio(place: Place) -> float:
    """How fast one account that everybody is paid from and to is, against spread load; 1 is as fast.

    Hot: a single lease of a single owner is metered each second. Spread: as many leases of as many owners, once each.
    """
    ratios: list[float] = []
    with place.open() as database:
        spread = meters(database, "s", providers=LEASES)
        hot = meters(database, "h", providers=1)
        hot.leases = hot.leases[:1]
        for _ in range(ROUNDS):
            spent = [
                post_batches(place, database, list(each.batches(20_000)))[0]
                for each in (hot, spread)
            ]
            ratios.append(spent[1] / spent[0])
    return statistics.median(ratios)


def reads_per_second(database: Database) -> float:
    """Balances read through the product, per second."""
    reader = database.reader()
    names = [provider_holdback(f"pri_a{n:018d}") for n in range(PROVIDERS)]
    start = time.perf_counter()
    for n in range(READS):
        balance(reader, names[n % PROVIDERS])
    return READS / (time.perf_counter() - start)


def measure(place: Place, transfers: int) -> dict[str, float]:
    """All figures of one database."""
    with place.open() as database:
        source = meters(database, "a", providers=PROVIDERS)
        before, posted, cpu, wall = place.bytes(database), 0, 0.0, 0.0
        batches = list(source.batches(100_000))
        while posted < transfers:
            spent = post_batches(place, database, batches)
            posted += sum(len(entry.legs) for batch in batches for entry in batch)
            cpu, wall = cpu + spent[0], wall + spent[1]
            batches = list(source.batches(100_000)) if posted < transfers else []
        size = place.bytes(database) - before
        reads = max(reads_per_second(database) for _ in range(3))
        start = time.process_time()
        report = audit(database.reader())
        audited = time.process_time() - start
        assert report.ok, report.differences
    return {
        "transfers_per_cpu_second": posted / cpu,
        "transfers_per_second": posted / wall,
        "cpu_us_per_transfer": cpu / posted * 1e6,
        "ratio_to_bare_executemany": cpu / posted / (bare_cpu_seconds(200_000) / 200_000),
        "bytes_per_transfer": size / posted,
        "balance_reads_per_second": reads,
        "audit_cpu_seconds_per_million": audited / report.transfers * 1e6,
        "transfers": posted,
    }


def sqlite(transfers: int) -> dict[str, float]:
    """The figures of SQLite."""
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Place(Path(folder) / "books.db"), transfers)
        return {**found, "hot_ratio": hot_ratio(Place(Path(folder) / "hot.db"))}


def postgres(transfers: int) -> dict[str, float] | None:
    """The figures of PostgreSQL; None where no server is installed."""
    if binaries() is None:
        return None
    cluster = Cluster()
    try:
        cluster.start()
        found = measure(Place(cluster.create("books"), cluster), transfers)
        return {**found, "hot_ratio": hot_ratio(Place(cluster.create("hot"), cluster))}
    finally:
        cluster.remove()


def show(name: str, found: dict[str, float]) -> list[str]:
    """The figures as lines, with their targets."""
    lines = [f"{name:34}{'measured':>12}{'target':>12}"]
    for figure, value in found.items():
        target = TARGETS[name].get(figure)
        bound = "" if target is None else f"{'≤' if figure in AT_MOST else '≥'} {target:,}"
        shown = f"{value:,.2f}" if value < 1_000 else f"{value:,.0f}"
        lines.append(f"  {figure:32}{shown:>12}{bound:>12}")
    return lines


def missed(name: str, found: dict[str, float]) -> list[str]:
    """The figures that miss their targets."""
    return [
        f"{name} {figure}"
        for figure, target in TARGETS[name].items()
        if (found[figure] > target if figure in AT_MOST else found[figure] < target)
    ]


def main() -> None:
    """Measure, print, and fail where a target is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--transfers", type=int, default=1_000_000)
    parser.add_argument("--postgres-transfers", type=int, default=200_000)
    parser.add_argument("--only", choices=["sqlite", "postgres"])
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    asked = parser.parse_args()
    runs: dict[str, Callable[[], dict[str, float] | None]] = {
        "sqlite": lambda: sqlite(asked.transfers),
        "postgres": lambda: postgres(asked.postgres_transfers),
    }
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
          f"SQLite {sqlite3.sqlite_version}\n")  # fmt: skip
    figures: dict[str, dict[str, float] | None] = {}
    for name, run in runs.items():
        if asked.only in (None, name):
            figures[name] = found = run()
            print("\n".join(show(name, found)) if found else f"{name}: not installed here", "\n")
    if asked.json:
        told = {
            name: found and {figure: round(value, 4) for figure, value in found.items()}
            for name, found in figures.items()
        }
        print(json.dumps(told))
    over = [one for name, found in figures.items() if found for one in missed(name, found)]
    if over:
        raise SystemExit(f"missed: {', '.join(over)}")


if __name__ == "__main__":
    main()
