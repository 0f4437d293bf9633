"""Stakes of owners; cases against them; reports of wrong work."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gondwana.sdk.pages import every, segment
from gondwana.sdk.transport import Transport
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


class Stakes:
    """What an owner has at stake."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(self, *, principal: str = "") -> StakeView:
        """The caller's stake and what it allows; with `principal` somebody's (operator)."""
        return self._transport.get("/v1/stakes", principal=principal or None).decode(StakeView)

    def add(self, amount_micro_usd: int, *, principal: str = "", rail: str = "") -> StakeView:
        """The stake after earnings were put down; with `rail` what arrived over it (operator)."""
        told = StakeRequest(amount_micro_usd=amount_micro_usd, principal=principal, rail=rail)
        return self._transport.write("POST", "/v1/stakes", told).decode(StakeView)

    def unbond(self, amount_micro_usd: int) -> StakeView:
        """The stake after a part of it was put on its way out."""
        told = UnbondRequest(amount_micro_usd=amount_micro_usd)
        return self._transport.write("POST", "/v1/stakes/unbond", told).decode(StakeView)


class Cases:
    """Slashes, and the reports that may lead to one."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, everyone: bool = False) -> Iterator[CaseView]:
        """Cases that accuse the caller or make him whole, newest first; with `everyone` all (operator)."""
        return every(self._transport, "/v1/cases", CaseView, all=1 if everyone else None)

    def get(self, case: str) -> CaseView:
        """One case with its evidence and its money."""
        return self._transport.get(f"/v1/cases/{segment(case)}").decode(CaseView)

    def open(
        self, machine: str, amount_micro_usd: int, *, reason: str, evidence: Mapping[str, Any], job: str = "",
        tenant: str = "", made_whole_micro_usd: int = 0, verification_cost_micro_usd: int = 0,
        reports: Sequence[str] = (),
    ) -> CaseView:  # fmt: skip
        """A slash proposed by hand (operator)."""
        told = CaseRequest(
            machine=machine, amount_micro_usd=amount_micro_usd, reason=reason, evidence=dict(evidence), job=job,
            tenant=tenant, made_whole_micro_usd=made_whole_micro_usd,
            verification_cost_micro_usd=verification_cost_micro_usd, reports=tuple(reports),
        )  # fmt: skip
        return self._transport.write("POST", "/v1/cases", told).decode(CaseView)

    def appeal(self, case: str, text: str) -> CaseView:
        """The case after the accused said why it is wrong."""
        return self._act(case, "appeal", AppealRequest(text=text))

    def decide(self, case: str, verdict: str, why: str) -> CaseView:
        """The case after a verdict on its appeal: `uphold` or `reverse` (operator)."""
        return self._act(case, "decide", DecisionRequest(verdict=verdict, why=why))

    def correct(self, case: str, why: str) -> CaseView:
        """An upheld case after all that it moved went back (operator)."""
        return self._act(case, "correct", CorrectionRequest(why=why))

    def report(
        self, machine: str, claim: str, *, job: str = "", bond_micro_usd: int | None = None,
        from_earnings: bool = False,
    ) -> ReportView:  # fmt: skip
        """The caller's report of a machine, its bond put down."""
        told = ReportRequest(
            machine=machine, claim=claim, job=job, bond_micro_usd=bond_micro_usd, from_earnings=from_earnings
        )  # fmt: skip
        return self._transport.write("POST", "/v1/reports", told).decode(ReportView)

    def reports(self, *, everyone: bool = False) -> Iterator[ReportView]:
        """The caller's reports, newest first; with `everyone` all (operator)."""
        return every(self._transport, "/v1/reports", ReportView, all=1 if everyone else None)

    def decide_report(self, report: str, verdict: str, why: str) -> ReportView:
        """The report after a verdict: `uphold` or `refuse` (operator)."""
        path = f"/v1/reports/{segment(report)}/decide"
        told = DecisionRequest(verdict=verdict, why=why)
        return self._transport.write("POST", path, told).decode(ReportView)

    def _act(self, case: str, verb: str, told: object) -> CaseView:
        path = f"/v1/cases/{segment(case)}/{verb}"
        return self._transport.write("POST", path, told).decode(CaseView)
