"""What `doctor` and `provider test` look at; each finding names the command that mends it."""

import platform
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from gondwana.cli.output import columns, table
from gondwana.cli.shell import Shell
from gondwana.core.errors import GondwanaError
from gondwana.core.units import GIB, format_bytes

PYTHON_LEAST: Final = (3, 11)
DISK_BYTES_LEAST: Final = 5 * GIB  # room for a job's files and a model's checkpoints
HEADS: Final = columns("", "WHAT", "FOUND")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at."""

    name: str
    found: str
    level: str = "ok"  # "ok" | "note" (some things will not work) | "wrong"
    hint: str = ""  # the command that mends it


def machine_checks() -> list[Check]:
    """What this machine offers to jobs and to the command line."""
    return [
        _guard("python", _python),
        _guard("sandbox", _sandbox),
        _guard("pytorch", _torch),
        _guard("disk", _disk),
    ]


def connection_checks(shell: Shell) -> list[Check]:
    """Whether the control plane answers, and knows the token."""
    return [_guard("control plane", lambda: _plane(shell)), _guard("token", lambda: _token(shell))]


def show_checks(checks: Sequence[Check]) -> str:
    """The findings as a table, then what mends them."""
    marks = {"ok": "ok", "note": "note", "wrong": "WRONG"}
    rows = [[marks[check.level], check.name, check.found] for check in checks]
    hints = [f"{check.name}: {check.hint}" for check in checks if check.hint]
    return "\n".join([table(HEADS, rows, empty=""), *(["", *hints] if hints else [])])


def exit_code_of(checks: Sequence[Check]) -> int:
    """1 where something is wrong, else 0."""
    return 1 if any(check.level == "wrong" for check in checks) else 0


def _guard(name: str, look: Callable[[], Check]) -> Check:
    try:
        return look()
    except GondwanaError as error:
        return Check(name=name, found=error.message, level="wrong", hint=error.hint or "")


def _python() -> Check:
    found = f"{platform.python_version()} on {platform.system()} {platform.release()}, {platform.machine()}"
    if sys.version_info < PYTHON_LEAST:
        return Check(name="python", found=found, level="wrong", hint="install Python 3.11 or newer")
    return Check(name="python", found=found)


def _sandbox() -> Check:
    from gondwana.engines.detect import detect

    report = detect(owner="doctor")
    if not report.available:
        found = f"{report.missing}; other people's work would be refused here"
        return Check(name="sandbox", found=found, level="note", hint=report.hint)
    limits = ", ".join(f"{name} {held}" for name, held in report.limits.items())
    return Check(
        name="sandbox",
        found=f"{report.isolation.value.replace('_', ' ')}; limits: {limits}",
        hint=report.hint,
    )


def _torch() -> Check:
    try:
        return Check(name="pytorch", found=version("torch"))
    except PackageNotFoundError:
        return Check(name="pytorch", found="not installed; this machine cannot take part in training",
                     level="note", hint="in Gondwana's folder: pip install '.[train]'")  # fmt: skip


def _disk() -> Check:
    free = shutil.disk_usage(Path.home() if Path.home().exists() else Path("/")).free
    found = f"{format_bytes(free)} free"
    if free < DISK_BYTES_LEAST:
        return Check(
            name="disk",
            found=found,
            level="note",
            hint=f"free {format_bytes(DISK_BYTES_LEAST)} for jobs and models",
        )
    return Check(name="disk", found=found)


def _plane(shell: Shell) -> Check:
    shell.client.healthy()
    return Check(name="control plane", found=f"{shell.client.url} answers")


def _token(shell: Shell) -> Check:
    me = shell.client.me()
    return Check(name="token", found=f"you are {me.name} ({', '.join(me.scopes)})")
