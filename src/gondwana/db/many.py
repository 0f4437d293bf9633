"""Many rows in few statements: read or changed by their keys, or inserted from values."""

import functools
from collections.abc import Sequence
from typing import Any, Final

from gondwana.db.rows import to_row
from gondwana.db.transaction import Reader, Row, Transaction

KEYS_AT_ONCE: Final = 512  # of one IN (…): far below any database's limit of parameters


def read_keys(reader: Reader, sql: str, keys: Sequence[Any], *before: Any) -> list[Row]:
    """The rows of a query with `IN (:keys)`, whose parameters before that are `before`."""
    return [
        row for part in _parts(keys) for row in reader.all(_sql(sql, len(part)), [*before, *part])
    ]


def change_keys(tx: Transaction, sql: str, keys: Sequence[Any], *before: Any) -> int:
    """How many rows a change with `IN (:keys)` changed: fewer than there are keys where some stood otherwise."""
    return sum(tx.execute(_sql(sql, len(part)), [*before, *part]) for part in _parts(keys))


def insert_values(tx: Transaction, table: str, values: Sequence[Any]) -> None:
    """Insert frozen dataclasses of one type as new rows, a column per field."""
    rows = [to_row(value) for value in values]
    if rows:
        tx.insert_rows(table, tuple(rows[0]), [tuple(row.values()) for row in rows])


def _parts(keys: Sequence[Any]) -> list[list[Any]]:
    """The keys in parts of a few lengths only, so that statements stay cached: the last key stands repeatedly."""
    parts: list[list[Any]] = []
    for start in range(0, len(keys), KEYS_AT_ONCE):
        part = list(keys[start : start + KEYS_AT_ONCE])
        size = 1 << (len(part) - 1).bit_length()
        parts.append(part + part[-1:] * (size - len(part)))
    return parts


@functools.lru_cache(maxsize=4_096)
def _sql(sql: str, keys: int) -> str:
    return sql.replace(":keys", ",".join("?" * keys))
