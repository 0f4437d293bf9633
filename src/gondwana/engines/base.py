"""The verbs every engine shares: what to start (`Task`), what runs (`Process`), how it ended (`End`)."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

from gondwana.core.errors import InvalidValue
from gondwana.core.units import GIB, MIB

WORK: Final = "/job"  # where a sandboxed task finds its own folder, writable
INPUTS: Final = "/inputs"  # where it finds what the agent gives it, read-only
TASK_NAME: Final = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
)  # names control groups: no path parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a task may use; a limit that this machine cannot hold is named in the engine's report."""

    memory_bytes_max: int = 4 * GIB  # resident memory, its private /tmp and /dev/shm included
    cpus: float | None = None  # processors' worth of time; None: all of them
    pids_max: int = 512  # processes and threads together
    work_bytes_max: int = 10 * GIB  # the work folder, on disk
    work_entries_max: int = 200_000  # files and folders in it: they cost memory of the kernel's
    tmp_bytes_max: int = 256 * MIB  # /tmp, in memory
    shared_memory_bytes_max: int = 256 * MIB  # /dev/shm, in memory
    open_files_max: int = 4096
    seconds_max: float | None = None  # by the clock on the wall; None: as long as the lease

    def __post_init__(self) -> None:
        for name in ("memory_bytes_max", "pids_max", "work_bytes_max", "work_entries_max",
                     "tmp_bytes_max", "shared_memory_bytes_max", "open_files_max"):  # fmt: skip
            if getattr(self, name) <= 0:
                raise InvalidValue(field=name, value=getattr(self, name))
        if self.cpus is not None and self.cpus <= 0:
            raise InvalidValue(field="cpus", value=self.cpus)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bind:
    """A file or folder of the machine that a task may read, and the name it has inside."""

    outside: Path
    inside: str  # absolute


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One thing to run: a command, its own folder, what it may read, and its limits."""

    name: str  # one per running task; letters, digits, `-`, `_`
    command: tuple[str, ...]
    work: Path  # on the machine; inside a sandbox it is /job
    folder: str = ""  # where the command starts, below the work folder
    read_only: tuple[Bind, ...] = ()
    devices: tuple[Path, ...] = ()  # device files it was leased, e.g. /dev/nvidia0
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if TASK_NAME.fullmatch(self.name) is None:
            raise InvalidValue(field="name", value=self.name)
        if not self.command:
            raise InvalidValue(field="command", value=self.command)
        if self.folder.startswith("/") or ".." in self.folder.split("/"):
            raise InvalidValue(field="folder", value=self.folder)
        for bind in self.read_only:
            if not bind.inside.startswith("/") or bind.inside != "/" + "/".join(
                _parts(bind.inside)
            ):
                raise InvalidValue(field="read_only", value=bind.inside)


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".", "..")]


class EndKind(StrEnum):
    """How a task ended."""

    EXITED = "exited"  # by itself, with an exit code
    OUT_OF_MEMORY = "out_of_memory"  # over memory_bytes_max
    OUT_OF_TIME = "out_of_time"  # over seconds_max
    OUT_OF_DISK = "out_of_disk"  # its work folder grew over work_bytes_max or work_entries_max
    KILLED = "killed"  # stopped by us, or by a signal from outside


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a task has used so far."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    memory_bytes_peak: int = 0
    forks_refused: int = 0  # how often the limit on processes said no; 0 too where nobody counts


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The end of a task."""

    kind: EndKind
    exit_code: int | None = None  # as a shell would say it: 128 + n after signal n
    detail: str = ""
    usage: Usage = field(default_factory=Usage)

    @property
    def succeeded(self) -> bool:
        """True after exit code 0."""
        return self.kind is EndKind.EXITED and self.exit_code == 0


class Process(Protocol):
    """A task that was started."""

    @property
    def pid(self) -> int:
        """The process on this machine whose death ends the task."""
        ...

    @property
    def stdin(self) -> asyncio.StreamWriter:
        """The task's standard input."""
        ...

    @property
    def stdout(self) -> asyncio.StreamReader:
        """The task's standard output; must be read, or a full pipe stops the task."""
        ...

    @property
    def stderr(self) -> asyncio.StreamReader:
        """The task's standard error; must be read, or a full pipe stops the task."""
        ...

    async def wait(self) -> End:
        """How it ended; comes back when nothing of it runs any more. May be called again."""
        ...

    async def kill(self) -> End:
        """Stop it at once with everything it started; how it ended."""
        ...

    def extend(self, seconds_max: float) -> None:
        """Let it take so much time in all; one that has a limit by the clock keeps one."""
        ...

    def warn(self) -> int:
        """SIGTERM to all of it that catches SIGTERM, and to nothing that would die of it; how many were told."""
        ...

    def usage(self) -> Usage:
        """What it has used so far."""
        ...


class Engine(Protocol):
    """Something that can run a task."""

    async def start(self, task: Task) -> Process:
        """Start `task`; raises SandboxUnavailable, or InvalidValue for a task it cannot run."""
        ...
