"""Which sandbox this machine can give, found by starting one; and if none, what to install."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from gondwana.core.errors import SandboxUnavailable
from gondwana.engines.base import Limits, Task
from gondwana.engines.cgroups import Cgroups, Flavour, find_cgroups
from gondwana.engines.rlimits import PRLIMIT
from gondwana.engines.sandbox import (
    SETPRIV,
    USER_ID_INSIDE,
    Host,
    Sandbox,
    argv_of,
    make_host,
    open_files,
    prepare_work,
    task_user_id,
)
from gondwana.engines.seccomp import missing_library

PROBE_SECONDS_MAX: Final = 30.0  # a cold disk, or a machine that is busy
PACKAGE_MANAGERS: Final = {
    "apt-get": "apt-get install -y bubblewrap libseccomp2 util-linux",
    "dnf": "dnf install -y bubblewrap libseccomp util-linux",
    "pacman": "pacman -S --noconfirm bubblewrap libseccomp util-linux",
    "zypper": "zypper install -y bubblewrap libseccomp2 util-linux",
    "apk": "apk add bubblewrap libseccomp util-linux",
}


class Isolation(StrEnum):
    """What separates a task from the machine's owner, beside namespaces and the filter of system calls."""

    OWN_USER = "own_user"  # started by root: a user id of its own, without any capability
    USER_NAMESPACE = (
        "user_namespace"  # started by an ordinary user: that user, in a namespace of its own
    )
    NONE = "none"  # no sandbox: strangers' work is refused


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxReport:
    """What this machine can give."""

    isolation: Isolation
    cgroups: Cgroups
    host: Host | None = None
    missing: str = ""  # why there is no sandbox
    hint: str = ""  # the command that would change that, or would make limits hold better

    @property
    def available(self) -> bool:
        """True when strangers' work can be run."""
        return self.isolation is not Isolation.NONE

    @property
    def limits(self) -> dict[str, str]:
        """Who holds each limit: `kernel`, `watched` (measured, then stopped), or `per process`."""
        held = self.cgroups.holds
        return {
            "memory": "kernel" if "memory" in held else "watched",
            "processes": "kernel",
            "cpu": "kernel" if "cpu" in held else "not held",
            "disk": "watched",
            "tmp": "kernel",
            "time": "watched",
        }

    def sandbox(self) -> Sandbox:
        """The engine for strangers' work; raises SandboxUnavailable with what to do about it."""
        if self.host is None or not self.available:
            raise SandboxUnavailable(self.missing or None, hint=self.hint or None)
        return Sandbox(self.host, self.cgroups)


def detect(*, owner: str = "agent", hidden: Sequence[Path] = ()) -> SandboxReport:
    """What this machine can give; tries it, so call it once. `owner` names this agent among others here.

    `hidden` are folders that no task may ever reach (the agent's state and keys); the home always is one.
    """
    try:
        bwrap = _requirements()
        cgroups = find_cgroups(owner)
        host = make_host(bwrap, memory_held="memory" in cgroups.holds, hidden=hidden)
        _try(host)
    except SandboxUnavailable as error:
        none = Cgroups(flavour=Flavour.NONE, parents={})
        return SandboxReport(
            isolation=Isolation.NONE, cgroups=none, missing=error.message, hint=error.hint or ""
        )
    isolation = Isolation.OWN_USER if host.is_root else Isolation.USER_NAMESPACE
    return SandboxReport(
        isolation=isolation, cgroups=cgroups, host=host, hint=_limits_hint(cgroups)
    )


def install_command() -> str:
    """The command that installs what a sandbox needs, for this system's package manager."""
    for manager, command in PACKAGE_MANAGERS.items():
        if shutil.which(manager):
            return command if os.geteuid() == 0 else f"sudo {command}"
    return "install bubblewrap and libseccomp with your system's package manager"


def _requirements() -> str:
    if not sys.platform.startswith("linux"):
        raise SandboxUnavailable(
            "other people's work needs a Linux machine",
            hint="run the agent in a Linux virtual machine",
        )
    bwrap = shutil.which("bwrap", path="/usr/bin:/bin:/usr/local/bin")
    lacking = [] if bwrap else ["bubblewrap"]
    lacking += [f"{path} (util-linux)" for path in (PRLIMIT, SETPRIV) if not Path(path).exists()]
    if bwrap is None or lacking:
        raise SandboxUnavailable(f"this machine lacks {', '.join(lacking)}", hint=install_command())
    if reason := missing_library():
        raise SandboxUnavailable(reason, hint=install_command())
    return bwrap


def _try(host: Host) -> None:
    """Start Python in a sandbox once; SandboxUnavailable with bubblewrap's own words if it does not."""
    with tempfile.TemporaryDirectory(prefix="gondwana-probe-") as folder, ExitStack() as stack:
        command = (sys.executable, "-I", "-S", "-c", "pass")
        task = Task(name="probe", command=command, work=Path(folder), limits=Limits())
        user_id = task_user_id(task.name) if host.is_root else None
        prepare_work(task, user_id)
        files = open_files(stack, task, host, user_id or USER_ID_INSIDE)
        try:
            tried = subprocess.run(
                argv_of(task, host, files), pass_fds=files.all(), env={"PATH": "/usr/bin:/bin"},
                stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_SECONDS_MAX, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SandboxUnavailable(f"a sandbox did not start: {error}") from error
    if tried.returncode != 0:
        words = tried.stderr.decode(errors="replace").strip()[-300:]
        raise SandboxUnavailable(f"a sandbox did not start: {words}", hint=_start_hint(words))


def _start_hint(words: str) -> str:
    if os.geteuid() == 0 and ("not permitted" in words or "denied" in words):
        return (
            "root may not make namespaces here, as in most containers: run the agent on the machine itself, or "
            "start the container with --privileged"
        )
    if "uid map" in words or "namespace" in words or "NETLINK" in words:
        return (
            "this system forbids user namespaces: run the agent as root, or allow them with "
            "`sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0` (Ubuntu) or "
            "`sudo sysctl -w kernel.unprivileged_userns_clone=1` (Debian)"
        )
    if "Permission denied" in words or "No such file" in words:
        return "this Python must be readable: install gondwana where other users may read it, e.g. under /opt"
    return "gondwana doctor"


def _limits_hint(cgroups: Cgroups) -> str:
    if {"memory", "cpu"} <= cgroups.holds:
        return ""
    return (
        "memory and processor time are only watched here; the kernel would hold them if the agent ran as root, "
        "or under `systemd-run --user --scope -p Delegate=yes`"
    )
