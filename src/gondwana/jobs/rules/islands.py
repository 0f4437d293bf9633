"""How fast an island is, what a unit of it costs, how many steps it gets; pure (architecture, section 10)."""

from collections.abc import Sequence
from statistics import median
from typing import Final

from gondwana.core.clock import Instant
from gondwana.jobs.model import Island, Phase
from gondwana.market.model import Listing
from gondwana.wire.jobs import Train
from gondwana.wire.units import UnitKind

INIT_STEPS: Final = 10  # what making the first parameters is paid like
EVALUATE_STEPS: Final = 5  # what one held-out pass is paid like
PASSES_PER_CANDIDATE: Final = 3  # held-out, assigned, unassigned
START_SECONDS_MAX: Final = (
    90.0  # a cold worker: fetch the recipe, import PyTorch, on a slow and busy machine
)
INNER_STEPS_MAX: Final = 100_000  # as in a job file; an island's own word on its speed is no bound
WINDOWS_MAX: Final = 2.0  # a unit may take this many windows before it expires
EVALUATE_SECONDS_MAX: Final = 120.0
HOLD_MARGIN: Final = 1.25  # what is set aside at launch, over the estimate; the rest comes back


def strongest(islands: Sequence[Island]) -> Island:
    """The island that does the most steps per second; ties by lease, so that everybody computes the same."""
    return max(islands, key=lambda island: (speed(island, islands), island.lease_id))


def speed(island: Island, islands: Sequence[Island]) -> float:
    """Steps per second of this recipe: measured, else from the reference speed in proportion to the other islands.

    Before any island has done a unit it is the reference speed itself: right in order, not yet in size.
    """
    if island.steps_per_second is not None:
        return island.steps_per_second
    ratios = [
        other.steps_per_second / other.reference_steps_per_second
        for other in islands
        if other.steps_per_second is not None and other.reference_steps_per_second > 0
    ]
    return island.reference_steps_per_second * (median(ratios) if ratios else 1.0)


def inner_steps(train: Train, island: Island, islands: Sequence[Island], *, warm: bool) -> int:
    """H for one unit: what the island does in a window; at most `inner_steps`, but for the warm start.

    A job for a single island has nobody to wait for: it does `inner_steps`.
    """
    known = any(other.steps_per_second is not None for other in islands)
    if not known or train.islands_max == 1:
        return train.inner_steps  # the first unit measures
    in_window = int(min(train.window_seconds * speed(island, islands), INNER_STEPS_MAX))
    return max(1, in_window if warm else min(in_window, train.inner_steps))


def unit_price_micro_usd(
    train: Train, island: Island, islands: Sequence[Island], kind: UnitKind, steps: int
) -> int:
    """The price fixed when a unit is assigned: the lease's hourly price × H ÷ its measured steps per hour.

    The speed is the first one measured, so getting slower is not paid for; and a unit whose steps were fitted to the
    window costs no more than the window, so understating one's speed gains nothing.
    """
    rate = island.priced_steps_per_second or speed(island, islands)
    seconds = steps / rate if rate > 0 else train.window_seconds
    fitted = island.priced_steps_per_second is not None and train.islands_max > 1
    windows = 1.0 if fitted or kind is not UnitKind.TRAIN else WINDOWS_MAX
    return int(
        island.price_micro_usd_per_hour * min(seconds, train.window_seconds * windows) / 3600
    )


def evaluation_steps(candidates: int) -> int:
    """What an evaluation of this many candidates is paid like, in training steps."""
    return EVALUATE_STEPS * (1 + PASSES_PER_CANDIDATE * candidates)


def phase_seconds_max(train: Train, phase: Phase) -> float:
    """How long a phase may take before what is missing expires."""
    if phase is Phase.TRAIN:
        return train.window_seconds * WINDOWS_MAX + START_SECONDS_MAX
    return EVALUATE_SECONDS_MAX + START_SECONDS_MAX


def can_finish(
    train: Train, island: Island, kind: UnitKind, now: Instant, leaves_at: Instant | None
) -> bool:
    """Whether a unit given now is likely done before the island's lease ends, where that is known.

    Who leaves in the middle of a unit is not paid for it, and the round waits for nothing.
    """
    if leaves_at is None:
        return True
    cold = START_SECONDS_MAX if island.steps_per_second is None else 0.0
    takes = train.window_seconds if kind is UnitKind.TRAIN else EVALUATE_SECONDS_MAX
    return now + takes + cold <= leaves_at


def estimate_seconds(train: Train) -> float:
    """How long the run will take: its windows, and a tenth for exchange and evaluation."""
    return train.rounds * train.window_seconds * 1.1


def estimate_micro_usd(train: Train, machines: Sequence[Listing], devices: int) -> int:
    """What the run will cost on these machines: warm rounds pay one of them, the others all."""
    prices = [listing.price_micro_usd_per_device_hour * devices for listing in machines]
    if not prices:
        return 0
    hours = train.window_seconds * 1.1 / 3600
    return int(
        hours * (train.warm_rounds * max(prices) + (train.rounds - train.warm_rounds) * sum(prices))
    )


def hold_micro_usd(budget_micro_usd: int | None, estimate: int) -> int:
    """What launching a training job sets aside: its budget, else the estimate with a margin."""
    return budget_micro_usd if budget_micro_usd is not None else int(estimate * HOLD_MARGIN)
