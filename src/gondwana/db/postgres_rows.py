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


def values_of(kind: type[Any]) -> Callable[[Any], Callable[[Sequence[Any]], Any]]:
    """A row factory of psycopg that makes values at once, without a dict of each row between."""

    def factory(cursor: Any) -> Callable[[Sequence[Any]], Any]:
        if cursor.description is None:  # of a statement before, which returns no rows
            return tuple
        return maker(kind, tuple(column.name for column in cursor.description))

    return factory
