"""Invoices and credit notes as issued: JSON that is hashed, HTML to print, PDF to send."""

from fastapi import APIRouter, Query, Request, Response

from gondwana.api import views
from gondwana.api.deps import (
    LIMIT_MAX,
    CallerDep,
    ReaderDep,
    page_of,
)
from gondwana.core.errors import InvalidValue, NoSuchThing
from gondwana.ledger import invoices
from gondwana.ledger.invoices import Invoice
from gondwana.policy.model import Scope

FORMATS = {"json": "application/json", "html": "text/html", "pdf": "application/pdf"}
NOTHING_BUT_STYLE = "default-src 'none'; style-src 'unsafe-inline'"
router = APIRouter(prefix="/v1", tags=["invoices"])


@router.get("/invoices")
def list_invoices(
    caller: CallerDep, reader: ReaderDep, cursor: str | None = None,
    limit: int = Query(LIMIT_MAX, ge=1, le=LIMIT_MAX),
) -> Response:  # fmt: skip
    """The caller's invoices and credit notes, newest first; everybody's for an operator."""
    tenant = None if Scope.OPERATOR in caller.scopes else caller.principal.id
    before = invoices.NEWEST if cursor is None else _position(cursor)
    found = invoices.invoices(reader, tenant, before=before, limit=limit)
    return page_of(found, limit, views.invoice_view)


@router.get("/invoices/{number}")
def show_invoice(
    number: str, request: Request, caller: CallerDep, reader: ReaderDep, format: str | None = None
) -> Response:
    """One document by its number: `format` json (the bytes that its SHA-256 is of), html or pdf, or as accepted."""
    if format is not None and format not in FORMATS:
        raise InvalidValue(field="format", value=format[:80], hint=f"one of {', '.join(FORMATS)}")
    found = invoices.invoice(reader, number)
    if found.tenant != caller.principal.id and Scope.OPERATOR not in caller.scopes:
        raise NoSuchThing(invoice=number[:80], hint="gondwana account invoices")
    chosen = format or _accepted(request.headers.get("accept", ""))
    headers = {
        "etag": f'"{found.sha256}"',
        "content-disposition": f'inline; filename="{found.number}.{chosen}"',
        "content-security-policy": NOTHING_BUT_STYLE,
    }
    return Response(_render(found, chosen), media_type=FORMATS[chosen], headers=headers)


def _render(found: Invoice, chosen: str) -> bytes:
    """The document in one form; what draws it is loaded when somebody asks."""
    match chosen:
        case "html":
            from gondwana.api.invoice_html import to_html

            return to_html(found.decoded(), found.sha256).encode()
        case "pdf":
            from gondwana.api.invoice_pdf import to_pdf

            return to_pdf(found.decoded(), found.sha256)
        case _:
            return found.document.encode()


def _accepted(header: str) -> str:
    """The first form of ours that an Accept header names; JSON where it names none."""
    asked = [part.split(";")[0].strip().lower() for part in header.split(",")]
    return next(
        (form for kind in asked for form, media in FORMATS.items() if media == kind), "json"
    )


def _position(cursor: str) -> int:
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 19):
        raise InvalidValue(
            field="cursor", value=cursor[:80], hint="pass the cursor of the last page"
        )
    return int(cursor)
