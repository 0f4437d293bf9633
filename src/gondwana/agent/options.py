"""What an owner says when a machine joins."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentOptions:
    """The owner's terms and where the agent keeps its key, cache and runs."""

    url: str  # of the control plane
    token: str  # with the scope "provider"
    price_micro_usd_per_device_hour: int
    name: str  # of the machine, unique among its owner's
    region: str = ""  # as the owner names it, e.g. "eu-west"; jobs place neighbours together
    country: str = ""  # ISO 3166 code of two letters, as the owner states
    devices: tuple[int, ...] | None = None  # accelerators to offer by index; None: all of them
    cpus_max: float | None = None  # processors to offer; None: all
    memory_bytes_max: int | None = None  # memory to offer; None: all
    peers: str = (
        "own"  # with whom the way is measured: "off", "own" (the owner's machines), or "all"
    )
    sla: str = "home"  # what the owner promises: "home", "mixed" or "datacentre"
    state_dir: Path
    plain_for_own_jobs: bool = (
        False  # run the owner's own jobs without a sandbox where none can be had
    )
