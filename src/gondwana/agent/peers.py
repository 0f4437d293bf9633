"""Measure the way between this machine and a peer, when the control plane asks and the owner allows it.

Outside of these seconds no port is open. Whoever connects must first show the token of this one probe; then both sides
exchange small echoes, and after them at most PROBE_BYTES each way, for at most a second.
"""

import asyncio
import hmac
import struct
import time
from contextlib import suppress
from typing import Final

from gondwana.wire import agent as wire

PROBE_BYTES: Final = 4 * 1024 * 1024
PIECE: Final = bytes(64 * 1024)
SEND_SECONDS_MAX: Final = 1.0
ECHOES: Final = 8
ECHO_BYTES: Final = 16
TOKEN_BYTES: Final = 32
SECONDS_MAX: Final = 5.0  # of one probe, both directions
LISTENERS_MAX: Final = 4  # at once
_FOUND: Final = struct.Struct(">Qd")  # bytes, seconds


class Peers:
    """The probes of one machine."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._listening = 0
        self._asking = asyncio.Semaphore(1)

    async def listen(
        self, message: wire.Listen, ready: "asyncio.Future[wire.Listening | None]"
    ) -> None:
        """Open a port for one peer, and close it again; `ready` gets what to tell, or None where it cannot be."""
        served = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                async with asyncio.timeout(SECONDS_MAX):
                    shown = await reader.readexactly(TOKEN_BYTES)
                    if hmac.compare_digest(shown, message.token):
                        await _answer(reader, writer)
                        served.set()
            writer.close()

        if self._listening >= LISTENERS_MAX or len(message.token) != TOKEN_BYTES:
            ready.set_result(None)
            return
        self._listening += 1
        try:
            server = await asyncio.start_server(serve, self._address, 0)
        except OSError:
            ready.set_result(None)
            self._listening -= 1
            return
        try:
            async with server:
                port = int(server.sockets[0].getsockname()[1])
                ready.set_result(wire.Listening(probe_id=message.probe_id, port=port))
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(message.seconds_max, 2 * SECONDS_MAX)):
                        await served.wait()
        finally:
            self._listening -= 1

    async def ask(self, message: wire.Ask) -> wire.Measured:
        """What the way to a peer measures; not reached where it does not answer in time."""
        missed = wire.Measured(probe_id=message.probe_id, round_trip_seconds=None)
        async with self._asking:
            try:
                async with asyncio.timeout(SECONDS_MAX):
                    stream = await asyncio.open_connection(message.address, message.port)
                    try:
                        return await _ask(*stream, message)
                    finally:
                        stream[1].close()
            except (OSError, TimeoutError, asyncio.IncompleteReadError, struct.error):
                return missed


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for _ in range(ECHOES):
        writer.write(await reader.readexactly(ECHO_BYTES))
        await writer.drain()
    writer.write(_FOUND.pack(*await _receive(reader)))
    await _send(writer)


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, message: wire.Ask
) -> wire.Measured:
    writer.write(message.token)
    trips: list[float] = []
    for number in range(ECHOES):
        begun = time.perf_counter()
        writer.write(number.to_bytes(ECHO_BYTES))
        await reader.readexactly(ECHO_BYTES)
        trips.append(time.perf_counter() - begun)
    await _send(writer)
    up = _FOUND.unpack(await reader.readexactly(_FOUND.size))
    down = await _receive(reader)
    return wire.Measured(
        probe_id=message.probe_id,
        round_trip_seconds=min(trips),
        up_bits_per_second=_bits_per_second(*up),
        down_bits_per_second=_bits_per_second(*down),
    )


async def _send(writer: asyncio.StreamWriter) -> None:
    """Send so many bytes, or for so long, then say that it was all."""
    until = time.perf_counter() + SEND_SECONDS_MAX
    for _ in range(PROBE_BYTES // len(PIECE)):
        writer.write(PIECE)
        await writer.drain()
        if time.perf_counter() > until:
            break
    writer.write_eof()


async def _receive(reader: asyncio.StreamReader) -> tuple[int, float]:
    """(bytes after the first piece, seconds that they took), up to their end."""
    first = await reader.read(len(PIECE))
    begun, count = time.perf_counter(), 0
    while first and count <= PROBE_BYTES:
        piece = await reader.read(len(PIECE))
        if not piece:
            break
        count += len(piece)
    return count, time.perf_counter() - begun


def _bits_per_second(count: int, seconds: float) -> float:
    return 8 * count / seconds if seconds > 0 else 0.0
