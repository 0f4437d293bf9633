"""Connections to SQLite: one that writes, and one that only reads per thread."""

import contextlib
import functools
import hashlib
import re
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final, TypeVar

from gondwana.core.errors import NotLeader
from gondwana.db.connection import Params, Read, calmed
from gondwana.db.dialect import Dialect
from gondwana.db.errors import Denied, Failed, Refused
from gondwana.db.leadership import SQL, Leader
from gondwana.db.rows import from_rows

T = TypeVar("T")
BUSY_TIMEOUT_MS: Final = (
    5_000  # another process (a backup, a curious shell) may hold the file for a moment
)
STATEMENTS_CACHED_MAX: Final = 512  # more than all named queries together
PAGE_BYTES: Final = 4_096
WRITER_CACHE_KIB: Final = 64 * 1024  # what one commit of many leases touches is not read twice
LONG_PARAMS_MIN: Final = 3_000  # of a statement that takes longer than to wake another thread
VALUES_AT_ONCE: Final = 16_000  # of one INSERT: half of what SQLite takes by default
LOG_PAGES: Final = (
    16_000  # 64 MB of write-ahead log: a page that is written again and again reaches the file once
)

_SAYS_NO: Final = (sqlite3.Error, OverflowError)
_DENIED: Final = re.compile("not authorized|prohibited")
_FAILURES: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_CORRUPT,
                              sqlite3.SQLITE_READONLY, sqlite3.SQLITE_BUSY})  # fmt: skip
_SCHEMA_THINGS: Final = ("INDEX", "TABLE", "TRIGGER", "VIEW", "VTABLE",
                         "TEMP_INDEX", "TEMP_TABLE", "TEMP_TRIGGER", "TEMP_VIEW")  # fmt: skip
# Every change of the schema is a migration, and those run before this is enforced.
_SCHEMA_ACTIONS: Final = frozenset(
    getattr(sqlite3, f"SQLITE_{verb}_{thing}")
    for verb in ("CREATE", "DROP")
    for thing in _SCHEMA_THINGS
) | {sqlite3.SQLITE_ALTER_TABLE, sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH}


@functools.lru_cache(maxsize=1_024)
def _insert_of(table: str, columns: tuple[str, ...], rows: int) -> str:
    place = f"({', '.join('?' * len(columns))})"
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([place] * rows)}"


def _sizes(count: int, most: int) -> Iterator[int]:
    """Powers of two, the largest first, that make up `count`: few statements, which stay cached."""
    size = 1 << (most.bit_length() - 1)
    while count:
        if size <= count:
            yield size
            count -= size
        else:
            size >>= 1


def file_uri(path: Path) -> str:
    """The SQLite URI of a database file; the file is made when it does not exist."""
    return f"{path.absolute().as_uri()}?mode=rwc"


def memory_uri(name: str) -> str:
    """The SQLite URI of a database in memory that all connections of this process share by `name`."""
    return f"file:{name}?mode=memory&cache=shared"


class SqliteConnection:
    """A Connection to SQLite."""

    dialect = Dialect.SQLITE

    def __init__(self, raw: sqlite3.Connection, *, reads_only: bool = False) -> None:
        self.raw = raw
        self._reads_only = reads_only
        self._term: int | None = None
        self.calm = threading.Event()
        self.calm.set()

    @property
    def in_transaction(self) -> bool:
        """See Connection."""
        return self.raw.in_transaction

    def one(self, sql: str, params: Params = ()) -> sqlite3.Row | None:
        """See Connection."""
        try:
            cursor = self.raw.execute(sql, params)
            row = cursor.fetchone()
            cursor.close()
        except _SAYS_NO as error:
            self._tell(error)
            raise
        return row

    def all(self, sql: str, params: Params = ()) -> list[sqlite3.Row]:
        """See Connection."""
        try:
            return self.raw.execute(sql, params).fetchall()
        except _SAYS_NO as error:
            self._tell(error)
            raise

    def tuples(self, sql: str, params: Params = ()) -> list[tuple[Any, ...]]:
        """See Connection."""
        try:
            cursor = self.raw.cursor()
            cursor.row_factory = None
            return cursor.execute(sql, params).fetchall()
        except _SAYS_NO as error:
            self._tell(error)
            raise

    def values(self, kind: type[T], sql: str, params: Params = ()) -> list[T]:
        """See Connection."""
        return from_rows(kind, self.all(sql, params))

    def together(self, reads: Sequence[Read]) -> list[list[Any]]:
        """See Connection; one after the other: nothing is far away here."""
        return [self._read(*each) for each in reads]

    def _read(self, kind: type[Any], sql: str, params: Params) -> list[Any]:
        if kind is dict:
            return self.all(sql, params)
        return self.tuples(sql, params) if kind is tuple else self.values(kind, sql, params)

    @property
    def may_refuse(self) -> bool:
        """See Connection; it has said so by then."""
        return False

    def flush(self) -> None:
        """See Connection; it has it already."""

    def execute(self, sql: str, params: Params = ()) -> int:
        """See Connection."""
        try:
            with self._long(len(params)):
                cursor = self.raw.execute(sql, params)
            changed = cursor.rowcount
            cursor.close()
        except _SAYS_NO as error:
            self._tell(error)
            raise
        return changed

    def execute_later(self, sql: str, params: Params, told: Callable[[int], None]) -> None:
        """See Connection; at once."""
        told(self.execute(sql, params))

    def execute_many(self, sql: str, params: Iterable[Params]) -> int:
        """See Connection."""
        try:
            return self.raw.executemany(sql, params).rowcount
        except _SAYS_NO as error:
            self._tell(error)
            raise

    def insert(self, sql: str, params: Params = ()) -> int:
        """The number that `INSERT … RETURNING number` returns."""
        return self.all(sql, params)[0][0]

    def insert_rows(
        self, table: str, columns: tuple[str, ...], rows: Sequence[Sequence[Any]]
    ) -> None:
        """See Connection."""
        start = 0
        for size in _sizes(len(rows), VALUES_AT_ONCE // len(columns)):
            values = list(chain.from_iterable(rows[start : start + size]))
            self.execute(_insert_of(table, columns, size), values)
            start += size

    def _long(self, params: int) -> contextlib.AbstractContextManager[None]:
        """In this block a statement of so many parameters runs, without the interpreter's lock."""
        return contextlib.nullcontext() if params < LONG_PARAMS_MIN else calmed(self.calm)

    def script(self, sql: str) -> None:
        """See Connection."""
        for statement in statements(sql):
            self.raw.execute(statement)

    def begin_migration(self) -> None:
        """See Connection."""
        self.raw.execute("BEGIN IMMEDIATE")

    def begin_snapshot(self) -> None:
        """See Connection."""
        self.raw.execute("BEGIN")

    def begin_batch(self) -> None:
        """See Connection."""
        try:
            self.raw.execute("BEGIN IMMEDIATE")
        except _SAYS_NO as error:
            self._tell(error)
            raise
        self.calm.clear()
        row = self.one(SQL.leader)
        if row is None or row["term"] != self._term:
            raise NotLeader(hint="it writes to this file through another process; stop one of them")

    def lead(self, leader: Leader) -> int:
        """Take over the writing of this file: whoever wrote to it before can no more. Returns the term."""
        self.raw.execute("BEGIN IMMEDIATE")
        self._term = self.insert(SQL.take_over, leader.to_row())
        self.raw.execute("COMMIT")
        return self._term

    def savepoint(self) -> str:
        """See Connection."""
        try:
            self.raw.execute("SAVEPOINT inner")  # the same name again means the newest
        except _SAYS_NO as error:
            self._tell(error)
            raise
        return "inner"

    def release(self, savepoint: str) -> None:
        """See Connection."""
        try:
            self.raw.execute(f"RELEASE {savepoint}")
        except _SAYS_NO as error:
            self._tell(error)
            raise

    def rollback_to(self, savepoint: str) -> None:
        """See Connection."""
        try:
            self.raw.execute(f"ROLLBACK TO {savepoint}")
            self.raw.execute(f"RELEASE {savepoint}")
        except _SAYS_NO as error:
            self._tell(error)
            raise

    def commit(self, read: Read | None = None) -> list[Any]:
        """See Connection."""
        found = [] if read is None else self._read(*read)
        self.calm.set()
        try:
            self.raw.execute("COMMIT")
        except _SAYS_NO as error:
            self._tell(error)
            raise
        return found

    def rollback(self) -> None:
        """See Connection."""
        self.calm.set()
        if self.raw.in_transaction:  # a full disk may already have undone everything
            self.raw.execute("ROLLBACK")

    def close(self) -> None:
        """See Connection."""
        self.raw.close()

    def _tell(self, error: Exception) -> None:
        """Raise what the error means to us; one that is a mistake of ours belongs to whoever made it."""
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if isinstance(
            error, sqlite3.IntegrityError | OverflowError
        ):  # or a number of more than 64 bits
            raise Refused(str(error)) from error
        if _DENIED.search(str(error)) or (self._reads_only and code == sqlite3.SQLITE_READONLY):
            raise Denied(str(error)) from error
        if code in _FAILURES:
            raise Failed(str(error), is_full=code == sqlite3.SQLITE_FULL) from error


def open_for_writing(uri: str, *, bytes_max: int | None = None) -> SqliteConnection:
    """The connection all writes go through: write-ahead log, every commit synced to disk."""
    connection = _open(uri)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(
        "PRAGMA synchronous = FULL"
    )  # NORMAL may lose the last commits at power loss
    connection.execute(f"PRAGMA cache_size = -{WRITER_CACHE_KIB}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(
        "PRAGMA recursive_triggers = ON"
    )  # REPLACE then meets the no-delete triggers
    if bytes_max is not None:
        connection.execute(f"PRAGMA max_page_count = {max(1, bytes_max // PAGE_BYTES)}")
    connection.create_function("event_key", 1, _event_key, deterministic=True)
    return SqliteConnection(connection)


def open_for_reading(uri: str) -> SqliteConnection:
    """A connection that cannot write."""
    connection = _open(uri)
    connection.execute("PRAGMA query_only = ON")
    return SqliteConnection(connection, reads_only=True)


def _event_key(event_id: str) -> bytes:
    """What migration 50 names an event by."""
    return hashlib.blake2b(event_id.encode(), digest_size=16).digest()


def _open(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        uri,
        uri=True,
        isolation_level=None,  # we say BEGIN and COMMIT ourselves
        check_same_thread=False,  # closed by another thread than the one that used it
        cached_statements=STATEMENTS_CACHED_MAX,
    )
    connection.row_factory = sqlite3.Row
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    return connection


def protect(connection: SqliteConnection) -> None:
    """Let this connection change protected tables only as table `protected` allows, and the schema not at all.

    SQLite has no roles; its authorizer is asked when a statement is prepared, so this costs nothing later.
    A protected table takes inserts; its rows change only inside the triggers named, and are never deleted.
    """
    # what a savepoint would undo went through a temporary file: 24 of 57 KB of a lease; only migrations sort much
    connection.raw.execute("PRAGMA temp_store = MEMORY")
    allowed: dict[str, set[str]] = {}
    for row in connection.all("SELECT table_name, trigger_name FROM protected"):
        allowed.setdefault(row["table_name"], set()).add(row["trigger_name"])
    allowed.setdefault("protected", set())
    allowed.setdefault("migration", set())

    def decide(
        action: int,
        first: str | None,
        second: str | None,
        database: str | None,
        trigger: str | None,
    ) -> int:
        del database
        if action in _SCHEMA_ACTIONS or (action == sqlite3.SQLITE_PRAGMA and second is not None):
            return sqlite3.SQLITE_DENY
        if action == sqlite3.SQLITE_DELETE and first in allowed:
            return sqlite3.SQLITE_DENY
        if action == sqlite3.SQLITE_UPDATE and first in allowed and trigger not in allowed[first]:
            return sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_OK

    connection.raw.set_authorizer(decide)


def statements(sql: str) -> Iterator[str]:
    """The statements of a script, each beginning on a new line; `executescript` would commit before it begins."""
    pending = ""
    for line in sql.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
    rest = [line for line in pending.splitlines() if line.strip() and not line.startswith("--")]
    assert not rest, f"the last statement lacks its semicolon: {rest[0]}"
