"""What measured numbers come to: classes of bandwidth, price per measured TFLOP/s, reliability, trust; pure."""

from typing import Final

from gondwana.market.model import RELIABILITY_PRIOR, Listing, Trust

BANDWIDTH_CLASSES: Final = ("narrow", "home", "fast", "gigabit", "backbone")
BANDWIDTH_BITS_MIN: Final = (0, 20_000_000, 100_000_000, 1_000_000_000, 10_000_000_000)
"""The least of each class, in bits a second: of the slower of the two directions, since a merge needs both."""

RELIABILITY_SECONDS: Final = (
    30 * 86_400
)  # the time looked at: a machine may mend its ways within a month
PRIOR_SECONDS: Final = 86_400  # a new machine counts as if it had served a day at RELIABILITY_PRIOR
LOSS_SECONDS: Final = (
    3_600  # what each lease that a machine lost costs it beside the time that was missing
)
TRUST_SECONDS_MIN: Final = 86_400


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


def trust(reliable: float, proven_seconds: float, *, is_staked: bool) -> Trust:
    """How much there is to go by of a machine."""
    if proven_seconds < TRUST_SECONDS_MIN or reliable < RELIABILITY_PRIOR:
        return Trust.NEW
    return Trust.STAKED if is_staked else Trust.PROVEN
