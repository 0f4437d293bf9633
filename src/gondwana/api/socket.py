"""The agents' WebSocket: bytes in, bytes out, around `link.Session`."""

import asyncio
import logging
import secrets
import time
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
ECHOES: Final = 4  # in a row
ECHO_SECONDS_MAX: Final = 5.0
ECHO_REST_SECONDS: Final = 300.0
ECHO_NONCE_BYTES: Final = 8
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
    echo = Echoes()
    tasks = [
        asyncio.create_task(_push(socket, session, changed)),
        asyncio.create_task(_measure(socket, session, echo)),
    ]
    try:
        while True:
            message = await _receive(socket)
            if isinstance(message, wire.Heartbeat):
                await _send(socket, [session.heartbeat(message)])
            elif isinstance(message, wire.Echoed):
                echo.came(message.nonce)
            else:
                await _send(socket, await asyncio.to_thread(session.handle, message))
            for task in tasks:
                if task.done():
                    task.result()
    finally:
        plane.disconnect(session.machine_id, wake)
        session.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _push(socket: WebSocket, session: Session, changed: asyncio.Event) -> None:
    """Tell the agent what it should do, whenever that changes."""
    while True:
        await changed.wait()
        changed.clear()
        await _send(socket, await asyncio.to_thread(session.desired))
        await _send(socket, session.probes())


class Echoes:
    """Round trips to one agent: it may be late, never early, since the nonce is new each time."""

    def __init__(self) -> None:
        self._nonce = b""
        self._sent_at = 0.0
        self._answered = asyncio.Event()
        self._seconds = 0.0

    def message(self) -> wire.Echo:
        """The next echo, sent now."""
        self._nonce = secrets.token_bytes(ECHO_NONCE_BYTES)
        self._answered.clear()
        self._sent_at = time.perf_counter()
        return wire.Echo(nonce=self._nonce)

    def came(self, nonce: bytes) -> None:
        """An answer; one to an older echo is none."""
        if nonce == self._nonce and not self._answered.is_set():
            self._seconds = time.perf_counter() - self._sent_at
            self._answered.set()

    async def answer(self) -> float:
        """Seconds that it took; raises TimeoutError."""
        async with asyncio.timeout(ECHO_SECONDS_MAX):
            await self._answered.wait()
        return self._seconds


async def _measure(socket: WebSocket, session: Session, echo: Echoes) -> None:
    """Measure the way to the agent now and then; of a few tries the shortest, since the others waited somewhere."""
    while True:
        found: list[float] = []
        for _ in range(ECHOES):
            await _send(socket, [echo.message()])
            with suppress(TimeoutError):
                found.append(await echo.answer())
        if found:
            await asyncio.to_thread(session.measured, min(found))
        await asyncio.sleep(ECHO_REST_SECONDS)


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
