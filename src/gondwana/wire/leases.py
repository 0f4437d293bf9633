"""What owners see of the leases that their machines serve."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedLease:
    """One lease as the owner of its machine sees it; who rents it is not told."""

    id: str
    machine: str
    state: str
    reason: str = ""
    devices: int
    price_micro_usd_per_device_hour: int
    notice_seconds: int  # agreed: how long before taking it back its owner says so
    reserved_at: float
    active_at: float | None = None
    reclaim_at: float | None = None  # notice was given: it ends then
    ends_at: float | None = None  # it was agreed for a time
    seconds_proven: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedLeases:
    """What one machine serves now."""

    machine: str
    state: str
    leases: tuple[ServedLease, ...] = ()
