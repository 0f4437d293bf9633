"""How an owner has his price set: the policy he states, and why the price is what it is."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

SCRIPT_CHARS_MAX: Final = 16_384
WINDOWS_MAX: Final = 64  # of a week's schedule
INTERVAL_SECONDS_MIN: Final = 60
INTERVAL_SECONDS_MAX: Final = 7 * 86_400
MOVE_BASIS_POINTS_MAX: Final = 5_000  # half the price at once, whoever asks for more
ERROR_CHARS_MAX: Final = 300


class PolicyKind(StrEnum):
    """What moves a price."""

    FIXED = "fixed"  # nothing
    UTILISATION = "utilisation"  # how much of the machine was leased
    SCHEDULE = "schedule"  # the hour of the week
    UNDERCUT = "undercut"  # the lowest ask of other owners for the same model in the same region
    SCRIPT = "script"  # the owner's own program, on his own machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Some hours of some days of a week, and the price in them; 0 is Monday."""

    days: tuple[int, ...]
    from_minute: int  # of the day
    to_minute: int  # before this one; up to 1440
    price_micro_usd_per_device_hour: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PricePolicy:
    """What an owner states. The price never leaves the range from floor to ceiling, whatever the kind."""

    kind: PolicyKind
    floor_micro_usd_per_device_hour: int
    ceiling_micro_usd_per_device_hour: int
    price_micro_usd_per_device_hour: int | None = (
        None  # fixed: the price; schedule: outside its windows
    )
    interval_seconds: int = 3_600  # at most one move in so long
    move_basis_points_max: int = 500  # the most that one move changes the price by
    target_basis_points: int = 7_000  # utilisation: below it the price falls, above it rises
    under_basis_points: int = 200  # undercut: so far below the lowest competing ask
    timezone: str = "UTC"  # of a schedule
    windows: tuple[Window, ...] = ()
    script: str = ""  # Python; reads a question on its input, prints an answer


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceFacts:
    """What a policy is told: of its own machine, and of the market without saying whose offers those are."""

    price_micro_usd_per_device_hour: int
    changed_at: float  # when it was last changed
    utilisation_basis_points: int  # of its devices, over the last interval
    lowest_competing_micro_usd_per_device_hour: int | None = (
        None  # ask of another owner that can be had now
    )
    competing_devices: int = 0  # of other owners, that can be had now
    model: str = ""
    region: str = ""
    answer_micro_usd_per_device_hour: int | None = None  # of the owner's script
    answered_at: float | None = None
    answer_error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PricingView:
    """One machine's price and why it is that."""

    machine: str
    price_micro_usd_per_device_hour: int
    policy: PricePolicy | None = None  # None: the price that its owner typed
    reason: str = ""  # of the last change
    changed_at: float | None = None
    next_reason: str = ""  # what the policy says of this moment
    facts: PriceFacts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptAnswer:
    """What an owner's script said: a price, or how it failed."""

    price_micro_usd_per_device_hour: int | None = None
    error: str = ""
