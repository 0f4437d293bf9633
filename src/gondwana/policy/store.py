"""Principals and tokens, loaded and saved."""

from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidToken, NoSuchThing
from gondwana.core.events import Event
from gondwana.core.ids import PrincipalId, new_id
from gondwana.core.random import Random
from gondwana.db.queries import load_queries
from gondwana.db.rows import from_row, from_rows, to_row
from gondwana.db.transaction import Reader, Transaction
from gondwana.policy import rules
from gondwana.policy.model import Caller, Principal, Scope, Token

SQL: Final = load_queries("gondwana.policy")
TOKENS_MAX: Final = 10_000


def caller_of(reader: Reader, token: str) -> Caller:
    """Who holds this token and what it allows; raises InvalidToken."""
    row = reader.one(SQL.token_by_hash, {"hash": rules.hash_token(token)})
    found = from_row(Token, row) if row else None
    if found is None or found.revoked_at is not None:
        raise InvalidToken(hint="gondwana login URL --token TOKEN")
    return Caller(principal=principal(reader, found.principal_id), scopes=found.scopes)


def principal(reader: Reader, id: PrincipalId) -> Principal:
    """One principal; raises NoSuchThing."""
    row = reader.one(SQL.principal_by_id, {"id": id})
    if row is None:
        raise NoSuchThing(principal=id)
    return from_row(Principal, row)


def principal_named(reader: Reader, name: str) -> Principal | None:
    """The principal of this name, if there is one."""
    row = reader.one(SQL.principal_by_name, {"name": name})
    return from_row(Principal, row) if row else None


def create_token(
    tx: Transaction, random: Random, now: Instant, *, name: str, scopes: tuple[Scope, ...]
) -> tuple[Token, str]:
    """A new token for the principal `name`, who is made if new; the secret is returned once and not kept."""
    owner = principal_named(tx, rules.check_name(name, field="name"))
    if owner is None:
        owner = Principal(id=PrincipalId(new_id("pri", now, random)), name=name, created_at=now)
        tx.execute(SQL.save_principal, to_row(owner))
    secret = rules.make_token(random)
    token = Token(
        id=new_id("tok", now, random),
        hash=rules.hash_token(secret),
        principal_id=owner.id,
        scopes=scopes,
        created_at=now,
    )
    tx.execute(SQL.save_token, to_row(token))
    tx.emit(
        Event(
            at=now,
            kind="token.created",
            subject=token.id,
            data={"name": name, "scopes": list(scopes)},
        )
    )
    return token, secret


def revoke_token(tx: Transaction, now: Instant, token_id: str) -> Token:
    """The token, revoked from now on; revoking twice is the same as once. Raises NoSuchThing."""
    row = tx.one(SQL.token_by_id, {"id": token_id})
    if row is None:
        raise NoSuchThing(token=token_id, hint="gondwana token list")
    token = from_row(Token, row)
    if token.revoked_at is None:
        tx.execute(SQL.save_token, {**to_row(token), "revoked_at": now})
        tx.emit(Event(at=now, kind="token.revoked", subject=token.id))
    return token


def tokens(reader: Reader) -> list[Token]:
    """All tokens, oldest first."""
    return from_rows(Token, reader.all(SQL.tokens, {"limit": TOKENS_MAX}))
