"""Connections to PostgreSQL through psycopg 3: one that leads and writes, and one that only reads per thread.

Parameters are put into the text on this side (ClientCursor): NULL then needs no type, and several statements can share
a round trip. What returns nothing (BEGIN, SAVEPOINT, RELEASE, the insert of a few rows) travels with the next one, and
whether this still leads is looked at with COMMIT.
"""

import contextlib
import itertools
import select
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

import psycopg
from psycopg import ClientCursor
from psycopg.pq import TransactionStatus
from psycopg.rows import DictRow, dict_row, tuple_row

from gondwana.core.errors import NotLeader
from gondwana.db.connection import Params, Read, calmed
from gondwana.db.dialect import Dialect, Prepared, postgres_text
from gondwana.db.errors import Failed, Refused
from gondwana.db.leadership import LOST, SQL, Leader
from gondwana.db.postgres_errors import Errors
from gondwana.db.postgres_few import are_few, as_json, insert_few
from gondwana.db.postgres_place import APP_ROLE, Place, RawConnection, lock_key
from gondwana.db.postgres_rows import row_factory, values_of
from gondwana.db.queries import Query

T = TypeVar("T")
R = TypeVar("R")


class PostgresConnection:
    """A Connection to PostgreSQL. A reader connects again by itself; a writer does as long as nobody else led."""

    dialect = Dialect.POSTGRES

    def __init__(self, place: Place, *, reads_only: bool = False) -> None:
        self._place = place
        self._reads_only = reads_only
        self._numbers = itertools.count()  # of prepared statements
        self._raw: RawConnection
        self.schema: str
        self._in_transaction = False
        self._unsent: list[str] = []  # travels with the next statement
        self._has_unsent_rows = False  # it may be refused
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
        self._raw, self.schema = self._place.connect(reads_only=self._reads_only)
        self._in_transaction = False
        self._prepared: dict[str, str] = {}  # their names on this connection
        self._drop_unsent()
        if self._is_app:
            self.become_app()

    def become_app(self) -> None:
        """From now on this connection may do what serving needs and nothing more; raises Denied to strangers."""
        self._send(f"SET ROLE {APP_ROLE}")
        self._is_app = True

    @property
    def is_closed(self) -> bool:
        """Whether the session has ended, whoever ended it."""
        return self._raw.closed

    def close(self) -> None:
        """See Connection. The lead is free when this returns; the server ends a session when it comes to it."""
        if not self._reads_only and not self._raw.closed:
            with contextlib.suppress(psycopg.Error):
                self._raw.rollback()
                self._raw.execute(b"SELECT pg_advisory_unlock_all()")
        self._raw.close()

    # -- statements

    @property
    def in_transaction(self) -> bool:
        """See Connection."""
        return self._in_transaction and not self._raw.closed

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

    def execute_many(self, sql: str, params: Iterable[Params]) -> int:
        """See Connection."""
        return sum(self.execute(sql, each) for each in params)

    def insert(self, sql: str, params: Params = ()) -> int:
        """See Connection."""
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
        """See Connection; a few rows travel with the next statement, many are copied: COPY alone asks twice."""
        if are_few(columns, rows):
            self._unsent.append(
                self._prepared_text(insert_few(table, columns), [as_json(columns, rows)])
            )
            self._has_unsent_rows = True
            return
        self._send_unsent()
        names = ", ".join(f'"{column}"' for column in columns)
        with Errors(self._raw), self._raw.cursor() as cursor, contextlib.ExitStack() as stack:
            copy = stack.enter_context(cursor.copy(f'COPY "{table}" ({names}) FROM STDIN'.encode()))
            for row in rows:
                copy.write_row(row)
            with calmed(self.calm):  # the server works now
                stack.close()

    def flush(self) -> None:
        """See Connection."""
        if self._has_unsent_rows:
            self._send_unsent()

    def script(self, sql: str) -> None:
        """See Connection."""
        self._send(sql)

    def _run(self, sql: str, params: Params, rows: Any = dict_row) -> "ClientCursor[Any]":
        return self._reading(lambda: self._send(self._text(sql, params), rows))

    def _reading(self, ask: Callable[[], R]) -> R:
        """What `ask` returns; a reader whose session has ended asks once more in a new one."""
        try:
            return ask()
        except Failed:
            if not self._reads_only or self._in_transaction or not self._raw.closed:
                raise
        self.connect()  # reading again does no harm
        return ask()

    def _ask_together(self, reads: Sequence[Read]) -> list[list[Any]]:
        cursor = self._exchange(";".join(self._text(each.sql, each.params) for each in reads))
        kinds = iter(reads)
        found: list[list[Any]] = []
        is_more: bool | None = True
        while is_more:
            if cursor.description is not None:  # else of a statement that returns no rows
                cursor.row_factory = row_factory(next(kinds).kind)
                found.append(cursor.fetchall())
                cursor.row_factory = tuple_row  # nextset makes one at once
            is_more = cursor.nextset()
        return found

    def _text(self, sql: str, params: Params) -> str:
        """What to send for a statement; planning a keyed one anew takes longer than looking up a few keys."""
        if isinstance(sql, Prepared):
            return self._prepared_text(sql, params)
        return self._bound(sql.postgres if isinstance(sql, Query) else postgres_text(sql), params)

    def _prepared_text(self, sql: Prepared, params: Params) -> str:
        known = self._prepared.get(sql) or self._preparing.get(sql)
        name = known or f"keyed_{next(self._numbers)}"  # never one again that failed half way
        places = ", ".join(["%s"] * len(params))
        text = self._bound(f"EXECUTE {name} ({places})", params)
        if known is None:
            self._preparing[sql] = name
            text = f"PREPARE {name} AS {sql.numbered.rstrip().rstrip(';')};{text}"
        return text

    def _bound(self, query: str, params: Params) -> str:
        """The query with its parameters in it; a mistake in them shows here, before anything is sent."""
        with Errors(self._raw):
            return ClientCursor(self._raw, row_factory=dict_row).mogrify(query.encode(), params)

    def _send(self, text: str, rows: Any = dict_row) -> "ClientCursor[Any]":
        """The cursor at the result of `text`, the last of what is sent."""
        cursor = self._exchange(text, rows)
        while cursor.nextset():
            pass
        return cursor

    def _exchange(self, text: str, rows: Any = tuple_row) -> "ClientCursor[Any]":
        """The cursor at the first result of what is sent, `text` and what waited for it."""
        sent, preparing = ";".join([*self._unsent, text]).encode(), self._preparing
        self._drop_unsent()
        with Errors(self._raw), calmed(self.calm):  # the server works now
            cursor = ClientCursor(self._raw, row_factory=rows)
            try:
                cursor.execute(sent)
            except psycopg.Error:  # in a message that cannot be read not even BEGIN is done
                self._in_transaction &= (
                    self._raw.info.transaction_status is not TransactionStatus.IDLE
                )
                raise
        self._prepared |= preparing
        return cursor

    def _send_unsent(self) -> None:
        if self._unsent:
            self._send(self._unsent.pop())

    def _drop_unsent(self) -> None:
        self._unsent, self._has_unsent_rows = [], False
        self._preparing: dict[str, str] = {}  # by what is to be sent

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
        self._drop_unsent()
        self._unsent.append(words)
        self._in_transaction = True

    def savepoint(self) -> str:
        """See Connection; each has a name of its own, so that one that never began is not taken for another."""
        self.flush()  # what is refused before it would keep it from beginning
        self._savepoints += 1
        name = f"s{self._savepoints}"
        self._unsent.append(f"SAVEPOINT {name}")
        return name

    def release(self, savepoint: str) -> None:
        """See Connection."""
        self._unsent.append(f"RELEASE {savepoint}")

    def rollback_to(self, savepoint: str) -> None:
        """See Connection."""
        is_unsent = f"SAVEPOINT {savepoint}" in self._unsent
        before = self._unsent[: self._unsent.index(f"SAVEPOINT {savepoint}")] if is_unsent else []
        self._drop_unsent()  # it came after the savepoint
        self._unsent = before  # BEGIN, or a RELEASE
        if not is_unsent:
            self._send(f"ROLLBACK TO {savepoint}; RELEASE {savepoint}")

    def commit(self) -> None:
        """See Connection; raises NotLeader where another took over meanwhile, and Failed with `is_unknown` where the
        session ended before it said how it went."""
        self.calm.set()
        held = () if self._term is None else (f"SELECT hold_term({self._term})",)
        try:
            cursor = self._send(";".join([*held, "COMMIT"]))
        except Refused as error:
            if error.reason == LOST:
                self._is_lost = True
                raise NotLeader() from error
            raise
        except Failed as error:
            if self._raw.closed:
                raise Failed(str(error), is_unknown=True) from error
            raise
        self._in_transaction = False
        if cursor.statusmessage != "COMMIT":
            raise Failed("the transaction had failed before")

    def rollback(self) -> None:
        """See Connection."""
        self.calm.set()
        if not self._in_transaction and not self._unsent:
            return
        self._in_transaction = False
        self._drop_unsent()
        with contextlib.suppress(psycopg.Error):  # a session that ended has undone it
            self._raw.rollback()

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
        if not self._raw.closed and _has_word(self._raw):
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


def _has_word(raw: RawConnection) -> bool:
    """Whether the server sent something that nobody has read."""
    poll = select.poll()
    poll.register(raw.fileno(), select.POLLIN)
    return bool(poll.poll(0))
