"""What budgets must have come to: the most that may be set aside, and what was."""

from typing import Any, Final

from gondwana.core.clock import Instant
from gondwana.ledger.rules import month_of
from gondwana.sim.books.request import Params
from gondwana.sim.books.shadow import Shadow

EVER: Final = "ever"

Budget = dict[str, Any]  # limit, period, used: by period


def budgets(shadow: Shadow) -> dict[tuple[str, str, str], Budget]:
    """Those that stand now, by (tenant, project, how long they last)."""
    return shadow.told.setdefault("budgets", {})


def limiting(shadow: Shadow, p: Params) -> list[Budget]:
    """Those that limit what a tenant's job of a project draws now."""
    return [
        budget
        for (tenant, project, _), budget in budgets(shadow).items()
        if tenant == p["tenant"] and project in ("", p["project"])
    ]


def period_of(budget: Budget, shadow: Shadow) -> str:
    """The period that it counts in now, by the bank's clock."""
    now: Instant = shadow.told["now"]
    return month_of(now) if budget["period"] == "month" else EVER


def left(budget: Budget, shadow: Shadow) -> int:
    """What may still be drawn."""
    return max(0, budget["limit"] - budget["used"].get(period_of(budget, shadow), 0))


def allows(shadow: Shadow, p: Params, amount: int) -> bool:
    """Whether every budget that limits a job allows so much more."""
    return all(amount <= left(budget, shadow) for budget in limiting(shadow, p))


def drew(shadow: Shadow, escrow: str, p: Params, amount: int) -> None:
    """An escrow was filled: that counts against each budget that limits it."""
    found = [(budget, period_of(budget, shadow)) for budget in limiting(shadow, p)]
    for budget, period in found:
        if amount > left(budget, shadow):
            shadow.wrong.append(f"a budget was exceeded by {escrow}")
        budget["used"][period] = budget["used"].get(period, 0) + amount
    shadow.told.setdefault(f"drawn {escrow}", []).insert(0, (amount, found))


def gave_back(shadow: Shadow, escrow: str, rest: int) -> None:
    """An escrow gave back what it did not need: what was drawn last first."""
    for amount, found in shadow.told.get(f"drawn {escrow}", []):
        part = min(rest, amount)
        rest -= part
        for budget, period in found:
            budget["used"][period] -= part
