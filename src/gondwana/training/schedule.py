"""The learning-rate schedule of a run, as a pure function that islands and coordinator both compute."""

import math
from typing import Final

WARMUP_FRACTION: Final = 0.02  # of the run's steps, at its very start
WARMUP_STEPS_MAX: Final = 200
FRACTION_MIN: Final = (
    1e-3  # past its end a run still moves: a unit that does nothing would look like a lie
)
REWARM_STEPS: Final = 5  # when a unit starts without optimiser state, its first steps know no scale


def lr_fraction(step: int, *, step_first: int, steps_total: int, has_state: bool) -> float:
    """The share of the peak learning rate at the run's `step`, in a unit that began at `step_first`; above zero.

    Cosine from 1 to (almost) 0 over the run; linear warm-up at the very start; a short one where a unit starts cold.
    """
    progress = min(1.0, step / max(1, steps_total))
    fraction = max(FRACTION_MIN, 0.5 * (1.0 + math.cos(math.pi * progress)))
    warmup_steps = min(WARMUP_STEPS_MAX, math.ceil(WARMUP_FRACTION * steps_total))
    fraction *= min(1.0, (step + 1) / max(1, warmup_steps))
    if not has_state:
        fraction *= min(1.0, (step - step_first + 1) / REWARM_STEPS)
    return fraction


def lr_sum(*, step_first: int, inner_steps: int, steps_total: int, has_state: bool) -> float:
    """The sum of `lr_fraction` over a unit: how far its parameters may travel, in peak-rate steps."""
    return sum(
        lr_fraction(step, step_first=step_first, steps_total=steps_total, has_state=has_state)
        for step in range(step_first, step_first + inner_steps)
    )
