"""What was promised, proven and credited of a lease; how the insurance fund stands."""

from fastapi import APIRouter, Response

from gondwana.api.deps import CallerDep, PlaneDep, ReaderDep, answer
from gondwana.core.errors import NoSuchThing
from gondwana.jobs import service, service_credits
from gondwana.jobs.service import Month
from gondwana.jobs.service_credits import Credit
from gondwana.ledger import rules, solvency
from gondwana.ledger.service import SlaClass, availability_ppm
from gondwana.market import store as market
from gondwana.policy.model import Scope
from gondwana.supply import store as supply
from gondwana.wire.service import CreditView, LeaseServiceView, ServiceMonth, SolvencyView

router = APIRouter(prefix="/v1", tags=["service"])


@router.get("/leases/{lease_id}/service", response_model=LeaseServiceView)
def show_service(lease_id: str, caller: CallerDep, reader: ReaderDep) -> Response:
    """What was promised and proven of a lease, and every credit with its evidence; for its tenant and its owner."""
    lease = market.lease(reader, lease_id)
    machine = supply.machine(reader, lease.machine_id)
    concerned = (lease.tenant_id, machine.owner_id)
    if caller.principal.id not in concerned and Scope.OPERATOR not in caller.scopes:
        raise NoSuchThing(lease=lease_id, hint="gondwana jobs show JOB")
    known = service.known(reader)
    months = (
        service.months(reader, service.course(reader, lease, known.until), known.gaps)
        if known
        else []
    )
    return answer(
        LeaseServiceView(
            lease=lease.id,
            machine=machine.name,
            sla=lease.sla,
            credited_micro_usd=service_credits.credited_micro_usd(reader, lease.id),
            months=tuple(_month(lease.sla, month) for month in months),
            credits=tuple(map(_credit, service_credits.credits_of_lease(reader, lease.id))),
        )
    )


@router.get("/ledger/solvency", response_model=SolvencyView)
def show_solvency(plane: PlaneDep, reader: ReaderDep) -> Response:
    """How the insurance fund stands, as published within the last hour; anybody may ask, without a token."""
    found = solvency.published(reader) or solvency.report(
        reader, plane.clock.now(), exposures={}, open_claims_micro_usd=0
    )
    state = found.state
    return answer(
        SolvencyView(
            at=found.at,
            fund_micro_usd=state.fund_micro_usd,
            open_claims_micro_usd=state.open_claims_micro_usd,
            claims_of_30_days_micro_usd=found.claims_of_30_days_micro_usd,
            claims_of_90_days_micro_usd=found.claims_of_90_days_micro_usd,
            premiums_of_30_days_micro_usd=found.premiums_of_30_days_micro_usd,
            expected_monthly_loss_micro_usd=state.expected_monthly_loss_micro_usd,
            largest_exposure_micro_usd=state.largest_exposure_micro_usd,
            required_micro_usd=state.required_micro_usd,
            ratio_ppm=state.ratio_ppm,
            haircut_ppm=state.haircut_ppm,
        )
    )


def _month(sla: SlaClass, month: Month) -> ServiceMonth:
    return ServiceMonth(
        month=month.service.month,
        promised_ms=month.service.promised_ms,
        proven_ms=month.service.proven_ms,
        availability_ppm=availability_ppm(month.service),
        charged_micro_usd=month.service.charged_micro_usd,
        due_micro_usd=rules.credit_due_micro_usd(sla, month.service),
        credited_micro_usd=month.service.credited_micro_usd,
    )


def _credit(credit: Credit) -> CreditView:
    return CreditView(
        at=credit.at,
        month=credit.month,
        amount_micro_usd=credit.amount_micro_usd,
        from_holdback_micro_usd=credit.from_holdback_micro_usd,
        from_stake_micro_usd=credit.from_stake_micro_usd,
        from_fund_micro_usd=credit.from_fund_micro_usd,
        live_ms=credit.live_ms,
        unserved_ms=credit.unserved_ms,
        excused_ms=credit.excused_ms,
        evidence=credit.evidence,
        hash=credit.hash,
    )
