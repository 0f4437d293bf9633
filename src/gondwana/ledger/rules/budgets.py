"""Budgets: limits on spending, counted in the books like money, so that passing one is refused like an overdraft."""

from datetime import UTC, datetime
from enum import StrEnum

from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidValue
from gondwana.ledger.accounts import budget_granted, budget_left
from gondwana.ledger.model import Balance, Entry, Leg
from gondwana.ledger.rules.entries import Move, legs


class BudgetKind(StrEnum):
    """What a budget limits."""

    USER = "user"  # what one person may spend of a tenant's money
    PROJECT = "project"  # what the jobs of one project may spend
    MONTH = "month"  # what a tenant may spend in all


def budget_id(kind: BudgetKind, whose: str) -> str:
    """The name of a budget: `project.prj_01k3…`."""
    return f"{kind}.{whose}"


def period_of(now: Instant) -> str:
    """The calendar month of an instant, in UTC: `2026-11`."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m")


def grant_budget(budget: str, period: str, amount_micro_usd: int, *, key: str) -> Entry:
    """Allow so much more to be spent in a period; `key` tells one grant from the next."""
    leg = Leg(
        debit=budget_granted(),
        credit=budget_left(budget, period),
        amount_micro_usd=amount_micro_usd,
    )
    return _entry("budget.grant", budget, period, made=(leg,), key=key)


def set_budget(
    budget: str, period: str, limit_micro_usd: int, *, left: Balance, used_micro_usd: int
) -> Entry:
    """Make what is left of a budget fit its limit: raising grants the difference, lowering revokes what is left of it.

    `used_micro_usd` is what was set aside or spent and not given back. It may exceed a lowered limit: what escrows
    hold is not revoked, so set the budget again when one gave back. Named by the counter it moves: a repeat posts
    nothing.
    """
    if limit_micro_usd < 0 or used_micro_usd < 0:
        raise InvalidValue(field="budget", value=min(limit_micro_usd, used_micro_usd))
    account = budget_left(budget, period)
    more = max(0, limit_micro_usd - used_micro_usd) - left.available_micro_usd
    if more < 0:
        revoked = legs([Move(account, budget_granted(), -more)])
        key = f"set.{left.debits_posted - more}"
        return _entry("budget.revoke", budget, period, made=revoked, key=key)
    granted = legs([Move(budget_granted(), account, more)])
    key = f"set.{left.credits_posted + more}"
    return _entry("budget.grant", budget, period, made=granted, key=key)


def _entry(kind: str, budget: str, period: str, *, made: tuple[Leg, ...], key: str) -> Entry:
    return Entry(
        event_id=f"{kind}:{budget}:{period}:{key}",
        kind=kind,
        subject=budget,
        legs=made,
        facts=(period,),
    )
