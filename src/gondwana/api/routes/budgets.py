"""Limits on spending, and settling a lease whenever somebody likes."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from gondwana.api.deps import CallerDep, PlaneDep, ReaderDep, TenantDep, WriteDep, page, strict
from gondwana.api.whose import whose
from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidValue
from gondwana.core.money import MICRO_USD_MAX
from gondwana.db.transaction import Reader, Transaction
from gondwana.jobs.settle import settle
from gondwana.ledger import budgets
from gondwana.ledger.accounts import lease_escrow
from gondwana.ledger.model import BudgetPeriod
from gondwana.ledger.store import balance
from gondwana.market import store as market
from gondwana.policy import rules as policy_rules
from gondwana.policy import store as policy
from gondwana.policy.model import Scope
from gondwana.wire.budgets import BudgetRequest, BudgetView, SettleView

router = APIRouter(prefix="/v1", tags=["budgets"])


@router.get("/budgets")
def list_budgets(
    caller: CallerDep, reader: ReaderDep, plane: PlaneDep, principal: str = ""
) -> Response:
    """What limits the caller's spending, or for an operator somebody's, and what is used of it."""
    of, now = whose(reader, caller, principal), plane.clock.now()
    return page([_view(reader, each, now) for each in budgets.budgets(reader, of.id)])


@router.put("/budgets", response_model=BudgetView)
def set_budget(
    told: Annotated[BudgetRequest, strict(BudgetRequest)],
    caller: TenantDep,
    plane: PlaneDep,
    write: WriteDep,
) -> Response:
    """Limit what jobs may spend from now on; what is used already counts."""
    if not 0 <= told.limit_micro_usd <= MICRO_USD_MAX:
        raise InvalidValue(field="limit", value=told.limit_micro_usd, hint="dollars, 0 or more")
    project, period = _project(told.project), _period(told.period)

    def run(tx: Transaction, now: Instant) -> Any:
        of = whose(tx, caller, told.principal)
        made = budgets.set_budget(
            tx, plane.context.random, now, tenant_id=of.id, project=project, period=period,
            limit_micro_usd=told.limit_micro_usd, set_by=caller.principal.id, is_operators=of != caller.principal,
        )  # fmt: skip
        return _view(tx, made, now)

    return write(run)


@router.delete("/budgets", response_model=BudgetView)
def remove_budget(
    caller: TenantDep, write: WriteDep, project: str = "", period: str = "month",
    principal: str = Query(""),
) -> Response:  # fmt: skip
    """Lift a limit."""

    def run(tx: Transaction, now: Instant) -> Any:
        of = whose(tx, caller, principal)
        lifted = budgets.remove_budget(
            tx, now, tenant_id=of.id, project=_project(project), period=_period(period),
            is_operators=Scope.OPERATOR in caller.scopes,
        )  # fmt: skip
        return _view(tx, lifted, now)

    return write(run)


@router.post("/leases/{lease_id}/settle", response_model=SettleView)
def settle_lease(lease_id: str, caller: CallerDep, plane: PlaneDep, write: WriteDep) -> Response:
    """Post what a lease's proven seconds cost by now; anybody may, as often as he likes: the sum is always the same."""
    gap = plane.context.heartbeat_seconds

    def run(tx: Transaction, now: Instant) -> Any:
        settle(tx, now, gap, [lease_id])
        lease, escrow = market.lease(tx, lease_id), balance(tx, lease_escrow(lease_id))
        return SettleView(
            lease=lease.id,
            seconds_proven=lease.seconds_proven,
            paid_micro_usd=escrow.debits_posted,
            escrow_micro_usd=escrow.available_micro_usd,
        )

    return write(run)


def _project(name: str) -> str:
    return policy_rules.check_name(name, field="project") if name else ""


def _period(text: str) -> BudgetPeriod:
    if text not in list(BudgetPeriod):
        raise InvalidValue(field="period", value=text, hint="month or ever")
    return BudgetPeriod(text)


def _view(reader: Reader, budget: budgets.Budget, now: Instant) -> BudgetView:
    stands = budgets.status(reader, budget, now)
    return BudgetView(
        principal=policy.principal(reader, policy.PrincipalId(budget.tenant_id)).name,
        project=budget.project,
        period=budget.period,
        counts_in=stands.period,
        limit_micro_usd=budget.limit_micro_usd,
        used_micro_usd=stands.used_micro_usd,
        left_micro_usd=stands.left_micro_usd,
        set_by_operator=budget.is_operators,
    )
