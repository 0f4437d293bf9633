"""Subsidy programs and what proves capacity, as they cross the network."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SubsidyClass:
    """What a program pays for one model of device."""

    name: str  # canonical, e.g. "RTX4090"
    floor_micro_usd_per_hour: int  # of one device: what an idle, proven hour is topped up to
    electricity_micro_usd_per_hour: int
    market_price_micro_usd_per_hour: int
    devices_target: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SubsidyRequest:
    """A new program; fixed while it runs."""

    id: str
    budget_micro_usd: int  # of the first epoch
    classes: tuple[SubsidyClass, ...]
    stake_micro_usd_min: int  # per device
    epoch_seconds: int = 86_400
    decay_ppm: int = 0
    alpha_ppm: int | None = None  # budget at most this part of the fees of the epoch before
    vest_now_ppm: int = 250_000
    vest_seconds: int = 90 * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class SubsidyEpoch:
    """One epoch that has ended."""

    number: int
    state: str
    ended_at: float
    budget_micro_usd: int
    funded_micro_usd: int  # what the treasury had of it
    awarded_micro_usd: int
    owners: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SubsidyView:
    """One program and its newest epochs."""

    id: str
    state: str
    began_at: float
    stopped_at: float | None = None
    settings: SubsidyRequest
    epochs: tuple[SubsidyEpoch, ...] = ()  # newest first


@dataclass(frozen=True, slots=True, kw_only=True)
class ClawbackRequest:
    """What an owner was given and does not own yet, to be taken back."""

    principal: str  # name or id
    case: str  # what it is about; the same case takes once
    reason: str
    amount_micro_usd: int | None = None  # None: all of it


@dataclass(frozen=True, slots=True, kw_only=True)
class ClawbackView:
    """What was taken back."""

    principal: str
    case: str
    amount_micro_usd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityCheckRequest:
    """What a challenge found that ran at one instant on all machines of a class."""

    id: str
    device_class: str
    at: float
    seconds: float
    passed: tuple[str, ...] = ()  # ids of machines all of whose devices answered in time
    failed: tuple[str, ...] = ()
