"""Budgets: limits on spending, counted in the books like money, so that passing one is refused like an overdraft."""

from datetime import UTC, datetime
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidValue
from gondwana.ledger.accounts import budget_granted, budget_left
from gondwana.ledger.model import Balance, Budget, BudgetPeriod, Entry
from gondwana.ledger.rules.entries import Move, legs

EVER: Final = "ever"  # the one period of a budget without an end


def period_of(budget: Budget, now: Instant) -> str:
    """The period that a budget counts in now: `2026-11` (UTC), or `ever`."""
    return month_of(now) if budget.period is BudgetPeriod.MONTH else EVER


def month_of(now: Instant) -> str:
    """The calendar month of an instant, in UTC: `2026-11`."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m")


def used_micro_usd(granted_micro_usd: int, left: Balance) -> int:
    """What was set aside or spent in a period and not given back: what of all that was granted is not left."""
    return granted_micro_usd - left.available_micro_usd


def fit_budget(budget: Budget, period: str, *, granted_micro_usd: int, left: Balance) -> Entry:
    """Make what is left of a budget fit its limit: grant what is missing, revoke what is too much.

    A limit may be lowered below what is used: what escrows hold is not revoked, but what they give back is, the next
    time the budget is fitted. Named by the counter it moves, so a repeat posts nothing.
    """
    if not 0 <= left.available_micro_usd <= granted_micro_usd:
        raise InvalidValue(field="granted", value=granted_micro_usd)
    account = budget_left(budget.id, period)
    allowed = max(0, budget.limit_micro_usd - used_micro_usd(granted_micro_usd, left))
    more = allowed - left.available_micro_usd
    if more < 0:
        kind, move = "budget.revoke", Move(account, budget_granted(), -more)
        counter = left.debits_posted - more
    else:
        kind, move = "budget.grant", Move(budget_granted(), account, more)
        counter = left.credits_posted + more
    return Entry(
        event_id=f"{kind}:{budget.id}:{period}:{counter}",
        kind=kind,
        subject=budget.id,
        legs=legs([move]),
        facts=(period,),
    )
