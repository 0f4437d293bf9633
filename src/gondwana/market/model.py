"""Orders, leases, plans."""

from enum import StrEnum
from typing import Final, Protocol

from msgspec import Struct, field

from gondwana.core.clock import Instant
from gondwana.core.ids import JobId, LeaseId, MachineId, OfferId, OrderId, PrincipalId
from gondwana.core.money import due_micro_usd
from gondwana.ledger.service import SlaClass
from gondwana.wire.calendar import Discount
from gondwana.wire.jobs import Resources
from gondwana.wire.machines import RELIABILITY_PRIOR, MachineNetwork, Trust


class OrderState(StrEnum):
    """Where an order stands."""

    OPEN = "open"  # wants machines
    MATCHED = "matched"  # has all it wants
    CLOSED = "closed"  # its job needs no more
    EXPIRED = "expired"  # nothing fitted in time


ORDER_TRANSITIONS: Final = {
    OrderState.OPEN: {OrderState.MATCHED, OrderState.CLOSED, OrderState.EXPIRED},
    OrderState.MATCHED: {OrderState.OPEN, OrderState.CLOSED},  # open again when a lease was lost
    OrderState.CLOSED: set[OrderState](),
    OrderState.EXPIRED: set[OrderState](),
}


class LeaseState(StrEnum):
    """Where a lease stands."""

    RESERVED = "reserved"  # capacity held for an order; lapses after RESERVATION_SECONDS_MAX
    ACTIVE = "active"  # the tenant pays, the machine serves
    RECLAIMING = (
        "reclaiming"  # notice was given: serves until `reclaim_at`, then closes with its reason
    )
    CLOSED = "closed"  # over, with a reason


LEASE_TRANSITIONS: Final = {
    LeaseState.RESERVED: {LeaseState.ACTIVE, LeaseState.CLOSED},
    LeaseState.ACTIVE: {LeaseState.RECLAIMING, LeaseState.CLOSED},
    LeaseState.RECLAIMING: {LeaseState.CLOSED},
    LeaseState.CLOSED: set[LeaseState](),
}


class Mechanism(StrEnum):
    """How the price of an order's leases is made."""

    POSTED = "posted"  # at once, at what the owner asks
    AUCTION = "auction"  # owners bid for the order; cleared when its window closes
    SPOT = "spot"  # one price per device model and region, called each minute


class CloseReason(StrEnum):
    """Why a lease ended; numbered tenant 1xxx, provider 2xxx, network 3xxx in `CLOSE_CODES`."""

    JOB_DONE = "job_done"  # the job ended
    JOB_CANCELLED = "job_cancelled"  # the tenant cancelled it
    RESIZED = "resized"  # the tenant wants fewer machines
    LEASE_ENDED = "lease_ended"  # the time it was agreed for is over
    OWNER_LEFT = "owner_left"  # the provider took the machine back
    MACHINE_LOST = "machine_lost"  # no proof of life in time
    WORK_REJECTED = "work_rejected"  # the machine delivered rejected work again and again
    RUN_FAILED = "run_failed"  # the agent could not run it
    RECLAIMED = "reclaimed"  # the provider took the machine back after the notice that was agreed
    MAINTENANCE = "maintenance"  # the same, for a time that he announced
    MANIFEST_UNTAKEN = "manifest_untaken"  # the agent did not take what it was to run in time
    RESERVATION_LAPSED = "reservation_lapsed"  # nobody confirmed it in time
    FUNDS_GONE = "funds_gone"  # the escrow was used up
    MANIFEST_MISMATCH = "manifest_mismatch"  # what arrived is not what was ordered
    OUTBID = "outbid"  # on spot: a higher bid has the machine, after the notice


CLOSE_CODES: Final = {
    CloseReason.JOB_DONE: 1001,
    CloseReason.JOB_CANCELLED: 1002,
    CloseReason.RESIZED: 1003,
    CloseReason.LEASE_ENDED: 1004,
    CloseReason.OWNER_LEFT: 2001,
    CloseReason.MACHINE_LOST: 2002,
    CloseReason.WORK_REJECTED: 2003,
    CloseReason.RUN_FAILED: 2004,
    CloseReason.RECLAIMED: 2005,
    CloseReason.MAINTENANCE: 2006,
    CloseReason.MANIFEST_UNTAKEN: 2007,
    CloseReason.RESERVATION_LAPSED: 3001,
    CloseReason.FUNDS_GONE: 3002,
    CloseReason.MANIFEST_MISMATCH: 3003,
    CloseReason.OUTBID: 3004,
}

WITH_NOTICE: Final = frozenset({CloseReason.RECLAIMED, CloseReason.MAINTENANCE, CloseReason.OUTBID})
"""Ends that both sides agreed to beforehand: nobody broke a promise, and no attempt was lost."""


class Charge(StrEnum):
    """What a lease is paid by."""

    SECOND = "second"  # each proven second (batch)
    UNIT = "unit"  # each accepted unit (training)


class Tag(Struct, frozen=True, kw_only=True):
    """What an auditor signed of a machine."""

    name: str
    signer: str  # the auditor's name
    expires_at: Instant  # from then on it does not count


class Listing(Struct, frozen=True, kw_only=True):
    """One machine as the market sees it: a row of measured and agreed numbers (the columns of a later index)."""

    offer_id: OfferId
    machine_id: MachineId
    name: str
    owner_id: PrincipalId
    region: str
    is_open: bool  # up, and its owner sells
    isolation: str  # "sandbox" | "plain" (its owner's own jobs only) | "none"
    accelerator: str  # canonical name; CPU for a machine without one
    devices: int
    devices_free: int
    cpus: float  # under the owner's terms, as is the memory
    memory_bytes: int
    steps_per_second: float  # measured reference training steps; 0 where it could not be measured
    price_micro_usd_per_device_hour: int
    epoch: int
    joined_at: Instant
    sla: SlaClass = SlaClass.HOME  # what its owner promises
    device_memory_bytes: int = 0  # of one accelerator, as its driver tells; 0 without one
    vendor: str = ""  # of the accelerators, the same
    notice_seconds: int = 0  # how long before he takes it back its owner promises to say so
    spot_floor_micro_usd_per_device_hour: int | None = None  # None: not sold on spot
    tflops: float = (
        0.0  # of one device: a measured matrix product; 0 where it could not be measured
    )
    compute_capability: str = ""  # as its driver tells, else the model's; "" where there is none
    driver: str = ""  # version; "" where it is not known, as with the fields below
    country: str = ""  # ISO 3166 code, as its owner states
    interconnect: str = ""  # between its accelerators: "pcie" | "nvlink" | "xgmi"
    up_bits_per_second: int = 0  # measured from the machine to the network; 0 where it was not
    down_bits_per_second: int = 0
    reliability: float = RELIABILITY_PRIOR  # proven time over promised time, with a prior
    trust: Trust = Trust.NEW
    tags: tuple[Tag, ...] = ()  # signed by auditors; each counts until it expires
    site: str = ""  # machines of one name reach each other at the speed of a local network
    address: str = ""  # as the control plane saw it
    network: MachineNetwork | None = None  # where it was measured to be; None where it was not
    reserve_seconds_max: int = 0  # how far ahead a reservation may end; 0: it takes none
    discounts: tuple[Discount, ...] = ()  # by the length of a lease, the shortest first


class Sold(Protocol):
    """What quotas and fair shares count of an offer: a Listing has it, and so has the book in memory."""

    @property
    def machine_id(self) -> MachineId:
        """Whose."""
        ...

    @property
    def accelerator(self) -> str:
        """Canonical name."""
        ...

    @property
    def devices(self) -> int:
        """All, leased or not."""
        ...

    @property
    def devices_free(self) -> int:
        """Of them."""
        ...

    @property
    def cpus(self) -> float:
        """Of the whole machine, under the owner's terms, as is the memory."""
        ...

    @property
    def memory_bytes(self) -> int:
        """Of the whole machine."""
        ...


class Order(Struct, frozen=True, kw_only=True):
    """What a job wants of the market."""

    id: OrderId
    job_id: JobId
    tenant_id: PrincipalId
    state: OrderState
    count_min: int  # fewer than this are not leased at all (a gang)
    count_max: int
    devices: int  # per machine
    resources: Resources
    price_cap_micro_usd_per_device_hour: int | None
    charge: Charge
    created_at: Instant
    expires_at: Instant
    mechanism: Mechanism = Mechanism.POSTED
    filters: str = ""  # the job's `where`
    notice_seconds_min: int = 0
    priority: int = 0
    lease_seconds: int | None = None
    starts_at: Instant | None = None
    closes_at: Instant | None = None  # of an auction: when its window does
    is_standing: bool = False
    manifest_hash: str = ""  # of what is to run; only the machines that are leased see that
    project: str = ""  # of its tenant; whose quotas and shares it counts against
    seconds_max: float | None = None  # how long it may hold a machine; None: nobody knows


class Lease(Struct, frozen=True, kw_only=True):
    """One tenant's right to one machine's devices, from reservation to close."""

    id: LeaseId
    order_id: OrderId
    job_id: JobId
    tenant_id: PrincipalId
    machine_id: MachineId
    offer_id: OfferId
    state: LeaseState
    devices: int
    price_micro_usd_per_device_hour: int
    charge: Charge
    epoch: int  # grows each time the machine is leased; a worker with an older one is refused
    rank: int  # the node's number in the job
    sla: SlaClass = SlaClass.HOME  # what its owner promised when it was made
    reserved_at: Instant
    active_at: Instant | None = None
    closed_at: Instant | None = None
    reason: CloseReason | None = None
    proven_ms: int = 0  # time that the machine proved to serve this lease
    proven_at: Instant | None = None  # last such proof
    lived_at: Instant | None = None  # when its worker was first proven to live
    serviced_at: Instant | None = None  # when its last service credit was settled
    notice: str = ""  # what its tenant was told of its money: "", "low", "drain"
    mechanism: Mechanism = Mechanism.POSTED
    notice_seconds: int = 0  # agreed: how long before the provider takes it back he says so
    reclaim_at: Instant | None = None  # he said so: when it ends; `reason` says why from then on
    ends_at: Instant | None = None  # agreed at the start, or when it was extended
    due_before_micro_usd: int = 0  # what the seconds cost that had another price (spot)
    priced_from_seconds: int = 0  # proven seconds from which on the price holds
    floor_micro_usd_per_device_hour: int = (
        0  # of spot: its owner's when it began; it never pays less
    )

    @property
    def price_micro_usd_per_hour(self) -> int:
        """What an hour of the whole lease costs."""
        return self.price_micro_usd_per_device_hour * self.devices

    @property
    def seconds_proven(self) -> int:
        """Whole proven seconds; only these are charged."""
        return self.proven_ms // 1000

    @property
    def due_micro_usd(self) -> int:
        """What its proven seconds cost in all, each at the price that it had."""
        return self.due_before_micro_usd + due_micro_usd(
            self.price_micro_usd_per_hour, self.seconds_proven - self.priced_from_seconds
        )


class Screening(Struct, frozen=True, kw_only=True):
    """What fits an order, cheapest per measured speed first; or which constraint left nothing."""

    fits: tuple[Listing, ...]
    why_not: str = ""
    hint: str = ""
    variant: int = 0  # which of the order's alternatives it is of


class Plan(Struct, frozen=True, kw_only=True):
    """Which machines an order would get now, for how much, for how long."""

    machines: tuple[Listing, ...]
    devices: int
    price_micro_usd_per_hour: int
    seconds_estimated: float | None
    cost_micro_usd_estimated: int | None
    hold_micro_usd: int
    why_not: str = ""
    hint: str = ""
    notes: tuple[str, ...] = field(default=())
    variant: int = 0  # which of the job's alternatives it is of
    waits: bool = False  # without machines: it would have some if nothing were leased
