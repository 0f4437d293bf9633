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
BANDWIDTH_BYTES: Final = (64 * 1024, 1024 * 1024)  # less first, for thin lines
BANDWIDTH_SECONDS_ENOUGH: Final = 0.25  # of what took so long more would tell the same
BANDWIDTH_REST_SECONDS: Final = 6 * 3600.0
SECONDS_MIN: Final = 1e-4  # less is beyond this clock: 80 Gbit/s
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
    echoes = Echoes(socket)
    tasks = [
        asyncio.create_task(_push(socket, session, changed)),
        asyncio.create_task(_measure(session, plane, echoes)),
    ]
    try:
        while True:
            message = await _receive(socket)
            if isinstance(message, wire.Heartbeat):
                await _send(socket, [session.heartbeat(message)])
            elif isinstance(message, wire.Echoed):
                echoes.came(message)
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
    """Round trips to one agent: it may be late, never early, since it cannot know the answer before the question."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._asked: wire.Echo | None = None
        self._answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def came(self, message: wire.Echoed) -> None:
        """An answer; a wrong one, or one to an older echo, is none."""
        asked = self._asked
        if asked is None or message.nonce != wire.echo_nonce(asked) or self._answer.done():
            return
        if not asked.is_returned or message.payload == asked.payload:
            self._answer.set_result(None)

    async def seconds(self, size: int = 0, *, is_returned: bool = False) -> float:
        """How long an echo of so many bytes took; raises TimeoutError."""
        nonce, payload = secrets.token_bytes(ECHO_NONCE_BYTES), secrets.token_bytes(size)
        self._asked = wire.Echo(nonce=nonce, payload=payload, is_returned=is_returned)
        self._answer = asyncio.get_running_loop().create_future()
        begun = time.perf_counter()
        async with asyncio.timeout(ECHO_SECONDS_MAX):
            await _send(self._socket, [self._asked])
            await self._answer
        return time.perf_counter() - begun


async def _measure(session: Session, plane: Plane, echoes: Echoes) -> None:
    """Measure the way to the agent now and then; of a few tries the shortest, since the others waited somewhere."""
    measured_at = -BANDWIDTH_REST_SECONDS
    while True:
        with suppress(TimeoutError, GondwanaError):  # no measurement is worth a link
            trip = min([await echoes.seconds() for _ in range(ECHOES)])
            await asyncio.to_thread(session.measured, trip)
            if time.monotonic() - measured_at >= BANDWIDTH_REST_SECONDS:
                async with plane.bandwidth_slots:
                    down, up = await _bandwidth(echoes, trip)
                measured_at = time.monotonic()
                await asyncio.to_thread(session.bandwidth, up, down)
        await asyncio.sleep(ECHO_REST_SECONDS)


async def _bandwidth(echoes: Echoes, trip: float) -> tuple[float, float]:
    """(down, up) in bits a second, as the agent sees it: with more bytes where few of them took no time."""
    down = up = 0.0
    for size in BANDWIDTH_BYTES:
        there = await echoes.seconds(size)
        both = await echoes.seconds(size, is_returned=True)
        down = 8 * size / max(there - trip, SECONDS_MIN)
        up = 8 * size / max(both - there, SECONDS_MIN)
        if both > BANDWIDTH_SECONDS_ENOUGH:
            break
    return down, up


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
