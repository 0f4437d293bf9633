"""Tokens, accounts, the books."""

from typing import Any

from fastapi import APIRouter, Query, Response

from gondwana.api import views
from gondwana.api.deps import (
    LIMIT_MAX,
    CallerDep,
    OperatorDep,
    PlaneDep,
    ReaderDep,
    WriteDep,
    answer,
    page,
)
from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidValue, NoSuchThing
from gondwana.core.events import Event
from gondwana.core.ids import new_id
from gondwana.core.money import MICRO_USD_MAX
from gondwana.db.transaction import Transaction
from gondwana.ledger import accounts as chart
from gondwana.ledger import rules as ledger
from gondwana.ledger.audit import audit
from gondwana.ledger.statements import SEQ_MAX, statement
from gondwana.ledger.store import post
from gondwana.policy import store as policy
from gondwana.policy.model import Scope
from gondwana.wire.views import (
    AccountView,
    AuditView,
    DepositRequest,
    StatementLine,
    TokenRequest,
    TokenView,
)

router = APIRouter(prefix="/v1", tags=["accounts"])


@router.get("/me")
def me(caller: CallerDep) -> Response:
    """Who the token belongs to, and what it allows."""
    return answer(
        {"principal": caller.principal.id, "name": caller.principal.name, "scopes": caller.scopes}
    )


@router.post("/tokens", response_model=TokenView)
def create_token(
    told: TokenRequest, caller: OperatorDep, plane: PlaneDep, write: WriteDep
) -> Response:
    """A new token; its secret is shown this once."""
    unknown = [scope for scope in told.scopes if scope not in list(Scope)]
    if unknown or not told.scopes:
        raise InvalidValue(
            field="scopes", value=", ".join(unknown), hint=f"some of: {', '.join(Scope)}"
        )

    def run(tx: Transaction, now: Instant) -> Any:
        scopes = tuple(Scope(scope) for scope in told.scopes)
        token, secret = policy.create_token(
            tx, plane.context.random, now, name=told.name, scopes=scopes
        )
        return views.token_view(tx, token, secret)

    return write(run, secret=True)


@router.get("/tokens")
def list_tokens(caller: OperatorDep, reader: ReaderDep) -> Response:
    """All tokens, without their secrets."""
    return page([views.token_view(reader, token) for token in policy.tokens(reader)])


@router.delete("/tokens/{token_id}", response_model=TokenView)
def revoke_token(token_id: str, caller: OperatorDep, write: WriteDep) -> Response:
    """Make a token useless from now on."""
    return write(lambda tx, now: views.token_view(tx, policy.revoke_token(tx, now, token_id)))


@router.get("/account", response_model=AccountView)
def show_account(caller: CallerDep, reader: ReaderDep) -> Response:
    """The caller's money."""
    return answer(views.account_view(reader, caller.principal))


@router.post("/account/deposit", response_model=AccountView)
def deposit(
    told: DepositRequest, caller: OperatorDep, plane: PlaneDep, write: WriteDep
) -> Response:
    """Record money that came in for a principal; an operator's word."""
    if not 0 < told.amount_micro_usd <= MICRO_USD_MAX:
        raise InvalidValue(field="amount", value=told.amount_micro_usd, hint="dollars, more than 0")

    def run(tx: Transaction, now: Instant) -> Any:
        to = policy.principal_named(tx, told.principal) if told.principal else caller.principal
        if to is None:
            raise NoSuchThing(principal=told.principal, hint="gondwana token list")
        key = new_id("dep", now, plane.context.random)
        post(tx, ledger.deposit("manual", to.id, told.amount_micro_usd, key=key), now)
        data = {"amount_micro_usd": told.amount_micro_usd, "reference": told.reference}
        tx.emit(Event(at=now, kind="account.deposited", subject=to.id, data=data))
        return views.account_view(tx, to)

    return write(run)


@router.get("/account/statement")
def show_statement(
    caller: CallerDep, reader: ReaderDep, account: str = "available", cursor: str | None = None,
    limit: int = Query(LIMIT_MAX, ge=1, le=LIMIT_MAX),
) -> Response:  # fmt: skip
    """The caller's transfers in words, newest first, of one account: available, holdback, payable, verifier."""
    of = {
        "available": chart.tenant_available,
        "holdback": chart.provider_holdback,
        "payable": chart.provider_payable,
        "verifier": chart.verifier_payable,
    }
    if account not in of:
        raise InvalidValue(field="account", value=account, hint=f"one of {', '.join(of)}")
    before = int(cursor) if cursor and cursor.isdigit() else SEQ_MAX
    name = of[account](caller.principal.id)
    lines = statement(reader, name, limit=limit, before=before)
    items = [
        StatementLine(
            at=line.at,
            account=account,
            amount_micro_usd=line.change_micro_usd,
            balance_micro_usd=line.available_micro_usd,
            words=line.text,
            transfer_id=line.transfer_id,
        )
        for line in lines
    ]
    return page(items, str(lines[-1].seq) if len(lines) == limit else None)


@router.get("/ledger/audit", response_model=AuditView)
def audit_books(caller: CallerDep, reader: ReaderDep) -> Response:
    """The books recomputed from every transfer; anybody with a token may ask."""
    report = audit(reader)
    return answer(
        AuditView(
            ok=report.ok,
            accounts=report.accounts,
            transfers=report.transfers,
            total_micro_usd=sum(
                amount
                for code, amount in report.posted_micro_usd.items()
                if 2000 <= code < 9000
            ),
            posted_micro_usd_by_code={
                str(code): amount for code, amount in report.posted_micro_usd.items()
            },
            differences=tuple(
                f"{difference.subject}: {difference.wrong}" for difference in report.differences
            ),
        )
    )
