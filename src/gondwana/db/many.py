"""Many rows in few statements: read or changed by their keys, or inserted from values."""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeVar

from gondwana.db.connection import Read
from gondwana.db.dialect import Dialect, Prepared
from gondwana.db.rows import columns, to_values
from gondwana.db.together import Asked
from gondwana.db.transaction import Reader, Row, Transaction

T = TypeVar("T")
# of one query: each more costs a third of a millisecond on PostgreSQL; on SQLite each key is a parameter
KEYS_AT_ONCE: Final = {Dialect.SQLITE: 512, Dialect.POSTGRES: 4_096}


def read_keys(reader: Reader, sql: str, keys: Sequence[Any], *before: Any) -> list[Row]:
    """The rows of a query with `IN (:keys)`, whose parameters before that are `before`."""
    return of_keys(dict, sql, keys, *before).of(reader)


def read_tuples(
    reader: Reader, sql: str, keys: Sequence[Any], *before: Any
) -> list[tuple[Any, ...]]:
    """The same, each row only its values in order."""
    return of_keys(tuple, sql, keys, *before).of(reader)


def read_values(
    reader: Reader, kind: type[T], sql: str, keys: Sequence[Any], *before: Any
) -> list[T]:
    """The same, each row as the value of this type that its columns hold."""
    return of_keys(kind, sql, keys, *before).of(reader)


def of_keys(kind: type[Any], sql: str, keys: Sequence[Any], *before: Any) -> Asked[list[Any]]:
    """What these read, not asked yet; `kind`: see Read."""

    def reads(dialect: Dialect) -> list[Read]:
        return [Read(kind, *call) for call in _calls(dialect, sql, keys, before)]

    return Asked((reads,), lambda rows: rows)


def change_keys(
    tx: Transaction, sql: str, keys: Sequence[Any], *before: Any, told: Callable[[int], None]
) -> None:
    """Change rows `IN (:keys)`; `told` hears how many were (see `execute_later`): fewer than there are keys where some
    stood otherwise."""
    calls = list(_calls(tx.dialect, sql, keys, before))
    changed: list[int] = []

    def count(rows: int) -> None:
        changed.append(rows)
        if len(changed) == len(calls):
            told(sum(changed))

    for each in calls:
        tx.execute_later(*each, count)


def insert_values(tx: Transaction, table: str, values: Sequence[Any]) -> None:
    """Insert frozen dataclasses of one type as new rows, a column per field."""
    if values:
        tx.insert_rows(table, columns(type(values[0])), [to_values(value) for value in values])


def _calls(
    dialect: Dialect, sql: str, keys: Sequence[Any], before: Sequence[Any]
) -> Iterator[tuple[str, list[Any]]]:
    most = KEYS_AT_ONCE[dialect]
    for start in range(0, len(keys), most):
        part = keys[start : start + most]
        if dialect is Dialect.POSTGRES:
            yield _any(sql), [*before, _array(part)]
        else:
            padded = _padded(part)
            yield _in(sql, len(padded)), [*before, *padded]


def _padded(part: Sequence[Any]) -> list[Any]:
    """Keys in a few lengths only, so that statements stay cached: the last key stands repeatedly."""
    size = 1 << (len(part) - 1).bit_length()
    return [*part, *[part[-1]] * (size - len(part))]


@functools.lru_cache(maxsize=4_096)
def _in(sql: str, keys: int) -> str:
    return sql.replace(":keys", ",".join("?" * keys))


@functools.lru_cache(maxsize=1_024)
def _any(sql: str) -> Prepared:
    return Prepared(sql.replace("IN (:keys)", "= ANY (?)"))


def _array(part: Sequence[Any]) -> Any:
    """One parameter for all keys: PostgreSQL's text of an array of numbers, bytes or plain text, else their list.

    Hundreds of parameters took 3 µs each to be put into the query, and the server its time to read them.
    """
    if isinstance(part[0], str):
        text = '","'.join(part)
        is_plain = text.count('"') == 2 * (len(part) - 1) and "\\" not in text and "\0" not in text
        if is_plain:
            return f'{{"{text}"}}'
    if isinstance(part[0], bytes):
        text = '","'.join(
            rf"\\x{each.hex()}" for each in part
        )  # a backslash is written twice in an array
        return f'{{"{text}"}}'
    if isinstance(part[0], int):
        return f"{{{','.join(map(str, part))}}}"
    return list(part)
