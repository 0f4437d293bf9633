"""Anybody's own money in and out: payouts, where they go, deposits."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from gondwana.api import treasury_views as views
from gondwana.api.deps import (
    LIMIT_MAX,
    CallerDep,
    PlaneDep,
    ReaderDep,
    WriteDep,
    answer,
    page_of,
    strict,
)
from gondwana.core.clock import Instant
from gondwana.core.errors import NoSuchThing
from gondwana.db.transaction import Transaction
from gondwana.ledger import deposit_codes, deposits, payouts
from gondwana.ledger.payouts import NEWEST
from gondwana.policy import rules as policy_rules
from gondwana.policy.model import Caller, Scope
from gondwana.wire.treasury import (
    DepositCodeView,
    DestinationRequest,
    DestinationView,
    PayoutRequest,
    PayoutView,
)

NEEDED = {"available": Scope.TENANT, "payable": Scope.PROVIDER, "verifier": Scope.PROVIDER}
router = APIRouter(prefix="/v1", tags=["payouts"])


@router.get("/payouts/destination", response_model=DestinationView)
def show_destination(caller: CallerDep, reader: ReaderDep) -> Response:
    """Where the caller's payouts go, masked."""
    found = payouts.destination_of(reader, caller.principal.id)
    return answer(views.destination_view(found))


@router.put("/payouts/destination", response_model=DestinationView)
def set_destination(
    told: Annotated[DestinationRequest, strict(DestinationRequest)],
    caller: CallerDep,
    write: WriteDep,
) -> Response:
    """Send the caller's payouts there from now on."""

    def run(tx: Transaction, now: Instant) -> Any:
        made = payouts.set_destination(
            tx,
            now,
            caller.principal.id,
            rail=told.rail,
            destination=told.destination,
            holder=told.holder,
        )
        return views.destination_view(made)

    return write.money(run)


@router.post("/payouts", response_model=PayoutView)
def request_payout(
    told: Annotated[PayoutRequest, strict(PayoutRequest)],
    caller: CallerDep,
    plane: PlaneDep,
    write: WriteDep,
) -> Response:
    """Ask for a payout of what is payable, or of a tenant's own balance; the money is held from now on."""
    _may_take_from(caller, told.account)

    def run(tx: Transaction, now: Instant) -> Any:
        made = payouts.request(
            tx,
            plane.context.random,
            now,
            caller.principal.id,
            source=told.account,
            amount_micro_usd=told.amount_micro_usd,
        )
        return views.payout_view(tx, made)

    return write.money(run)


@router.get("/payouts")
def list_payouts(
    caller: CallerDep, reader: ReaderDep, cursor: str = "",
    limit: int = Query(LIMIT_MAX, ge=1, le=LIMIT_MAX),
) -> Response:  # fmt: skip
    """The caller's payouts, newest first."""
    found = payouts.payouts_of(reader, caller.principal.id, before=cursor or NEWEST, limit=limit)
    return page_of(found, limit, lambda each: views.payout_view(reader, each))


@router.get("/payouts/{payout_id}", response_model=PayoutView)
def show_payout(payout_id: str, caller: CallerDep, reader: ReaderDep) -> Response:
    """One payout of the caller; an operator sees everybody's."""
    found = payouts.payout(reader, payout_id)
    if found.principal_id != caller.principal.id and Scope.OPERATOR not in caller.scopes:
        raise NoSuchThing(payout=payout_id[:80], hint="gondwana payout list")
    return answer(views.payout_view(reader, found))


@router.post("/deposits/reference", response_model=DepositCodeView)
def deposit_reference(caller: CallerDep, plane: PlaneDep, write: WriteDep) -> Response:
    """The code to write on a bank transfer, so that it finds the caller's account; always the same one."""

    def run(tx: Transaction, now: Instant) -> Any:
        code = deposits.code_of(tx, plane.context.random, now, caller.principal.id)
        return DepositCodeView(code=deposit_codes.shown(code))

    return write(run)


@router.get("/deposits")
def list_deposits(
    caller: CallerDep, reader: ReaderDep, cursor: str = "",
    limit: int = Query(LIMIT_MAX, ge=1, le=LIMIT_MAX),
) -> Response:  # fmt: skip
    """The caller's deposits, newest first."""
    found = deposits.deposits_of(reader, caller.principal.id, before=cursor or NEWEST, limit=limit)
    return page_of(found, limit, lambda each: views.deposit_view(reader, each))


def _may_take_from(caller: Caller, account: str) -> None:
    if account in NEEDED:
        policy_rules.require(caller, NEEDED[account])
