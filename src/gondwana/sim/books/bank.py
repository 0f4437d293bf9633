"""The bank: one database in memory, the process that leads it, and processes that led it before."""

import functools
import itertools
import json
import sqlite3
from collections.abc import Callable
from typing import Any, Final

from gondwana.core.clock import Instant
from gondwana.core.errors import GondwanaError, NotLeader
from gondwana.core.random import Random
from gondwana.db.batch import Batches
from gondwana.db.errors import Failed
from gondwana.db.idempotency import IdempotencyKey, idempotent
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
from gondwana.ledger import chain
from gondwana.ledger.store import SQL
from gondwana.sim.books.people import TENANTS
from gondwana.sim.books.request import Call, Request

_NUMBERS: Final = itertools.count()
_KINDS: Final = """SELECT entry.seq, entry.legs, entry.at_ms, kind.name AS kind FROM ledger_entry AS entry
    JOIN ledger_name AS kind ON kind.id = entry.kind WHERE entry.seq >= :first ORDER BY entry.seq"""

_LEG: Final = ("seq", "debit", "credit", "amount", "kind", "pending")

Posted = dict[
    str, Any
]  # of one entry: seq, kind, at_ms, legs: [seq, debit, credit, amount, kind, pending]


class Died(Exception):
    """The process ended before it answered; `committed` is what it would have said, if it had committed it."""

    def __init__(self, committed: bytes | None) -> None:
        self.committed = committed


@functools.cache
def template() -> SqliteConnection:
    """A database with all migrations, to copy."""
    return made()


def made() -> SqliteConnection:
    """A new one."""
    connection = open_for_writing(memory_uri(f"books-template-{next(_NUMBERS)}"))
    migrate(connection, known_migrations())
    row = "INSERT INTO principal (id, name, created_at) VALUES (?, ?, 0)"
    connection.execute_many(row, [(tenant, tenant) for tenant in TENANTS])
    return connection


class Bank:
    """Answers requests, each once."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._uri = memory_uri(f"books-{next(_NUMBERS)}")
        self._kept = sqlite3.connect(self._uri, uri=True)  # the memory lasts as long as this
        template().raw.backup(self._kept)
        self._dies_before_commit = False
        self._former: list[InlineWriter] = []
        self._leader = self._lead()
        self.reader = Reader(open_for_reading(self._uri))

    def ask(self, request: Request, key: str, now: Instant) -> bytes:
        """What the bank answers; raises GondwanaError where it refuses."""
        return self._leader.call(self._answer, request, key, now)

    def ask_and_die(self, request: Request, key: str, now: Instant, *, after_commit: bool) -> None:
        """Raises Died: the process ends just before or just after its commit, and another takes over."""
        self._dies_before_commit = not after_commit
        committed = None
        try:
            committed = self.ask(request, key, now)
        except GondwanaError:
            pass  # refused, or undone by its death; either way nobody hears
        finally:
            self._dies_before_commit = False
        self._leader.close()
        self._leader = self._lead()
        raise Died(committed)

    def run(self, what: Callable[[Transaction], Any]) -> Any:
        """Something that the bank does by itself, in a transaction."""
        return self._leader.call(what)

    def fail_over(self) -> None:
        """Another process leads from now on; the one before still lives, and thinks it leads."""
        self._former.append(self._leader)
        self._leader = self._lead()

    @property
    def has_former(self) -> bool:
        """Whether a process lives that led before."""
        return bool(self._former)

    def is_refused_by_former(self, request: Request, key: str, now: Instant) -> bool:
        """Whether a process that led before refuses to write, as it must."""
        try:
            self._former[-1].call(self._answer, request, key, now)
        except NotLeader:
            return True
        except GondwanaError:
            return False
        return False

    def close(self) -> None:
        """Let go of everything."""
        for writer in (*self._former, self._leader):
            writer.close()
        self.reader.close()
        self._kept.close()

    def _lead(self) -> InlineWriter:
        connection = open_for_writing(self._uri)
        protect(connection)
        connection.lead(Leader(holder="simulated", at=Instant(0.0)))
        return InlineWriter(Batches(connection, self._before_commit))

    def _before_commit(self, tx: Transaction) -> None:
        chain.seal(tx)
        if self._dies_before_commit:
            raise Failed("the process has died")

    def _answer(self, tx: Transaction, request: Request, key: str, now: Instant) -> bytes:
        once = IdempotencyKey(principal="somebody", key=key, body_hash=request.body_hash)

        def run(tx: Transaction) -> bytes:
            newest = tx.one(SQL.last_entry)
            first = newest["seq"] + newest["legs"] if newest else 1
            call = Call(tx=tx, now=now, key=key, random=self._random)
            request.verb.run(call, request.params)
            return json.dumps(posted_from(tx, first)).encode()

        return idempotent(tx, once, run, at=now)


def posted_from(reader: Reader, first: int) -> list[Posted]:
    """The entries whose transfers are numbered `first` and above, with all their legs."""
    entries = reader.all(_KINDS, {"first": first})
    if not entries:
        return []
    last = entries[-1]["seq"] + entries[-1]["legs"] - 1
    rows = reader.all(SQL.named_transfers_between, {"first": first, "last": last})
    legs = [[row[name] for name in _LEG] for row in rows]
    return [
        {"seq": row["seq"], "kind": row["kind"], "at_ms": row["at_ms"],
         "legs": legs[row["seq"] - first :][: row["legs"]]}
        for row in entries
    ]  # fmt: skip
