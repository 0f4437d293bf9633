"""What a tenant asks for: the job file after parsing, with its files already uploaded and named by hash."""

from dataclasses import dataclass, field
from typing import Any, Final

JOB_VERSION: Final = 1
NODES_MAX: Final = 64  # a larger gang belongs to the auction (docs/adr)
ISLANDS_MAX: Final = 256
TEXT_BYTES_MAX: Final = 256 * 1024  # setup, run and one environment value
WHERE_CHARS_MAX: Final = 2_000  # of a filter
NOTICE_SECONDS_MIN: Final = 3600  # of a notice that is promised or asked for; or there is none
NOTICE_SECONDS_MAX: Final = 720 * 3600  # the longest notice anybody agrees on
LEASE_SECONDS_MAX: Final = 366 * 86_400
PRIORITY_MAX: Final = 100
PARAMETERS_MAX: Final = 10**13
TOKENS_PER_STEP_MAX: Final = 10**9
SPEC_TEXT_BYTES_MAX: Final = 512 * 1024  # all of them: 64 leases of one machine fit a message


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerators:
    """One acceptable kind of accelerator and how many of it a node needs."""

    name: str  # canonical, e.g. "H100"; "" accepts any
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """One of several kinds of machines that would do."""

    accelerators: tuple[Accelerators, ...] = ()
    cpus_min: float = 0.0
    memory_bytes_min: int = 0
    where: str = ""  # beside the job's own filter


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What one node must have; the cheapest of what would do is taken."""

    accelerators: tuple[
        Accelerators, ...
    ] = ()  # any of these; empty: a machine without accelerators will do
    cpus_min: float = 0.0
    memory_bytes_min: int = 0
    alternatives: tuple[Alternative, ...] = ()
    """Kinds that differ in more than the accelerator: then the accelerators above are those of all of them, and the
    amounts the least of any."""
    is_ordered: bool = False  # the first of the alternatives that fits is taken, even if dearer


def kinds_of(resources: Resources) -> tuple[Alternative, ...]:
    """The alternatives; where none are written, one for each accelerator."""
    if resources.alternatives:
        return resources.alternatives
    return tuple(
        Alternative(
            accelerators=(each,),
            cpus_min=resources.cpus_min,
            memory_bytes_min=resources.memory_bytes_min,
        )
        for each in resources.accelerators
    )


def kind_called(resources: Resources, number: int) -> str:
    """What one of `kinds_of`, counted from 1, is called to whoever wrote the job."""
    if resources.alternatives:
        return f"alternative {number}"
    return resources.accelerators[number - 1].name or "any accelerator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """How suspicious the coordinator is of delivered deltas (architecture, section 10)."""

    norm_min: float = 0.2  # of the reference norm
    norm_max: float = 3.0
    cosine_min: float = 0.0  # with the coordinate median
    evaluate_per_round: int = 1  # deltas drawn at random for the held-out check


@dataclass(frozen=True, slots=True, kw_only=True)
class Train:
    """Island training: one model, many machines, rounds of inner steps."""

    recipe: str  # path inside the job's folder
    config: dict[str, Any] = field(default_factory=dict[str, Any])
    shards: tuple[str, ...] = ()  # blobs: the training data
    heldout: tuple[str, ...] = ()  # blobs: never trained on
    rounds: int = 10
    warm_rounds: int = 1  # of these, the first run on the strongest island alone
    inner_steps: int = 50  # the most inner steps between two outer steps
    window_seconds: float = (
        60.0  # how long a round's training takes; faster islands do more steps in it
    )
    islands_min: int = 1
    islands_max: int = 8
    codec: str = "int4"
    gates: Gates = field(default_factory=Gates)
    seed: int = 0
    sample_chars: int = 400
    parameters: int = 0  # of the model, for plans before it ever ran; 0: not told
    tokens_per_step: int = 0  # of one inner step, the same


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketTerms:
    """How a job buys: by which mechanism, of which machines, for how long, with how much notice."""

    mechanism: str = ""  # "posted", "auction" or "spot"; "": the market decides
    where: str = ""  # what each machine must be, in the words of `gondwana offers`
    notice_seconds_min: int = 0  # how long before it takes its machine back an owner must say so
    priority: int = 0  # among the jobs of the same project: the greater first
    lease_seconds: int | None = None  # how long it wants its machines; None: until it ends
    starts_at: float | None = None  # seconds since 1970; None: now
    is_standing: bool = False  # waits for machines until it is cancelled


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """A job as the control plane takes it: either `run` (batch) or `train` is given."""

    version: int = JOB_VERSION
    name: str
    num_nodes: int = 1
    is_elastic: bool = (
        False  # batch: nodes may come and go while it runs; each is told how many there were
    )
    resources: Resources = field(default_factory=Resources)
    envs: dict[str, str] = field(default_factory=dict[str, str])
    setup: str = ""
    run: str = ""
    workdir: str | None = None  # blob: tar of the job's folder
    file_mounts: dict[str, str] = field(
        default_factory=dict[str, str]
    )  # path in the sandbox -> blob: tar
    budget_micro_usd: int | None = None
    project: str = ""  # whose budgets it counts against, beside its tenant's
    price_cap_micro_usd_per_device_hour: int | None = None
    seconds_max: float = 86_400.0  # wall-clock limit of one attempt of one node
    train: Train | None = None
    market: MarketTerms = field(default_factory=MarketTerms)


def is_notice(seconds: float) -> bool:
    """Whether an owner may promise, and a tenant ask for, so much notice: none at all, or from 1 to 720 hours."""
    return seconds == 0 or NOTICE_SECONDS_MIN <= seconds <= NOTICE_SECONDS_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendRequest:
    """So much more time for a job."""

    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResizeRequest:
    """So many machines for a job that runs."""

    nodes: int
