"""Questions that are asked of the database at once: on PostgreSQL one round trip answers all.

A query that looks up a few keys takes the server less time than its way there and back.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, overload

from gondwana.db.connection import Read
from gondwana.db.dialect import Dialect
from gondwana.db.queries import prepared
from gondwana.db.transaction import Reader, Row

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
F = TypeVar("F")
T = TypeVar("T")
Reads = Callable[[Dialect], Sequence[Read]]


@dataclass(frozen=True, slots=True)
class Asked(Generic[T]):
    """A question, not asked yet."""

    queries: tuple[Reads, ...]  # each may have to be asked in several parts
    answer: Callable[..., T]  # of the rows of each query

    def of(self, reader: Reader) -> T:
        """The answer."""
        return _answers(reader, [self])[0]

    def then(self, make: Callable[[T], A]) -> "Asked[A]":
        """The same question, of whose answer something is made."""
        return Asked(self.queries, lambda *rows: make(self.answer(*rows)))


def of_row(sql: str) -> Asked[Row | None]:
    """The first row of a query that has no parameters."""
    return of_all(dict, sql).then(lambda rows: rows[0] if rows else None)


def of_all(kind: type[Any], sql: str, **params: Any) -> Asked[list[Any]]:
    """All rows of a query; `kind`: see Read. One that has no parameters PostgreSQL plans once a session."""

    def reads(dialect: Dialect) -> list[Read]:
        is_kept = dialect is Dialect.POSTGRES and not params
        return [Read(kind, prepared(sql) if is_kept else sql, params)]

    return Asked((reads,), lambda rows: rows)


@overload
def together(reader: Reader, a: Asked[A], b: Asked[B], /) -> tuple[A, B]: ...
@overload
def together(reader: Reader, a: Asked[A], b: Asked[B], c: Asked[C], /) -> tuple[A, B, C]: ...
@overload
def together(
    reader: Reader, a: Asked[A], b: Asked[B], c: Asked[C], d: Asked[D], /
) -> tuple[A, B, C, D]: ...
@overload
def together(
    reader: Reader, a: Asked[A], b: Asked[B], c: Asked[C], d: Asked[D], e: Asked[E], f: Asked[F], /
) -> tuple[A, B, C, D, E, F]: ...
def together(reader: Reader, *asked: Asked[Any]) -> tuple[Any, ...]:
    """The answer to each question; none may depend on that of another."""
    return tuple(_answers(reader, asked))


def both(a: Asked[A], b: Asked[B], make: Callable[[A, B], T]) -> Asked[T]:
    """Two questions as one."""
    first = len(a.queries)
    return Asked(
        (*a.queries, *b.queries),
        lambda *rows: make(a.answer(*rows[:first]), b.answer(*rows[first:])),
    )


def _answers(reader: Reader, asked: Sequence[Asked[Any]]) -> list[Any]:
    parts = [[reads(reader.dialect) for reads in each.queries] for each in asked]
    found = iter(reader.together([read for each in parts for reads in each for read in reads]))
    return [
        each.answer(*([row for _ in reads for row in next(found)] for reads in of_each))
        for each, of_each in zip(asked, parts, strict=True)
    ]
