"""What the API answers with; the CLI's `--json` prints these as they are. What it says of money: `wire.ledger`."""

from dataclasses import dataclass, field
from typing import Any

from gondwana.wire.calendar import BookedView, BookingView, Discount
from gondwana.wire.machines import MachineInventory, MachineSpeed
from gondwana.wire.plans import ComparisonView, PlanOption, PredictionView, RelaxationView


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Where a list goes on: pass `cursor` again; None at its end."""

    cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineRegistration:
    """What an agent sends to join; `signature` is over `name|public_key` by the machine's own key."""

    name: str
    region: str
    public_key: str  # hexadecimal Ed25519
    signature: str
    price_micro_usd_per_device_hour: int
    devices: int
    cpus_max: float | None = None  # the owner's terms
    memory_bytes_max: int | None = None
    sla: str = "home"  # or "mixed", "datacentre": what the owner promises
    country: str = ""  # ISO 3166 code of two letters, as the owner states


@dataclass(frozen=True, slots=True, kw_only=True)
class TermsRequest:
    """What an owner changes of a machine's terms; what is not said, or null, stays."""

    price_micro_usd_per_device_hour: int | None = None
    sla: str | None = None
    notice_seconds: int | None = None
    spot_floor_micro_usd_per_device_hour: int | None = None
    no_spot: bool = False  # sell on spot no more
    reserve_seconds_max: int | None = None
    discounts: tuple[Discount, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineView:
    """One machine as its owner sees it."""

    id: str
    name: str
    owner: str
    region: str
    country: str = ""
    reliability: float = 0.0  # proven time over promised time in the last 30 days
    trust: str = "new"
    state: str
    reason: str = ""
    devices: int
    devices_free: int
    price_micro_usd_per_device_hour: int
    inventory: MachineInventory | None = None
    speed: MachineSpeed | None = None
    proven_at: float | None = None
    seconds_proven: int = 0
    units_accepted: int = (
        0  # training units; making and evaluating parameters is paid, but not counted here
    )
    units_rejected: int = 0
    earned_micro_usd: int = 0
    sla: str = "home"
    notice_seconds: int = 0  # how long before taking it back its owner promises to say so
    spot_floor_micro_usd_per_device_hour: int | None = None  # null: not sold on spot
    reserve_seconds_max: int = 0  # how far ahead a reservation may end; 0: it takes none
    discounts: tuple[Discount, ...] = ()  # for leases that are agreed for so long


@dataclass(frozen=True, slots=True, kw_only=True)
class TagView:
    """What an auditor signed of a machine."""

    name: str
    signer: str
    expires_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferView:
    """What one machine sells now."""

    id: str
    machine: str
    region: str
    accelerator: str  # "CPU" for a machine without one
    devices: int
    devices_free: int
    cpus: float
    memory_bytes: int
    steps_per_second: float  # measured: reference training steps
    price_micro_usd_per_device_hour: int
    price_micro_usd_per_million_steps: int | None = None
    isolation: str = "sandbox"
    sla: str = "home"  # or "mixed", "datacentre": what the owner promises
    device_memory_bytes: int = 0  # of one accelerator, as its driver tells; 0 without one
    vendor: str = ""
    tflops: float = 0.0  # measured, of one device; 0 where it could not be
    price_micro_usd_per_tflop_hour: int | None = None
    compute_capability: str = ""
    driver: str = ""
    country: str = ""
    interconnect: str = ""
    bandwidth: str = ""  # class; "" where it was not measured
    reliability: float = 0.0  # proven time over promised time
    trust: str = "new"
    tags: tuple[TagView, ...] = ()  # that stand now
    notice_seconds: int = 0
    spot_floor_micro_usd_per_device_hour: int | None = None  # null: not sold on spot
    reserve_seconds_max: int = 0
    discounts: tuple[Discount, ...] = ()
    booked: tuple[BookedView, ...] = ()  # reserved or in maintenance, the soonest first


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanMachine:
    """One machine of a plan."""

    name: str
    region: str
    accelerator: str
    devices: int
    price_micro_usd_per_device_hour: int
    steps_per_second: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanView:
    """What launching would do: machines, price, time."""

    fits: bool
    waits: bool = False  # it does not fit now, and would if nothing were leased: launched, it waits
    machines: tuple[PlanMachine, ...] = ()
    price_micro_usd_per_hour: int = 0
    seconds_estimated: float | None = None
    cost_micro_usd_estimated: int | None = None
    hold_micro_usd: int = 0  # what is set aside at launch; the rest comes back
    why_not: str = ""  # the constraint that left nothing
    hint: str = ""
    basis: str = ""  # what the times rest on: "measured", "told", "window", "limit"
    front: tuple[
        PlanOption, ...
    ] = ()  # plans that none beats in both time and cost, the fastest first
    default: PlanOption | None = None  # what launching takes; it may be beaten
    relaxations: tuple[
        RelaxationView, ...
    ] = ()  # where nothing fits: what to change, the cheapest first
    comparisons: tuple[ComparisonView, ...] = ()  # the default's work at list prices of others
    no_comparison: str = ""  # why there is none
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseView:
    """One machine's part in a job."""

    id: str
    machine: str
    rank: int
    state: str
    reason: str = ""
    price_micro_usd_per_device_hour: int
    seconds_proven: int = 0
    run_state: str = ""
    exit_code: int | None = None
    units_accepted: int = (
        0  # training units; making and evaluating parameters is paid, but not counted here
    )
    units_rejected: int = 0
    units_expired: int = 0
    earned_micro_usd: int = 0
    notice_seconds: int = 0  # agreed: how long before taking the machine back its owner says so
    reclaim_at: float | None = None  # he said so: it ends then
    ends_at: float | None = None  # it was agreed for a time


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundView:
    """One round of island training."""

    round: int
    heldout_loss: float | None
    islands: int
    accepted: int
    rejected: int
    expired: int
    tokens: int
    seconds: float
    bytes_up: int
    bytes_down: int
    bytes_data_parallel: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingView:
    """How island training stands."""

    phase: str
    round: int
    rounds: int
    parameters: int
    heldout_loss: float | None = None  # last measured
    tokens: int
    bytes_up: int
    bytes_down: int
    bytes_data_parallel: int
    history: tuple[RoundView, ...] = ()
    sample: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """One job as its tenant sees it."""

    id: str
    name: str
    kind: str  # "batch" | "train"
    state: str
    reason: str = ""
    detail: str = ""
    created_at: float
    ended_at: float | None = None
    exit_code: int | None = None
    waits_for: str = ""  # what keeps it from the machines it lacks, where it lacks any
    held_micro_usd: int = 0
    paid_micro_usd: int = 0
    credited_micro_usd: int = (
        0  # back to the tenant, for machines that were away: /v1/leases/{id}/service
    )
    leases: tuple[LeaseView, ...] = ()
    training: TrainingView | None = None
    outputs: dict[str, str] = field(default_factory=dict[str, str])  # file name -> blob
    predicted: PredictionView | None = None  # at launch, and what became of it
    reserved: tuple[BookingView, ...] = ()  # ahead of its start


@dataclass(frozen=True, slots=True, kw_only=True)
class EventView:
    """One thing that happened."""

    seq: int
    at: float
    kind: str
    subject: str
    job_id: str | None
    data: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountView:
    """A principal's money."""

    principal: str
    available_micro_usd: int  # a tenant's own money
    promo_micro_usd: int = 0  # promotional credit: spent first, never paid out
    escrow_micro_usd: int
    holdback_micro_usd: int
    payable_micro_usd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """A new token for a new or an existing principal."""

    name: str
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenView:
    """A token; `token` itself is shown once, when it is made."""

    id: str
    name: str
    principal: str
    scopes: tuple[str, ...]
    created_at: float
    revoked_at: float | None = None
    token: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DepositRequest:
    """Money that came in by a rail."""

    principal: str  # name; "" is the caller
    amount_micro_usd: int
    reference: str = ""
