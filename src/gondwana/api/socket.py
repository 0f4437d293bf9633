"""The agents' WebSocket: bytes in, bytes out, around `link.Session`."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import msgspec
from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from gondwana.api.link import Session, refusal
from gondwana.api.plane import Plane
from gondwana.core.errors import GondwanaError, Invalid
from gondwana.wire import agent as wire

router = APIRouter()
SILENCE_SECONDS_MAX: Final = 60.0  # a link that says nothing for so long is closed
SEND_SECONDS_MAX: Final = 30.0  # a dead link that nobody closed takes no more bytes
_log = logging.getLogger(__name__)


@router.websocket("/v1/link")
async def link(socket: WebSocket) -> None:
    """Serve one agent until it goes away, is silent for too long, or breaks the protocol."""
    plane: Plane = socket.app.state.plane
    await socket.accept()
    session = Session(plane, socket.client.host if socket.client else "")
    try:
        await _begin(socket, session)
        await _serve(socket, session, plane)
    except (WebSocketDisconnect, TimeoutError, ConnectionError):
        pass
    except GondwanaError as error:
        _log.info("link of %s refused: %s", session.machine_id or "an unknown machine", error)
        with suppress(RuntimeError, WebSocketDisconnect):
            await _send(socket, [refusal(error)])
    finally:
        with suppress(RuntimeError, WebSocketDisconnect):
            await socket.close()


async def _begin(socket: WebSocket, session: Session) -> None:
    await _send(socket, await asyncio.to_thread(session.hello, await _receive(socket)))
    await _send(socket, await asyncio.to_thread(session.answer, await _receive(socket)))


async def _serve(socket: WebSocket, session: Session, plane: Plane) -> None:
    assert session.machine_id is not None
    loop, changed = asyncio.get_running_loop(), asyncio.Event()
    changed.set()

    def wake() -> None:
        with suppress(RuntimeError):  # the loop is closing
            loop.call_soon_threadsafe(changed.set)

    plane.connect(session.machine_id, wake)
    pusher = asyncio.create_task(_push(socket, session, changed))
    try:
        while True:
            message = await _receive(socket)
            if isinstance(message, wire.Heartbeat):
                await _send(socket, [session.heartbeat(message)])
            else:
                await _send(socket, await asyncio.to_thread(session.handle, message))
            if pusher.done():
                pusher.result()
    finally:
        plane.disconnect(session.machine_id, wake)
        pusher.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await pusher


async def _push(socket: WebSocket, session: Session, changed: asyncio.Event) -> None:
    """Tell the agent what it should do, whenever that changes."""
    while True:
        await changed.wait()
        changed.clear()
        await _send(socket, await asyncio.to_thread(session.desired))


async def _receive(socket: WebSocket) -> wire.FromAgent:
    async with asyncio.timeout(SILENCE_SECONDS_MAX):
        data = await socket.receive_bytes()
    try:
        return wire.decode_from_agent(data)
    except msgspec.MsgspecError as error:
        raise Invalid(f"a message cannot be read: {error}") from None


async def _send(socket: WebSocket, messages: Sequence[wire.FromPlane]) -> None:
    """Send; an agent that does not read for too long has lost its link (TimeoutError)."""
    for message in messages:
        async with asyncio.timeout(SEND_SECONDS_MAX):
            await socket.send_bytes(wire.encode(message))
