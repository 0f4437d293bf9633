"""What queries run in: a `Reader`, or a `Transaction`, which can also write and tell what happened."""

import contextlib
import functools
import re
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, TypeVar

from gondwana.core.events import Event
from gondwana.db.connection import Connection, Params, Read
from gondwana.db.dialect import Dialect
from gondwana.db.errors import Denied, Failed
from gondwana.db.events import EVENT_COLUMNS, event_row
from gondwana.db.rows import RowLike

Row = RowLike
T = TypeVar("T")

_OVERRIDES_TRIGGERS: Final = re.compile(r"\b(INSERT|UPDATE)\s+OR\b|\bREPLACE\s+INTO\b", re.I)
_READS_EVENTS: Final = re.compile(r"\bFROM\s+event\b", re.I)
_CHANGES_THE_SESSION: Final = re.compile(
    r"(?:^|;)\s*(?:SET|RESET|DISCARD|DO)\b|\bset_config\b", re.I
)  # a role can be left
_NO_LOCK: Final = contextlib.nullcontext()


class Reader:
    """A connection to read through; each statement sees what was committed when it began."""

    def __init__(
        self, connection: Connection, lock: AbstractContextManager[Any] = _NO_LOCK
    ) -> None:
        self._connection = connection
        self._lock = lock  # in-memory databases lock whole tables, so reads there take turns

    @property
    def dialect(self) -> Dialect:
        """Which database this is."""
        return self._through().dialect

    def one(self, sql: str, params: Params = ()) -> Row | None:
        """The first row, or None. Raises Unavailable where the database cannot be reached."""
        with self._lock, _TOLD:
            return self._through().one(sql, params)

    def all(self, sql: str, params: Params = ()) -> list[Row]:
        """All rows; the SQL has a LIMIT where there can be many. Raises Unavailable as `one` does."""
        with self._lock, _TOLD:
            return self._through().all(sql, params)

    def tuples(self, sql: str, params: Params = ()) -> list[tuple[Any, ...]]:
        """All rows, each only its values in order: for queries of very many rows."""
        with self._lock, _TOLD:
            return self._through().tuples(sql, params)

    def values(self, kind: type[T], sql: str, params: Params = ()) -> list[T]:
        """All rows, each as the value of this type that its columns hold."""
        with self._lock, _TOLD:
            return self._through().values(kind, sql, params)

    def together(self, reads: Sequence[Read]) -> list[list[Any]]:
        """All rows of each of these, in this order; on PostgreSQL in one round trip."""
        with self._lock, _TOLD:
            return self._through().together(reads)

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    @contextlib.contextmanager
    def snapshot(self) -> Generator[None]:
        """Within this block all statements see the same state, whatever is committed meanwhile."""
        connection = self._through()
        with self._lock:
            with _TOLD:
                connection.begin_snapshot()
            try:
                yield
            finally:
                connection.rollback()

    def _through(self) -> Connection:
        """The connection of whoever asks."""
        return self._connection


class _Told:
    """Within this block, a database that cannot be reached is Unavailable."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Failed):
            raise error.to_unavailable() from error


_TOLD: Final = _Told()


class Transaction(Reader):
    """One call's part of a commit: it reads what it wrote, and is undone alone when it fails.

    A statement that fails outside a savepoint of its own spoils the call, as PostgreSQL has it: what follows is
    refused, and the call is undone even where it hides the error.
    """

    def __init__(
        self, connection: Connection, inserted: Mapping[str, Sequence[Any]] | None = None
    ) -> None:
        """`inserted`: the first row by table that calls before inserted, where this ends their batch; None: nobody
        knows."""
        super().__init__(connection)
        self.inserted: dict[str, Sequence[Any]] = {}  # by table the first row of this call
        self._inserted_before = inserted
        self._events: list[Event] = []
        self._told = 0  # how many are written; the others are with the next statement about events
        self.has_undone = False  # a savepoint
        self.is_open = True
        self._spoilt: Exception | None = None

    def one(self, sql: str, params: Params = ()) -> Row | None:
        """The first row, or None; also for `… RETURNING`, where all rows are changed."""
        rows = self.all(sql, params)
        return rows[0] if rows else None

    def _check_and_tell(self, sql: str) -> None:
        self._check(sql)
        if self._told < len(self._events) and _READS_EVENTS.search(sql):
            self._tell()

    def all(self, sql: str, params: Params = ()) -> list[Row]:
        """All rows; also for `… RETURNING`. Raises Refused or Denied, as all of these methods do."""
        self._check_and_tell(sql)
        try:
            return self._connection.all(sql, params)
        except Exception as error:
            self.spoil(error)
            raise

    def tuples(self, sql: str, params: Params = ()) -> list[tuple[Any, ...]]:
        """See Reader."""
        self._check(sql)
        try:
            return self._connection.tuples(sql, params)
        except Exception as error:
            self.spoil(error)
            raise

    def values(self, kind: type[T], sql: str, params: Params = ()) -> list[T]:
        """See Reader."""
        self._check(sql)
        try:
            return self._connection.values(kind, sql, params)
        except Exception as error:
            self.spoil(error)
            raise

    def together(self, reads: Sequence[Read]) -> list[list[Any]]:
        """See Reader."""
        for each in reads:
            self._check_and_tell(each.sql)
        try:
            return self._connection.together(reads)
        except Exception as error:
            self.spoil(error)
            raise

    def execute(self, sql: str, params: Params = ()) -> int:
        """How many rows the statement changed: a conditional update that lost its race changed none."""
        self._check(sql)
        try:
            return self._connection.execute(sql, params)
        except Exception as error:
            self.spoil(error)
            raise

    def execute_later(self, sql: str, params: Params, told: Callable[[int], None]) -> None:
        """Change rows; `told` hears how many were, and what it raises is raised here, by a later statement, or at the
        end of the savepoint or the call that this stands in."""
        self._check(sql)
        try:
            self._connection.execute_later(sql, params, told)
        except Exception as error:
            self.spoil(error)
            raise

    def insert_rows(
        self, table: str, columns: tuple[str, ...], rows: Sequence[Sequence[Any]]
    ) -> None:
        """Insert rows the quickest way there is. What is refused is raised here, by a later statement, or at the end
        of the savepoint or the call that this stands in."""
        assert all(name.isidentifier() for name in (table, *columns))
        self._check("")
        if rows:
            self.inserted.setdefault(table, rows[0])
            try:
                self._connection.insert_rows(table, columns, rows)
            except Exception as error:
                self.spoil(error)
                raise

    def execute_many(self, sql: str, params: Iterable[Params]) -> int:
        """How many rows the statement changed over all `params`."""
        self._check(sql)
        try:
            return self._connection.execute_many(sql, params)
        except Exception as error:
            self.spoil(error)
            raise

    def emit(self, event: Event) -> None:
        """Write what happened beside the change itself."""
        self.emit_many([event])

    def emit_many(self, events: Sequence[Event]) -> None:
        """`emit` each of them, in this order; all events of a call are written with one statement at its end."""
        self._check("")
        self._events += events

    def _tell(self) -> None:
        untold = self._events[self._told :]
        self._told = len(self._events)
        self.insert_rows("event", EVENT_COLUMNS, [event_row(event) for event in untold])

    @contextlib.contextmanager
    def snapshot(self) -> Generator[None]:
        """A transaction already sees one state."""
        yield

    @contextlib.contextmanager
    def savepoint(self) -> Generator[None]:
        """What is written in this block, events too, is undone when the block raises; the transaction goes on."""
        self._check("")
        before, told = len(self._events), self._told
        try:
            savepoint = self._connection.savepoint()
        except Exception as error:
            self.spoil(error)
            raise
        try:
            yield
            self._check("")
            self.flush()
        except BaseException:
            if not isinstance(self._spoilt, Failed):  # else there is nothing left to undo
                try:
                    self._connection.rollback_to(savepoint)
                except Exception as error:
                    self.spoil(error)
                    raise
                self._spoilt = None
            del self._events[before:]
            self._told, self.has_undone = told, True
            raise
        try:
            self._connection.release(savepoint)
        except Exception as error:
            self.spoil(error)
            raise

    def may_have_new(self, table: str) -> bool:
        """Whether rows may have been inserted into a table since the batch before this one."""
        before = self._inserted_before
        return before is None or table in before or table in self.inserted

    def first_new(self, table: str) -> Sequence[Any] | None:
        """The first row that this batch inserted into a table, as it was given; None: it is not known."""
        return None if self._inserted_before is None else self._inserted_before.get(table)

    def flush(self) -> None:
        """Have the database take what was inserted; raises what it refuses."""
        try:
            self._connection.flush()
        except Exception as error:
            self.spoil(error)
            raise

    @property
    def is_spoilt(self) -> bool:
        """Whether the database refused something: it cannot go on."""
        return self._spoilt is not None

    def spoil(self, error: Exception) -> None:
        """This transaction cannot go on, but for what a savepoint undoes; a storage's failure nothing undoes."""
        if not isinstance(self._spoilt, Failed):
            self._spoilt = error

    def finish(self) -> list[Event]:
        """The events written, in their order; nothing may use this transaction afterwards. Raises what a call hid."""
        if self._spoilt is None:
            self._tell()
        self.is_open = False
        if self._spoilt is not None:
            raise self._spoilt
        return self._events

    def _check(self, sql: str) -> None:
        assert self.is_open, "this transaction is over; do not keep `tx`"
        if not self._connection.in_transaction:  # or the statement would commit by itself
            self.spoil(Failed("it has already undone this transaction"))
        if self._spoilt is not None:
            raise self._spoilt
        _check_words(sql)


@functools.lru_cache(maxsize=4_096)
def _check_words(sql: str) -> None:
    """Refuse conflict clauses that override those of the updates inside triggers (they unbalance the books)."""
    if _OVERRIDES_TRIGGERS.search(sql):
        raise ValueError(
            "INSERT OR …, UPDATE OR … and REPLACE are not allowed: use ON CONFLICT (…) DO …"
        )
    if _CHANGES_THE_SESSION.search(sql):
        raise Denied("a query may not change the session it runs in")
