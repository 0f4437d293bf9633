"""What routes ask for: the plane, the caller, a checked idempotency key."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Protocol, TypeVar

import msgspec
from fastapi import Depends, Request, Response
from pydantic import BeforeValidator

from gondwana.api import told
from gondwana.api.plane import Plane
from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidValue, MissingToken
from gondwana.db.idempotency import IdempotencyKey, idempotent
from gondwana.db.transaction import Reader, Transaction
from gondwana.policy import rules as policy_rules
from gondwana.policy import store as policy
from gondwana.policy.model import Caller, Scope


class Identified(Protocol):
    """What has an id that grows with its age."""

    @property
    def id(self) -> str | int:
        """Its id."""
        ...


T = TypeVar("T")
Kept = TypeVar("Kept", bound=Identified)
LIMIT_MAX = 200  # rows of one page
NOTHING = (b"", b"{}", b"null")  # bodies that say nothing


async def plane_of(request: Request) -> Plane:
    """The running control plane."""
    return request.app.state.plane


async def reader_of(plane: Annotated[Plane, Depends(plane_of)]) -> Reader:
    """A reader for whichever thread the route runs in."""
    return plane.context.database.shared_reader()


def bearer(request: Request) -> str:
    """The request's token; raises MissingToken."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token:
        raise MissingToken(hint="gondwana login URL --token TOKEN, or set GONDWANA_TOKEN")
    return token.strip()


def caller_of(request: Request, reader: Annotated[Reader, Depends(reader_of)]) -> Caller:
    """Who calls; raises MissingToken or InvalidToken."""
    return policy.caller_of(reader, bearer(request))


def _scoped(scope: Scope) -> Callable[..., Caller]:
    def check(caller: Annotated[Caller, Depends(caller_of)]) -> Caller:
        policy_rules.require(caller, scope)
        return caller

    return check


class Write:
    """A write call: `run` happens once per idempotency key, and a repeat gets the first answer."""

    def __init__(self, plane: Plane, caller: Caller, key: str | None, body_hash: str) -> None:
        self._plane = plane
        self._caller = caller
        self._key = key
        self._body_hash = body_hash

    def __call__(
        self, run: Callable[[Transaction, Instant], Any], *, secret: bool = False
    ) -> Response:
        """Run in one transaction and answer with its value as JSON; a `secret` answer is not kept for a repeat."""
        now = self._plane.clock.now()
        writer = self._plane.context.database.writer

        def encoded(tx: Transaction) -> bytes:
            return msgspec.json.encode(run(tx, now))

        if self._key is None or secret:
            content = writer.call(encoded)
        else:
            key = IdempotencyKey(
                principal=self._caller.principal.id, key=self._key, body_hash=self._body_hash
            )
            content = writer.call(idempotent, key, encoded, at=now)
        return Response(content, media_type="application/json")

    def money(self, run: Callable[[Transaction, Instant], Any]) -> Response:
        """The same for a call that moves money: it has to have an idempotency key, so that no retry moves it twice."""
        if self._key is None:
            raise InvalidValue(
                "A request that moves money needs an idempotency key.",
                field="Idempotency-Key",
                hint="send the header Idempotency-Key: a new random text for each request, the same for its retries",
            )
        return self(run)


def strict(kind: type[Any]) -> Any:
    """For `told: Annotated[Request, strict(Request)]`: a body read to the letter, as every route's is."""
    return BeforeValidator(lambda value: told.read(value, kind))


async def write_of(
    request: Request,
    plane: Annotated[Plane, Depends(plane_of)],
    caller: Annotated[Caller, Depends(caller_of)],
) -> Write:
    """The write call that this request is."""
    body = await request.body()
    if body.strip() not in NOTHING and request.scope["route"].body_field is None:
        raise InvalidValue("This call takes no body.", field="body", hint="leave the body out")
    query = f"?{request.url.query}" if request.url.query else ""
    asked = f"{request.method} {request.url.path}{query}\n".encode() + body
    return Write(
        plane, caller, request.headers.get("idempotency-key"), hashlib.sha256(asked).hexdigest()
    )


def page(items: list[T], cursor: str | None = None) -> Response:
    """A page of a list as JSON."""
    return Response(
        msgspec.json.encode({"items": items, "cursor": cursor}), media_type="application/json"
    )


def page_of(found: Sequence[Kept], limit: int, view: Callable[[Kept], Any]) -> Response:
    """A page of what was found, each as `view` tells it; the cursor is the last id where there may be more."""
    more = str(found[-1].id) if len(found) == limit else None
    return page([view(each) for each in found], more)


def answer(value: Any) -> Response:
    """A value as JSON."""
    return Response(msgspec.json.encode(value), media_type="application/json")


PlaneDep = Annotated[Plane, Depends(plane_of)]
ReaderDep = Annotated[Reader, Depends(reader_of)]
CallerDep = Annotated[Caller, Depends(caller_of)]
TenantDep = Annotated[Caller, Depends(_scoped(Scope.TENANT))]
ProviderDep = Annotated[Caller, Depends(_scoped(Scope.PROVIDER))]
AuditorDep = Annotated[Caller, Depends(_scoped(Scope.AUDITOR))]
OperatorDep = Annotated[Caller, Depends(_scoped(Scope.OPERATOR))]
WriteDep = Annotated[Write, Depends(write_of)]
