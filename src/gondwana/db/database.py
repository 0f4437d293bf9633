"""One database: the writer and the readers of it."""

import contextlib
import itertools
import sqlite3
import threading
import weakref
from collections.abc import Generator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

from gondwana.db.connect import file_uri, memory_uri, open_for_reading, open_for_writing, protect
from gondwana.db.migrate import known_migrations, migrate
from gondwana.db.transaction import Params, Reader, Row
from gondwana.db.writer import BatchingWriter, InlineWriter, Writer

_MEMORY_NUMBERS: Final = itertools.count()


class Database:
    """A database that is open and in the shape this code expects."""

    def __init__(self, uri: str, writer: Writer, lock: AbstractContextManager[Any]) -> None:
        self.writer = writer
        self._uri = uri
        self._lock = lock
        self._local = threading.local()
        self._readers: weakref.WeakSet[Reader] = weakref.WeakSet()  # a thread's ends with it
        self._closed = False

    @classmethod
    def open(cls, path: Path, *, inline: bool = False, bytes_max: int | None = None) -> "Database":
        """The database in the file `path`, made when it is not there, with missing migrations applied.

        `inline` writes on the caller's thread. Past `bytes_max` writes raise StorageFull. Raises WrongState when
        a newer version of the code wrote the file.
        """
        uri = file_uri(path)
        connection = _prepare(uri, bytes_max)
        writer = InlineWriter(connection) if inline else BatchingWriter(connection)
        return cls(uri, writer, contextlib.nullcontext())

    @classmethod
    def in_memory(cls, *, inline: bool = True) -> "Database":
        """A database that is gone when it is closed; for simulation and tests."""
        uri = memory_uri(f"gondwana-{next(_MEMORY_NUMBERS)}")
        lock = threading.RLock()
        connection = _prepare(uri, None)
        writer = InlineWriter(connection, lock) if inline else BatchingWriter(connection, lock)
        return cls(uri, writer, lock)

    def reader(self) -> Reader:
        """This thread's reader; it sees all that is committed."""
        assert not self._closed, "the database is closed"
        reader: Reader | None = getattr(self._local, "reader", None)
        if reader is None:
            reader = self._local.reader = Reader(open_for_reading(self._uri), self._lock)
            self._readers.add(reader)
        return reader

    def shared_reader(self) -> Reader:
        """A reader that may be passed between threads: it reads through the connection of whoever asks it."""
        return _SharedReader(self)

    def close(self) -> None:
        """Finish the writes that were submitted, then let go of the file; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        for reader in list(self._readers):
            reader.close()
        self.writer.close()

    def __enter__(self) -> "Database":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _SharedReader(Reader):
    def __init__(self, database: Database) -> None:
        self._database = database

    def one(self, sql: str, params: Params = ()) -> Row | None:
        return self._database.reader().one(sql, params)

    def all(self, sql: str, params: Params = ()) -> list[Row]:
        return self._database.reader().all(sql, params)

    @contextlib.contextmanager
    def snapshot(self) -> Generator[None]:
        with self._database.reader().snapshot():
            yield

    def close(self) -> None:
        """Nothing to let go of: the connections belong to their threads."""


def _prepare(uri: str, bytes_max: int | None) -> sqlite3.Connection:
    connection = open_for_writing(uri, bytes_max=bytes_max)
    try:
        migrate(connection, known_migrations())
        protect(connection)
    except BaseException:
        connection.close()
        raise
    return connection
