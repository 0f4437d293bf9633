"""How long a step takes, from measured numbers; pure (the models of the field notes: market 4.4, wan-training 5)."""

from typing import Any, Final, TypeVar

import numpy as np

from gondwana.market.placement.model import Floats, IslandWork

T = TypeVar("T", float, Floats)

LAN_HOP_SECONDS: Final = 0.0001  # between two machines on one switch, one way
LINK_BITS_PER_SECOND_MIN: Final = 1e4  # less counts as so much, so that no time is endless
LAN_BITS_PER_SECOND: Final = 1e9  # inside a site of which only closeness was measured
LINK_BITS_PER_SECOND: Final = 2e7  # of a machine that was never measured: a home's uplink
DELAY_SECONDS: Final = 0.025  # the same


def exchange_seconds(
    count: int, *, volume_bytes: float, link_bits_per_second: T, hop_seconds: T
) -> T:
    """Seconds of a ring all-reduce of k = `count`: 2(k-1)/k of the volume over the slowest link, and 2(k-1) hops."""
    if count < 2:
        return hop_seconds * 0.0
    rounds = 2 * (count - 1)
    bits_per_second = _at_least(link_bits_per_second, LINK_BITS_PER_SECOND_MIN)
    return 8 * volume_bytes * rounds / count / bits_per_second + rounds * hop_seconds


def step_seconds(
    count: int, *, compute_seconds: T, volume_bytes: float, link_bits_per_second: T, hop_seconds: T,
    inner_steps: int = 1,
) -> T:  # fmt: skip
    """Seconds of one step of a gang: its slowest machine, then the exchange, of which each of `inner_steps` has a part.

    `link_bits_per_second` is the slowest link of the ring, `hop_seconds` its longest way from one machine to the next.
    """
    exchanged = exchange_seconds(
        count, volume_bytes=volume_bytes, link_bits_per_second=link_bits_per_second, hop_seconds=hop_seconds
    )  # fmt: skip
    return compute_seconds + exchanged / inner_steps


def island_step_seconds(
    work: IslandWork, *, compute_seconds: T, up_bits_per_second: T, down_bits_per_second: T, round_trip_seconds: T
) -> T:  # fmt: skip
    """Seconds of one step of an island with its part of the outer step, for which nothing else is done meanwhile."""
    up = _at_least(up_bits_per_second, LINK_BITS_PER_SECOND_MIN)
    down = _at_least(down_bits_per_second, LINK_BITS_PER_SECOND_MIN)
    moved = work.up_bytes_per_parameter / up + work.down_bytes_per_parameter / down
    outer = 8 * work.parameters * moved + 4 * round_trip_seconds
    return compute_seconds + outer / work.inner_steps


def utilisation(step: float, compute_seconds: float) -> float:
    """The part of a step in which machines compute, 0 to 1."""
    return compute_seconds / step if step > 0 else 1.0


def _at_least(value: T, least: float) -> T:
    bounded: Any = max(value, least) if isinstance(value, float) else np.maximum(value, least)
    return bounded
