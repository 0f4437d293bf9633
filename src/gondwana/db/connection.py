"""What the room needs of a connection; `sqlite` and `postgres` each have one."""

import contextlib
import threading
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from gondwana.db.dialect import Dialect
from gondwana.db.rows import RowLike

Params = Mapping[str, Any] | Sequence[Any]
T = TypeVar("T")


class Read(NamedTuple):
    """One of several queries that are asked together."""

    kind: type[Any]
    """What each row becomes: a `dict` or what is like one, a `tuple`, or a value of this type."""
    sql: str
    params: Params


@contextlib.contextmanager
def calmed(calm: threading.Event) -> Generator[None]:
    """In this block others may compute, though a transaction is on."""
    if calm.is_set():
        yield
        return
    calm.set()
    try:
        yield
    finally:
        calm.clear()


class Connection(Protocol):
    """One connection. Its methods raise Refused, Denied and Failed; the driver's own errors are mistakes of ours."""

    @property
    def dialect(self) -> Dialect:
        """Which database it is."""
        ...

    @property
    def calm(self) -> threading.Event:
        """Set while other threads may compute without slowing what this one does."""
        ...

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open; a failure may have ended it."""
        ...

    def one(self, sql: str, params: Params = ()) -> RowLike | None:
        """The first row, or None."""
        ...

    def all(self, sql: str, params: Params = ()) -> list[Any]:
        """All rows."""
        ...

    def tuples(self, sql: str, params: Params = ()) -> list[tuple[Any, ...]]:
        """All rows, each only its values in order."""
        ...

    def values(self, kind: type[T], sql: str, params: Params = ()) -> list[T]:
        """All rows, each as the value of this type that its columns hold (`rows.from_rows`)."""
        ...

    def together(self, reads: Sequence[Read]) -> list[list[Any]]:
        """All rows of each of these, in this order."""
        ...

    def execute(self, sql: str, params: Params = ()) -> int:
        """How many rows the statement changed."""
        ...

    def execute_later(self, sql: str, params: Params, told: Callable[[int], None]) -> None:
        """Change rows, at the latest at `flush`; `told` hears how many were, and may raise."""
        ...

    def execute_many(self, sql: str, params: Iterable[Params]) -> int:
        """How many rows the statement changed over all `params`."""
        ...

    def insert_rows(
        self, table: str, columns: tuple[str, ...], rows: Sequence[Sequence[Any]]
    ) -> None:
        """Insert rows the quickest way the database has; what it refuses may show only at `flush`."""
        ...

    @property
    def may_refuse(self) -> bool:
        """Whether the database may still refuse something that was written."""
        ...

    def flush(self) -> None:
        """Have the database take what was inserted; raises what it refuses."""
        ...

    def script(self, sql: str) -> None:
        """Run the statements of a migration."""
        ...

    def begin_migration(self) -> None:
        """Begin a transaction that no other migration runs beside."""
        ...

    def begin_snapshot(self) -> None:
        """Begin a transaction whose reads all see one state."""
        ...

    def begin_batch(self) -> None:
        """Begin a transaction that only the leader can commit; raises NotLeader when another took over."""
        ...

    def savepoint(self) -> str:
        """The name of a new savepoint."""
        ...

    def release(self, savepoint: str) -> None:
        """Keep what was written since."""
        ...

    def rollback_to(self, savepoint: str) -> None:
        """Undo what was written since, and forget the savepoint."""
        ...

    def commit(self, read: Read | None = None) -> list[Any]:
        """Make the transaction last; it does when this returns: the rows that `read` finds at its end."""
        ...

    def rollback(self) -> None:
        """Undo the transaction."""
        ...

    def close(self) -> None:
        """Let go of the database."""
        ...
