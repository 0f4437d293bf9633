"""Connections to PostgreSQL through psycopg 3: one that leads and writes, and one that only reads per thread.

What they say to the server, and when they wait for it, is in `postgres_talk`; whether a writer still leads is looked at
with COMMIT.
"""

import contextlib
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

import psycopg
from psycopg import ClientCursor
from psycopg.rows import DictRow, dict_row, tuple_row

from gondwana.core.errors import NotLeader
from gondwana.db.connection import Params, Read
from gondwana.db.dialect import Dialect
from gondwana.db.errors import Failed, Refused
from gondwana.db.leadership import LOST, SQL, Leader
from gondwana.db.postgres_place import APP_ROLE, Place, RawConnection, lock_key
from gondwana.db.postgres_rows import has_rows, row_factory, values_of
from gondwana.db.postgres_talk import Talk, Told

T = TypeVar("T")
R = TypeVar("R")


class PostgresConnection:
    """A Connection to PostgreSQL. A reader connects again by itself; a writer does as long as nobody else led."""

    dialect = Dialect.POSTGRES

    def __init__(self, place: Place, *, reads_only: bool = False) -> None:
        self._place = place
        self._reads_only = reads_only
        self._talk: Talk
        self.schema: str
        self._savepoints = 0
        self._is_app = False
        self._term: int | None = None
        self._is_lost = False
        self.calm = threading.Event()
        self.calm.set()
        self.connect()

    # -- the session

    def connect(self) -> None:
        """Begin a session, in the same role as the one before; raises Failed where there is none to be had."""
        raw, self.schema = self._place.connect(reads_only=self._reads_only)
        self._talk = Talk(raw, self.calm)
        if self._is_app:
            self.become_app()

    def become_app(self) -> None:
        """From now on this connection may do what serving needs and nothing more; raises Denied to strangers."""
        self._send(f"SET ROLE {APP_ROLE}")
        self._is_app = True

    @property
    def _raw(self) -> RawConnection:
        return self._talk.raw

    @property
    def is_closed(self) -> bool:
        """Whether the session has ended, whoever ended it."""
        return self._raw.closed

    def close(self) -> None:
        """See Connection. The lead is free when this returns; the server ends a session when it comes to it."""
        if not self._reads_only and not self._raw.closed:
            self._forget_sent()
            with contextlib.suppress(psycopg.Error):
                self._raw.rollback()
                self._raw.execute(b"SELECT pg_advisory_unlock_all()")
        self._raw.close()

    # -- statements

    @property
    def in_transaction(self) -> bool:
        """See Connection."""
        return self._talk.in_transaction and not self._raw.closed

    def one(self, sql: str, params: Params = ()) -> DictRow | None:
        """See Connection."""
        return self._run(sql, params).fetchone()

    def all(self, sql: str, params: Params = ()) -> list[DictRow]:
        """See Connection."""
        return self._run(sql, params).fetchall()

    def tuples(self, sql: str, params: Params = ()) -> list[tuple[Any, ...]]:
        """See Connection."""
        return self._run(sql, params, tuple_row).fetchall()

    def values(self, kind: type[T], sql: str, params: Params = ()) -> list[T]:
        """See Connection."""
        return self._run(sql, params, values_of(kind)).fetchall()

    def execute(self, sql: str, params: Params = ()) -> int:
        """See Connection."""
        return self._run(sql, params).rowcount

    def execute_later(self, sql: str, params: Params, told: Told) -> None:
        """See Connection."""
        self._talk.update(self._talk.text(sql, params), told)

    def execute_many(self, sql: str, params: Iterable[Params]) -> int:
        """See Connection."""
        return sum(self.execute(sql, each) for each in params)

    def insert(self, sql: str, params: Params = ()) -> int:
        """The number that `INSERT … RETURNING number` returns."""
        row = self.one(sql, params)
        assert row is not None
        return next(iter(row.values()))

    def together(self, reads: Sequence[Read]) -> list[list[Any]]:
        """See Connection; READS_MAX of them in one round trip."""
        found: list[list[Any]] = []
        for start in range(0, len(reads), READS_MAX):
            part = reads[start : start + READS_MAX]
            found += self._reading(lambda part=part: self._ask_together(part))
        return found

    def insert_rows(
        self, table: str, columns: tuple[str, ...], rows: Sequence[Sequence[Any]]
    ) -> None:
        """See Connection."""
        self._talk.insert(table, columns, rows)

    @property
    def may_refuse(self) -> bool:
        """See Connection."""
        return self._talk.may_refuse

    def flush(self) -> None:
        """See Connection."""
        self._talk.flush()

    def script(self, sql: str) -> None:
        """See Connection."""
        self._send(sql)

    def _run(self, sql: str, params: Params, rows: Any = dict_row) -> "ClientCursor[Any]":
        return self._reading(lambda: self._send(self._talk.text(sql, params), rows))

    def _reading(self, ask: Callable[[], R]) -> R:
        """What `ask` returns; a reader whose session has ended asks once more in a new one."""
        try:
            return ask()
        except Failed:
            if not self._reads_only or self._talk.in_transaction or not self._raw.closed:
                raise
        self.connect()  # reading again does no harm
        return ask()

    def _ask_together(self, reads: Sequence[Read]) -> list[list[Any]]:
        texts = (self._talk.text(each.sql, each.params) for each in reads)
        return _all_rows(self._talk.ask(";".join(texts)), reads)

    def _send(self, text: str, rows: Any = dict_row) -> "ClientCursor[Any]":
        """The cursor at the result of `text`, the last of what is sent."""
        cursor = self._talk.ask(text, rows)
        while cursor.nextset():
            pass
        return cursor

    # -- transactions

    def begin_migration(self) -> None:
        """See Connection."""
        self._begin("BEGIN")
        self.one("SELECT pg_advisory_xact_lock(?, ?)", (_MIGRATION, lock_key(self.schema)[1]))

    def begin_snapshot(self) -> None:
        """See Connection."""
        try:
            self._send("SELECT 1")  # a session that has ended shows here
        except Failed:
            self.connect()
        self._begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def _begin(self, words: str) -> None:
        self._talk.drop()
        self._talk.say(words)
        self._talk.in_transaction = True

    def savepoint(self) -> str:
        """See Connection; each has a name of its own, so that one that never began is not taken for another."""
        self.flush()  # what is refused before it would keep it from beginning
        self._savepoints += 1
        name = f"s{self._savepoints}"
        self._talk.say(f"SAVEPOINT {name}")
        return name

    def release(self, savepoint: str) -> None:
        """See Connection."""
        self._talk.send_updates()
        self._talk.say(f"RELEASE {savepoint}")

    def rollback_to(self, savepoint: str) -> None:
        """See Connection."""
        unsent, begins = self._talk.unsent, f"SAVEPOINT {savepoint}"
        self._talk.drop()  # it came after the savepoint
        self._forget_sent()
        if begins in unsent:
            for words in unsent[: unsent.index(begins)]:  # BEGIN, or a RELEASE
                self._talk.say(words)
        else:
            self._send(f"ROLLBACK TO {savepoint}; RELEASE {savepoint}")

    def commit(self, read: Read | None = None) -> list[Any]:
        """See Connection; raises NotLeader where another took over meanwhile, and Failed with `is_unknown` where the
        session ended before it said how it went."""
        self.calm.set()
        held = () if self._term is None else (f"SELECT hold_term({self._term})",)
        asked = () if read is None else (self._talk.text(read.sql, read.params),)
        try:
            self._talk.send_updates()
            cursor = self._talk.ask(";".join([*asked, *held, "COMMIT"]))
            found = _all_rows(cursor, [read] if read else [])
        except Refused as error:
            if error.reason == LOST:
                self._is_lost = True
                raise NotLeader() from error
            raise
        except Failed as error:
            if self._raw.closed:
                raise Failed(str(error), is_unknown=True) from error
            raise
        self._talk.in_transaction = False
        if cursor.statusmessage != "COMMIT":
            raise Failed("the transaction had failed before")
        return found[0] if found else []

    def rollback(self) -> None:
        """See Connection."""
        self.calm.set()
        if not self._talk.in_transaction and not self._talk.unsent:
            return
        self._talk.in_transaction = False
        self._talk.drop()
        self._forget_sent()
        with contextlib.suppress(psycopg.Error):  # a session that ended has undone it
            self._raw.rollback()

    def _forget_sent(self) -> None:
        """Hear what became of what is undone anyway."""
        with contextlib.suppress(Exception):
            self._talk.hear()

    # -- leading

    def try_to_lead(self) -> bool:
        """Whether this connection is now the one that leads: nobody else can for as long as it lasts."""
        row = self.one("SELECT pg_try_advisory_lock(?, ?) AS got", lock_key(self.schema))
        return row is not None and row["got"]

    def lead(self, leader: Leader) -> int:
        """Begin a new term; waits for a transaction of the leader before. Returns the term."""
        self._term = self.insert(SQL.take_over, leader.to_row())
        return self._term

    def begin_batch(self) -> None:
        """See Connection; who leads is looked at by COMMIT. A session that has ended is begun again, if nobody led
        meanwhile."""
        if self._is_lost:
            raise NotLeader()
        if self._has_ended():
            self._lead_on()
        self._begin("BEGIN")
        self.calm.clear()

    def _has_ended(self) -> bool:
        """Whether the server ended the session while nobody asked it anything."""
        if not self._raw.closed and self._talk.has_word():
            with contextlib.suppress(Failed):
                self._send("SELECT 1")  # it said something: asked, it says whether that was all
        return self._raw.closed

    def _lead_on(self) -> None:
        self.connect()
        if not self.try_to_lead():
            self._is_lost = True
            self.close()
            raise NotLeader()


READS_MAX: Final = 16  # asked at once: all their rows are in memory before any is used
_MIGRATION: Final = int.from_bytes(b"gonm", "big")


def _all_rows(cursor: "ClientCursor[Any]", reads: Sequence[Read]) -> list[list[Any]]:
    """What each of these found, which are the first of a message that return rows; the cursor is at its end then."""
    kinds = iter(reads)
    found: list[list[Any]] = []
    is_more: bool | None = True
    while is_more:
        if len(found) < len(reads) and has_rows(cursor):
            cursor.row_factory = row_factory(next(kinds).kind)
            found.append(cursor.fetchall())
            cursor.row_factory = tuple_row  # nextset makes one at once
        is_more = cursor.nextset()
    return found
