"""The spot market: what an operator sets of it, and what everybody may see of its calls."""

from dataclasses import dataclass
from typing import Final

from gondwana.core.errors import InvalidValue

BASIS_POINTS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotSettings:
    """How the spot market works; what an operator may change with `gondwana settings set spot`."""

    call_seconds: int = 60  # between two calls
    sides_min: int = 10  # accounts on each side, or a bucket has no call
    run_seconds_min: int = 900  # nobody is evicted earlier
    notice_seconds: int = (
        120  # between the notice and the end; no longer than a program needs to save
    )
    gain_bps_min: int = 1_000  # a bid evicts only one that it exceeds by so much
    move_bps_max: int = 1_000  # how far a price may move …
    move_seconds: int = 600  # … in any such time
    memory_seconds: int = 3_600  # a price at which nobody traded for so long is forgotten

    def __post_init__(self) -> None:
        for name, least, most in (
            ("call_seconds", 1, 3_600),
            ("sides_min", 1, 1_000),
            ("run_seconds_min", 0, 86_400),
            ("notice_seconds", 1, 3_600),
            ("gain_bps_min", 0, 10 * BASIS_POINTS),
            ("move_bps_max", 1, BASIS_POINTS),
            ("move_seconds", 1, 86_400),
            ("memory_seconds", 1, 30 * 86_400),
        ):
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                hint = f"a whole number from {least} to {most}"
                raise InvalidValue(field=f"spot.{name}", value=value, hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotCallView:
    """One call of one device model in one region: what it came to, never whose it was."""

    model: str
    region: str
    at: float
    price_micro_usd: int  # per device-hour, for all who trade
    bids: int  # devices wanted, running ones included
    asks: int  # devices for sale, running ones included
    traded: int  # devices that have that price
    evicted: int  # devices whose tenants were given notice
