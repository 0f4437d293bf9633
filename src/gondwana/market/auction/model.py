"""Bids, and what an auction is made of."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gondwana.core.clock import Instant
from gondwana.core.ids import MachineId, OrderId, PrincipalId

Numbers = NDArray[np.int64]


class BidState(StrEnum):
    """Where a bid stands."""

    OPEN = "open"  # holds devices of its machine until its auction is cleared
    WON = "won"  # its machine was leased to the order
    LOST = "lost"  # others asked less; holds nothing, but is asked again where a winner fails
    WITHDRAWN = "withdrawn"  # taken back by its owner before the end
    EXPIRED = "expired"  # its time ran out, or its order went, before anything was decided


BID_TRANSITIONS: Final = {
    BidState.OPEN: {BidState.WON, BidState.LOST, BidState.WITHDRAWN, BidState.EXPIRED},
    BidState.WON: set[BidState](),
    BidState.LOST: {BidState.WON, BidState.WITHDRAWN},  # second choice: a winner did not deliver
    BidState.WITHDRAWN: set[BidState](),
    BidState.EXPIRED: set[BidState](),
}


class BidReason(StrEnum):
    """Why a bid ended; numbered tenant 1xxx, provider 2xxx, network 3xxx in `BID_CODES`."""

    LEASED = "leased"  # it won
    ORDER_CLOSED = "order_closed"  # the tenant needs it no more
    WITHDRAWN = "withdrawn"  # its owner took it back
    MACHINE_GONE = (
        "machine_gone"  # its machine was not up, or not able, when the auction was cleared
    )
    OUTBID = "outbid"  # others asked less
    GANG_NOT_WHOLE = "gang_not_whole"  # too few machines under the cap: nobody got the order
    LAPSED = "lapsed"  # it stood for BID_SECONDS_MAX and nobody cleared it


BID_CODES: Final = {
    BidReason.LEASED: 1101,
    BidReason.ORDER_CLOSED: 1102,
    BidReason.WITHDRAWN: 2101,
    BidReason.MACHINE_GONE: 2102,
    BidReason.OUTBID: 3101,
    BidReason.GANG_NOT_WHOLE: 3102,
    BidReason.LAPSED: 3103,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bid:
    """One owner's sealed ask for one order with one machine; while open it holds the machine's devices."""

    id: str
    order_id: OrderId
    machine_id: MachineId
    owner_id: PrincipalId
    state: BidState
    devices: int  # held: what the order wants of each machine
    ask_micro_usd_per_device_hour: int  # sealed: shown to nobody but its owner
    limit_micro_usd_per_device_hour: int  # what the machine stood at for anybody; never paid more
    created_at: Instant
    expires_at: Instant
    ended_at: Instant | None = None
    reason: BidReason | None = None
    price_micro_usd_per_device_hour: int | None = None  # what it is paid, where it won


@dataclass(frozen=True, slots=True, kw_only=True)
class Gang:
    """What one order still lacks."""

    order_id: OrderId
    count_min: int  # fewer are worth nothing
    count_max: int
    devices: int  # of each machine
    cap_micro_usd_per_device_hour: int  # what a device-hour is worth to the tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What one machine asks: a standing offer's public price, or a sealed bid for one order."""

    machine_id: MachineId
    owner_id: PrincipalId
    devices: int  # that it may give in all
    price_micro_usd_per_device_hour: int  # a bid's is sealed
    limit_micro_usd_per_device_hour: int  # the public price; of a standing offer the same
    serial: int  # among equal prices the least comes first
    bid_id: str = ""  # "" for a standing offer


@dataclass(frozen=True, slots=True, kw_only=True)
class Auction:
    """Gangs and the asks that each may be served by; the devices of an ask are shared by all that name it."""

    gangs: tuple[Gang, ...]
    asks: tuple[Ask, ...]
    fits: tuple[Numbers, ...]  # of each gang: the asks that it may be served by, as numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Win:
    """One machine for one gang, at the price agreed."""

    order_id: OrderId
    machine_id: MachineId
    bid_id: str
    price_micro_usd_per_device_hour: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Clearing:
    """What an auction came to."""

    wins: tuple[Win, ...]
    welfare_micro_usd_per_hour: int  # worth to the tenants less what was asked
    sequence: tuple[int, ...]  # the gangs in the order in which they were served
