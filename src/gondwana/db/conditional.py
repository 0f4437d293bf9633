"""Moves that happen only from where the mover saw the row: what was read before the transaction may be old."""

from collections.abc import Sequence
from typing import Any

from gondwana.core.errors import WrongState
from gondwana.db.many import change_keys
from gondwana.db.transaction import Transaction


def expect_state(tx: Transaction, query: str, id: str, state: str) -> None:
    """Raise WrongState unless the row that `query` finds for `:id` is there and in `state`."""
    row = tx.one(query, {"id": id})
    if row is None or row["state"] != state:
        now = "gone" if row is None else row["state"]
        raise WrongState(f"{id} is {now}, no longer {state}", hint="look again, then decide")


def change_all(tx: Transaction, sql: str, ids: Sequence[str], state: str, *before: Any) -> None:
    """Change all of these rows by `many.change_keys`. Raises WrongState where one stood otherwise than in `state`, by
    the end of the call (see `Transaction.execute_later`)."""

    def expect_all(changed: int) -> None:
        if changed != len(ids):
            which = ids[0] if len(ids) == 1 else f"one of {len(ids)} ({ids[0]}, …)"
            raise WrongState(f"{which} is no longer {state}", hint="look again, then decide")

    change_keys(tx, sql, ids, *before, told=expect_all)
