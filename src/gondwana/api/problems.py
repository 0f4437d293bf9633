"""Errors as problem+json (RFC 9457): a stable code, what happened, what to type next."""

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from gondwana.core.errors import GondwanaError, InvalidValue, NoSuchThing

_log = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"


def install(app: FastAPI) -> None:
    """Let the app answer every error in this form."""
    app.add_exception_handler(GondwanaError, _known)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unknown)


def _respond(request: Request, error: GondwanaError) -> JSONResponse:
    problem = {**error.to_problem(), "request_id": getattr(request.state, "request_id", "")}
    headers = {"retry-after": "1"} if error.status in (429, 503) else None
    return JSONResponse(problem, status_code=error.status, media_type=MEDIA_TYPE, headers=headers)


async def _known(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, GondwanaError)
    return _respond(request, error)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first: dict[str, Any] = error.errors()[0]
    field = ".".join(str(part) for part in first.get("loc", ()) if part not in ("body", "query"))
    told = InvalidValue(
        f"{field or 'the request'}: {first.get('msg')}", field=field, value=first.get("input")
    )
    return _respond(request, told)


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    told = NoSuchThing(f"there is nothing at {request.method} {request.url.path}", hint="see /docs")
    return _respond(request, told) if error.status_code in (404, 405) else JSONResponse(
        {"code": "http", "status": error.status_code, "title": str(error.detail)},
        status_code=error.status_code, media_type=MEDIA_TYPE,
    )  # fmt: skip


async def _unknown(request: Request, error: Exception) -> JSONResponse:
    _log.exception("a request failed", exc_info=error)
    return _respond(request, GondwanaError("the control plane failed; its log says why"))
