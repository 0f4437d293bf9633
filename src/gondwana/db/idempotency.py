"""The same write call, sent twice, happens once: its answer is stored beside what it changed, for ever."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.errors import IdempotencyConflict, InvalidValue
from gondwana.db.events import SQL
from gondwana.db.transaction import Transaction

KEY_CHARS_MAX: Final = 200
RESPONSE_BYTES_MAX: Final = 1024 * 1024  # answers to writes are small; lists are reads


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyKey:
    """Which write call this is: the key its sender chose, and the hash of what was sent under it."""

    principal: str
    key: str
    body_hash: str


def idempotent(
    tx: Transaction, key: IdempotencyKey, run: Callable[[Transaction], bytes], *, at: Instant
) -> bytes:
    """The response of `run(tx)`, or the stored one when the same call ran before.

    Raises IdempotencyConflict when the key was used with another body. An error in `run` stores nothing, so
    the call may be tried again.
    """
    if not 1 <= len(key.key) <= KEY_CHARS_MAX:
        raise InvalidValue(
            field="idempotency key", hint=f"use 1 to {KEY_CHARS_MAX} characters, new for each call"
        )
    found = tx.one(SQL.idempotent_response, {"principal": key.principal, "key": key.key})
    if found is not None:
        if found["body_hash"] != key.body_hash:
            raise IdempotencyConflict(key=key.key, hint="use a new key for a new request")
        return bytes(found["response"])
    response = run(tx)
    assert len(response) <= RESPONSE_BYTES_MAX
    row = {"principal": key.principal, "key": key.key, "body_hash": key.body_hash}
    tx.execute(SQL.insert_idempotent_response, {**row, "response": response, "at": at})
    return response
