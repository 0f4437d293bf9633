"""Machines and offers."""

from enum import StrEnum
from typing import Final

from msgspec import Struct

from gondwana.core.clock import Instant
from gondwana.core.ids import MachineId, OfferId, PrincipalId
from gondwana.ledger.service import SlaClass
from gondwana.wire.calendar import Discount
from gondwana.wire.machines import (
    RELIABILITY_PRIOR,
    MachineInventory,
    MachineNetwork,
    MachineSpeed,
    Trust,
)


class MachineState(StrEnum):
    """Where a machine stands."""

    JOINING = "joining"  # registered; its agent has not connected yet
    PROBING = "probing"  # connected; its speed is being measured
    UP = "up"  # proves to be alive; may be leased
    OWNER_BUSY = "owner_busy"  # its owner is back; leases are reclaimed
    PAUSED = "paused"  # its owner sells nothing for now; running leases go on
    DRAINING = "draining"  # finishes what it runs, takes nothing new, then leaves
    LEFT = "left"  # gone for good
    DOWN = "down"  # no proof of life in time
    SUSPENDED = (
        "suspended"  # failed a challenge or delivered rejected work; only an operator lets it back
    )


TRANSITIONS: Final = {
    MachineState.JOINING: {MachineState.PROBING, MachineState.LEFT},
    MachineState.PROBING: {
        MachineState.UP,
        MachineState.DOWN,
        MachineState.LEFT,
        MachineState.SUSPENDED,
    },
    MachineState.UP: {
        MachineState.OWNER_BUSY,
        MachineState.PAUSED,
        MachineState.DRAINING,
        MachineState.DOWN,
        MachineState.SUSPENDED,
        MachineState.LEFT,
    },
    MachineState.OWNER_BUSY: {
        MachineState.UP,
        MachineState.DOWN,
        MachineState.SUSPENDED,
        MachineState.LEFT,
    },
    MachineState.PAUSED: {
        MachineState.UP,
        MachineState.DRAINING,
        MachineState.DOWN,
        MachineState.SUSPENDED,
        MachineState.LEFT,
    },
    MachineState.DRAINING: {MachineState.LEFT, MachineState.DOWN, MachineState.SUSPENDED},
    MachineState.LEFT: set[MachineState](),
    MachineState.DOWN: {
        MachineState.PROBING,
        MachineState.UP,
        MachineState.LEFT,
        MachineState.SUSPENDED,
    },
    MachineState.SUSPENDED: {MachineState.DOWN, MachineState.LEFT},
}


class OfferState(StrEnum):
    """Whether a machine's offer stands."""

    OPEN = "open"  # may be leased
    PAUSED = "paused"  # stands again when the machine is back
    WITHDRAWN = "withdrawn"  # gone for good


OFFER_TRANSITIONS: Final = {
    OfferState.OPEN: {OfferState.PAUSED, OfferState.WITHDRAWN},
    OfferState.PAUSED: {OfferState.OPEN, OfferState.WITHDRAWN},
    OfferState.WITHDRAWN: set[OfferState](),
}


class Machine(Struct, frozen=True, kw_only=True):
    """One machine of one owner."""

    id: MachineId
    owner_id: PrincipalId
    name: str  # unique per owner
    region: str
    country: str = ""  # ISO 3166 code of two letters, as its owner states
    public_key: str  # hexadecimal Ed25519
    state: MachineState
    reason: str = ""
    devices: int
    cpus_max: float | None = None  # the owner's terms; None: all of it
    memory_bytes_max: int | None = None
    sla: SlaClass = SlaClass.HOME  # what its owner promises, of leases made from now on
    inventory: MachineInventory | None = None
    speed: MachineSpeed | None = None
    network: MachineNetwork | None = None  # measured; None until something was
    site: str = ""  # machines of one name reach each other at the speed of a local network
    isolation: str = ""
    address: str = ""  # as the control plane saw it
    boot: str = ""  # of its agent's present life
    joined_at: Instant
    proven_at: Instant | None = None  # last proof of life
    rejections_in_row: int = 0
    reliability: float = (
        RELIABILITY_PRIOR  # of its leases in the last 30 days; `rate` alone changes it
    )
    trust: Trust = Trust.NEW  # the same


class Offer(Struct, frozen=True, kw_only=True):
    """What one machine sells, and for how much."""

    id: OfferId
    machine_id: MachineId
    state: OfferState
    price_micro_usd_per_device_hour: int
    notice_seconds: int = (
        0  # how long before its owner takes the machine back he promises to say so
    )
    spot_floor_micro_usd_per_device_hour: int | None = None  # None: not sold on spot
    reserve_seconds_max: int = 0  # how far ahead a reservation may end; 0: it takes none
    discounts: tuple[Discount, ...] = ()  # by the length of a lease, the shortest first


class SignedTag(Struct, frozen=True, kw_only=True):
    """What an auditor signed of a machine."""

    id: str
    machine_id: MachineId
    name: str
    signer_id: PrincipalId
    signer: str  # his name
    signed_at: Instant
    expires_at: Instant  # from then on it does not count
    revoked_at: Instant | None
    evidence: str


class Supply(Struct, frozen=True, kw_only=True):
    """An open offer with its machine and what of it is free: a row of the market."""

    offer: Offer
    machine: Machine
    devices_free: int
    epoch: int = 0  # of its newest lease; a worker with an older one is refused
    tags: tuple[SignedTag, ...] = ()  # that nobody revoked; they may have expired


class Pair(Struct, frozen=True, kw_only=True):
    """What was measured between two machines, the lesser name first."""

    low_id: MachineId
    high_id: MachineId
    round_trip_seconds: float | None  # None: they do not reach each other
    up_bits_per_second: int  # from the low one to the high one
    down_bits_per_second: int
    measured_at: Instant
