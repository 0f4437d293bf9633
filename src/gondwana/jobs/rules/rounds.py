"""Which units a training round needs, and when its phases are over; pure (architecture, section 10)."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.random import SeededRandom
from gondwana.jobs.model import Island, Training, Unit, UnitState
from gondwana.jobs.rules import islands as speeds
from gondwana.wire.jobs import Train
from gondwana.wire.units import UnitKind

LATE_START_FRACTION: Final = 0.4  # of a window; who joins later in a round waits for the next
UNIT_SLACK_SECONDS: Final = 15.0  # transfers, on top of the windows a unit may take
ATTEMPTS_MAX: Final = 3  # evaluations that expire or fail before the round goes on without
FAILURES_MAX: Final = 3  # units in a row that the recipe itself failed, over all machines
BYTES_PER_TOKEN: Final = 2  # data a unit is given per token it will read: enough for 16-bit tokens
SHARDS_MAX: Final = 1024  # of one unit, so that the wishes of many leases fit one message
SHARDS_FIRST: Final = 16  # for a unit before anybody knows how many tokens a step takes
UNIT_FAILURES_MAX: Final = (
    3  # of one machine in one round; past it the job does without that machine
)
TOO_LATE: Final = "too_late"  # the verdict on a unit that was not delivered in time
DIED: Final = "died"  # the worker went away without an answer
AGENT_FAILURES: Final = ("agent:", "sandbox_unavailable", DIED)
"""Beginnings of failures that are the machine's, not the job's: it is done again elsewhere."""
PLANE_FAILURES: Final = (
    "agent: StorageFull", "agent: Unavailable", "agent: ServerUnreachable", "agent: ShuttingDown",
)  # fmt: skip
"""Those of them that are the control plane's own: they say nothing of the machine."""
LIVE: Final = frozenset({UnitState.OPEN, UnitState.ASSIGNED, UnitState.DELIVERED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """What the evaluators of a round make of one delta."""

    unit_id: str
    doubts: tuple[str, ...]  # evaluation units that speak against it
    backing: tuple[str, ...]  # evaluation units that speak for it
    reason: str = ""  # of the last doubt


def is_warm(train: Train, round: int) -> bool:
    """Whether the round runs on one island alone: the strongest, or the only one the job asks for."""
    return round < train.warm_rounds or train.islands_max == 1


def participants(train: Train, round: int, all_islands: Sequence[Island]) -> list[Island]:
    """The islands that train in this round, in a fixed order."""
    if not all_islands:
        return []
    if is_warm(train, round):
        return [speeds.strongest(all_islands)]
    return sorted(all_islands, key=lambda island: island.lease_id)


def lacking(
    train: Train,
    state: Training,
    units: Sequence[Unit],
    all_islands: Sequence[Island],
    now: Instant,
) -> list[Island]:
    """The islands that should be given a unit of this round now.

    Everybody at the round's start; later only who still has a fair part of the window, or when nobody else is at it.
    """
    training = [unit for unit in units if unit.kind is UnitKind.TRAIN]
    taken = {unit.lease_id for unit in training}
    free = [island for island in all_islands if island.lease_id not in taken]
    if not any(unit.state in LIVE for unit in training):  # the round's start, or all before failed
        return participants(train, state.round, free or all_islands)
    early = now - state.started_at <= LATE_START_FRACTION * train.window_seconds
    return (
        sorted(free, key=lambda island: island.lease_id)
        if early and not is_warm(train, state.round)
        else []
    )


def train_over(units: Sequence[Unit], now: Instant, deadline: Instant | None) -> bool:
    """Whether the round's inner steps are over: all units came to an end, or the deadline passed; one was delivered."""
    training = [unit for unit in units if unit.kind is UnitKind.TRAIN]
    if not any(unit.state is UnitState.DELIVERED for unit in training):
        return False
    late = deadline is not None and now >= deadline
    return late or all(unit.state not in (UnitState.OPEN, UnitState.ASSIGNED) for unit in training)


def unit_seconds_max(train: Train, island: Island, kind: UnitKind) -> float:
    """How long a unit may take before it expires."""
    cold = speeds.START_SECONDS_MAX if island.steps_per_second is None else 0.0
    if kind is UnitKind.TRAIN:
        return train.window_seconds * speeds.WINDOWS_MAX + UNIT_SLACK_SECONDS + cold
    return speeds.EVALUATE_SECONDS_MAX + cold


def is_useless(units: Sequence[Unit], lease_id: str | None) -> bool:
    """Whether a machine let down the round again and again: was too late, or could not do what it was given."""
    failed = [
        unit
        for unit in units
        if unit.lease_id == lease_id
        and unit.state is UnitState.EXPIRED
        and unit.verdict.startswith((TOO_LATE, *AGENT_FAILURES))
        and not unit.verdict.startswith(PLANE_FAILURES)
    ]
    return len(failed) >= UNIT_FAILURES_MAX


def data_seed(params_hash: str) -> int:
    """The seed of a round's data ranges: nobody knows it before the parameters of the round exist."""
    return int(params_hash[:12], 16)


def shards_wanted(train: Train, steps: int, tokens_per_step: float | None, shard_bytes: int) -> int:
    """How many shards a unit of `steps` needs: what it will read, and no more."""
    if tokens_per_step is None or shard_bytes <= 0:
        return min(SHARDS_FIRST, len(train.shards))
    wanted = ceil(steps * tokens_per_step * BYTES_PER_TOKEN / shard_bytes)
    return max(1, min(len(train.shards), SHARDS_MAX, wanted))


def tokens_per_step(units: Sequence[Unit]) -> float | None:
    """Tokens that an inner step takes, by the median of what machines tell; None before the first did."""
    results = [unit.result for unit in units if unit.kind is UnitKind.TRAIN and unit.result]
    told = [result.tokens / result.steps for result in results if result.steps]
    return median(told) if told else None


def sampled(
    train: Train, params_hash: str, unit_ids: Sequence[str], required: Sequence[str]
) -> list[str]:
    """The deltas to be evaluated: those that need it, and some drawn at random after all were delivered."""
    drawn = SeededRandom(f"evaluate {params_hash} {sorted(unit_ids)}").sample(
        sorted(unit_ids), min(train.gates.evaluate_per_round, len(unit_ids))
    )
    return sorted({*required, *drawn})


def evaluator(
    all_islands: Sequence[Island],
    barred_machines: Sequence[str],
    tried_leases: Sequence[str],
    seed: str,
) -> Island | None:
    """A machine that did not train what it judges, drawn at random; None when there is none."""
    free = [
        island
        for island in sorted(all_islands, key=lambda island: island.lease_id)
        if island.machine_id not in barred_machines and island.lease_id not in tried_leases
    ]
    return SeededRandom(seed).sample(free, 1)[0] if free else None


def schedule(train: Train, round: int, steps: int) -> tuple[int, int]:
    """(step_first, steps_total) of a unit of H = `steps`: a round is the same part of the schedule for everybody."""
    return round * steps, train.rounds * steps
