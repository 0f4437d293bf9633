"""What queries run in: a `Reader`, or a `Transaction`, which can also write and tell what happened."""

import contextlib
import functools
import json
import re
import sqlite3
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

from gondwana.core.events import Event
from gondwana.db.events import INSERT_EVENT, StoredEvent

Row = sqlite3.Row
Params = Mapping[str, Any] | Sequence[Any]

_OVERRIDES_TRIGGERS: Final = re.compile(r"\b(INSERT|UPDATE)\s+OR\b|\bREPLACE\s+INTO\b", re.I)
_NO_LOCK: Final = contextlib.nullcontext()


class Reader:
    """A connection to read through; each statement sees what was committed when it began."""

    def __init__(
        self, connection: sqlite3.Connection, lock: AbstractContextManager[Any] = _NO_LOCK
    ) -> None:
        self._connection = connection
        self._lock = lock  # in-memory databases lock whole tables, so reads there take turns

    def one(self, sql: str, params: Params = ()) -> Row | None:
        """The first row, or None."""
        with self._lock:
            cursor = self._connection.execute(sql, params)
            row = cursor.fetchone()
            cursor.close()
        return row

    def all(self, sql: str, params: Params = ()) -> list[Row]:
        """All rows; the SQL has a LIMIT where there can be many."""
        with self._lock:
            return self._connection.execute(sql, params).fetchall()

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    @contextlib.contextmanager
    def snapshot(self) -> Generator[None]:
        """Within this block all statements see the same state, whatever is committed meanwhile."""
        with self._lock:
            self._connection.execute("BEGIN")
            try:
                yield
            finally:
                self._connection.execute("COMMIT")


class Transaction(Reader):
    """One call's part of a commit: it reads what it wrote, and is undone alone when it fails."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self._events: list[StoredEvent] = []
        self._open = True

    def one(self, sql: str, params: Params = ()) -> Row | None:
        """The first row, or None; also for `… RETURNING`, where all rows are changed."""
        rows = self.all(sql, params)
        return rows[0] if rows else None

    def all(self, sql: str, params: Params = ()) -> list[Row]:
        """All rows; also for `… RETURNING`."""
        self._check(sql)
        return self._connection.execute(sql, params).fetchall()

    def execute(self, sql: str, params: Params = ()) -> int:
        """How many rows the statement changed: a conditional update that lost its race changed none."""
        self._check(sql)
        cursor = self._connection.execute(sql, params)
        changed = cursor.rowcount
        cursor.close()
        return changed

    def insert(self, sql: str, params: Params = ()) -> int:
        """The number that the database gave the inserted row."""
        self._check(sql)
        cursor = self._connection.execute(sql, params)
        number = cursor.lastrowid
        cursor.close()
        assert number is not None
        return number

    def execute_many(self, sql: str, params: Iterable[Params]) -> int:
        """How many rows the statement changed over all `params`."""
        self._check(sql)
        return self._connection.executemany(sql, params).rowcount

    def emit(self, event: Event) -> int:
        """Write what happened beside the change itself; returns its number in the log."""
        seq = self.insert(INSERT_EVENT, (event.at, event.kind, event.subject, event.job_id,
                                         json.dumps(event.data, separators=(",", ":"))))  # fmt: skip
        self._events.append(StoredEvent(seq=seq, event=event))
        return seq

    @contextlib.contextmanager
    def snapshot(self) -> Generator[None]:
        """A transaction already sees one state."""
        yield

    @contextlib.contextmanager
    def savepoint(self) -> Generator[None]:
        """What is written in this block, events too, is undone when the block raises; the transaction goes on."""
        events_before = len(self._events)
        self._connection.execute("SAVEPOINT inner_call")
        try:
            yield
        except BaseException:
            if self._connection.in_transaction:  # a full disk may already have undone everything
                self._connection.execute("ROLLBACK TO inner_call")
                self._connection.execute("RELEASE inner_call")
            del self._events[events_before:]
            raise
        self._connection.execute("RELEASE inner_call")

    def finish(self) -> list[StoredEvent]:
        """The events written; nothing may use this transaction afterwards."""
        self._open = False
        return self._events

    def _check(self, sql: str) -> None:
        assert self._open, "this transaction is over; do not keep `tx`"
        if not self._connection.in_transaction:  # or the statement would commit by itself
            raise sqlite3.OperationalError("the database has already undone this transaction")
        _check_conflict_clause(sql)


@functools.lru_cache(maxsize=4_096)
def _check_conflict_clause(sql: str) -> None:
    """Refuse conflict clauses that override those of the updates inside triggers (they unbalance the books)."""
    if _OVERRIDES_TRIGGERS.search(sql):
        raise ValueError(
            "INSERT OR …, UPDATE OR … and REPLACE are not allowed: use ON CONFLICT (…) DO …"
        )
