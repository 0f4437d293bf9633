"""The operator's side of the rails: payouts to send and their results, deposits to record and to settle."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from gondwana.api import treasury_views as views
from gondwana.api.deps import (
    LIMIT_MAX,
    OperatorDep,
    PlaneDep,
    ReaderDep,
    WriteDep,
    answer,
    page_of,
    strict,
)
from gondwana.core.clock import Instant
from gondwana.db.transaction import Transaction
from gondwana.ledger import deposits, payouts
from gondwana.ledger.payments import Deposit, DepositState, PayoutState
from gondwana.ledger.payouts import NEWEST
from gondwana.ledger.rails import rail_named
from gondwana.wire.treasury import (
    BatchView,
    ClearRequest,
    DepositView,
    ImportRequest,
    ImportView,
    PaymentRequest,
    PayoutView,
    ResultRequest,
    SendRequest,
)

router = APIRouter(prefix="/v1/treasury", tags=["treasury"])


@router.get("/payouts")
def list_payouts(
    caller: OperatorDep, reader: ReaderDep, state: PayoutState | None = None, cursor: str = "",
    limit: int = Query(LIMIT_MAX, ge=1, le=LIMIT_MAX),
) -> Response:  # fmt: skip
    """Everybody's payouts, newest first; with `state` those in it."""
    found = payouts.payouts(reader, state=state or "", before=cursor or NEWEST, limit=limit)
    return page_of(found, limit, lambda each: views.payout_view(reader, each))


@router.post("/batches", response_model=BatchView)
def send(
    told: Annotated[SendRequest, strict(SendRequest)],
    caller: OperatorDep,
    plane: PlaneDep,
    write: WriteDep,
) -> Response:
    """Hand a rail the payouts that wait for it, or those named: from now on they may arrive at any moment."""

    def run(tx: Transaction, now: Instant) -> Any:
        batch = payouts.send(tx, plane.context.random, now, told.rail, ids=told.payouts)
        if batch is None:
            return BatchView(id=None, rail=told.rail, made_at=now)
        return views.batch_view(tx, *payouts.batch_of(tx, batch.id))

    return write.money(run)


@router.get("/batches/{batch_id}", response_model=BatchView)
def show_batch(batch_id: str, caller: OperatorDep, reader: ReaderDep) -> Response:
    """One batch with the file that its rail is sent: the one place that shows destinations whole."""
    batch, found = payouts.batch_of(reader, batch_id)
    return answer(views.batch_view(reader, batch, found, payouts.file_of(batch, found)))


@router.post("/payouts/results", response_model=ImportView)
def read_results(
    told: Annotated[ImportRequest, strict(ImportRequest)], caller: OperatorDep, write: WriteDep
) -> Response:
    """Apply a file of results, each line once; lines that are wrong are told, and stop no other."""
    results = rail_named(told.rail).read_results(told.content)
    return write.money(
        lambda tx, now: views.import_view(payouts.apply_results(tx, now, told.rail, results))
    )


@router.post("/payouts/{payout_id}/confirm", response_model=PayoutView)
def confirm_payout(
    payout_id: str,
    told: Annotated[ResultRequest, strict(ResultRequest)],
    caller: OperatorDep,
    write: WriteDep,
) -> Response:
    """A payout arrived."""

    def run(tx: Transaction, now: Instant) -> Any:
        return views.payout_view(tx, payouts.confirm(tx, now, payout_id, reference=told.reference))

    return write.money(run)


@router.post("/payouts/{payout_id}/fail", response_model=PayoutView)
def fail_payout(
    payout_id: str,
    told: Annotated[ResultRequest, strict(ResultRequest)],
    caller: OperatorDep,
    write: WriteDep,
) -> Response:
    """A payout did not arrive, or is not to be sent: the money is its owner's again at once."""

    def run(tx: Transaction, now: Instant) -> Any:
        failed = payouts.fail(tx, now, payout_id, reason=told.reason, reference=told.reference)
        return views.payout_view(tx, failed)

    return write.money(run)


@router.get("/deposits")
def list_deposits(
    caller: OperatorDep, reader: ReaderDep, state: DepositState | None = None, cursor: str = "",
    limit: int = Query(LIMIT_MAX, ge=1, le=LIMIT_MAX),
) -> Response:  # fmt: skip
    """Everybody's deposits, newest first; with `state` those in it."""
    found = deposits.deposits(reader, state=state or "", before=cursor or NEWEST, limit=limit)
    return page_of(found, limit, lambda each: views.deposit_view(reader, each))


@router.post("/deposits", response_model=DepositView)
def record_deposit(
    told: Annotated[PaymentRequest, strict(PaymentRequest)],
    caller: OperatorDep,
    plane: PlaneDep,
    write: WriteDep,
) -> Response:
    """Record a payment that came in, is expected, or is nobody's that we know."""

    def run(tx: Transaction, now: Instant) -> Any:
        made = deposits.add_deposit(
            tx,
            plane.context.random,
            now,
            rail=told.rail,
            tenant_id=views.principal_of(tx, told.principal).id if told.principal else None,
            amount_micro_usd=told.amount_micro_usd,
            reference=told.reference,
            sender=told.sender,
            expected=told.expected,
        )
        return views.deposit_view(tx, made)

    return write.money(run)


@router.post("/deposits/statement", response_model=ImportView)
def read_statement(
    told: Annotated[ImportRequest, strict(ImportRequest)],
    caller: OperatorDep,
    plane: PlaneDep,
    write: WriteDep,
) -> Response:
    """Apply a bank's statement of what came in, each payment once; what names no account waits for its owner."""
    payments = rail_named(told.rail).read_payments(told.content)

    def run(tx: Transaction, now: Instant) -> Any:
        random = plane.context.random
        return views.import_view(deposits.apply_payments(tx, random, now, told.rail, payments))

    return write.money(run)


@router.post("/deposits/{deposit_id}/confirm", response_model=DepositView)
def confirm_deposit(deposit_id: str, caller: OperatorDep, write: WriteDep) -> Response:
    """An expected deposit came: it is the tenant's to spend."""
    return write.money(_then(lambda tx, now: deposits.confirm_deposit(tx, now, deposit_id)))


@router.post("/deposits/{deposit_id}/void", response_model=DepositView)
def void_deposit(
    deposit_id: str,
    told: Annotated[ResultRequest, strict(ResultRequest)],
    caller: OperatorDep,
    write: WriteDep,
) -> Response:
    """An expected deposit will not come."""
    reason = told.reason
    return write.money(_then(lambda tx, now: deposits.void_deposit(tx, now, deposit_id, reason=reason)))  # fmt: skip


@router.post("/deposits/{deposit_id}/clear", response_model=DepositView)
def clear_deposit(
    deposit_id: str,
    told: Annotated[ClearRequest, strict(ClearRequest)],
    caller: OperatorDep,
    write: WriteDep,
) -> Response:
    """An unclear payment found its owner."""

    def run(tx: Transaction, now: Instant) -> Deposit:
        tenant_id = views.principal_of(tx, told.principal).id
        return deposits.clear_deposit(tx, now, deposit_id, tenant_id=tenant_id)

    return write.money(_then(run))


@router.post("/deposits/{deposit_id}/return", response_model=DepositView)
def return_deposit(
    deposit_id: str,
    told: Annotated[ResultRequest, strict(ResultRequest)],
    caller: OperatorDep,
    write: WriteDep,
) -> Response:
    """An unclear payment went back where it came from."""
    reason = told.reason
    return write.money(_then(lambda tx, now: deposits.return_deposit(tx, now, deposit_id, reason=reason)))  # fmt: skip


@router.post("/deposits/{deposit_id}/chargeback", response_model=DepositView)
def charge_back(
    deposit_id: str,
    told: Annotated[ResultRequest, strict(ResultRequest)],
    caller: OperatorDep,
    write: WriteDep,
) -> Response:
    """A deposit's sender took it back: the tenant's balance pays, the operator the rest, the account is frozen."""
    reason = told.reason
    return write.money(_then(lambda tx, now: deposits.charge_back(tx, now, deposit_id, reason=reason)))  # fmt: skip


def _then(
    change: Callable[[Transaction, Instant], Deposit],
) -> Callable[[Transaction, Instant], DepositView]:
    """The change, and what is answered."""
    return lambda tx, now: views.deposit_view(tx, change(tx, now))
