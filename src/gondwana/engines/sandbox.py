"""The sandbox: strangers' code in bubblewrap, with what the machine's owner has out of its reach.

Inside there is a read-only root of the system's programs and this Python, a private /tmp and /dev/shm of bounded
size, the task's own /job, no network, no other process, no capability, and a filter of system calls. As root the
task runs under a user id of its own; as an ordinary user, in a user namespace of its own. It is not a virtual
machine: the kernel is shared (docs/explanation/sandbox.md says what that means).
"""

import asyncio
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gondwana.core.errors import InvalidValue, SandboxUnavailable
from gondwana.core.values import replace
from gondwana.engines.base import INPUTS, WORK, Task
from gondwana.engines.cgroups import NO_CGROUPS, Cgroups, Group, make_group, sweep
from gondwana.engines.process import Launch, WatchedProcess, end_session
from gondwana.engines.python import python_folders, python_path
from gondwana.engines.rlimits import limits_argv
from gondwana.engines.seccomp import filter_program
from gondwana.engines.trees import walk

SYSTEM_FOLDERS: Final = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
SYSTEM_FILES: Final = ("/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d",
                       "/etc/localtime", "/sys/devices/system/cpu")  # fmt: skip
USER_ID_FIRST: Final = 2_000_000_000  # above what people, containers and services are given
USER_IDS: Final = 65_536
USER_ID_INSIDE: Final = 1000  # in a user namespace: says nothing about the owner
SETPRIV: Final = "/usr/bin/setpriv"
RESERVED: Final = (
    *SYSTEM_FOLDERS,
    "/etc",
    "/proc",
    "/dev",
    "/sys",
)  # nothing of a task's is mounted there
Mount = tuple[str, ...]
"""Words for bubblewrap; the last is the place inside."""
ROOT_CAPABILITIES: Final = (
    "CAP_SETUID",
    "CAP_SETGID",
    "CAP_SETPCAP",
)  # until setpriv has changed user


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What of this machine a sandbox is built from."""

    bwrap: str
    is_root: bool
    folders: tuple[Path, ...]  # Python's, beside the system's
    python_path: tuple[Path, ...] = ()  # what it imports from, beside its own
    hidden: tuple[Path, ...] = ()  # never reachable: the owner's home, the agent's state and keys
    memory_held: bool = False  # by a control group


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptors:
    """Open files that bubblewrap reads what it needs from."""

    seccomp: int
    files: Mapping[str, int]  # contents by name inside, e.g. /etc/passwd
    options: int = (
        -1
    )  # its own options: `ps` shows a command line to everybody, with a tenant's secrets

    def all(self) -> tuple[int, ...]:
        """Every one, to be inherited."""
        return (self.seccomp, self.options, *self.files.values())


def task_user_id(name: str) -> int:
    """The user id under which root runs the task `name`: its own, and nobody's otherwise."""
    digest = hashlib.blake2b(name.encode(), digest_size=4).digest()
    return USER_ID_FIRST + int.from_bytes(digest, "big") % USER_IDS


def build_options(task: Task, host: Host, descriptors: Descriptors) -> tuple[str, ...]:
    """What bubblewrap is told before the command; InvalidValue if a bind would show what is hidden.

    Later mounts lie on earlier ones: a Python that lives in /tmp is still seen.
    """
    mounts = [*_private(task), *_root(host), *_files(descriptors), *_task_binds(task, host)]
    return (
        *_namespaces(host),
        *_environment(task, host),
        *_with_parents(mounts),
        "--remount-ro", "/dev",
        "--remount-ro", "/",
        "--chdir", f"{WORK}/{task.folder}" if task.folder else WORK,
        "--seccomp", str(descriptors.seccomp),
    )  # fmt: skip


def build_command(task: Task, host: Host) -> tuple[str, ...]:
    """What bubblewrap starts: the task's command, behind its rlimits and, as root, its own user."""
    limits = limits_argv(task.limits, memory_held=host.memory_held, pids=True)
    become = _become(task_user_id(task.name)) if host.is_root else []
    return (*limits, *become, *task.command)


def _with_parents(mounts: Sequence[Mount]) -> list[str]:
    """The mounts, with the folders above each made first and readable: left to itself bubblewrap hides them."""
    arguments: list[str] = []
    made = {Path("/")}
    filled: list[Path] = []
    for mount in mounts:
        place = Path(mount[-1])
        for folder in reversed(place.parents):
            if folder in made or any(_within(folder, below) for below in filled):
                continue
            made.add(folder)
            arguments += ["--perms", "0755", "--dir", str(folder)]
        if "--tmpfs" not in mount:
            filled.append(place)
        made.add(place)
        arguments += mount
    return arguments


def _namespaces(host: Host) -> list[str]:
    arguments = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try",
                 "--die-with-parent", "--new-session", "--hostname", "gondwana", "--cap-drop", "ALL"]  # fmt: skip
    if host.is_root:
        for capability in ROOT_CAPABILITIES:
            arguments += ["--cap-add", capability]
        return arguments
    inside = str(USER_ID_INSIDE)
    return [*arguments, "--unshare-user", "--uid", inside, "--gid", inside]


def _become(user_id: int) -> list[str]:
    return [SETPRIV, "--reuid", str(user_id), "--regid", str(user_id), "--clear-groups", "--inh-caps=-all",
            "--ambient-caps=-all", "--bounding-set=-all", "--no-new-privs", "--"]  # fmt: skip


def _environment(task: Task, host: Host) -> list[str]:
    programs = [str(folder / "bin") for folder in host.folders if (folder / "bin").is_dir()]
    variables = {
        "PATH": ":".join([*programs, "/usr/local/bin", "/usr/bin", "/bin"]),
        "HOME": WORK,
        "TMPDIR": "/tmp",
        "USER": "gondwana",
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        "PYTHONPATH": ":".join(map(str, host.python_path)),
        **_threads(task.limits.cpus),
        **task.environment,
    }
    arguments = ["--clearenv"]
    for name, value in variables.items():
        arguments += ["--setenv", name, value]
    return arguments


def _threads(cpus: float | None) -> dict[str, str]:
    """More threads than processors one may use only wait for one another."""
    if cpus is None:
        return {}
    return dict.fromkeys(("OMP_NUM_THREADS", "GONDWANA_THREADS"), str(max(1, round(cpus))))


def _private(task: Task) -> list[Mount]:
    mounts: list[Mount] = [("--proc", "/proc"), ("--dev", "/dev")]
    sizes = (("/dev/shm", task.limits.shared_memory_bytes_max), ("/tmp", task.limits.tmp_bytes_max))
    for name, size in sizes:
        mounts.append(("--perms", "1777", "--size", str(size), "--tmpfs", name))
    mounts += [("--dev-bind", str(device), str(device)) for device in task.devices]
    return mounts


def _root(host: Host) -> list[Mount]:
    mounts: list[Mount] = []
    for name in SYSTEM_FOLDERS:
        folder = Path(name)
        if folder.is_symlink():
            mounts.append(("--symlink", os.readlink(folder), name))
        elif folder.is_dir():
            mounts.append(("--ro-bind", name, name))
    mounts += [("--ro-bind-try", name, name) for name in SYSTEM_FILES]
    mounts += [("--ro-bind", str(folder), str(folder)) for folder in host.folders]
    for hidden in host.hidden:  # inside something that must be shown: cover it
        if any(_within(hidden, Path(shown)) for shown in (*SYSTEM_FOLDERS, *host.folders)):
            mounts.append(("--perms", "0555", "--size", "4096", "--tmpfs", str(hidden)))
            mounts.append(("--remount-ro", str(hidden)))
    return mounts


def _files(descriptors: Descriptors) -> list[Mount]:
    return [("--perms", "0444", "--ro-bind-data", str(descriptor), name)
            for name, descriptor in descriptors.files.items()]  # fmt: skip


def _task_binds(task: Task, host: Host) -> list[Mount]:
    mounts: list[Mount] = [("--bind", str(task.work), WORK)]
    for bind in task.read_only:
        outside, inside = bind.outside.resolve(), Path(bind.inside)
        if any(_within(hidden, outside) for hidden in host.hidden):
            raise InvalidValue(f"{outside} would show what is to stay hidden", field="read_only")
        ours = (*(Path(name) for name in RESERVED), *host.folders)
        if inside == Path(WORK) or any(
            _within(inside, one) or _within(one, inside) for one in ours
        ):
            raise InvalidValue(  # what runs before the command gives up root's rights comes from there
                f"{inside} belongs to the sandbox",
                field="read_only",
                hint=f"mount it below {WORK} or /data",
            )
        mounts.append(("--ro-bind", str(outside), bind.inside))
    return mounts


def _within(inner: Path, outer: Path) -> bool:
    return inner == outer or outer in inner.parents


class Sandbox:
    """The engine for other people's work. Make one with `detect().sandbox()`, which has tried it."""

    def __init__(self, host: Host, cgroups: Cgroups = NO_CGROUPS) -> None:
        self._host = host
        self._cgroups = cgroups

    @property
    def cgroups(self) -> Cgroups:
        """Which limits the kernel holds."""
        return self._cgroups

    def sweep(self) -> int:
        """End what an earlier agent of this owner left running; how many tasks."""
        return sweep(self._cgroups)

    async def start(self, task: Task) -> WatchedProcess:
        """Start `task` in a sandbox of its own; raises SandboxUnavailable when none can be had."""
        user_id = task_user_id(task.name) if self._host.is_root else None
        await asyncio.to_thread(prepare_work, task, user_id)
        group = await asyncio.to_thread(make_group, self._cgroups, task.name, task.limits)
        try:
            with ExitStack() as stack:
                files = open_files(stack, task, self._host, user_id or USER_ID_INSIDE)
                launch = Launch(
                    argv=argv_of(task, self._host, files),
                    environment={"PATH": "/usr/bin:/bin"},
                    descriptors=files.all(),
                    group=group,
                    stop=stop_with(group),
                )
                return await WatchedProcess.start(task, launch)
        except BaseException as error:
            if group is not None:
                group.remove()
            if isinstance(error, OSError):
                raise SandboxUnavailable(f"the sandbox cannot be started: {error}") from error
            raise


def argv_of(task: Task, host: Host, files: Descriptors) -> tuple[str, ...]:
    """The command line that starts `task` in a sandbox."""
    return (host.bwrap, "--args", str(files.options), "--", *build_command(task, host))


def stop_with(group: Group | None) -> Callable[[int], None]:
    """A way to end a sandbox: with bubblewrap's process its process namespace ends, and so all in it."""

    def stop(pid: int) -> None:
        end_session(pid)
        if group is not None:
            group.kill()

    return stop


def open_files(stack: ExitStack, task: Task, host: Host, user_id: int) -> Descriptors:
    """The filter, the few files of /etc and the options, as open files in memory that `stack` closes."""
    contents = {
        "/etc/passwd": f"gondwana:x:{user_id}:{user_id}::{WORK}:/bin/sh\n",
        "/etc/group": f"gondwana:x:{user_id}:\n",
        "/etc/hosts": "127.0.0.1 localhost gondwana\n::1 localhost\n",
        "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    }
    files = {name: _memory_file(stack, text.encode()) for name, text in contents.items()}
    told = Descriptors(seccomp=_memory_file(stack, filter_program()), files=files)
    words = [os.fsencode(word) + b"\0" for word in build_options(task, host, told)]
    return replace(told, options=_memory_file(stack, b"".join(words)))


def _memory_file(stack: ExitStack, content: bytes) -> int:
    descriptor = os.memfd_create("gondwana")
    stack.callback(os.close, descriptor)
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def prepare_work(task: Task, owner: int | None) -> None:
    """Make the work folder, and give all in it to the task's user (as root); links are never followed."""
    work = task.work
    work.mkdir(mode=0o700, parents=True, exist_ok=True)
    make_places(task)
    if owner is None:
        return
    os.chown(work, owner, 0, follow_symlinks=False)
    os.chmod(
        work, 0o750
    )  # root's group may enter: bubblewrap has given up the right to enter anywhere
    for entry in walk(work):
        if entry.info.st_uid != owner:
            with suppress(FileNotFoundError):
                os.chown(entry.name, owner, owner, dir_fd=entry.folder, follow_symlinks=False)


def make_places(task: Task) -> None:
    """Make what mounts below the work folder lie on; InvalidValue for a link, which bubblewrap would follow."""
    for bind in task.read_only:
        inside = Path(bind.inside)
        if not inside.is_relative_to(WORK):
            continue
        place = task.work
        for part in inside.relative_to(WORK).parts:
            place = place / part
            if place.is_symlink():
                raise InvalidValue(f"{inside} leads through a link", field="read_only")
            if part != inside.name or bind.outside.is_dir():
                place.mkdir(exist_ok=True)


def make_host(bwrap: str, *, memory_held: bool, hidden: Sequence[Path] = ()) -> Host:
    """This machine as sandboxes see it; SandboxUnavailable when Python lies where it cannot be shown."""
    hidden = tuple({path.resolve() for path in (Path.home(), *hidden)})
    folders = python_folders()
    for folder in folders:
        if any(_within(folder, Path(place)) for place in (WORK, INPUTS, "/dev", "/proc")):
            raise SandboxUnavailable(
                f"Python in {folder} lies where tasks have their own folders",
                hint="install gondwana elsewhere",
            )
        for secret in hidden:
            if _within(secret, folder) and not _within(folder, Path("/usr")):
                raise SandboxUnavailable(
                    f"Python in {folder} holds {secret}, which must stay hidden",
                    hint="install gondwana into a virtual environment of its own",
                )
    return Host(
        bwrap=bwrap,
        is_root=os.geteuid() == 0,
        folders=folders,
        python_path=python_path(),
        hidden=hidden,
        memory_held=memory_held,
    )
