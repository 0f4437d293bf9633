"""A plain process: for the owner's own jobs on the owner's own machine, and only when that was asked for.

It protects nobody from anybody: the command sees all that its user sees. Its limits hold as far as a plain process
can be held, and what it starts is stopped with it.
"""

import asyncio
import os
import shutil
import sys
from pathlib import Path
from typing import Final

import psutil

from gondwana.core.errors import SandboxUnavailable
from gondwana.engines.base import Task
from gondwana.engines.cgroups import NO_CGROUPS, Cgroups, Group, make_group
from gondwana.engines.process import Launch, WatchedProcess, end_session
from gondwana.engines.rlimits import PRLIMIT, limits_argv

TASK_MARK: Final = (
    "GONDWANA_TASK"  # in the environment of all that a task starts: how it is found again
)
PASSED_ON: Final = (
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "TMPDIR",
    "SHELL",
    "LD_LIBRARY_PATH",
    "CUDA_HOME",
)
SETPRIV: Final = "/usr/bin/setpriv"


class Plain:
    """The engine without a sandbox. `trusted` says that the work is the owner's own."""

    def __init__(self, *, trusted: bool, cgroups: Cgroups = NO_CGROUPS) -> None:
        if not trusted:
            raise SandboxUnavailable(
                "other people's work never runs without a sandbox", hint="gondwana doctor"
            )
        self._cgroups = cgroups

    async def start(self, task: Task) -> WatchedProcess:
        """Start `task` as a plain process in its work folder. Nothing is mounted: it sees outside paths as they are."""
        task.work.mkdir(mode=0o700, parents=True, exist_ok=True)
        group = await asyncio.to_thread(make_group, self._cgroups, task.name, task.limits)
        mark = f"{task.name}.{os.getpid()}.{id(task)}"
        launch = Launch(
            argv=plain_argv(task, memory_held="memory" in self._cgroups.holds),
            environment=_environment(task, mark),
            folder=task.work / task.folder if task.folder else task.work,
            group=group,
            stop=lambda pid: end_marked(pid, mark, group),
        )
        try:
            return await WatchedProcess.start(task, launch)
        except BaseException:
            if group is not None:
                group.remove()
            raise


def plain_argv(task: Task, *, memory_held: bool) -> tuple[str, ...]:
    """The command behind its rlimits; on Linux it ends when the agent ends."""
    argv = task.command
    if Path(
        PRLIMIT
    ).exists():  # its user's other processes count too, so none are limited by number here
        argv = (*limits_argv(task.limits, memory_held=memory_held, pids=False), *argv)
    if sys.platform == "linux" and Path(SETPRIV).exists():
        argv = (SETPRIV, "--pdeathsig", "KILL", "--", *argv)
    return argv


def end_marked(pid: int, mark: str, group: Group | None) -> None:
    """Kill a task's process group, its control group, and all whose environment bears its mark."""
    end_session(pid)
    if group is not None:
        group.kill()
    for process in psutil.process_iter():
        try:
            if process.environ().get(TASK_MARK) == mark:
                process.kill()
        except (psutil.Error, OSError):  # gone, or another user's: not ours to end
            continue


def _environment(task: Task, mark: str) -> dict[str, str]:
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    python = str(Path(sys.executable).parent)
    path = passed.get("PATH", "/usr/bin:/bin")
    if shutil.which("python", path=python):
        passed["PATH"] = f"{python}{os.pathsep}{path}"
    return {**passed, **task.environment, TASK_MARK: mark}
