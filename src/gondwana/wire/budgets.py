"""Limits on what a tenant's jobs may spend, as the API takes and gives them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetRequest:
    """A new limit; it replaces the one of the same project and period."""

    limit_micro_usd: int
    project: str = ""  # "": all of the tenant's jobs
    period: str = "month"  # "month" (calendar, UTC) | "ever"
    principal: str = ""  # whose; "" is the caller's own; others' only by an operator


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetView:
    """A limit and what is used of it."""

    principal: str
    project: str
    period: str  # "month" | "ever"
    counts_in: str  # the present period: "2026-11", or "ever"
    limit_micro_usd: int
    used_micro_usd: int  # spent, or set aside for live jobs
    left_micro_usd: int
    set_by_operator: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SettleView:
    """What a lease has cost by now."""

    lease: str
    seconds_proven: int
    paid_micro_usd: int
    escrow_micro_usd: int
