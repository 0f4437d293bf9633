"""How likely a plan is to be interrupted, and what that costs in time; from what the machines did before."""

from collections.abc import Iterable
from math import expm1
from typing import Final

from gondwana.market.plans.model import Host

PRIOR_HOURS: Final = 92.0
"""Hours at work per interruption of a machine that nobody knows: Salad's published week of 100 machines."""
PRIOR_INTERRUPTIONS: Final = 1.0  # the prior weighs as much as one that was seen
REPLACE_SECONDS: Final = 60.0  # notice that a machine is gone, find another, start there
EXPONENT_MIN: Final = 1e-12  # so rare that it cannot be told from never
EXPONENT_MAX: Final = (
    6.0  # e^6: a plan of which nothing may be expected at all; keeps numbers finite
)


def interruptions_per_hour(host: Host) -> float:
    """The machine's expected interruptions an hour: what was seen, and a prior that fades with proven time."""
    hours = max(0, host.seconds_proven) / 3600
    return (max(0, host.interruptions) + PRIOR_INTERRUPTIONS) / (hours + PRIOR_HOURS)


def rate_per_hour(hosts: Iterable[Host]) -> float:
    """Of all of them: one that goes is enough. In a fixed order, so that the sum does not depend on theirs."""
    return sum(sorted(interruptions_per_hour(host) for host in hosts))


def probability(rate: float, seconds: float) -> float:
    """That at least one interruption comes within the time."""
    return -expm1(-rate * seconds / 3600)


def seconds_lost_from_start(rate: float, seconds: float) -> float:
    """Expected time lost by work that starts from its beginning after each interruption.

    Runs until one lasts long enough: (e^Λ − 1)/λ in all, and a replacement for each that did not.
    """
    exponent = min(rate * seconds / 3600, EXPONENT_MAX)
    if exponent < EXPONENT_MIN:
        return 0.0
    interruptions = expm1(exponent)
    return seconds * max(0.0, interruptions / exponent - 1.0) + interruptions * REPLACE_SECONDS


def seconds_lost_by_rounds(rate: float, seconds: float, round_seconds: float) -> float:
    """Expected time lost by a training that goes on without its lost machine: a round waits, then is short of one."""
    return rate * seconds / 3600 * (round_seconds / 2)
