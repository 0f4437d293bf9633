"""A started task under watch: its limits, its streams, and its one end.

What the kernel does not hold here (no control group, or the size of a folder on a shared disk) is measured a few
times a second, and the task is stopped when it is over. When its first process ends, everything it started ends.
"""

import asyncio
import os
import signal
import subprocess
import threading
import time
from asyncio.subprocess import PIPE
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, cast

import psutil

from gondwana.core.units import GIB, MIB
from gondwana.engines.base import End, EndKind, Task, Usage
from gondwana.engines.cgroups import EMPTY_SECONDS_MAX, Group
from gondwana.engines.held import held_bytes
from gondwana.engines.trees import measure_tree

WATCH_SECONDS: Final = 0.2  # between two looks; a disk writes about a gigabyte meanwhile, at worst
WATCH_SHARE_MAX: Final = (
    0.2  # of the time may go into looking: a large folder is looked at less often
)
STREAM_BYTES_MAX: Final = 4 * MIB  # a reply line may be this long; beyond it a reader is not fed
PIPE_SECONDS_MAX: Final = 0.5  # for the last output to arrive, once nothing writes any more
DISK_FREE_BYTES_MIN: Final = GIB // 2  # the owner's disk is never filled up by a task
ENTER_GROUPS: Final = (
    'while [ "$1" != -- ]; do echo 0 >"$1" || exit 125; shift; done; shift; exec "$@"'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How to start a task on this machine."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    folder: Path | None = None
    descriptors: tuple[int, ...] = ()  # open files it inherits under the same numbers
    group: Group | None = None
    stop: Callable[[int], None]  # ends all that process `pid` started


def enter_groups(group: Group | None, argv: Sequence[str]) -> tuple[str, ...]:
    """`argv` started from inside `group`: it moves itself in first, so nothing it starts is outside."""
    if group is None:
        return tuple(argv)
    entrances = [str(path) for path in group.entrances()]
    return ("/bin/sh", "-c", ENTER_GROUPS, "sh", *entrances, "--", *argv)


def end_session(pid: int) -> None:
    """SIGKILL to the process that we started and to all that stayed in its process group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


class _Pipe(asyncio.StreamReaderProtocol):
    """A pipe of the task's, and whether it is closed."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        super().__init__(reader)
        self.closed = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        """Both ends are gone."""
        super().connection_lost(exc)
        self.closed.set()


class WatchedProcess:
    """The `Process` of the engines on this machine."""

    def __init__(self, inner: "subprocess.Popen[bytes]", task: Task, launch: Launch) -> None:
        self._inner = inner
        self._task = task
        self._group = launch.group
        self._stop = launch.stop
        self._started = time.monotonic()
        self._seconds: float | None = None  # once ended
        self._stopped_for: tuple[EndKind, str] | None = None
        self._seconds_max = task.limits.seconds_max or 0.0
        self._extended = asyncio.Event()
        self._seen = Usage()
        self._final: Usage | None = None
        self._streams: tuple[asyncio.StreamWriter, asyncio.StreamReader, asyncio.StreamReader]
        self._transports: list[asyncio.BaseTransport] = []
        self._pipes: list[_Pipe] = []
        self._ending: asyncio.Task[End]

    @classmethod
    async def start(cls, task: Task, launch: Launch) -> "WatchedProcess":
        """Start it; must be called on a thread that outlives the task (the kernel ends it with that thread)."""
        inner = subprocess.Popen(
            enter_groups(launch.group, launch.argv), stdin=PIPE, stdout=PIPE, stderr=PIPE, bufsize=0,
            pass_fds=launch.descriptors, env=dict(launch.environment), cwd=launch.folder,
            start_new_session=True,
        )  # fmt: skip
        process = cls(inner, task, launch)
        await process._connect()
        process._ending = asyncio.create_task(process._end(), name=f"watch {task.name}")
        return process

    @property
    def pid(self) -> int:
        """The process on this machine whose death ends the task."""
        return self._inner.pid

    @property
    def stdin(self) -> asyncio.StreamWriter:
        """The task's standard input."""
        return self._streams[0]

    @property
    def stdout(self) -> asyncio.StreamReader:
        """The task's standard output."""
        return self._streams[1]

    @property
    def stderr(self) -> asyncio.StreamReader:
        """The task's standard error."""
        return self._streams[2]

    async def wait(self) -> End:
        """How it ended; comes back when nothing of it runs any more. May be called again."""
        return await asyncio.shield(self._ending)

    async def kill(self) -> End:
        """Stop it at once with everything it started; how it ended. Unread output is lost."""
        self._stop_for(EndKind.KILLED, "stopped by the agent")
        end = await self.wait()
        for transport in self._transports:
            transport.close()
        return end

    def extend(self, seconds_max: float) -> None:
        """Let it take so much time in all; one that has a limit by the clock keeps one."""
        self._seconds_max = seconds_max
        self._extended.set()

    def warn(self) -> int:
        """SIGTERM to all of it that catches SIGTERM, and to nothing that would die of it; how many were told."""
        told = 0
        for pid in self._processes():
            if _catches(pid, signal.SIGTERM):
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGTERM)
                    told += 1
        return told

    def usage(self) -> Usage:
        """What it has used so far; exact under control groups, else as last seen."""
        if self._final is not None:
            return self._final
        group = self._group
        cpu_seconds = group.cpu_seconds() if group else None
        peak = group.memory_bytes_peak() if group else None
        return Usage(
            seconds=time.monotonic() - self._started if self._seconds is None else self._seconds,
            cpu_seconds=self._seen.cpu_seconds if cpu_seconds is None else cpu_seconds,
            memory_bytes_peak=self._seen.memory_bytes_peak if peak is None else peak,
            forks_refused=group.forks_refused() if group else 0,
        )

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        readers: list[asyncio.StreamReader] = []
        for pipe in (self._inner.stdout, self._inner.stderr):
            reader = asyncio.StreamReader(limit=STREAM_BYTES_MAX)
            transport, protocol = await loop.connect_read_pipe(
                lambda reader=reader: _Pipe(reader), cast("IO[bytes]", pipe)
            )
            self._transports.append(transport)
            self._pipes.append(protocol)
            readers.append(reader)
        transport, protocol = await loop.connect_write_pipe(
            lambda: _Pipe(asyncio.StreamReader()),
            cast("IO[bytes]", self._inner.stdin),
        )
        self._transports.append(transport)
        self._pipes.append(protocol)
        writer = asyncio.StreamWriter(transport, protocol, None, loop)
        self._streams = (writer, readers[0], readers[1])

    async def _end(self) -> End:
        watches = [asyncio.create_task(watch) for watch in self._watches()]
        try:
            code = await _exit_code(self._inner)
        finally:
            for watch in watches:
                watch.cancel()
        self._seconds = time.monotonic() - self._started
        self._stop(self.pid)
        await self._leave_group()
        with suppress(OSError, RuntimeError):
            self.stdin.close()
        with suppress(TimeoutError):  # a reader that is far behind keeps its pipe open
            async with asyncio.timeout(PIPE_SECONDS_MAX):
                await asyncio.gather(*(pipe.closed.wait() for pipe in self._pipes))
        size = await asyncio.to_thread(self._over_disk)
        kind, detail = self._judge(code, size)
        if self._group is not None:
            self._group.remove()
        exit_code = code if code >= 0 else 128 - code
        return End(kind=kind, exit_code=exit_code, detail=detail, usage=self.usage())

    def _judge(self, code: int, disk: str) -> tuple[EndKind, str]:
        """What the end was, from what we did, what the kernel counted and what is left."""
        self._final = self.usage()
        memory = self._task.limits.memory_bytes_max
        if self._stopped_for is not None:
            return self._stopped_for
        if code != 0 and self._group is not None and self._group.out_of_memory_kills():
            return EndKind.OUT_OF_MEMORY, f"over {memory} bytes of memory"
        if code != 0 and disk:
            return EndKind.OUT_OF_DISK, disk
        if code < 0:
            return EndKind.KILLED, f"ended by signal {-code}"
        return EndKind.EXITED, ""

    async def _leave_group(self) -> None:
        """Wait until the kernel has taken away what was killed."""
        if self._group is None:
            return
        deadline = time.monotonic() + EMPTY_SECONDS_MAX
        while self._group.processes() and time.monotonic() < deadline:
            self._group.kill()
            await asyncio.sleep(0.005)

    def _watches(self) -> list[Coroutine[Any, Any, None]]:
        watches: list[Coroutine[Any, Any, None]] = [self._watch_disk(), self._watch_memory()]
        if self._task.limits.seconds_max is not None:
            watches.append(self._watch_time())
        return watches

    async def _watch_time(self) -> None:
        while (left := self._seconds_max - (time.monotonic() - self._started)) > 0:
            self._extended.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._extended.wait()
        self._stop_for(EndKind.OUT_OF_TIME, f"over {self._seconds_max:g} seconds")

    async def _watch_disk(self) -> None:
        spent = 0.0
        while True:
            await asyncio.sleep(max(WATCH_SECONDS, spent / WATCH_SHARE_MAX))
            began = time.monotonic()
            if over := await asyncio.to_thread(self._over_disk):
                self._stop_for(EndKind.OUT_OF_DISK, over)
            spent = time.monotonic() - began

    def _over_disk(self) -> str:
        limits = self._task.limits
        size = measure_tree(
            self._task.work, bytes_max=limits.work_bytes_max, entries_max=limits.work_entries_max
        )
        held = held_bytes(self._processes(), os.stat(self._task.work).st_dev)
        if size.disk_bytes + held > limits.work_bytes_max:
            return f"over {limits.work_bytes_max} bytes in the work folder"
        if size.entries > limits.work_entries_max:
            return f"over {limits.work_entries_max} files in the work folder"
        if not size.complete:
            return "folders too deep or unreadable to be measured"
        disk = os.statvfs(self._task.work)
        if disk.f_bavail * disk.f_frsize < DISK_FREE_BYTES_MIN:
            return "the machine's disk is nearly full"
        return ""

    def _processes(self) -> set[int]:
        """All that runs of this task, as far as it can be seen."""
        if self._group is not None:
            return self._group.processes()
        with suppress(psutil.Error):
            return {one.pid for one in psutil.Process(self.pid).children(recursive=True)}
        return set()

    async def _watch_memory(self) -> None:
        memory = self._task.limits.memory_bytes_max
        while True:
            await asyncio.sleep(WATCH_SECONDS / 2)  # memory fills faster than a disk
            if self._group is not None and "memory" in self._group.folders:
                over = self._group.out_of_memory_kills() > 0
            else:
                self._seen = await asyncio.to_thread(_look, self.pid, self._seen)
                over = self._seen.memory_bytes_peak > memory
            if over:
                self._stop_for(EndKind.OUT_OF_MEMORY, f"over {memory} bytes of memory")

    def _stop_for(self, kind: EndKind, detail: str) -> None:
        if self._stopped_for is None and self._seconds is None:
            self._stopped_for = (kind, detail)
        if self._seconds is None:
            self._stop(self.pid)


def _catches(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal, as Linux tells; False elsewhere."""
    with suppress(OSError, ValueError, IndexError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


def _look(pid: int, before: Usage) -> Usage:
    """Memory and time of `pid` with all below it; memory they share is not counted twice."""
    cpu_seconds, memory_bytes = 0.0, 0
    with suppress(psutil.Error):
        top = psutil.Process(pid)
        for process in [top, *top.children(recursive=True)]:
            with suppress(psutil.Error):
                times = process.cpu_times()
                cpu_seconds += times.user + times.system
                memory = process.memory_info()
                memory_bytes += memory.rss - getattr(memory, "shared", 0)
    return Usage(
        cpu_seconds=max(before.cpu_seconds, cpu_seconds),
        memory_bytes_peak=max(before.memory_bytes_peak, memory_bytes),
    )


async def _exit_code(inner: "subprocess.Popen[bytes]") -> int:
    """The exit code, negative after a signal, as soon as the process is gone (its pipes may live on)."""
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    if hasattr(os, "pidfd_open"):
        descriptor = os.pidfd_open(inner.pid)
        loop.add_reader(descriptor, gone.set)
        try:
            await gone.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
    else:
        threading.Thread(
            target=lambda: (inner.wait(), loop.call_soon_threadsafe(gone.set)), daemon=True
        ).start()
        await gone.wait()
    return inner.wait()
