"""Blobs: named by their hash, resumable up, in ranges down, verified on arrival."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from gondwana.api.allowance import MACHINE_BYTES_MAX, PRINCIPAL_BYTES_MAX
from gondwana.api.bodies import BODY_BYTES_MAX
from gondwana.api.deps import PlaneDep, bearer
from gondwana.api.plane import Plane
from gondwana.blobs.base import BlobStore
from gondwana.core.errors import InvalidToken, InvalidValue, NoSuchThing, TooLarge, WrongState
from gondwana.core.units import MIB
from gondwana.jobs import traffic
from gondwana.policy import store as policy

router = APIRouter(prefix="/v1/blobs", tags=["blobs"])
WHOLE_BYTES_MAX: Final = BODY_BYTES_MAX  # of one PUT or PATCH; more comes in pieces
MACHINE_BLOB_BYTES_MAX: Final = 8 * 1024 * MIB  # a machine delivers no more than this at once
PIECE_BYTES: Final = MIB
_RANGE: Final = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mover:
    """Who moves a blob."""

    id: str
    is_machine: bool


def mover_of(request: Request, plane: PlaneDep) -> Mover:
    """A machine with its link's token, or a principal; raises InvalidToken."""
    token = bearer(request)
    machine_id = plane.machine_of_blob_token(token)
    if machine_id is not None:
        return Mover(id=machine_id, is_machine=True)
    if token.startswith("gwb_"):
        raise InvalidToken("this blob token is of an older link")
    caller = policy.caller_of(plane.context.database.reader(), token)
    return Mover(id=caller.principal.id, is_machine=False)


MoverDep = Annotated[Mover, Depends(mover_of)]


@router.head("/{name}")
def head(name: str, mover: MoverDep, plane: PlaneDep, upload: bool = False) -> Response:
    """Whether the blob is here and how large; with `upload`, how many bytes of it are."""
    blobs = plane.context.blobs
    if upload:
        return Response(headers={"upload-offset": str(blobs.received(name))})
    size = blobs.size(name)
    if size is None:
        raise NoSuchThing(blob=name)
    return Response(headers={"content-length": str(size), "accept-ranges": "bytes"})


@router.get("/{name}")
def get(name: str, request: Request, mover: MoverDep, plane: PlaneDep) -> Response:
    """The blob, or the part of it that a Range header asks for."""
    blobs = plane.context.blobs
    size = blobs.size(name)
    if size is None:
        raise NoSuchThing(blob=name)
    asked = request.headers.get("range")
    start, end = _range(asked, size) if asked else (0, size)
    if mover.is_machine:
        plane.context.database.writer.submit(traffic.count_down, mover.id, end - start)
    headers = {"content-length": str(end - start), "accept-ranges": "bytes", "etag": f'"{name}"'}
    if asked:
        headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
    return StreamingResponse(
        _pieces(blobs, name, start, end),
        status_code=206 if asked else 200,
        headers=headers,
        media_type="application/octet-stream",
    )


@router.put("/{name}")
async def put(name: str, request: Request, mover: MoverDep, plane: PlaneDep) -> Response:
    """Store a small blob whole."""
    body = await _body(request)
    _charge(plane, mover, len(body))
    await asyncio.to_thread(_store_whole, plane.context.blobs, name, body)
    return Response(status_code=201)


@router.patch("/{name}")
async def patch(
    name: str,
    request: Request,
    mover: MoverDep,
    plane: PlaneDep,
    total: Annotated[int, Query(ge=0)],
) -> Response:
    """Add a piece at `Upload-Offset`; the answer's says where to go on. The last piece verifies it all."""
    text = request.headers.get("upload-offset", "")
    if not text.isdecimal():
        raise InvalidValue(
            field="Upload-Offset", value=text, hint="the byte at which this piece starts"
        )
    if mover.is_machine and total > MACHINE_BLOB_BYTES_MAX:
        raise TooLarge(field="total", value=total)
    body = await _body(request)
    _charge(plane, mover, len(body))
    received, status = await asyncio.to_thread(_store_piece, plane, name, total, int(text), body)
    return Response(status_code=status, headers={"upload-offset": str(received)})


def _charge(plane: Plane, mover: Mover, count: int) -> None:
    most = MACHINE_BYTES_MAX if mover.is_machine else PRINCIPAL_BYTES_MAX
    plane.allowance.charge(mover.id, count, bytes_max=most)


def _store_whole(blobs: BlobStore, name: str, body: bytes) -> None:
    received = blobs.begin(name, len(body))
    if blobs.size(name) is not None:
        return
    if received:
        blobs.abandon(name)
        blobs.begin(name, len(body))
    blobs.append(name, 0, body)
    blobs.finish(name)


def _store_piece(plane: Plane, name: str, total: int, offset: int, body: bytes) -> tuple[int, int]:
    blobs = plane.context.blobs
    if offset + len(body) > total:
        raise InvalidValue(field="total", value=total, hint="the piece ends beyond the blob")
    received = blobs.begin(name, total)
    if blobs.size(name) is not None:
        return total, 204
    if received > total:  # what somebody else began under this name cannot be a part of it
        blobs.abandon(name)
        blobs.begin(name, total)
    try:
        received = blobs.append(name, offset, body)
    except WrongState:
        return blobs.received(name), 409
    if received == total:
        blobs.finish(name)
    return received, 204


async def _body(request: Request) -> bytes:
    """The whole body; raises TooLarge as soon as it is known to be."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > WHOLE_BYTES_MAX:
            raise TooLarge(
                f"send at most {WHOLE_BYTES_MAX} bytes at once", hint="PATCH it in pieces"
            )
    return bytes(body)


def _range(asked: str, size: int) -> tuple[int, int]:
    match = _RANGE.fullmatch(asked.strip())
    start = int(match.group(1)) if match else -1
    end = min(size, int(match.group(2)) + 1) if match and match.group(2) else size
    if not 0 <= start < end:
        raise InvalidValue(field="Range", value=asked, hint=f"bytes=FIRST-LAST within {size} bytes")
    return start, end


async def _pieces(blobs: BlobStore, name: str, start: int, end: int) -> AsyncIterator[bytes]:
    while start < end:
        piece = await asyncio.to_thread(blobs.read, name, start, min(PIECE_BYTES, end - start))
        if not piece:
            return
        start += len(piece)
        yield piece
