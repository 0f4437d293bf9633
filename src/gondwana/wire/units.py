"""A unit: the piece of training that is priced, verified and paid.

`(params, state, data shards, seed, inner steps) -> (delta, statistics)`: it keeps nothing private, so any machine
can take, replay or replace one (architecture, section 10).
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

UNIT_VERSION: Final = 1


class UnitKind(StrEnum):
    """What a unit does."""

    INIT = "init"  # make the first parameters from the seed
    TRAIN = "train"  # inner steps from the published parameters; delivers a delta
    EVALUATE = "evaluate"  # held-out losses of the published parameters and of candidate deltas; may write a sample


@dataclass(frozen=True, slots=True, kw_only=True)
class ParamsRef:
    """Parameters as published: a checkpoint, then int8 changes on top, in order."""

    hash: str  # BLAKE3 of the flat little-endian fp32 vector that results
    checkpoint: str  # blob: safetensors of the parameters some rounds ago
    changes: tuple[str, ...] = ()  # blobs: one int8 change per round since


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A delta that an EVALUATE unit judges, with a part of the data it was trained on."""

    unit_id: str
    delta: str  # blob
    shards: tuple[str, ...]  # blobs: data that was assigned to this delta
    seed: int = (
        0  # of the unit that made it: with all its shards, in order, the batches it trained on
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitSpec:
    """Everything a sandboxed worker needs to do one unit; the blobs it names are files beside it."""

    version: int = UNIT_VERSION
    id: str
    job_id: str
    kind: UnitKind
    round: int
    code: str  # blob: tar of the job's folder
    recipe: str  # path of the recipe inside it, e.g. "byte_gpt.py"
    config: dict[str, Any] = field(default_factory=dict[str, Any])
    seed: int
    params: ParamsRef | None = None  # None for INIT
    state: str | None = None  # blob: published optimiser state; None while cold
    shards: tuple[str, ...] = ()  # blobs: the data range (TRAIN)
    heldout: tuple[str, ...] = ()  # blobs (EVALUATE)
    unassigned: tuple[str, ...] = ()  # blobs: data nobody was assigned this round (EVALUATE)
    candidates: tuple[Candidate, ...] = ()  # (EVALUATE)
    sample_chars: int = 0  # EVALUATE: how much text to write with the parameters
    inner_steps: int = 0  # H (TRAIN)
    step_first: int = (
        0  # the run's step at which this unit starts: its place on the learning-rate schedule
    )
    steps_total: int = 0  # the whole schedule
    codec: str = "int4"
    output_bytes_max: int = 0
    seconds_max: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateLoss:
    """What an evaluator measured of one candidate; losses are means per token, in nats."""

    unit_id: str
    heldout: float  # after applying the delta
    assigned: float  # on the data assigned to it, after applying the delta
    assigned_before: float
    unassigned: float
    unassigned_before: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitResult:
    """What a worker says of a finished unit; the bytes it delivers are a file of its own."""

    tokens: int = 0
    steps: int = 0
    seconds: float = 0.0
    loss_first: float | None = None  # TRAIN: mean over the first tenth of the steps
    loss_last: float | None = None
    heldout_loss: float | None = None  # EVALUATE: of the published parameters
    candidates: tuple[CandidateLoss, ...] = ()
    sample: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRequest:
    """One line to a warm worker's standard input (JSON)."""

    unit: UnitSpec
    inputs: str  # folder with one file per blob, named by the blob; `code/` holds the job's folder, unpacked
    output: str  # path of the file to write


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReply:
    """One line from a warm worker (JSON)."""

    unit_id: str
    result: UnitResult | None = None
    error: str | None = None  # a typed reason: "<Class>: message"; never a traceback of ours
