"""What an account may hold at once, and who waits for machines."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from gondwana.api.deps import CallerDep, PlaneDep, ReaderDep, TenantDep, WriteDep, page, strict
from gondwana.api.whose import whose
from gondwana.core.clock import Instant
from gondwana.core.devices import canonical_device
from gondwana.core.ids import PrincipalId
from gondwana.db.transaction import Reader, Transaction
from gondwana.jobs import queue, store
from gondwana.jobs.quotas import Limits
from gondwana.market.fairness import Holdings
from gondwana.policy import limits, quotas
from gondwana.policy import rules as policy_rules
from gondwana.policy import store as policy
from gondwana.policy.model import Caller, Quota, Scope
from gondwana.wire.quotas import QueueView, QuotaRequest, QuotaView

router = APIRouter(prefix="/v1", tags=["quotas"])


@router.get("/quotas")
def list_quotas(caller: CallerDep, reader: ReaderDep, principal: str = "") -> Response:
    """What limits what the caller holds, or for an operator what somebody holds, and what is held of it."""
    of = whose(reader, caller, principal).id
    held = Limits.of_tenants(reader, [of])
    return page([_view(reader, each, held.holdings) for each in held.quotas.get(of, [])])


@router.put("/quotas", response_model=QuotaView)
def set_quota(
    told: Annotated[QuotaRequest, strict(QuotaRequest)], caller: TenantDep, write: WriteDep
) -> Response:
    """Limit what jobs may hold from now on; what is held stays held, and counts."""
    limits.check_quota(
        devices_max=told.devices_max, jobs_max=told.jobs_max, weight=told.weight
    )  # fmt: skip

    def run(tx: Transaction, now: Instant) -> Any:
        made = quotas.set_quota(tx, _asked(tx, caller, now, told))
        return _view(tx, made, Limits.of_tenants(tx, [made.tenant_id]).holdings)

    return write(run)


@router.delete("/quotas", response_model=QuotaView)
def remove_quota(
    caller: TenantDep, write: WriteDep, project: str = "", model: str = "", principal: str = Query("")
) -> Response:  # fmt: skip
    """Lift a quota."""

    def run(tx: Transaction, now: Instant) -> Any:
        asked = QuotaRequest(project=project, model=model, principal=principal)
        lifted = quotas.remove_quota(tx, now, _asked(tx, caller, now, asked))
        return _view(tx, lifted, Limits.of_tenants(tx, [lifted.tenant_id]).holdings)

    return write(run)


@router.get("/queue")
def show_queue(
    caller: TenantDep, plane: PlaneDep, reader: ReaderDep, all: bool = False
) -> Response:
    """Who waits for machines, next first: the caller's own orders with their places, or for an operator `all`."""
    if all:
        policy_rules.require(caller, Scope.OPERATOR)
    of = None if all else caller.principal.id
    found = queue.queue(plane.context, reader, plane.clock.now(), of)
    jobs = store.jobs_by_id(reader, [each.order.job_id for each in found])
    return page([_queued(reader, each, jobs[each.order.job_id].name) for each in found])


def _asked(reader: Reader, caller: Caller, now: Instant, told: QuotaRequest) -> Quota:
    of = whose(reader, caller, told.principal)
    return Quota(
        tenant_id=of.id,
        project=policy_rules.check_name(told.project, field="project") if told.project else "",
        model=canonical_device(told.model) if told.model else "",
        is_operators=of != caller.principal,
        devices_max=told.devices_max,
        jobs_max=told.jobs_max,
        weight=told.weight,
        set_by=caller.principal.id,
        set_at=now,
    )


def _view(reader: Reader, quota: Quota, holdings: Holdings) -> QuotaView:
    project = quota.project or None
    return QuotaView(
        principal=policy.principal(reader, quota.tenant_id).name,
        project=quota.project,
        model=quota.model,
        devices_max=quota.devices_max,
        devices_held=holdings.devices(quota.tenant_id, project, quota.model),
        jobs_max=quota.jobs_max,
        jobs_held=len(holdings.jobs(quota.tenant_id, project)),
        weight=quota.weight,
        set_by_operator=quota.is_operators,
    )


def _queued(reader: Reader, each: queue.Place, job: str) -> QueueView:
    order = each.order
    return QueueView(
        place=each.place,
        mechanism=order.mechanism,
        job=job,
        job_id=order.job_id,
        principal=policy.principal(reader, PrincipalId(order.tenant_id)).name,
        project=order.project,
        priority=order.priority,
        since=order.created_at,
        machines=order.count_min,
        devices=order.devices,
        accelerators=tuple(one.name or "any" for one in order.resources.accelerators),
        kept=each.kept,
        why=each.why,
    )
