"""What this machine has: read from the system and its drivers, never assumed.

A driver that is absent or broken gives no accelerators and no error. What is claimed here is only a claim: the
control plane measures (agent/probe.py) and challenges.
"""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import psutil

from gondwana.core.devices import canonical_device
from gondwana.wire.machines import Accelerator, MachineInventory

SYSFS: Final = Path("/sys")
AMD_VENDOR: Final = "0x1002"
NVIDIA_SHARED: Final = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset")
NVLINKS_MAX: Final = 18  # of one card, up to Blackwell's
SYSCTL_SECONDS_MAX: Final = 5.0
UNLIMITED_BYTES: Final = 1 << 60  # version 1 writes "no limit" as a number near 2^63


def take_inventory(disk: Path) -> MachineInventory:
    """What the machine has; `disk` is a folder on the disk that runs will use."""
    return MachineInventory(
        cpu_model=cpu_model(),
        cpu_count=cpu_count(),
        memory_bytes=memory_bytes(),
        disk_free_bytes=shutil.disk_usage(disk).free,
        os=f"{platform.system()} {platform.release()}",
        architecture=platform.machine(),
        python=platform.python_version(),
        accelerators=accelerators(),
    )


def accelerators() -> tuple[Accelerator, ...]:
    """The accelerators whose drivers answer, in the drivers' order."""
    return nvidia_accelerators() or amd_accelerators() or _apple_accelerators()


def device_files(indices: Sequence[int]) -> tuple[Path, ...]:
    """The device files a task needs for the accelerators with these indices; none for processors alone."""
    if not indices:
        return ()
    minors = _nvidia_minors()
    if minors:
        names = [f"nvidia{minors[index]}" for index in indices if index < len(minors)]
        wanted = [Path("/dev") / name for name in (*names, *NVIDIA_SHARED)]
    else:
        renderers = sorted(Path("/dev/dri").glob("renderD*"))
        wanted = [
            Path("/dev/kfd"),
            *(renderers[index] for index in indices if index < len(renderers)),
        ]
    return tuple(path for path in wanted if path.exists())


def nvidia_accelerators() -> tuple[Accelerator, ...]:
    """NVIDIA's, by its management library; none where library, driver or card is missing."""
    nvml = _load_nvml()
    if nvml is None:
        return ()
    found: list[Accelerator] = []
    try:
        driver = _text(nvml.nvmlSystemGetDriverVersion())
        for index in range(nvml.nvmlDeviceGetCount()):
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            found.append(
                Accelerator(
                    name=canonical_device(_text(nvml.nvmlDeviceGetName(handle))),
                    vendor="nvidia",
                    memory_bytes=int(nvml.nvmlDeviceGetMemoryInfo(handle).total),
                    uuid=_text(nvml.nvmlDeviceGetUUID(handle)),
                    driver=driver,
                    compute_capability=_capability(nvml, handle),
                    interconnect=_interconnect(nvml, handle),
                )
            )
    except nvml.NVMLError:  # a card that fell off the bus: sell what still answers
        return tuple(found)
    finally:
        nvml.nvmlShutdown()
    return tuple(found)


def amd_accelerators(sysfs: Path = SYSFS) -> tuple[Accelerator, ...]:
    """AMD's, as its kernel driver shows them."""
    found: list[Accelerator] = []
    for card in sorted(sysfs.glob("class/drm/card[0-9]*/device")):
        memory = _read(card / "mem_info_vram_total")
        if _read(card / "vendor") != AMD_VENDOR or not memory.isdigit():
            continue
        found.append(
            Accelerator(
                name=canonical_device(_read(card / "product_name") or "AMD GPU"),
                vendor="amd",
                memory_bytes=int(memory),
                uuid=_read(card / "unique_id"),
            )
        )
    return tuple(found)


def cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """What the processor calls itself."""
    for line in _read(cpuinfo).splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model", "cpu model"):
            return value.strip()
    return _sysctl("machdep.cpu.brand_string") or platform.processor() or platform.machine()


def cpu_count() -> int:
    """Processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory_bytes() -> int:
    """The machine's memory, or what the agent's control groups leave of it."""
    return min([int(psutil.virtual_memory().total), *_group_limits()])


def _group_limits(
    membership: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")
) -> list[int]:
    limits: list[int] = []
    for line in _read(membership).splitlines():
        _, controllers, path = line.split(":", 2)
        place = path.lstrip("/")
        if controllers == "memory":
            limits += _stated_limit(root / "memory" / place) or _stated_limit(root / "memory")
        elif controllers == "":
            for folder in (root / place, *(root / place).parents):
                if folder.is_relative_to(root):
                    limits += [
                        int(word) for word in [_read(folder / "memory.max")] if word.isdigit()
                    ]
    return [limit for limit in limits if limit < UNLIMITED_BYTES]


def _stated_limit(folder: Path) -> list[int]:
    words = [line.split() for line in _read(folder / "memory.stat").splitlines()]
    return [int(word[1]) for word in words if word[0] == "hierarchical_memory_limit"]


def _apple_accelerators() -> tuple[Accelerator, ...]:
    if sys.platform != "darwin" or platform.machine() != "arm64":
        return ()
    memory = int(psutil.virtual_memory().total)  # shared with the processor
    return (Accelerator(name=cpu_model().replace(" ", "-"), vendor="apple", memory_bytes=memory),)


def _capability(nvml: Any, handle: Any) -> str:
    """A card's compute capability, as old libraries do not tell it: ""."""
    try:
        major, minor = nvml.nvmlDeviceGetCudaComputeCapability(handle)
    except (nvml.NVMLError, AttributeError):
        return ""
    return f"{major}.{minor}"


def _interconnect(nvml: Any, handle: Any) -> str:
    """ "nvlink" where a link of the card is up; else it has the bus alone."""
    try:
        for link in range(NVLINKS_MAX):
            if nvml.nvmlDeviceGetNvLinkState(handle, link):
                return "nvlink"
    except nvml.NVMLError:  # no such link on this card
        return "pcie"
    except AttributeError:  # a library that cannot tell
        return ""
    return "pcie"


def _load_nvml() -> Any | None:
    """NVIDIA's library, started; None where there is none."""
    try:
        import pynvml
    except ImportError:  # the extra `nvidia` is not installed
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml


def _nvidia_minors() -> list[int]:
    nvml = _load_nvml()
    if nvml is None:
        return []
    minors: list[int] = []
    with suppress(nvml.NVMLError):
        for index in range(nvml.nvmlDeviceGetCount()):
            minors.append(nvml.nvmlDeviceGetMinorNumber(nvml.nvmlDeviceGetHandleByIndex(index)))
    nvml.nvmlShutdown()
    return minors


def _sysctl(name: str) -> str:
    if sys.platform != "darwin":
        return ""
    try:
        told = subprocess.run(
            ["/usr/sbin/sysctl", "-n", name],
            capture_output=True,
            timeout=SYSCTL_SECONDS_MAX,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return told.stdout.decode().strip()


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
