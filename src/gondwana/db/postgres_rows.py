"""Rows of PostgreSQL as what is asked for: dicts, tuples, or values at once."""

from collections.abc import Callable, Sequence
from typing import Any

from psycopg.rows import dict_row, tuple_row

from gondwana.db.rows import maker


def row_factory(kind: type[Any]) -> Any:
    """What makes the rows that a Read asks for."""
    if kind is dict:
        return dict_row
    return tuple_row if kind is tuple else values_of(kind)


def has_rows(cursor: Any) -> bool:
    """Whether a cursor stands at the result of a statement that returns rows."""
    return cursor.pgresult is not None and cursor.pgresult.nfields > 0


def values_of(kind: type[Any]) -> Callable[[Any], Callable[[Sequence[Any]], Any]]:
    """A row factory of psycopg that makes values at once, without a dict of each row between."""

    def factory(cursor: Any) -> Callable[[Sequence[Any]], Any]:
        if not has_rows(cursor):  # of a statement before
            return tuple
        found = cursor.pgresult  # `cursor.description` would make an object of each column
        names = (found.fname(number) for number in range(found.nfields))
        return maker(kind, tuple(name.decode() for name in names))

    return factory
