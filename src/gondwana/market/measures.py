"""What measured numbers come to: classes of bandwidth, price per measured TFLOP/s, reliability, trust; pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from gondwana.core.clock import Instant
from gondwana.market.model import CLOSE_CODES, CloseReason, Listing
from gondwana.wire.machines import RELIABILITY_PRIOR, Trust

BANDWIDTH_CLASSES: Final = ("narrow", "home", "fast", "gigabit", "backbone")
BANDWIDTH_BITS_MIN: Final = (0, 20_000_000, 100_000_000, 1_000_000_000, 10_000_000_000)
"""The least of each class, in bits a second: of the slower of the two directions, since a merge needs both."""

RELIABILITY_SECONDS: Final = (
    30 * 86_400
)  # the time looked at: a machine may mend its ways within a month
PRIOR_SECONDS: Final = 86_400  # a new machine counts as if it had served a day at RELIABILITY_PRIOR
SLACK_SECONDS: Final = 20.0  # that a lease may lack: heartbeats that were not due at its ends
LOSS_SECONDS: Final = 3_600
"""What each lease that a machine lost costs it beside the time that was missing; so does a broken reservation."""
TRUST_SECONDS_MIN: Final = 86_400
BY_PROVIDER: Final = frozenset(
    reason for reason in CloseReason if 2000 <= CLOSE_CODES[reason] < 3000
)
"""Ends of a lease that its machine or its owner brought about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What became of one lease's time; `closed_at` None: it goes on."""

    machine_id: str
    reason: CloseReason | None
    proven_ms: int
    active_at: float
    closed_at: float | None


class Span(Protocol):
    """A time in which the network could not hear its machines."""

    @property
    def since(self) -> Instant:
        """Its beginning."""
        ...

    @property
    def until(self) -> Instant:
        """Its end."""
        ...


def bandwidth_class(up_bits_per_second: int, down_bits_per_second: int) -> str | None:
    """The class of a line; None where one of its directions was not measured."""
    slower = min(up_bits_per_second, down_bits_per_second)
    if slower <= 0:
        return None
    return BANDWIDTH_CLASSES[sum(slower >= least for least in BANDWIDTH_BITS_MIN) - 1]


def price_micro_usd_per_tflop_hour(listing: Listing) -> int | None:
    """What a measured TFLOP/s costs for an hour; None where it could not be measured."""
    tflops_milli = round(listing.tflops * 1_000)
    if tflops_milli <= 0:
        return None
    return listing.price_micro_usd_per_device_hour * 1_000 // tflops_milli


def price_micro_usd_per_million_steps(listing: Listing) -> int | None:
    """What a million reference training steps cost on a machine; None where its speed could not be measured."""
    return work_price(listing.price_micro_usd_per_device_hour, listing.steps_per_second)


def work_price(price_micro_usd_per_device_hour: int, steps_per_second: float) -> int | None:
    """The same by price and speed."""
    if not steps_per_second:
        return None
    return round(price_micro_usd_per_device_hour / (3600 * steps_per_second) * 1e6)


def reliability(proven_seconds: float, promised_seconds: float, losses: int) -> float:
    """Proven over promised time with a prior, from 0 to 1, in millionths; what was lost counts as promised."""
    promised = max(0.0, promised_seconds) + losses * LOSS_SECONDS
    proven = min(max(0.0, proven_seconds), promised)
    share = (proven + PRIOR_SECONDS * RELIABILITY_PRIOR) / (promised + PRIOR_SECONDS)
    return round(share, 6)


def kept_of(
    leases: Iterable[Kept], gaps: Sequence[Span], now: Instant, *, broken: int = 0
) -> tuple[float, float]:
    """(reliability, seconds proven) by a machine's leases; when the network could not hear it, it promised nothing.

    What a lease lacks up to SLACK_SECONDS is no fault. `broken`: reservations for which it was not there.
    """
    proven = promised = 0.0
    losses = broken
    for each in leases:
        end = now if each.closed_at is None else each.closed_at
        away = sum(max(0.0, min(end, gap.until) - max(each.active_at, gap.since)) for gap in gaps)
        mine, lasted = each.proven_ms / 1_000, max(0.0, end - each.active_at - away)
        proven += mine
        promised += lasted if lasted - mine > SLACK_SECONDS else mine
        losses += each.reason in BY_PROVIDER
    return reliability(proven, promised, losses), proven


def trust(reliable: float, proven_seconds: float, *, is_staked: bool) -> Trust:
    """How much there is to go by of a machine."""
    if proven_seconds < TRUST_SECONDS_MIN or reliable < RELIABILITY_PRIOR:
        return Trust.NEW
    return Trust.STAKED if is_staked else Trust.PROVEN
