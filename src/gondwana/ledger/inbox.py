"""What rails tell, each thing once: told again it changes nothing, told otherwise it is refused."""

import hashlib
import json
from typing import Any, Final

from gondwana.core.clock import Instant
from gondwana.core.errors import Conflict
from gondwana.db.queries import load_queries
from gondwana.db.transaction import Reader, Transaction

SQL: Final = load_queries("gondwana.ledger", "payments.sql")


def told_before(reader: Reader, rail: str, reference: str, told: Any) -> str | None:
    """The payout or deposit that this became when it was told first, or None when it is new.

    Raises Conflict where the rail told something else under the same reference.
    """
    row = reader.one(SQL.told, {"rail": rail, "reference": reference})
    if row is None:
        return None
    if row["content"] != _content(told):
        raise Conflict(
            f"{rail} told something else under the same reference, about {row['subject']}.",
            hint="one of the two is wrong: compare both with the bank's own statement",
        )
    return row["subject"]


def take_in(
    tx: Transaction, now: Instant, rail: str, reference: str, told: Any, *, subject: str
) -> None:
    """Remember that the rail told this, and what it became."""
    row = {"rail": rail, "reference": reference, "content": _content(told), "subject": subject}
    tx.execute(SQL.take_in, {**row, "at": now})


def _content(told: Any) -> str:
    return hashlib.blake2b(json.dumps(told).encode(), digest_size=16).hexdigest()
