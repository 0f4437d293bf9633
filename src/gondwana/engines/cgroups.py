"""Control groups: the kernel's own limits on memory, processor time and processes, as version 1 and version 2.

A group is made below the agent's own (so what limits the agent limits its tasks too), named after the task, and
removed after it. Files and their meaning: the kernel's admin-guide/cgroup-v1 and admin-guide/cgroup-v2.
"""

import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from gondwana.core.errors import InvalidValue
from gondwana.core.values import replace
from gondwana.engines.base import TASK_NAME, Limits

GROUP_PREFIX: Final = "gondwana-"
AGENT_LEAF: Final = (
    "gondwana.agent"  # version 2 wants processes in leaves only: the agent moves itself here
)
CPU_PERIOD_MICROSECONDS: Final = 100_000
EMPTY_SECONDS_MAX: Final = 5.0  # how long killed processes may take to leave their group
LEFT_SECONDS_MIN: Final = 60.0  # a task enters its group within milliseconds
MOUNTS: Final = Path("/proc/self/mounts")
MEMBERSHIP: Final = Path("/proc/self/cgroup")


class Flavour(StrEnum):
    """Which control groups this machine has."""

    V1 = "v1"  # one tree per controller
    V2 = "v2"  # one tree
    NONE = "none"  # none that we may write: limits by rlimits and by watching


@dataclass(frozen=True, slots=True, kw_only=True)
class Cgroups:
    """The folders below which groups may be made, per limit: `memory`, `pids`, `cpu`, `cpuacct` (v1: only counts)."""

    flavour: Flavour
    parents: Mapping[str, Path]
    owner: str = "agent"  # part of each group's name: several agents may share a machine
    why_not: str = ""  # what stood in the way, where limits are missing

    def group(self, name: str) -> "Group":
        """The group of the task `name`, whether it exists or not."""
        folders = {
            kind: parent / f"{GROUP_PREFIX}{self.owner}-{name}"
            for kind, parent in self.parents.items()
        }
        return Group(flavour=self.flavour, folders=folders)

    @property
    def holds(self) -> frozenset[str]:
        """The limits the kernel holds here: of `memory`, `pids`, `cpu`."""
        return frozenset(self.parents) & {"memory", "pids", "cpu"}


NO_CGROUPS: Final = Cgroups(flavour=Flavour.NONE, parents={})


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One task's groups: a folder per controller (all the same one in version 2)."""

    flavour: Flavour
    folders: Mapping[str, Path]

    def entrances(self) -> tuple[Path, ...]:
        """The files a process writes `0` into to move itself in."""
        return tuple(folder / "cgroup.procs" for folder in sorted(set(self.folders.values())))

    def out_of_memory_kills(self) -> int:
        """How many of its processes the kernel killed for want of memory."""
        folder = self.folders.get("memory")
        if folder is None:
            return 0
        file = "memory.oom_control" if self.flavour is Flavour.V1 else "memory.events"
        return _counters(folder / file).get("oom_kill", 0)

    def forks_refused(self) -> int:
        """How often the limit on processes said no."""
        folder = self.folders.get("pids")
        return 0 if folder is None else _counters(folder / "pids.events").get("max", 0)

    def cpu_seconds(self) -> float | None:
        """Processor time used, or None where nobody counts it."""
        if self.flavour is Flavour.V1:
            folder = self.folders.get("cpuacct")
            used = None if folder is None else _number(folder / "cpuacct.usage")
            return None if used is None else used / 1e9
        folder = self.folders.get("cpu")
        used = None if folder is None else _counters(folder / "cpu.stat").get("usage_usec")
        return None if used is None else used / 1e6

    def memory_bytes_peak(self) -> int | None:
        """The most memory it held, or None where nobody counts it."""
        folder = self.folders.get("memory")
        file = "memory.max_usage_in_bytes" if self.flavour is Flavour.V1 else "memory.peak"
        return None if folder is None else _number(folder / file)

    def processes(self) -> set[int]:
        """The processes in it."""
        found: set[int] = set()
        for entrance in self.entrances():
            with suppress(OSError):
                found |= {int(line) for line in entrance.read_text().split()}
        return found

    def kill(self) -> None:
        """SIGKILL to all in it; those that start meanwhile too, in version 2."""
        for folder in set(self.folders.values()):
            with suppress(OSError):
                if (folder / "cgroup.kill").exists():
                    (folder / "cgroup.kill").write_text("1")
        for pid in self.processes():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    def remove(self) -> bool:
        """Remove the folders; False while something is still in them."""
        gone = True
        for folder in set(self.folders.values()):
            try:
                folder.rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                gone = False
        return gone


def find_cgroups(
    owner: str = "agent",
    *,
    mounts: Path = MOUNTS,
    membership: Path = MEMBERSHIP,
    pid: int | None = None,
) -> Cgroups:
    """The control groups that this process may make here; tried by making one, never assumed."""
    if TASK_NAME.fullmatch(owner) is None:
        raise InvalidValue(field="owner", value=owner)
    if not mounts.exists() or not membership.exists():
        return Cgroups(
            flavour=Flavour.NONE, parents={}, why_not="this system has no control groups"
        )
    trees = _mounted_trees(mounts.read_text())
    own = _own_groups(membership.read_text())
    first = _version_1(trees, own)
    if first:
        return Cgroups(flavour=Flavour.V1, parents=first, owner=owner)
    root = trees.get("")
    if root is None:
        return Cgroups(flavour=Flavour.NONE, parents={}, why_not="no control group is writable")
    parents, why_not = _version_2(root, own.get("", "/"), pid or os.getpid())
    flavour = Flavour.V2 if parents else Flavour.NONE
    return Cgroups(flavour=flavour, parents=parents, owner=owner, why_not=why_not)


def make_group(cgroups: Cgroups, name: str, limits: Limits) -> Group | None:
    """A fresh group for the task `name` under `limits`; None where there are no control groups."""
    if cgroups.flavour is Flavour.NONE:
        return None
    if (
        cgroups.flavour is Flavour.V1 and limits.cpus is None
    ):  # unlimited: scheduled as the agent's own processes are
        parents = {kind: parent for kind, parent in cgroups.parents.items() if kind != "cpu"}
        cgroups = replace(cgroups, parents=parents)
    group = cgroups.group(name)
    _clear(group)  # a task of this name from an agent that died
    try:
        for folder in set(group.folders.values()):
            folder.mkdir()
        for path, value in settings(group, limits):
            _write(path, value)
    except OSError:
        group.remove()
        raise
    return group


def settings(group: Group, limits: Limits) -> list[tuple[Path, str]]:
    """What to write where for these limits; files a kernel lacks (swap) are left out by the writer."""
    version_1 = group.flavour is Flavour.V1
    found: list[tuple[Path, str]] = []
    if folder := group.folders.get("memory"):
        most = str(limits.memory_bytes_max)
        if version_1:
            found += [(folder / "memory.limit_in_bytes", most)]
            found += [(folder / "memory.memsw.limit_in_bytes", most)]
        else:
            found += [(folder / "memory.max", most), (folder / "memory.swap.max", "0")]
            found += [(folder / "memory.oom.group", "1")]
    if folder := group.folders.get("pids"):
        found += [(folder / "pids.max", str(limits.pids_max))]
    if limits.cpus is not None and (folder := group.folders.get("cpu")):
        quota = str(max(1000, int(limits.cpus * CPU_PERIOD_MICROSECONDS)))
        if version_1:
            found += [(folder / "cpu.cfs_period_us", str(CPU_PERIOD_MICROSECONDS))]
            found += [(folder / "cpu.cfs_quota_us", quota)]
        else:
            found += [(folder / "cpu.max", f"{quota} {CPU_PERIOD_MICROSECONDS}")]
    return found


def sweep(cgroups: Cgroups) -> int:
    """End what an agent of this owner left behind when it died; how many groups went.

    Empty groups of agents that never came back go too, once they are old enough not to be just starting.
    """
    prefix = f"{GROUP_PREFIX}{cgroups.owner}-"
    ours: set[str] = set()
    for parent in set(cgroups.parents.values()):
        for folder in parent.glob(GROUP_PREFIX + "*"):
            if folder.name.startswith(prefix):
                ours.add(folder.name.removeprefix(prefix))
            else:
                _remove_left(folder)
    for name in ours:
        _clear(cgroups.group(name))
    return len(ours)


def _remove_left(folder: Path) -> None:
    with suppress(OSError):  # the kernel keeps a group that holds a process
        if time.time() - folder.stat().st_mtime > LEFT_SECONDS_MIN:
            folder.rmdir()


def _clear(group: Group) -> None:
    if not any(folder.exists() for folder in group.folders.values()):
        return
    deadline = time.monotonic() + EMPTY_SECONDS_MAX
    group.kill()
    while not group.remove() and time.monotonic() < deadline:
        group.kill()


def _write(path: Path, value: str) -> None:
    optional = path.name in ("memory.memsw.limit_in_bytes", "memory.swap.max", "memory.oom.group")
    try:
        descriptor = os.open(
            path, os.O_WRONLY
        )  # never made: a file that the kernel lacks must not appear
    except FileNotFoundError:
        if optional:
            return
        raise
    with os.fdopen(descriptor, "w") as file:
        file.write(value)


def _mounted_trees(text: str) -> dict[str, Path]:
    trees: dict[str, Path] = {}
    for line in text.splitlines():
        _, place, kind, options, *_ = line.split(" ")
        if kind == "cgroup2":
            trees.setdefault("", Path(place))
        elif kind == "cgroup":
            for option in options.split(","):
                trees.setdefault(option, Path(place))
    return trees


def _own_groups(text: str) -> dict[str, str]:
    own: dict[str, str] = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            own[controller] = path
    return own


def _version_1(trees: Mapping[str, Path], own: Mapping[str, str]) -> dict[str, Path]:
    parents: dict[str, Path] = {}
    for controller in ("memory", "pids", "cpu", "cpuacct"):
        if (root := trees.get(controller)) is None:
            continue
        folder = root / own.get(controller, "/").lstrip("/")
        parent = (
            folder if folder.is_dir() else root
        )  # inside a container the path named may not be shown
        if _may_make_groups(parent):
            parents[controller] = parent
    return {} if set(parents) <= {"cpuacct"} else parents


def _version_2(root: Path, own: str, pid: int) -> tuple[dict[str, Path], str]:
    """Where groups may be made, per controller; and why not, where that is nowhere."""
    place = root / own.lstrip("/")
    parent = place.parent if place.name == AGENT_LEAF else place  # found a second time
    wanted = {"memory", "pids", "cpu"} & set(_words(parent / "cgroup.controllers"))
    if not wanted:
        return {}, "no controller reaches the agent's control group"
    if not _may_make_groups(parent):
        return {}, "the agent may not make control groups below its own"
    if not wanted <= set(_words(parent / "cgroup.subtree_control")):
        why_not = _delegate(parent, wanted, pid)
        if why_not:
            return {}, why_not
    return dict.fromkeys(sorted(wanted), parent), ""


def _delegate(parent: Path, wanted: set[str], pid: int) -> str:
    """Hand controllers down to groups below `parent`; why not, or nothing."""
    try:
        others = set(_words(parent / "cgroup.procs")) - {str(pid)}
        if (
            others and (parent / "cgroup.type").exists()
        ):  # only the root has no type, and may hold processes
            return "other processes share the agent's control group"
        if (parent / "cgroup.type").exists():
            (parent / AGENT_LEAF).mkdir(exist_ok=True)
            _write(parent / AGENT_LEAF / "cgroup.procs", str(pid))
        _write(parent / "cgroup.subtree_control", " ".join(f"+{name}" for name in sorted(wanted)))
    except OSError as error:
        return f"the agent's control group hands nothing down: {error.strerror}"
    return ""


def _may_make_groups(parent: Path) -> bool:
    probe = parent / f"{GROUP_PREFIX}probe{os.getpid()}"
    try:
        probe.mkdir()
        may_move = os.access(probe / "cgroup.procs", os.W_OK)
        probe.rmdir()
    except OSError:
        return False
    return may_move


def _counters(path: Path) -> dict[str, int]:
    try:
        pairs = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []
