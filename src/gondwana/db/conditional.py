"""Moves that happen only from where the mover saw the row: what was read before the transaction may be old."""

from collections.abc import Sequence

from gondwana.core.errors import WrongState
from gondwana.db.transaction import Transaction


def expect_state(tx: Transaction, query: str, id: str, state: str) -> None:
    """Raise WrongState unless the row that `query` finds for `:id` is there and in `state`."""
    row = tx.one(query, {"id": id})
    if row is None or row["state"] != state:
        now = "gone" if row is None else row["state"]
        raise WrongState(f"{id} is {now}, no longer {state}", hint="look again, then decide")


def expect_all(ids: Sequence[str], state: str, changed: int) -> None:
    """Raise WrongState unless so many rows changed as there are ids: one that stood otherwise was not changed."""
    if changed != len(ids):
        which = ids[0] if len(ids) == 1 else f"one of {len(ids)} ({ids[0]}, …)"
        raise WrongState(f"{which} is no longer {state}", hint="look again, then decide")
