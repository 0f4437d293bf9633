"""The operator's money and decisions: treasury, funds, tax, promotions, corrections, frozen accounts, settings."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Response

from gondwana.api import treasury_views as views
from gondwana.api.deps import (
    LIMIT_MAX,
    OperatorDep,
    PlaneDep,
    ReaderDep,
    WriteDep,
    answer,
    page,
    page_of,
    strict,
)
from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidValue, NoSuchThing
from gondwana.db.transaction import Transaction
from gondwana.ledger import frozen, payouts, treasury
from gondwana.ledger.payouts import NEWEST
from gondwana.ledger.settings import SETTINGS, change_setting
from gondwana.wire.treasury import (
    AmountRequest,
    CorrectionRequest,
    FreezeRequest,
    FrozenView,
    PromoRequest,
    PromoView,
    RailAmountRequest,
    SettingView,
    TreasuryView,
)

router = APIRouter(prefix="/v1", tags=["treasury"])


@router.get("/treasury", response_model=TreasuryView)
def show_treasury(caller: OperatorDep, reader: ReaderDep) -> Response:
    """Where all money is: what the rails hold is what is owed, in doubt, and the operator's."""
    return answer(views.treasury_view(treasury.look(reader)))


@router.post("/treasury/deposit", response_model=TreasuryView)
def deposit(
    told: Annotated[RailAmountRequest, strict(RailAmountRequest)],
    caller: OperatorDep,
    plane: PlaneDep,
    write: WriteDep,
) -> Response:
    """The operator's own money came in."""
    random = plane.context.random
    return write.money(_then(
        lambda tx, now: treasury.deposit(tx, random, now, told.rail, told.amount_micro_usd)
    ))  # fmt: skip


@router.post("/treasury/withdraw", response_model=TreasuryView)
def withdraw(
    told: Annotated[RailAmountRequest, strict(RailAmountRequest)],
    caller: OperatorDep,
    plane: PlaneDep,
    write: WriteDep,
) -> Response:
    """The operator took own money out."""
    random = plane.context.random
    return write.money(_then(
        lambda tx, now: treasury.withdraw(tx, random, now, told.rail, told.amount_micro_usd)
    ))  # fmt: skip


@router.post("/treasury/sweep", response_model=TreasuryView)
def sweep(
    told: Annotated[AmountRequest, strict(AmountRequest)],
    caller: OperatorDep,
    plane: PlaneDep,
    write: WriteDep,
) -> Response:
    """Fees earned so far become the treasury's."""
    random = plane.context.random
    return write.money(_then(
        lambda tx, now: treasury.sweep(tx, random, now, told.amount_micro_usd)
    ))  # fmt: skip


@router.post("/treasury/funds/{fund}/{verb}", response_model=TreasuryView)
def move_fund(
    fund: str,
    verb: str,
    told: Annotated[AmountRequest, strict(AmountRequest)],
    caller: OperatorDep,
    plane: PlaneDep,
    write: WriteDep,
) -> Response:
    """deposit: the treasury's money for the insurance or verification fund; withdraw: a surplus back."""
    moves = {"deposit": treasury.fund_deposit, "withdraw": treasury.fund_withdraw}
    if verb not in moves:
        raise NoSuchThing(verb=verb[:80], hint=f"one of: {', '.join(moves)}")
    amount = told.amount_micro_usd
    if amount is None:
        raise InvalidValue(field="amount_micro_usd", value=None, hint="say how much")
    random = plane.context.random
    return write.money(_then(lambda tx, now: moves[verb](tx, random, now, fund, amount)))


@router.post("/treasury/taxes/{jurisdiction}", response_model=TreasuryView)
def remit_tax(
    jurisdiction: str,
    told: Annotated[RailAmountRequest, strict(RailAmountRequest)],
    caller: OperatorDep,
    plane: PlaneDep,
    write: WriteDep,
) -> Response:
    """Tax was paid to whom it is owed."""

    def run(tx: Transaction, now: Instant) -> Any:
        return treasury.remit_tax(
            tx,
            plane.context.random,
            now,
            rail=told.rail,
            jurisdiction=jurisdiction,
            amount_micro_usd=told.amount_micro_usd,
        )

    return write.money(_then(run))


@router.post("/treasury/promos", response_model=PromoView)
def grant_promo(
    told: Annotated[PromoRequest, strict(PromoRequest)],
    caller: OperatorDep,
    plane: PlaneDep,
    write: WriteDep,
) -> Response:
    """Give a tenant promotional credit out of the treasury: spent first, never paid out."""

    def run(tx: Transaction, now: Instant) -> Any:
        made = treasury.grant_promo(
            tx,
            plane.context.random,
            now,
            tenant_id=views.principal_of(tx, told.principal).id,
            amount_micro_usd=told.amount_micro_usd,
            why=told.why,
            expires_at=told.expires_at,
        )
        return views.promo_view(tx, made)

    return write.money(run)


@router.get("/treasury/promos")
def list_promos(
    caller: OperatorDep, reader: ReaderDep, cursor: str = "",
    limit: int = Query(LIMIT_MAX, ge=1, le=LIMIT_MAX),
) -> Response:  # fmt: skip
    """Promotional credit as it was granted, newest first."""
    found = treasury.grants(reader, before=cursor or NEWEST, limit=limit)
    return page_of(found, limit, lambda each: views.promo_view(reader, each))


@router.post("/treasury/corrections", response_model=TreasuryView)
def correct(
    told: Annotated[CorrectionRequest, strict(CorrectionRequest)],
    caller: OperatorDep,
    write: WriteDep,
) -> Response:
    """Post the mirror of an entry that was posted in error, once."""
    return write.money(_then(lambda tx, now: treasury.correct(tx, now, told.transfer, why=told.why)))  # fmt: skip


@router.put("/treasury/frozen/{name}", response_model=FrozenView)
def freeze(
    name: str,
    told: Annotated[FreezeRequest, strict(FreezeRequest)],
    caller: OperatorDep,
    write: WriteDep,
) -> Response:
    """Stop an account from spending and taking out; what runs goes on, payouts that wait are taken back."""

    def run(tx: Transaction, now: Instant) -> Any:
        found = views.principal_of(tx, name)
        payouts.freeze_account(tx, now, found.id, reason=told.reason)
        return views.frozen_view(tx, found)

    return write.money(run)


@router.delete("/treasury/frozen/{name}", response_model=FrozenView)
def unfreeze(name: str, caller: OperatorDep, write: WriteDep) -> Response:
    """Let an account spend and take out again."""

    def run(tx: Transaction, now: Instant) -> Any:
        found = views.principal_of(tx, name)
        frozen.unfreeze(tx, now, found.id)
        return views.frozen_view(tx, found)

    return write.money(run)


@router.get("/settings", response_model=list[SettingView])
def show_settings(caller: OperatorDep, reader: ReaderDep) -> Response:
    """What the operator of this network decided about money."""
    return page([views.setting_view(reader, name) for name in SETTINGS])


@router.put("/settings/{name}", response_model=SettingView)
def set_setting(
    name: str, fields: Annotated[dict[str, Any], Body()], caller: OperatorDep, write: WriteDep
) -> Response:
    """Change the fields that are named, from now on; the others stay."""

    def run(tx: Transaction, now: Instant) -> Any:
        change_setting(tx, now, name, fields, by=caller.principal.id)
        return views.setting_view(tx, name)

    return write.money(run)


def _then(run: Callable[[Transaction, Instant], Any]) -> Callable[[Transaction, Instant], Any]:
    """The change, and the look at all money after it."""

    def changed(tx: Transaction, now: Instant) -> TreasuryView:
        run(tx, now)
        return views.treasury_view(treasury.look(tx))

    return changed
