"""Stakes, cases and reports as the API tells them."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class UnbondingView:
    """A part of a stake on its way out."""

    id: str
    amount_micro_usd: int
    unbonded_at: float
    free_at: float  # if no slash holds any of it then


@dataclass(frozen=True, slots=True, kw_only=True)
class MoreWork:
    """What has to be put at stake, beside what is there, to hold so much unverified work."""

    work_micro_usd: int
    stake_micro_usd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StakeView:
    """What an owner has at stake, and how much unverified work that allows."""

    principal: str
    staked_micro_usd: int
    holdback_micro_usd: int
    payable_micro_usd: int  # can be put at stake
    held_by_cases_micro_usd: int  # in slashes that are not over; counts as nothing meanwhile
    unbonding: tuple[UnbondingView, ...] = ()
    collateral_micro_usd: int  # what counts of all that for new work
    unverified_micro_usd: int  # the price of work that was given and not judged yet
    unverified_max_micro_usd: int | None  # None: no limit, the checks alone deter
    allowance_micro_usd: int  # of that, what everybody has without a stake
    more: tuple[MoreWork, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StakeRequest:
    """Put so much at stake: of the caller's earnings, or for somebody what arrived over a rail (operator)."""

    amount_micro_usd: int
    principal: str = ""  # name; "" is the caller
    rail: str = ""  # "" takes it from earnings


@dataclass(frozen=True, slots=True, kw_only=True)
class UnbondRequest:
    """Take so much out of the stake."""

    amount_micro_usd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseMoney:
    """One part of what a case moves, in words; parts with the same words are one."""

    words: str  # "held-back earnings → the tenant"
    amount_micro_usd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseView:
    """One slash, as its reader may see it: who reported is for operators alone."""

    id: str
    state: str
    accused: str = ""  # name; for the accused and for operators
    tenant: str = ""  # name; for who is made whole and for operators
    machine_id: str = ""
    job_id: str = ""
    unit_id: str = ""
    reason: str
    amount_micro_usd: int  # asked for
    held_micro_usd: int  # what there was of it
    made_whole_micro_usd: int
    money: tuple[CaseMoney, ...] = ()  # in a list: left out
    evidence: str = ""  # JSON, word for word; in a list: left out
    evidence_hash: str  # its SHA-256
    reports: tuple[str, ...] = ()  # for operators
    proposed_at: float
    appeal_until: float
    appeal: str = ""
    appealed_at: float | None = None
    judge_until: float | None = None  # else it is reversed
    verdict: str = ""
    ended_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRequest:
    """A slash to propose by hand (operator)."""

    machine: str  # id, or a name that only one owner uses
    amount_micro_usd: int
    reason: str
    job: str = ""  # id
    tenant: str = ""  # name, where somebody is made whole; "" is the job's
    made_whole_micro_usd: int = 0
    verification_cost_micro_usd: int = 0
    reports: tuple[str, ...] = ()  # upheld, of this owner
    evidence: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class AppealRequest:
    """Why a slash is wrong."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRequest:
    """A verdict on a case (uphold, reverse) or a report (uphold, refuse)."""

    verdict: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionRequest:
    """Why what was paid goes back."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRequest:
    """Somebody's machine is said to have done wrong work, with a bond for its being true."""

    machine: str  # id, or its name among the machines of `job`, or a name that only one owner uses
    claim: str
    job: str = ""  # of the caller: id or name
    bond_micro_usd: int | None = None  # None: the least
    from_earnings: bool = (
        False  # the bond comes from an owner's earnings, not from a tenant's balance
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportView:
    """One report, for its reporter and for operators."""

    id: str
    state: str
    reporter: str
    machine_id: str
    job_id: str = ""
    claim: str
    bond_micro_usd: int
    at: float
    case_id: str = ""
    verdict: str = ""
    decided_at: float | None = None
