"""The public books: roots and the chain for anybody, proofs and entries for whom they concern, the audit."""

from datetime import date, timedelta
from typing import Final

from fastapi import APIRouter, Query, Response

from gondwana.api import views
from gondwana.api.deps import LIMIT_MAX, CallerDep, ReaderDep, answer, page
from gondwana.core.errors import InvalidValue, NoSuchThing
from gondwana.ledger import chain, export
from gondwana.ledger.audit import audit
from gondwana.policy.model import Scope
from gondwana.wire.ledger import AuditView

SEQ_MAX: Final = 2**62
router = APIRouter(prefix="/v1", tags=["ledger"])


@router.get("/ledger/roots")
def list_roots(
    reader: ReaderDep, cursor: str = "", limit: int = Query(LIMIT_MAX, ge=1, le=LIMIT_MAX)
) -> Response:
    """What was published at the end of each day, oldest first: hashes, and totals by line of the chart."""
    found = chain.roots(reader, since_day=_day(cursor))
    more = found[limit].day if len(found) > limit else None
    if more is None and len(found) == chain.ROOTS_MAX:
        more = (date.fromisoformat(found[-1].day) + timedelta(days=1)).isoformat()
    return page(found[:limit], more)


@router.get("/ledger/chain")
def show_chain(reader: ReaderDep, since: str = "") -> Response:
    """How the newest commits follow from the root with the hash `since`; from the start without one."""
    return answer(chain.prove_chain(reader, since))


@router.get("/ledger/batches")
def list_batches(
    reader: ReaderDep, after: int = Query(0, ge=0, le=SEQ_MAX), cursor: str | None = None,
    limit: int = Query(LIMIT_MAX, ge=1, le=LIMIT_MAX),
) -> Response:  # fmt: skip
    """Commits numbered above `after`, in order: where a long chain goes on."""
    found = chain.batches(reader, after=_number(cursor) if cursor else after, limit=limit)
    return page(found, str(found[-1].number) if len(found) == limit else None)


@router.get("/ledger/proof/{transfer}")
def show_proof(transfer: int, caller: CallerDep, reader: ReaderDep) -> Response:
    """That a transfer is under its day's root; of the caller's own transfers, or of any for an operator."""
    own = 0 < transfer <= SEQ_MAX and (
        Scope.OPERATOR in caller.scopes or export.touches(reader, caller.principal.id, transfer)
    )
    if not own:
        raise NoSuchThing(transfer=transfer, hint="gondwana account statement --json")
    return answer(chain.prove_entry(reader, transfer))


@router.get("/ledger/audit", response_model=AuditView)
def audit_books(caller: CallerDep, reader: ReaderDep) -> Response:
    """The books recomputed from every transfer, with the head of the chain that they are sealed in."""
    report = audit(reader)
    return answer(views.audit_view(report, chain.last_root(reader)))


@router.get("/ledger/entries")
def list_entries(
    caller: CallerDep, reader: ReaderDep, after: int = Query(0, ge=0, le=SEQ_MAX), cursor: str | None = None,
    limit: int = Query(LIMIT_MAX, ge=1, le=LIMIT_MAX),
) -> Response:  # fmt: skip
    """Entries numbered above `after`, in order, with legs and words: all for an operator, else the caller's own."""
    start = _number(cursor) if cursor else after
    if Scope.OPERATOR in caller.scopes:
        found = export.all_entries(reader, after=start, limit=limit)
    else:
        found = export.entries_of(reader, caller.principal.id, after=start, limit=limit)
    items = [views.entry_view(entry) for entry in found]
    return page(items, str(found[-1].seq) if len(found) == limit else None)


def _number(cursor: str) -> int:
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 19):
        raise InvalidValue(
            field="cursor", value=cursor[:80], hint="pass the cursor of the last page"
        )
    return int(cursor)


def _day(cursor: str) -> str:
    try:
        return date.fromisoformat(cursor).isoformat() if cursor else ""
    except ValueError:
        raise InvalidValue(field="cursor", value=cursor[:80], hint="a day: 2026-11-25") from None
