"""Stakes; slashes with their appeals; reports with their bonds."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response

from gondwana.api import stakeviews
from gondwana.api.deps import (
    LIMIT_MAX,
    CallerDep,
    OperatorDep,
    PlaneDep,
    ProviderDep,
    ReaderDep,
    WriteDep,
    answer,
    page_of,
    strict,
)
from gondwana.api.whose import named, whose
from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidValue
from gondwana.core.ids import new_id
from gondwana.core.money import MICRO_USD_MAX
from gondwana.db.transaction import Transaction
from gondwana.jobs import cases as work
from gondwana.jobs import store as jobs
from gondwana.ledger import reports, slashes, stakes
from gondwana.ledger.accounts import provider_payable, tenant_available
from gondwana.ledger.cases import Report, ReportState, SlashState, SlashTerms, StakeSettings
from gondwana.ledger.payments import check_rail_name
from gondwana.ledger.settings import setting
from gondwana.policy import rules as policy_rules
from gondwana.policy.model import Scope
from gondwana.wire.stakes import (
    AppealRequest,
    CaseRequest,
    CaseView,
    CorrectionRequest,
    DecisionRequest,
    ReportRequest,
    ReportView,
    StakeRequest,
    StakeView,
    UnbondRequest,
)

router = APIRouter(prefix="/v1", tags=["stakes"])

StakeTold = Annotated[StakeRequest, strict(StakeRequest)]
UnbondTold = Annotated[UnbondRequest, strict(UnbondRequest)]
CaseTold = Annotated[CaseRequest, strict(CaseRequest)]
AppealTold = Annotated[AppealRequest, strict(AppealRequest)]
DecisionTold = Annotated[DecisionRequest, strict(DecisionRequest)]
CorrectionTold = Annotated[CorrectionRequest, strict(CorrectionRequest)]
ReportTold = Annotated[ReportRequest, strict(ReportRequest)]

VERDICTS: Final = {"uphold": SlashState.UPHELD, "reverse": SlashState.REVERSED}
JUDGEMENTS: Final = {"uphold": reports.uphold_report, "refuse": reports.refuse_report}


@router.get("/stakes", response_model=StakeView)
def show_stake(caller: ProviderDep, reader: ReaderDep, principal: str = "") -> Response:
    """What the caller has at stake, or for an operator somebody, and how much unverified work that allows."""
    with reader.snapshot():
        return answer(stakeviews.stake_view(reader, whose(reader, caller, principal)))


@router.post("/stakes", response_model=StakeView)
def add_stake(told: StakeTold, caller: ProviderDep, plane: PlaneDep, write: WriteDep) -> Response:
    """Put earnings at stake; an operator also what arrived over a rail."""
    _check_amount("amount", told.amount_micro_usd, least=1)
    if told.rail:
        policy_rules.require(caller, Scope.OPERATOR)
        check_rail_name(told.rail)

    def run(tx: Transaction, now: Instant) -> Any:
        owner = whose(tx, caller, told.principal)
        key = new_id("stk", now, plane.context.random)
        stakes.add_stake(tx, now, owner.id, told.amount_micro_usd, key=key, rail=told.rail or None)
        return stakeviews.stake_view(tx, owner)

    return write.money(run)


@router.post("/stakes/unbond", response_model=StakeView)
def unbond(told: UnbondTold, caller: ProviderDep, plane: PlaneDep, write: WriteDep) -> Response:
    """Take a part of the stake out: free after two weeks, and slashable until then."""
    _check_amount("amount", told.amount_micro_usd, least=1)

    def run(tx: Transaction, now: Instant) -> Any:
        amount, random = told.amount_micro_usd, plane.context.random
        stakes.unbond(tx, random, now, caller.principal.id, amount)
        return stakeviews.stake_view(tx, caller.principal)

    return write.money(run)


@router.get("/cases")
def list_cases(
    caller: CallerDep, reader: ReaderDep, all: bool = False, cursor: str | None = None,
    limit: int = Query(LIMIT_MAX, ge=1, le=LIMIT_MAX),
) -> Response:  # fmt: skip
    """Slashes that accuse the caller or make him whole, newest first; with `all`, an operator sees everybody's."""
    if all:
        policy_rules.require(caller, Scope.OPERATOR)
    whose = None if all else caller.principal.id
    found = slashes.cases(reader, whose, before=cursor, limit=limit)
    return page_of(
        found, limit, lambda each: stakeviews.case_view(reader, caller, each, whole=False)
    )


@router.get("/cases/{case_id}", response_model=CaseView)
def show_case(case_id: str, caller: CallerDep, reader: ReaderDep) -> Response:
    """One slash, for whom it concerns: its evidence, its money, where it stands."""
    with reader.snapshot():
        known = stakeviews.case_for(reader, caller, case_id)
        return answer(stakeviews.case_view(reader, caller, known))


@router.post("/cases", response_model=CaseView)
def open_case(told: CaseTold, caller: OperatorDep, plane: PlaneDep, write: WriteDep) -> Response:
    """Propose a slash by hand, with its evidence; what it takes is held, and the accused may appeal."""
    for field in ("amount_micro_usd", "made_whole_micro_usd", "verification_cost_micro_usd"):
        _check_amount(field.removesuffix("_micro_usd"), getattr(told, field))

    def run(tx: Transaction, now: Instant) -> Any:
        job = jobs.job(tx, told.job) if told.job else None
        machine = work.reported_machine(tx, "", told.machine, job)
        tenant_id = job.tenant_id if job is not None and told.made_whole_micro_usd else None
        if told.tenant:
            tenant_id = named(tx, told.tenant).id
        terms = SlashTerms(
            case_id=new_id("case", now, plane.context.random),
            provider_id=machine.owner_id,
            amount_micro_usd=told.amount_micro_usd,
            reason=told.reason,
            tenant_id=tenant_id,
            made_whole_micro_usd=told.made_whole_micro_usd,
            reporters=reports.in_order(tx, machine.owner_id, told.reports),
            verification_cost_micro_usd=told.verification_cost_micro_usd,
            job_id=job.id if job is not None else None,
        )
        opened = slashes.open_slash(tx, now, terms, evidence=told.evidence, machine_id=machine.id)
        return stakeviews.case_view(tx, caller, opened)

    return write.money(run)


@router.post("/cases/{case_id}/appeal", response_model=CaseView)
def appeal(case_id: str, told: AppealTold, caller: ProviderDep, write: WriteDep) -> Response:
    """Say why a slash is wrong: once, within three days; its money stays held until somebody has judged."""

    def run(tx: Transaction, now: Instant) -> Any:
        changed = slashes.appeal(tx, now, case_id, caller.principal.id, told.text)
        return stakeviews.case_view(tx, caller, changed)

    return write(run)


@router.post("/cases/{case_id}/decide", response_model=CaseView)
def decide_case(case_id: str, told: DecisionTold, caller: OperatorDep, write: WriteDep) -> Response:
    """Judge an appeal: uphold or reverse."""
    verdict = VERDICTS[_one_of(told.verdict, VERDICTS)]

    def run(tx: Transaction, now: Instant) -> Any:
        ended = slashes.decide(tx, now, case_id, verdict, told.why)
        return stakeviews.case_view(tx, caller, ended)

    return write.money(run)


@router.post("/cases/{case_id}/correct", response_model=CaseView)
def correct_case(
    case_id: str, told: CorrectionTold, caller: OperatorDep, write: WriteDep
) -> Response:
    """Undo an upheld slash: the mirror of all that it moved is posted, as far as everybody still has it."""

    def run(tx: Transaction, now: Instant) -> Any:
        corrected = slashes.correct_case(tx, now, case_id, told.why)
        return stakeviews.case_view(tx, caller, corrected)

    return write.money(run)


@router.post("/reports", response_model=ReportView)
def report(told: ReportTold, caller: CallerDep, plane: PlaneDep, write: WriteDep) -> Response:
    """Report a machine's work as wrong, with a bond: it comes back where that is so, and is lost where it is not."""
    if told.bond_micro_usd is not None:
        _check_amount("bond", told.bond_micro_usd)
    policy_rules.require(caller, Scope.PROVIDER if told.from_earnings else Scope.TENANT)
    whose = caller.principal.id

    def run(tx: Transaction, now: Instant) -> Any:
        job = jobs.job_of(tx, whose, told.job) if told.job else None
        machine = work.reported_machine(tx, whose, told.machine, job)
        bond = told.bond_micro_usd
        least = setting(tx, "stakes", StakeSettings).bond_micro_usd_min
        new = Report(
            id=new_id("rep", now, plane.context.random),
            reporter_id=whose,
            accused_id=machine.owner_id,
            machine_id=machine.id,
            job_id=job.id if job is not None else None,
            claim=told.claim,
            bond_micro_usd=least if bond is None else bond,
            payer=provider_payable(whose) if told.from_earnings else tenant_available(whose),
            state=ReportState.OPEN,
            at=now,
        )
        return stakeviews.report_view(tx, reports.post_report(tx, now, new))

    return write.money(run)


@router.get("/reports")
def list_reports(
    caller: CallerDep, reader: ReaderDep, all: bool = False, cursor: str | None = None,
    limit: int = Query(LIMIT_MAX, ge=1, le=LIMIT_MAX),
) -> Response:  # fmt: skip
    """The caller's reports, newest first; with `all`, an operator sees everybody's."""
    if all:
        policy_rules.require(caller, Scope.OPERATOR)
    whose = None if all else caller.principal.id
    found = reports.reports(reader, whose, before=cursor, limit=limit)
    return page_of(found, limit, lambda each: stakeviews.report_view(reader, each))


@router.post("/reports/{report_id}/decide", response_model=ReportView)
def decide_report(
    report_id: str, told: DecisionTold, caller: OperatorDep, write: WriteDep
) -> Response:
    """Judge a report: uphold returns its bond, refuse loses it to the accused and to the fund for checks."""
    judge = JUDGEMENTS[_one_of(told.verdict, JUDGEMENTS)]

    def run(tx: Transaction, now: Instant) -> Any:
        return stakeviews.report_view(tx, judge(tx, now, report_id, told.why))

    return write.money(run)


def _check_amount(field: str, micro_usd: int, *, least: int = 0) -> None:
    if not least <= micro_usd <= MICRO_USD_MAX:
        raise InvalidValue(field=field, value=micro_usd, hint="dollars, more than 0")


def _one_of(told: str, allowed: dict[str, Any]) -> str:
    if told not in allowed:
        raise InvalidValue(field="verdict", value=told[:80], hint=f"one of: {', '.join(allowed)}")
    return told
