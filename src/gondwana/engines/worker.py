"""A warm worker: Python and PyTorch are loaded once per lease, then units come and go as lines of JSON.

The worker is a stranger's code: it may answer anything, or nothing. One unit is asked at a time; a worker that
breaks the rules is stopped, and a fresh one does the next unit.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec

from gondwana.core.decoding import from_json
from gondwana.core.units import KIB, MIB
from gondwana.core.values import replace
from gondwana.engines.base import End, EndKind, Engine, Process, Task, Usage
from gondwana.wire.units import UnitResult, WorkerReply, WorkerRequest

REPLY_BYTES_MAX: Final = (
    2 * MIB
)  # a result of numbers and a sample of text; far below STREAM_BYTES_MAX
LOG_LINE_BYTES_MAX: Final = 4 * KIB
LOG_BYTES_MAX: Final = 256 * KIB  # per unit; the rest is counted, not kept
END_SECONDS_MAX: Final = 5.0  # for a worker that closed its output to end by itself


class FailureReason(StrEnum):
    """Why a unit was not done."""

    RAISED = "raised"  # the unit's own code failed, and the worker said how
    OUT_OF_TIME = "out_of_time"
    OUT_OF_MEMORY = "out_of_memory"
    OUT_OF_DISK = "out_of_disk"
    TOO_MANY_PROCESSES = "too_many_processes"
    DIED = "died"  # the worker ended without an answer
    BAD_REPLY = "bad_reply"  # an answer that is none: not JSON, too long, or for another unit


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitFailure:
    """A unit that was not done."""

    reason: FailureReason
    detail: str = ""


class Worker:
    """One lease's worker. `task.command` is what reads requests, e.g. `python -m gondwana.training.unit`."""

    def __init__(self, engine: Engine, task: Task, on_log: Callable[[str], None]) -> None:
        self._engine = engine
        self._task = replace(
            task, limits=replace(task.limits, seconds_max=None)
        )  # time is per unit
        self._on_log = on_log
        self._process: Process | None = None
        self._logs: asyncio.Task[None] | None = None
        self._log_bytes_left = 0
        self._lock = asyncio.Lock()
        self._past = Usage()

    async def run(self, request: WorkerRequest, *, seconds_max: float) -> UnitResult | UnitFailure:
        """Do one unit, in a fresh worker if there is none; its result, or why there is none.

        Units wait for one another. When this is cancelled the worker is stopped. Raises SandboxUnavailable.
        """
        async with self._lock:
            process = await self._ready()
            self._log_bytes_left = LOG_BYTES_MAX
            try:
                async with asyncio.timeout(seconds_max):
                    line = await self._ask(process, request)
            except TimeoutError:
                await self._drop()
                return UnitFailure(
                    reason=FailureReason.OUT_OF_TIME, detail=f"over {seconds_max:g} seconds"
                )
            except BaseException:
                await self._drop()
                raise
            answer = read_reply(line, request.unit.id)
            if isinstance(answer, UnitFailure) and answer.reason is not FailureReason.RAISED:
                end = await self._drop()
                return answer if line else failure_of(end)
            return answer

    async def warm(self) -> None:
        """Start the worker before its first unit comes; raises SandboxUnavailable."""
        async with self._lock:
            await self._ready()

    async def close(self) -> None:
        """Stop the worker, also in the middle of a unit (which then fails as `died`)."""
        if self._process is not None:
            await self._process.kill()
        async with self._lock:
            await self._drop()

    @property
    def pid(self) -> int | None:
        """The process to look after, while there is one."""
        return self._process.pid if self._process else None

    def usage(self) -> Usage:
        """What this lease's workers have used so far, restarts included."""
        return _add(self._past, self._process.usage()) if self._process else self._past

    async def _ready(self) -> Process:
        if self._process is not None and self._process.stdout.at_eof():
            await self._drop()  # it ended between two units
        if self._process is None:
            self._process = await self._engine.start(self._task)
            self._logs = asyncio.create_task(self._pass_on_logs(self._process.stderr))
        return self._process

    async def _ask(self, process: Process, request: WorkerRequest) -> bytes:
        """One line back, without its end; nothing when the worker went away."""
        with suppress(ConnectionError, RuntimeError):
            process.stdin.write(msgspec.json.encode(request) + b"\n")
            await process.stdin.drain()
        try:
            line = await process.stdout.readuntil(b"\n")
        except asyncio.IncompleteReadError:
            return b""
        except asyncio.LimitOverrunError:
            return b"?"
        return line.strip() or b"?"

    async def _drop(self) -> End:
        """Stop the worker and forget it; how it ended, by itself if it was ending."""
        process, logs = self._process, self._logs
        if process is None:
            return End(kind=EndKind.KILLED)
        try:
            if process.stdout.at_eof():
                with suppress(TimeoutError):
                    async with asyncio.timeout(END_SECONDS_MAX):
                        await process.wait()
            end = await process.kill()
        finally:
            self._process = self._logs = None
        self._past = _add(self._past, end.usage)
        if logs is not None:
            logs.cancel()
            with suppress(asyncio.CancelledError):
                await logs
        return end

    async def _pass_on_logs(self, stream: asyncio.StreamReader) -> None:
        """Hand each line of the worker's standard error on, up to the limit per unit."""
        rest = b""
        while chunk := await stream.read(LOG_LINE_BYTES_MAX):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) >= LOG_LINE_BYTES_MAX:
                lines, rest = [*lines, rest], b""
            for line in lines:
                self._log(line)
        if rest:
            self._log(rest)

    def _log(self, line: bytes) -> None:
        if self._log_bytes_left <= 0:
            return
        self._log_bytes_left -= len(line) + 1
        self._on_log(line[:LOG_LINE_BYTES_MAX].decode(errors="replace"))
        if self._log_bytes_left <= 0:
            self._on_log(
                f"(more than {LOG_BYTES_MAX // KIB} KB of log in one unit; the rest is dropped)"
            )


def read_reply(line: bytes, unit_id: str) -> UnitResult | UnitFailure:
    """What a worker's line says of the unit `unit_id`; nothing it may say raises."""
    if not line or len(line) > REPLY_BYTES_MAX:
        return UnitFailure(reason=FailureReason.BAD_REPLY, detail=f"{len(line)} bytes")
    try:
        reply = from_json(line, WorkerReply)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return UnitFailure(reason=FailureReason.BAD_REPLY, detail=str(error)[:200])
    if reply.unit_id != unit_id:
        return UnitFailure(reason=FailureReason.BAD_REPLY, detail="it answers for another unit")
    if reply.error is not None:
        reason = FailureReason.RAISED
        if reply.error.startswith(("MemoryError", "torch.OutOfMemoryError", "OutOfMemoryError")):
            reason = FailureReason.OUT_OF_MEMORY
        return UnitFailure(reason=reason, detail=reply.error[:2000])
    if reply.result is None:
        return UnitFailure(reason=FailureReason.BAD_REPLY, detail="neither a result nor an error")
    return reply.result


def failure_of(end: End) -> UnitFailure:
    """Why a worker that went away did so."""
    reasons = {
        EndKind.OUT_OF_MEMORY: FailureReason.OUT_OF_MEMORY,
        EndKind.OUT_OF_DISK: FailureReason.OUT_OF_DISK,
        EndKind.OUT_OF_TIME: FailureReason.OUT_OF_TIME,
    }
    reason = reasons.get(end.kind, FailureReason.DIED)
    if reason is FailureReason.DIED and end.usage.forks_refused:
        reason = FailureReason.TOO_MANY_PROCESSES
    return UnitFailure(reason=reason, detail=end.detail or f"exit code {end.exit_code}")


def _add(first: Usage, second: Usage) -> Usage:
    return Usage(
        seconds=first.seconds + second.seconds,
        cpu_seconds=first.cpu_seconds + second.cpu_seconds,
        memory_bytes_peak=max(first.memory_bytes_peak, second.memory_bytes_peak),
        forks_refused=first.forks_refused + second.forks_refused,
    )
