"""Connections to PostgreSQL through psycopg 3: one that leads and writes, and one that only reads per thread.

Parameters are put into the text on this side (ClientCursor): NULL then needs no type, and statements that return
nothing (BEGIN, SAVEPOINT, RELEASE) travel with the next one instead of costing a round trip each.
"""

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

import psycopg
from psycopg import ClientCursor, errors
from psycopg.rows import DictRow, dict_row, tuple_row

from gondwana.core.errors import NotLeader
from gondwana.db.connection import Params, calmed
from gondwana.db.dialect import Dialect, Prepared, postgres_text
from gondwana.db.errors import Denied, Failed, Refused
from gondwana.db.leadership import SQL, Leader
from gondwana.db.postgres_place import APP_ROLE, Place, RawConnection, lock_key
from gondwana.db.queries import Query
from gondwana.db.rows import maker

T = TypeVar("T")
_REFUSALS: Final = (psycopg.IntegrityError, psycopg.DataError, errors.RaiseException)
_DENIALS: Final = (errors.InsufficientPrivilege, errors.ReadOnlySqlTransaction)
_FAILURES: Final = (psycopg.OperationalError, psycopg.InternalError, psycopg.InterfaceError)


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
        self._unsent = []
        self._prepared: dict[str, str] = {}  # on this connection, by their names
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

    def insert_rows(
        self, table: str, columns: tuple[str, ...], rows: Sequence[Sequence[Any]]
    ) -> None:
        """See Connection."""
        if self._unsent:
            self._send(self._unsent.pop())
        names = ", ".join(f'"{column}"' for column in columns)
        with _Errors(self._raw), self._raw.cursor() as cursor, contextlib.ExitStack() as stack:
            copy = stack.enter_context(cursor.copy(f'COPY "{table}" ({names}) FROM STDIN'.encode()))
            for row in rows:
                copy.write_row(row)
            with calmed(self.calm):  # the server works now
                stack.close()

    def script(self, sql: str) -> None:
        """See Connection."""
        self._send(sql)

    def _run(self, sql: str, params: Params, rows: Any = dict_row) -> "ClientCursor[Any]":
        try:
            return self._ask(sql, params, rows)
        except Failed:
            if not self._reads_only or self._in_transaction or not self._raw.closed:
                raise
        self.connect()  # reading again does no harm
        return self._ask(sql, params, rows)

    def _ask(self, sql: str, params: Params, rows: Any) -> "ClientCursor[Any]":
        if isinstance(sql, Prepared):
            return self._execute_prepared(sql, params, rows)
        query = sql.postgres if isinstance(sql, Query) else postgres_text(sql)
        return self._send(self._bound(query, params), rows)

    def _execute_prepared(self, sql: Prepared, params: Params, rows: Any) -> "ClientCursor[Any]":
        """Planning one of these anew takes longer than looking up a few keys."""
        known = self._prepared.get(sql)
        name = known or f"keyed_{next(self._numbers)}"  # never one again that failed half way
        places = ", ".join(["%s"] * len(params))
        text = self._bound(f"EXECUTE {name} ({places})", params)
        if known is None:
            text = f"PREPARE {name} AS {sql.numbered.rstrip().rstrip(';')};{text}"
        cursor = self._send(text, rows)
        self._prepared[sql] = name
        return cursor

    def _bound(self, query: str, params: Params) -> str:
        """The query with its parameters in it; a mistake in them shows here, before anything is sent."""
        with _Errors(self._raw):
            return ClientCursor(self._raw, row_factory=dict_row).mogrify(query.encode(), params)

    def _send(self, text: str, rows: Any = dict_row) -> "ClientCursor[Any]":
        """The cursor at the result of `text`, the last of what is sent."""
        sent = ";".join([*self._unsent, text]).encode()
        self._unsent = []
        with _Errors(self._raw), calmed(self.calm):  # the server works now
            cursor = ClientCursor(self._raw, row_factory=rows)
            cursor.execute(sent)
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
        self._unsent = [words]
        self._in_transaction = True

    def savepoint(self) -> str:
        """See Connection; each has a name of its own, so that one that never began is not taken for another."""
        self._savepoints += 1
        name = f"s{self._savepoints}"
        self._unsent.append(f"SAVEPOINT {name}")
        return name

    def release(self, savepoint: str) -> None:
        """See Connection."""
        self._unsent.append(f"RELEASE {savepoint}")

    def rollback_to(self, savepoint: str) -> None:
        """See Connection."""
        self._send(f"ROLLBACK TO {savepoint}; RELEASE {savepoint}")

    def commit(self) -> None:
        """See Connection; raises Failed with `is_unknown` where the session ended before it said how it went."""
        self.calm.set()
        try:
            cursor = self._send("COMMIT")
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
        self._unsent = []
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
        """See Connection. A session that has ended is begun again, if nobody led meanwhile."""
        if self._is_lost:
            raise NotLeader()
        try:
            found = self._begin_and_look()
        except Failed:
            if not self._raw.closed:
                raise
            self._lead_on()
            found = self._begin_and_look()
        if found != self._term:
            self._is_lost = True
            raise NotLeader()

    def _begin_and_look(self) -> int | None:
        self._begin("BEGIN")
        row = self.one(SQL.leader)
        self.calm.clear()
        return None if row is None else row["term"]

    def _lead_on(self) -> None:
        self.connect()
        if not self.try_to_lead():
            self._is_lost = True
            self.close()
            raise NotLeader()


_MIGRATION: Final = int.from_bytes(b"gonm", "big")


def values_of(kind: type[Any]) -> Callable[[Any], Callable[[Sequence[Any]], Any]]:
    """A row factory of psycopg that makes values at once, without a dict of each row between."""

    def factory(cursor: Any) -> Callable[[Sequence[Any]], Any]:
        if cursor.description is None:  # of a statement before, which returns no rows
            return tuple
        return maker(kind, tuple(column.name for column in cursor.description))

    return factory


class _Errors:
    """Within this block, what PostgreSQL says no to is one of our errors."""

    __slots__ = ("_raw",)

    def __init__(self, raw: RawConnection) -> None:
        self._raw = raw

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, psycopg.Error):
            ours = _ours(error, is_closed=self._raw.closed)
            if ours is not None:
                raise ours from error


def _ours(error: psycopg.Error, *, is_closed: bool) -> Exception | None:
    """What the error means, or None: a mistake of ours, which belongs to whoever made it."""
    reason = error.diag.message_primary or str(error)
    if is_closed:
        return Failed(reason)
    if isinstance(error, _REFUSALS):
        constraint = error.diag.constraint_name
        return Refused(
            reason if not constraint or constraint in reason else f"{reason} ({constraint})"
        )
    if isinstance(error, _DENIALS):
        return Denied(reason)
    if isinstance(error, _FAILURES):
        return Failed(reason, is_full=isinstance(error, errors.DiskFull))
    return None
