"""One database: the writer and the readers of it."""

import contextlib
import itertools
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

from gondwana.core.clock import Instant
from gondwana.core.errors import Unavailable
from gondwana.db.batch import Batches, BeforeCommit
from gondwana.db.checkpoint import Checkpointer
from gondwana.db.connection import Connection
from gondwana.db.errors import Failed
from gondwana.db.leadership import Leader, this_process
from gondwana.db.migrate import known_migrations, migrate
from gondwana.db.sqlite import (
    SqliteConnection,
    file_uri,
    memory_uri,
    open_for_reading,
    open_for_writing,
    protect,
)
from gondwana.db.transaction import Reader
from gondwana.db.writer import BatchingWriter, InlineWriter, Writer

_MEMORY_NUMBERS: Final = itertools.count()
_POSTGRES_URLS: Final = ("postgresql://", "postgres://")


class Database:
    """A database that is open and in the shape this code expects."""

    def __init__(
        self,
        writer: Writer,
        open_reader: Callable[[], Connection],
        lock: AbstractContextManager[Any],
        checkpointer: Checkpointer | None = None,
    ) -> None:
        self.writer = writer
        self._checkpointer = checkpointer
        self._open_reader = open_reader
        self._lock = lock
        self._local = threading.local()
        self._readers: weakref.WeakSet[Reader] = weakref.WeakSet()  # a thread's ends with it
        self._closed = False

    @classmethod
    def open(
        cls,
        where: Path | str,
        *,
        inline: bool = False,
        bytes_max: int | None = None,
        before_commit: BeforeCommit | None = None,
        standing_by: Callable[[], None] | None = None,
    ) -> "Database":
        """The database in a file, made when it is not there, or at a postgresql:// URL; with all migrations applied.

        `inline` writes on the caller's thread. Past `bytes_max` writes raise StorageFull (SQLite). `before_commit`
        ends every transaction in which a call succeeded; what it raises undoes them all. Whoever opened a file for
        writing before can write no more; on PostgreSQL it is the other way round: this raises NotLeader while
        another leads, or calls `standing_by` once and waits. Raises WrongState when a newer version of the code
        wrote the database, Unavailable where it is not reached.
        """
        lock, checkpointer = contextlib.nullcontext(), None
        if isinstance(where, str) and where.startswith(_POSTGRES_URLS):
            connection, open_reader = _open_postgres(where, standing_by)
        else:
            uri = file_uri(Path(where))
            connection = _open_sqlite(uri, bytes_max, _here())
            open_reader = _reader_opener(uri)
            checkpointer = None if inline else Checkpointer(Path(where))
        batches = Batches(connection, before_commit)
        writer = InlineWriter(batches) if inline else BatchingWriter(batches)
        return cls(writer, open_reader, lock, checkpointer)

    @classmethod
    def in_memory(
        cls, *, inline: bool = True, before_commit: BeforeCommit | None = None
    ) -> "Database":
        """A database that is gone when it is closed; for simulation and tests. See `open`."""
        uri = memory_uri(f"gondwana-{next(_MEMORY_NUMBERS)}")
        lock = threading.RLock()
        batches = Batches(
            _open_sqlite(uri, None, Leader(holder="memory", at=Instant(0.0))), before_commit
        )
        writer = InlineWriter(batches, lock) if inline else BatchingWriter(batches, lock)
        return cls(writer, _reader_opener(uri), lock)

    def reader(self) -> Reader:
        """This thread's reader; it sees all that is committed."""
        assert not self._closed, "the database is closed"
        reader: Reader | None = getattr(self._local, "reader", None)
        if reader is None:
            try:
                connection = self._open_reader()
            except Failed as error:
                raise error.to_unavailable() from error
            reader = self._local.reader = Reader(connection, self._lock)
            weakref.finalize(reader, connection.close).atexit = False
            self._readers.add(reader)
        return reader

    def shared_reader(self) -> Reader:
        """A reader that may be passed between threads: it reads through the connection of whoever asks it."""
        return _SharedReader(self.reader, self._lock)

    def close(self) -> None:
        """Finish the writes that were submitted, then let go of the file; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        for reader in list(self._readers):
            reader.close()
        if self._checkpointer is not None:
            self._checkpointer.close()  # the last to close empties the log, and that is the writer
        self.writer.close()

    def __enter__(self) -> "Database":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _SharedReader(Reader):
    """Reads as any other does, but through the connection of the thread that asks."""

    def __init__(self, own: Callable[[], Reader], lock: AbstractContextManager[Any]) -> None:
        self._own = own
        self._lock = lock

    def _through(self) -> Connection:
        return self._own()._through()

    def close(self) -> None:
        """Nothing to let go of: the connections belong to their threads."""


def _here() -> Leader:
    return Leader(holder=this_process(), at=Instant(time.time()))


def _reader_opener(uri: str) -> Callable[[], Connection]:
    return lambda: open_for_reading(uri)


def _open_sqlite(uri: str, bytes_max: int | None, leader: Leader) -> SqliteConnection:
    connection = open_for_writing(uri, bytes_max=bytes_max)
    try:
        migrate(connection, known_migrations())
        protect(connection)
        connection.lead(leader)
    except BaseException:
        connection.close()
        raise
    return connection


def _open_postgres(
    url: str, standing_by: Callable[[], None] | None
) -> tuple[Connection, Callable[[], Connection]]:
    try:
        from gondwana.db import postgres_open
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("gondwana"):
            raise
        raise Unavailable(
            f"PostgreSQL needs {error.name}, which is not installed",
            hint="in Gondwana's folder: pip install '.[server,postgres]'",
        ) from None
    return postgres_open.open_for_writing(url, _here, standing_by), postgres_open.reader_opener(url)
