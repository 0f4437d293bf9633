"""Auctions and bids: an ask is told to nobody but who made it."""

from dataclasses import dataclass
from typing import Final

from gondwana.core.errors import InvalidValue

WINDOW_SECONDS_MIN, WINDOW_SECONDS_MAX = 10, 30  # of a first window
WINDOW_SECONDS: Final = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class AuctionSettings:
    """How auctions are held; what an operator may change with `gondwana settings set auction`."""

    window_seconds: int = WINDOW_SECONDS  # in which bids for a new order are taken

    def __post_init__(self) -> None:
        if not WINDOW_SECONDS_MIN <= self.window_seconds <= WINDOW_SECONDS_MAX:
            hint = f"a whole number from {WINDOW_SECONDS_MIN} to {WINDOW_SECONDS_MAX}"
            raise InvalidValue(field="auction.window_seconds", value=self.window_seconds, hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class BidRequest:
    """What an owner asks for one of his machines, in one auction."""

    machine: str  # name or id
    ask_micro_usd_per_device_hour: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BidView:
    """One bid as its owner sees it."""

    id: str
    order: str
    machine: str
    state: str
    reason: str = ""  # why it ended
    code: int | None = None  # of the reason: tenant 1xxx, provider 2xxx, network 3xxx
    devices: int  # held while it is open
    ask_micro_usd_per_device_hour: int
    price_micro_usd_per_device_hour: int | None = None  # what it is paid, where it won
    created_at: float
    expires_at: float
    ended_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuctionWin:
    """One machine that an auction gave its tenant."""

    machine: str
    price_micro_usd_per_device_hour: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AuctionView:
    """One order that is auctioned: what it wants and how many bid, not who wants it or who bids."""

    id: str
    state: str
    takes_bids: bool
    closes_at: float
    machines_min: int  # fewer are not leased at all
    machines_max: int
    devices: int  # of each machine
    accelerators: tuple[str, ...] = ()  # any of these; none: a machine without accelerators will do
    cpus_min: float = 0.0
    memory_bytes_min: int = 0
    where: str = ""
    price_cap_micro_usd_per_device_hour: int
    lease_seconds: int | None = None
    notice_seconds_min: int = 0
    bids: int = 0  # that stand, or once it is cleared, that won or lost
    fits: tuple[str, ...] = ()  # the caller's machines that could serve it now
    job: str = ""  # told to its tenant alone, as is what follows
    wins: tuple[AuctionWin, ...] = ()
