"""What a lease's tenant and owner see of its service, and what anybody sees of the insurance fund."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceMonth:
    """One lease in one calendar month (UTC), as it stands."""

    month: str  # "2026-11"
    promised_ms: int
    proven_ms: int  # of it
    availability_ppm: int
    charged_micro_usd: int
    due_micro_usd: int  # what its failures come to so far
    credited_micro_usd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditView:
    """One credit, and what it follows from."""

    at: float
    month: str
    amount_micro_usd: int
    from_holdback_micro_usd: int  # the owner's
    from_stake_micro_usd: int  # the owner's
    from_fund_micro_usd: int
    live_ms: int  # promised = live + unserved
    unserved_ms: int  # after its owner ended the lease without notice
    excused_ms: int  # the network itself was away; not promised
    evidence: str  # JSON, these very bytes: `hash` is their BLAKE2b-256, and the books carry it
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseServiceView:
    """What was promised, proven and credited of one lease."""

    lease: str
    machine: str
    sla: str
    credited_micro_usd: int
    months: tuple[ServiceMonth, ...] = ()
    credits: tuple[CreditView, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SolvencyView:
    """How the insurance fund stands."""

    at: float
    fund_micro_usd: int
    open_claims_micro_usd: int
    claims_of_30_days_micro_usd: int
    claims_of_90_days_micro_usd: int
    premiums_of_30_days_micro_usd: int
    expected_monthly_loss_micro_usd: int
    largest_exposure_micro_usd: int  # if the largest owner vanished
    required_micro_usd: int
    ratio_ppm: int  # what is there over what is required; at most 1000 times
    haircut_ppm: int  # what open claims lose because the fund cannot pay them whole
