"""Limits that a process takes on itself before it becomes the task: `prlimit`, from util-linux."""

from typing import Final

from gondwana.core.units import GIB, MIB
from gondwana.engines.base import Limits

PRLIMIT: Final = "/usr/bin/prlimit"
DATA_BYTES_OVER: Final = (
    GIB  # without a memory group: a backstop, far enough above the limit to be watched first
)


def limits_argv(limits: Limits, *, memory_held: bool, pids: bool) -> tuple[str, ...]:
    """The words before a command that give it these limits; `pids` where its user is nobody else's."""
    arguments = [
        PRLIMIT,
        "--core=0",
        f"--fsize={limits.work_bytes_max + MIB}",
        f"--nofile={limits.open_files_max}",
        "--memlock=65536",
        "--msgqueue=0",
    ]
    if pids:
        arguments.append(f"--nproc={limits.pids_max}")
    if not memory_held:
        arguments.append(f"--data={limits.memory_bytes_max + DATA_BYTES_OVER}")
    return (*arguments, "--")
