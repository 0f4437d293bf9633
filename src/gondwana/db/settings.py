"""Settings that operators change while the control plane runs; each is one JSON value."""

from typing import TypeVar

import msgspec

from gondwana.core.clock import Instant
from gondwana.core.decoding import from_json
from gondwana.db.events import SQL
from gondwana.db.transaction import Reader, Transaction

T = TypeVar("T")


def read_setting(reader: Reader, key: str, kind: type[T], *, default: T) -> T:
    """The value of `key` as a `kind`, or `default` while nobody set it."""
    row = reader.one(SQL.setting, {"key": key})
    return default if row is None else from_json(row["value"], kind)


def write_setting(tx: Transaction, key: str, value: object, *, at: Instant) -> None:
    """Set `key` from now on."""
    text = msgspec.json.encode(value).decode()
    tx.execute(SQL.write_setting, {"key": key, "value": text, "at": at})
