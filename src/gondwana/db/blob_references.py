"""Which blobs are still needed, and by whom; garbage collection keeps them."""

from collections.abc import Iterable

from gondwana.core.clock import Instant
from gondwana.db.events import SQL
from gondwana.db.transaction import Reader, Transaction


def hold_blobs(tx: Transaction, names: Iterable[str], *, holder: str, at: Instant) -> None:
    """Keep the blobs `names` for as long as `holder` (an id) is not released."""
    tx.execute_many(SQL.hold_blob, [{"name": name, "holder": holder, "at": at} for name in names])


def release_blobs(tx: Transaction, *, holder: str) -> int:
    """`holder` needs its blobs no longer; returns how many it held."""
    return tx.execute(SQL.release_blobs, {"holder": holder})


def held_blobs(reader: Reader) -> set[str]:
    """The names that somebody still holds: what `BlobStore.collect` is given."""
    return {row["name"] for row in reader.all(SQL.held_blobs)}
