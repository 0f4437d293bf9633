"""What the market holds and asks: depth, not identities."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthStep:
    """So many devices may be had at this price or below."""

    price_micro_usd_per_device_hour: int
    devices: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceView:
    """One device model in one region now; devices = rentable + leased + closed.

    Prices are those of the rentable devices; None where there are none, or where no speed was measured.
    """

    model: str  # "CPU" for machines without an accelerator
    region: str
    devices: int
    rentable: int  # free, up, on sale, with a sandbox for others' work
    leased: int
    closed: int  # neither: not up, not on sale, or without a sandbox
    ask_micro_usd_lowest: int | None = None  # per device-hour
    ask_micro_usd_median: int | None = None  # half of the rentable devices cost at most this
    ask_micro_usd_highest: int | None = None
    work_micro_usd_lowest: int | None = None  # per million reference steps, as measured
    work_micro_usd_median: int | None = None
    depth: tuple[DepthStep, ...] = ()  # rising; of a long book not every price
    spot_micro_usd: int | None = (
        None  # per device-hour, at the last call; None: none in the last minutes
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceTickView:
    """The same as it was from `at` on, until the next tick."""

    at: float
    devices: int
    rentable: int
    leased: int
    closed: int
    ask_micro_usd_lowest: int | None = None
    ask_micro_usd_median: int | None = None
    ask_micro_usd_highest: int | None = None
    work_micro_usd_lowest: int | None = None
    work_micro_usd_median: int | None = None
