"""Budgets in the database, and what they still allow."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.errors import Conflict, NoSuchThing
from gondwana.core.events import Event
from gondwana.core.ids import new_id
from gondwana.core.random import Random
from gondwana.core.values import replace
from gondwana.db.queries import load_queries
from gondwana.db.rows import from_row, from_rows, to_row
from gondwana.db.transaction import Reader, Transaction
from gondwana.ledger.accounts import AccountName, budget_left
from gondwana.ledger.model import Budget, BudgetPeriod, Draw
from gondwana.ledger.rules import budgets as rules
from gondwana.ledger.store import SQL as LEDGER
from gondwana.ledger.store import balance, post

SQL: Final = load_queries("gondwana.ledger", "budgets.sql")
BUDGETS_MAX: Final = 200  # of one tenant; each that applies costs a leg in every escrow


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetStatus:
    """A budget with what was used of it in its present period."""

    budget: Budget
    period: str
    used_micro_usd: int

    @property
    def left_micro_usd(self) -> int:
        """What may still be set aside."""
        return max(0, self.budget.limit_micro_usd - self.used_micro_usd)


def budgets(reader: Reader, tenant_id: str) -> list[Budget]:
    """All budgets of a tenant."""
    return from_rows(Budget, reader.all(SQL.budgets_of_tenant, {"tenant_id": tenant_id}))  # fmt: skip


def status(reader: Reader, budget: Budget, now: Instant) -> BudgetStatus:
    """How a budget stands now."""
    period = rules.period_of(budget, now)
    left = balance(reader, budget_left(budget.id, period))
    used = rules.used_micro_usd(_granted(reader, budget, period), left)
    return BudgetStatus(budget=budget, period=period, used_micro_usd=used)


def limiting(reader: Reader, tenant_id: str, project: str, now: Instant) -> list[BudgetStatus]:
    """The budgets that a job of `project` counts against, the tightest first."""
    found = [each for each in budgets(reader, tenant_id) if each.project in ("", project)]
    return sorted(
        (status(reader, each, now) for each in found), key=lambda each: each.left_micro_usd
    )


def fit(tx: Transaction, now: Instant, limits: Sequence[BudgetStatus]) -> tuple[AccountName, ...]:
    """The accounts to draw on, each made to hold just what its budget still allows."""
    for each in limits:
        _fit(tx, now, each.budget, each.period)
    return tuple(budget_left(each.budget.id, each.period) for each in limits)


def set_budget(
    tx: Transaction, random: Random, now: Instant, *, tenant_id: str, project: str, period: BudgetPeriod,
    limit_micro_usd: int, set_by: str, is_operators: bool,
) -> Budget:  # fmt: skip
    """Limit what a tenant's jobs may spend from now on; raises Conflict for an operator's budget that is not his."""
    whose = {"tenant_id": tenant_id, "project": project, "period": period}
    row = tx.one(SQL.budget_of, whose)
    old = from_row(Budget, row) if row else None
    _check_may_change(old, is_operators=is_operators)
    if old is None and len(budgets(tx, tenant_id)) >= BUDGETS_MAX:
        raise Conflict(f"at most {BUDGETS_MAX} budgets", hint="gondwana budget remove")
    new = Budget(id=old.id if old else new_id("bud", now, random), tenant_id=tenant_id, project=project, period=period,
                 limit_micro_usd=limit_micro_usd, set_by=set_by, is_operators=is_operators, set_at=now)  # fmt: skip
    tx.execute(SQL.save_budget, to_row(new))
    _fit(tx, now, new, rules.period_of(new, now))
    _tell(tx, now, "budget.set", new)
    return new


def remove_budget(
    tx: Transaction, now: Instant, *, tenant_id: str, project: str, period: BudgetPeriod, is_operators: bool
) -> Budget:  # fmt: skip
    """Lift a limit; raises NoSuchThing, or Conflict for an operator's budget that is not his."""
    row = tx.one(SQL.budget_of, {"tenant_id": tenant_id, "project": project, "period": period})
    if row is None:
        raise NoSuchThing("there is no such budget", hint="gondwana budget list")
    old = from_row(Budget, row)
    _check_may_change(old, is_operators=is_operators)
    _fit(tx, now, replace(old, limit_micro_usd=0), rules.period_of(old, now))
    tx.execute(SQL.remove_budget, {"id": old.id})
    _tell(tx, now, "budget.removed", old)
    return old


def draws(reader: Reader, escrow: AccountName) -> list[Draw]:
    """Every filling of an escrow, the newest first."""
    found: dict[int, Draw] = {}
    for row in reader.all(LEDGER.draws_of_escrow, {"escrow": escrow}):
        draw = found.get(row["entry"], Draw(amount_micro_usd=0))
        name, amount = AccountName(row["debit"]), int(row["amount"])
        if row["fills"]:
            promo = amount if name.endswith(":promo") else 0
            draw = replace(draw, amount_micro_usd=draw.amount_micro_usd + amount,
                           promo_micro_usd=draw.promo_micro_usd + promo)  # fmt: skip
        elif name.endswith(":left"):
            draw = replace(draw, budgets=(*draw.budgets, name))
        found[row["entry"]] = draw
    return list(found.values())


def _check_may_change(old: Budget | None, *, is_operators: bool) -> None:
    if old is not None and old.is_operators and not is_operators:
        raise Conflict("this budget was set by an operator", hint="ask the operator to change it")


def _fit(tx: Transaction, now: Instant, budget: Budget, period: str) -> None:
    account = budget_left(budget.id, period)
    granted = _granted(tx, budget, period)
    entry = rules.fit_budget(budget, period, granted_micro_usd=granted, left=balance(tx, account))
    if entry.legs:
        amount = entry.legs[0].amount_micro_usd
        granted += amount if entry.kind == "budget.grant" else -amount
        row = {"budget_id": budget.id, "period": period, "granted_micro_usd": granted}
        tx.execute(SQL.save_granted, row)
        post(tx, entry, now)


def _granted(reader: Reader, budget: Budget, period: str) -> int:
    row = reader.one(SQL.granted, {"budget_id": budget.id, "period": period})
    return int(row["granted_micro_usd"]) if row else 0


def _tell(tx: Transaction, now: Instant, kind: str, budget: Budget) -> None:
    data = {"project": budget.project, "period": budget.period, "limit_micro_usd": budget.limit_micro_usd,
            "set_by": budget.set_by}  # fmt: skip
    tx.emit(Event(at=now, kind=kind, subject=budget.tenant_id, data=data))
