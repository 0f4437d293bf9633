"""What a machine has, and what was measured of it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

RELIABILITY_PRIOR: Final = 0.95  # of a machine that has promised nothing yet


class Trust(StrEnum):
    """How much there is to go by of a machine; each level has what those before it have."""

    NEW = "new"  # nothing much is proven yet
    PROVEN = "proven"  # TRUST_SECONDS_MIN served, as reliably as a new machine is taken to be
    STAKED = "staked"  # and its owner has put money at stake for his work to be right


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator:
    """One accelerator, as its driver names it."""

    name: str  # canonical, e.g. "RTX4090" (core.devices)
    vendor: str  # "nvidia" | "amd" | "apple"
    memory_bytes: int
    uuid: str = ""
    driver: str = ""
    compute_capability: str = ""  # NVIDIA's, e.g. "9.0"
    interconnect: str = (
        ""  # to the machine's others: "pcie" | "nvlink" | "xgmi"; "" where it is not known
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineInventory:
    """What a machine has, before its owner's terms."""

    cpu_model: str
    cpu_count: int
    memory_bytes: int  # the smaller of the machine's and its cgroup's
    disk_free_bytes: int
    os: str
    architecture: str
    python: str
    accelerators: tuple[Accelerator, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineNetwork:
    """Where a machine is in the network, measured; nothing of it is declared."""

    round_trip_seconds: float | None = None  # to the control plane
    up_bits_per_second: int = 0  # from the machine; 0 where it was not measured
    down_bits_per_second: int = 0
    x: float = 0.0  # network coordinates, in seconds of round trip (market.placement.coordinates)
    y: float = 0.0
    z: float = 0.0
    height: float = 0.00005
    error: float = 1.0
    samples: int = 0
    measured_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineSpeed:
    """What was measured under the owner's terms; None where it could not be."""

    matmul_gflops: float | None = None
    memory_bytes_per_second: float | None = None
    steps_per_second: float | None = None  # of the reference training step
    torch: str | None = None  # version, None where PyTorch is missing
