"""Stakes, cases and reports as their readers may see them (wire/stakes.py)."""

from typing import Final

from gondwana.core.errors import NoSuchThing
from gondwana.core.ids import PrincipalId
from gondwana.db.transaction import Reader
from gondwana.ledger import exposure, reports, slashes, stakes
from gondwana.ledger.accounts import (
    kind_of,
    provider_holdback,
    provider_payable,
    stake,
    stake_unbonding,
)
from gondwana.ledger.cases import Case, Report
from gondwana.ledger.rules import (
    APPEAL_SECONDS,
    DECIDE_SECONDS,
    UNBONDING_SECONDS,
    UNLIMITED_MICRO_USD,
    RiskSettings,
    more_stake_micro_usd,
    unverified_work_max_micro_usd,
)
from gondwana.ledger.settings import setting
from gondwana.ledger.store import balances, entry_of
from gondwana.policy import store as policy
from gondwana.policy.model import Caller, Principal, Scope
from gondwana.wire.stakes import (
    CaseMoney,
    CaseView,
    MoreWork,
    ReportView,
    StakeView,
    UnbondingView,
)

MORE_WORK: Final = (2, 5, 10)  # times what is allowed now


def stake_view(reader: Reader, owner: Principal) -> StakeView:
    """What an owner has at stake, what it allows, and what would allow more."""
    settings = setting(reader, "risk", RiskSettings)
    places = provider_holdback(owner.id), stake(owner.id), stake_unbonding(owner.id)
    held_back, staked, leaving = balances(reader, places).values()
    payable = provider_payable(owner.id)
    collateral = exposure.collateral_of(reader, owner.id, settings)
    most = unverified_work_max_micro_usd(collateral, settings)
    wanted = [most * times for times in MORE_WORK if most * times < UNLIMITED_MICRO_USD and most]
    return StakeView(
        principal=owner.name,
        staked_micro_usd=staked.available_micro_usd,
        holdback_micro_usd=held_back.available_micro_usd,
        payable_micro_usd=balances(reader, [payable])[payable].available_micro_usd,
        held_by_cases_micro_usd=sum(each.held_micro_usd for each in (held_back, staked, leaving)),
        unbonding=tuple(
            UnbondingView(
                id=part.id,
                amount_micro_usd=part.amount_micro_usd,
                unbonded_at=part.unbonded_at,
                free_at=part.unbonded_at + UNBONDING_SECONDS,
            )
            for part in stakes.unbonding(reader, owner.id)
        ),
        collateral_micro_usd=collateral,
        unverified_micro_usd=held_back.credits_pending,
        unverified_max_micro_usd=None if most == UNLIMITED_MICRO_USD else most,
        allowance_micro_usd=settings.allowance_micro_usd,
        more=tuple(
            MoreWork(
                work_micro_usd=work,
                stake_micro_usd=more_stake_micro_usd(work, settings, at_stake_micro_usd=collateral),
            )
            for work in wanted
        ),
    )


def case_for(reader: Reader, caller: Caller, case_id: str) -> Case:
    """A case that the caller may see: accused, made whole, a reporter of it, an operator. Raises NoSuchThing."""
    found = slashes.case(reader, case_id)
    concerned = {found.provider_id, found.tenant_id}
    if _is_operator(caller) or caller.principal.id in concerned:
        return found
    if caller.principal.id in {reports.report(reader, each).reporter_id for each in found.reports}:
        return found
    raise NoSuchThing(case=case_id, hint="gondwana case list")


def case_view(reader: Reader, caller: Caller, known: Case, *, whole: bool = True) -> CaseView:
    """A case as the caller may see it; a list shows less than the whole."""
    everything = _is_operator(caller)
    is_accused, is_tenant = (
        caller.principal.id == each for each in (known.provider_id, known.tenant_id)
    )
    shown = is_accused or everything
    return CaseView(
        id=known.id,
        state=known.state,
        accused=_name(reader, known.provider_id) if shown else "",
        tenant=_name(reader, known.tenant_id) if is_tenant or everything else "",
        machine_id=known.machine_id or "",
        job_id=known.job_id or "",
        unit_id=known.unit_id or "",
        reason=known.reason,
        amount_micro_usd=known.amount_micro_usd,
        held_micro_usd=known.held_micro_usd,
        made_whole_micro_usd=known.made_whole_micro_usd,
        money=_money(reader, known) if whole else (),
        evidence=known.evidence if whole and (shown or is_tenant) else "",
        evidence_hash=known.evidence_hash,
        reports=known.reports if everything else (),
        proposed_at=known.proposed_at,
        appeal_until=known.proposed_at + APPEAL_SECONDS,
        appeal=known.appeal if shown else "",
        appealed_at=known.appealed_at,
        judge_until=None if known.appealed_at is None else known.appealed_at + DECIDE_SECONDS,
        verdict=known.verdict,
        ended_at=known.ended_at,
    )


def report_view(reader: Reader, known: Report) -> ReportView:
    """A report, for its reporter and for operators."""
    return ReportView(
        id=known.id,
        state=known.state,
        reporter=_name(reader, known.reporter_id),
        machine_id=known.machine_id or "",
        job_id=known.job_id or "",
        claim=known.claim,
        bond_micro_usd=known.bond_micro_usd,
        at=known.at,
        case_id=known.case_id or "",
        verdict=known.verdict,
        decided_at=known.decided_at,
    )


def _money(reader: Reader, known: Case) -> tuple[CaseMoney, ...]:
    """What a case holds, moves or moved, in words, in order; reporters' shares are one."""
    cover = entry_of(reader, f"slash.cover:{known.id}")
    legs = [*slashes.hold_of(reader, known).legs, *(cover.legs if cover else ())]
    sums: dict[str, int] = {}
    for leg in legs:
        words = f"{kind_of(leg.debit).explains} → {kind_of(leg.credit).explains}"
        sums[words] = sums.get(words, 0) + leg.amount_micro_usd
    return tuple(CaseMoney(words=words, amount_micro_usd=amount) for words, amount in sums.items())


def _name(reader: Reader, principal_id: str | None) -> str:
    return policy.principal(reader, PrincipalId(principal_id)).name if principal_id else ""


def _is_operator(caller: Caller) -> bool:
    return Scope.OPERATOR in caller.scopes
