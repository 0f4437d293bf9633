"""Connections to SQLite: one that writes, and one that only reads per thread."""

import sqlite3
from pathlib import Path
from typing import Final

BUSY_TIMEOUT_MS: Final = (
    5_000  # another process (a backup, a curious shell) may hold the file for a moment
)
STATEMENTS_CACHED_MAX: Final = 512  # more than all named queries together
PAGE_BYTES: Final = 4_096

_SCHEMA_THINGS: Final = ("INDEX", "TABLE", "TRIGGER", "VIEW", "VTABLE",
                         "TEMP_INDEX", "TEMP_TABLE", "TEMP_TRIGGER", "TEMP_VIEW")  # fmt: skip
# Every change of the schema is a migration, and those run before this is enforced.
_SCHEMA_ACTIONS: Final = frozenset(
    getattr(sqlite3, f"SQLITE_{verb}_{thing}")
    for verb in ("CREATE", "DROP")
    for thing in _SCHEMA_THINGS
) | {sqlite3.SQLITE_ALTER_TABLE, sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH}


def file_uri(path: Path) -> str:
    """The SQLite URI of a database file; the file is made when it does not exist."""
    return f"{path.absolute().as_uri()}?mode=rwc"


def memory_uri(name: str) -> str:
    """The SQLite URI of a database in memory that all connections of this process share by `name`."""
    return f"file:{name}?mode=memory&cache=shared"


def open_for_writing(uri: str, *, bytes_max: int | None = None) -> sqlite3.Connection:
    """The connection all writes go through: write-ahead log, every commit synced to disk."""
    connection = _open(uri)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(
        "PRAGMA synchronous = FULL"
    )  # NORMAL may lose the last commits at power loss
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(
        "PRAGMA recursive_triggers = ON"
    )  # REPLACE then meets the no-delete triggers
    if bytes_max is not None:
        connection.execute(f"PRAGMA max_page_count = {max(1, bytes_max // PAGE_BYTES)}")
    return connection


def open_for_reading(uri: str) -> sqlite3.Connection:
    """A connection that cannot write."""
    connection = _open(uri)
    connection.execute("PRAGMA query_only = ON")
    return connection


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


def protect(connection: sqlite3.Connection) -> None:
    """Let this connection change protected tables only as table `protected` allows, and the schema not at all.

    SQLite has no roles; its authorizer is asked when a statement is prepared, so this costs nothing later.
    A protected table takes inserts; its rows change only inside the triggers named, and are never deleted.
    """
    allowed: dict[str, set[str]] = {}
    for row in connection.execute("SELECT table_name, trigger_name FROM protected"):
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

    connection.set_authorizer(decide)
