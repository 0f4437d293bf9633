"""Compliance tags of machines."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response

from gondwana.api.deps import (
    AuditorDep,
    CallerDep,
    PlaneDep,
    ReaderDep,
    WriteDep,
    page_of,
    strict,
)
from gondwana.core.clock import Instant
from gondwana.core.errors import NoSuchThing
from gondwana.db.transaction import Reader, Transaction
from gondwana.policy import rules as policy_rules
from gondwana.policy.model import Scope
from gondwana.supply import store as supply
from gondwana.supply import tags
from gondwana.supply.model import SignedTag
from gondwana.wire.tags import SignedTagView, TagRequest

router = APIRouter(prefix="/v1", tags=["tags"])
LIMIT_MAX: Final = 200  # in one page


@router.get("/tags")
def list_tags(
    caller: CallerDep, reader: ReaderDep, plane: PlaneDep, machine: str = "", cursor: str = "",
    limit: int = Query(LIMIT_MAX, ge=1, le=LIMIT_MAX),
) -> Response:  # fmt: skip
    """What auditors signed of a machine, or of all: revoked and expired ones too."""
    of = tags.machine_called(reader, machine).id if machine else None
    found = tags.tags(reader, of, after=cursor, limit=limit)
    now = plane.clock.now()
    return page_of(found, limit, lambda each: _view(reader, each, now))


@router.post("/tags", response_model=SignedTagView)
def sign_tag(
    told: Annotated[TagRequest, strict(TagRequest)], caller: AuditorDep, plane: PlaneDep, write: WriteDep
) -> Response:  # fmt: skip
    """Sign of a machine what was seen, until it expires; it takes the place of the caller's tag of the same name."""
    policy_rules.check_name(told.name, field="name")

    def run(tx: Transaction, now: Instant) -> Any:
        machine = tags.machine_called(tx, told.machine)
        signed = tags.sign(
            tx, plane.context.random, now, machine, caller.principal.id,
            name=told.name, expires_at=told.expires_at, evidence=told.evidence,
        )  # fmt: skip
        return _view(tx, signed, now)

    return write(run)


@router.delete("/tags/{tag_id}", response_model=SignedTagView)
def revoke_tag(tag_id: str, caller: AuditorDep, write: WriteDep) -> Response:
    """Take a tag back: the caller's own, or as an operator anybody's. What runs on the machine goes on."""

    def run(tx: Transaction, now: Instant) -> Any:
        known = tags.tag(tx, tag_id)
        if known.signer_id != caller.principal.id and Scope.OPERATOR not in caller.scopes:
            raise NoSuchThing(tag=tag_id, hint="gondwana tag list")
        revoked = tags.revoke(tx, now, known, supply.machine(tx, known.machine_id))
        return _view(tx, revoked, now)

    return write(run)


def _view(reader: Reader, each: SignedTag, now: Instant) -> SignedTagView:
    return SignedTagView(
        id=each.id,
        machine=supply.machine(reader, each.machine_id).name,
        machine_id=each.machine_id,
        name=each.name,
        signer=each.signer,
        signed_at=each.signed_at,
        expires_at=each.expires_at,
        revoked_at=each.revoked_at,
        evidence=each.evidence,
        stands=each.revoked_at is None and each.expires_at > now,
    )
