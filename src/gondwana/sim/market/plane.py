"""The control plane of the market: one database in memory, one life of the process after another, former leaders."""

import contextlib
import functools
import itertools
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from gondwana.api.plane import Plane as ApiPlane
from gondwana.blobs.memory import MemoryStore
from gondwana.core.clock import Clock, ContinuedClock, Instant
from gondwana.core.errors import GondwanaError, NotLeader
from gondwana.core.random import Random
from gondwana.db.batch import Batches
from gondwana.db.database import Database
from gondwana.db.errors import Failed
from gondwana.db.events import StoredEvent
from gondwana.db.leadership import Leader
from gondwana.db.migrate import known_migrations, migrate
from gondwana.db.sqlite import (
    SqliteConnection,
    memory_uri,
    open_for_reading,
    open_for_writing,
    protect,
)
from gondwana.db.transaction import Reader, Transaction
from gondwana.db.writer import InlineWriter
from gondwana.jobs.context import Context
from gondwana.jobs.leading import left_off
from gondwana.jobs.probes import Probes
from gondwana.ledger import rules as ledger
from gondwana.ledger.chain import seal
from gondwana.ledger.rules.stakes import stake_from_rail
from gondwana.ledger.store import post
from gondwana.loops.call_spot import call_spot
from gondwana.loops.end_leases import end_leases
from gondwana.loops.expire_orders import expire_orders
from gondwana.loops.expire_runs import expire_runs
from gondwana.loops.finish_jobs import finish_jobs, finish_stuck
from gondwana.loops.keep_calendar import keep_calendar
from gondwana.loops.keep_machines import keep_machines
from gondwana.loops.lapse_reservations import lapse_reservations
from gondwana.loops.match_orders import match_orders
from gondwana.loops.meter_leases import meter_draining, meter_leases
from gondwana.loops.price_offers import price_offers
from gondwana.loops.record_prices import record_prices
from gondwana.loops.run import Reconcilers
from gondwana.loops.run_auctions import run_auctions
from gondwana.loops.watch_machines import watch_machines
from gondwana.loops.watch_network import watch_network
from gondwana.sim.market.people import BEGIN, OWNERS, POOR, TENANTS

P = ParamSpec("P")
T = TypeVar("T")

MARKET: Final = frozenset(
    {
        watch_machines, expire_orders, expire_runs, lapse_reservations, end_leases, finish_jobs, finish_stuck,
        keep_machines, match_orders, run_auctions, call_spot, meter_leases, meter_draining, price_offers, record_prices,
        keep_calendar, watch_network,
    }
)  # fmt: skip
"""The reconcilers that the market is made of; training's and the books' have simulations of their own."""
_NUMBERS: Final = itertools.count()
_DEPOSIT: Final = 10**12
_POOR_DEPOSIT: Final = 60_000_000  # enough for some hours, not for all that its owner wants


class Crash(BaseException):
    """The process dies here. Not an Exception: nothing in it may catch it."""


class LeaderClock:
    """The clock of one machine: some seconds ahead of time, or behind; it never goes back, but may stand."""

    def __init__(self, time: Clock, skew: float = 0.0) -> None:
        self._time, self.skew = time, skew
        self._last = Instant(0.0)

    def now(self) -> Instant:
        """What it shows."""
        self._last = Instant(max(self._last, self._time.now() + self.skew))
        return self._last


@functools.cache
def template() -> SqliteConnection:
    """A database with all migrations, people and their money, to copy."""
    connection = open_for_writing(memory_uri(f"market-template-{next(_NUMBERS)}"))
    migrate(connection, known_migrations())
    row = "INSERT INTO principal (id, name, created_at) VALUES (?, ?, 0)"
    connection.execute_many(row, [(each, each) for each in (*OWNERS, *TENANTS)])
    connection.lead(Leader(holder="simulated", at=Instant(0.0)))
    writer = InlineWriter(Batches(connection, seal))
    for tenant in TENANTS:
        amount = _POOR_DEPOSIT if tenant == POOR else _DEPOSIT
        writer.call(post, ledger.deposit("manual", tenant, amount, key=tenant), BEGIN)
    staked = stake_from_rail("manual", OWNERS[0], amount_micro_usd=500_000_000, key="stake")
    writer.call(post, staked, BEGIN)
    return connection


class Life:
    """One life of the process: what it holds in memory, and the term under which it writes."""

    def __init__(self, plane: "Plane", now: Instant) -> None:
        connection = open_for_writing(plane.uri)
        protect(connection)
        connection.lead(Leader(holder="simulated", at=Instant(0.0)))
        self.inner = InlineWriter(Batches(connection, plane.before_commit))
        self.inner.listen(plane.heard)
        self._plane = plane
        database = Database(self, lambda: open_for_reading(plane.uri), contextlib.nullcontext())
        self.context = Context(
            database=database,
            blobs=plane.blobs,
            random=plane.random,
            listening_since=now,
            probes=Probes(plane.random),
        )
        self.api = ApiPlane(self.context, plane.clock)  # lets shelf and fairness follow
        self.reconcilers = Reconcilers(self.context, MARKET)

    def submit(
        self, run: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]:
        """See Writer; the process may die before or after."""
        self._plane.count_down(after=False)
        future = self.inner.submit(run, *args, **kwargs)
        self._plane.count_down(after=True)
        return future

    def call(
        self, run: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """See Writer."""
        return self.submit(run, *args, **kwargs).result()

    @property
    def lost(self) -> Any:
        """See Writer."""
        return self.inner.lost

    def give_way(self) -> None:
        """See Writer."""
        self.inner.give_way()

    def listen(self, listener: Callable[[Sequence[StoredEvent]], None]) -> None:
        """See Writer."""
        self.inner.listen(listener)

    def close(self) -> None:
        """See Writer."""
        self.inner.close()


class Plane:
    """One database, and whoever leads it."""

    def __init__(
        self, clock: Clock, random: Random, heard: Callable[[Sequence[StoredEvent]], None]
    ) -> None:
        self.uri = memory_uri(f"market-{next(_NUMBERS)}")
        self._kept = sqlite3.connect(self.uri, uri=True)  # the memory lasts as long as this
        template().raw.backup(self._kept)
        self._time = clock
        self.machine_clock = LeaderClock(clock)
        self.clock: Clock = self.machine_clock
        self.random, self.heard = random, heard
        self.blobs = MemoryStore(clock)
        self.failures = 0  # transactions that are undone at their commit, one after the other
        self.failed = 0  # how many were
        self._calls_to_live: int | None = None
        self._dies_after_commit = False
        self._former: list[Life] = []
        self.life: Life | None = Life(self, self.clock.now())
        self.reader = Reader(open_for_reading(self.uri))

    def start(self, skew: float | None = None) -> None:
        """Begin a life: all that is known is what was stored. `skew`: of another machine's clock."""
        assert self.life is None, "it runs already"
        self.machine_clock = LeaderClock(
            self._time, self.machine_clock.skew if skew is None else skew
        )
        self.clock = ContinuedClock(self.machine_clock, left_off(self.reader))
        self.life = Life(self, self.clock.now())

    def kill(self) -> None:
        """End the life: its memory is lost."""
        self._calls_to_live = None
        if self.life is not None:
            self.life.context.database.close()
            self.life = None

    def die_in(self, calls: int, *, after_commit: bool) -> None:
        """Die at the transaction number `calls` from now: before it begins, or just after it was committed."""
        self._calls_to_live, self._dies_after_commit = calls, after_commit

    def undoom(self) -> None:
        """It will not die any more."""
        self._calls_to_live = None

    def fail_over(self, skew: float) -> None:
        """Another process leads from now on, by a clock `skew` seconds ahead; the one before thinks it still leads."""
        assert self.life is not None
        self._former.append(self.life)
        self.life = None
        self._calls_to_live = None
        self.start(skew)

    @property
    def former(self) -> Life | None:
        """A process that led before, and still lives."""
        return self._former[-1] if self._former else None

    def is_fenced(self, former: Life, now: Instant) -> bool:
        """Whether a process that led before matches and clears as before, and can write nothing of it."""
        before = self._newest()
        for loop in (match_orders, run_auctions):
            with contextlib.suppress(NotLeader):
                loop(former.context, now)
        try:
            former.inner.call(lambda tx: None)
        except NotLeader:
            return self._newest() == before
        except GondwanaError:  # it got as far as its commit
            return False
        return False

    def _newest(self) -> int:
        row = self.reader.one("SELECT max(seq) AS seq FROM event")
        return 0 if row is None else int(row["seq"] or 0)

    def count_down(self, *, after: bool) -> None:
        """One more transaction is over, or about to begin."""
        if self._calls_to_live is None:
            return
        if not after:
            self._calls_to_live -= 1
        if self._calls_to_live <= 0 and after == self._dies_after_commit:
            raise Crash

    def before_commit(self, tx: Transaction) -> None:
        """Seal what was posted, unless this commit is one of those that fail."""
        seal(tx)
        if self.failures > 0:
            self.failures -= 1
            self.failed += 1
            raise Failed("the disk did not answer")

    def close(self) -> None:
        """Let go of everything."""
        self.kill()
        for life in self._former:
            life.context.database.close()
        self.reader.close()
        self._kept.close()
