"""Run a task to its end and keep a bounded part of what it says."""

import asyncio
from dataclasses import dataclass
from typing import Final

from gondwana.core.units import KIB
from gondwana.engines.base import End, Engine, Task

CHUNK_BYTES: Final = 64 * KIB
TOLD_BYTES_MAX: Final = 256 * KIB  # of each stream, unless the caller says otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A task that ended, and the first bytes of its streams."""

    end: End
    stdout: bytes
    stderr: bytes


async def run_task(
    engine: Engine, task: Task, *, stdin: bytes = b"", bytes_max: int = TOLD_BYTES_MAX
) -> Finished:
    """Start `task`, give it `stdin`, wait for its end; what it says past `bytes_max` per stream is dropped."""
    process = await engine.start(task)
    try:
        told = await asyncio.gather(
            read_first(process.stdout, bytes_max),
            read_first(process.stderr, bytes_max),
            _feed(process.stdin, stdin),
        )
        return Finished(end=await process.wait(), stdout=told[0], stderr=told[1])
    except BaseException:
        await process.kill()
        raise


async def read_first(stream: asyncio.StreamReader, bytes_max: int) -> bytes:
    """Read `stream` to its end; its first `bytes_max` bytes."""
    kept = bytearray()
    while chunk := await stream.read(CHUNK_BYTES):
        kept += chunk[: bytes_max - len(kept)]
    return bytes(kept)


async def _feed(stream: asyncio.StreamWriter, content: bytes) -> None:
    try:
        stream.write(content)
        await stream.drain()
        stream.close()
    except (BrokenPipeError, ConnectionResetError):  # it does not want to hear more
        return
