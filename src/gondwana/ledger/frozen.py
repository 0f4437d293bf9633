"""Accounts that may neither spend nor take out, until an operator says so."""

from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.errors import AccountFrozen, NoSuchThing
from gondwana.core.events import Event
from gondwana.db.queries import load_queries
from gondwana.db.transaction import Reader, Transaction

SQL: Final = load_queries("gondwana.ledger", "payments.sql")


def frozen_because(reader: Reader, principal_id: str) -> str | None:
    """Why the account is frozen, or None where it is not."""
    row = reader.one(SQL.frozen, {"principal_id": principal_id})
    return None if row is None else str(row["reason"])


def check_not_frozen(reader: Reader, principal_id: str) -> None:
    """Raise AccountFrozen where nothing may be spent or taken out."""
    reason = frozen_because(reader, principal_id)
    if reason is not None:
        raise AccountFrozen(
            f"The account is frozen: {reason}.",
            hint="what runs goes on; ask the operator: gondwana treasury unfreeze NAME",
        )


def freeze(tx: Transaction, now: Instant, principal_id: str, reason: str) -> None:
    """Nothing new is spent or taken out from now on; freezing twice is the same as once."""
    row = {"principal_id": principal_id, "reason": reason, "at": now}
    if tx.execute(SQL.freeze, row):
        tx.emit(Event(at=now, kind="account.frozen", subject=principal_id, data={"reason": reason}))


def unfreeze(tx: Transaction, now: Instant, principal_id: str) -> None:
    """Spend again; raises NoSuchThing for an account that is not frozen."""
    if not tx.execute(SQL.unfreeze, {"principal_id": principal_id}):
        raise NoSuchThing("The account is not frozen.", principal=principal_id)
    tx.emit(Event(at=now, kind="account.unfrozen", subject=principal_id))
