"""Tokens, and the caller's own accounts."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from gondwana.api import views
from gondwana.api.deps import (
    LIMIT_MAX,
    CallerDep,
    OperatorDep,
    PlaneDep,
    ProviderDep,
    ReaderDep,
    WriteDep,
    answer,
    page,
    strict,
)
from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidValue, NoSuchThing
from gondwana.db.transaction import Transaction
from gondwana.ledger import deposits, periods
from gondwana.policy import store as policy
from gondwana.policy.model import Scope
from gondwana.wire.ledger import EarningsView, StatementPage
from gondwana.wire.views import AccountView, DepositRequest, TokenRequest, TokenView

router = APIRouter(prefix="/v1", tags=["accounts"])


@router.get("/me")
def me(caller: CallerDep) -> Response:
    """Who the token belongs to, and what it allows."""
    return answer(
        {"principal": caller.principal.id, "name": caller.principal.name, "scopes": caller.scopes}
    )


@router.post("/tokens", response_model=TokenView)
def create_token(
    told: Annotated[TokenRequest, strict(TokenRequest)],
    caller: OperatorDep,
    plane: PlaneDep,
    write: WriteDep,
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
    told: Annotated[DepositRequest, strict(DepositRequest)],
    caller: OperatorDep,
    plane: PlaneDep,
    write: WriteDep,
) -> Response:
    """Record money that came in for a principal; an operator's word."""

    def run(tx: Transaction, now: Instant) -> Any:
        to = policy.principal_named(tx, told.principal) if told.principal else caller.principal
        if to is None:
            raise NoSuchThing(principal=told.principal, hint="gondwana token list")
        deposits.add_deposit(
            tx,
            plane.context.random,
            now,
            rail="manual",
            tenant_id=to.id,
            amount_micro_usd=told.amount_micro_usd,
            reference=told.reference,
        )
        return views.account_view(tx, to)

    return write.money(run)


@router.get("/account/statement", response_model=StatementPage)
def show_statement(
    caller: CallerDep, reader: ReaderDep, account: str = periods.ALL, month: str | None = None,
    since: str | None = None, until: str | None = None, cursor: str | None = None,
    limit: int = Query(LIMIT_MAX, ge=1, le=LIMIT_MAX),
) -> Response:  # fmt: skip
    """The caller's transfers in words, newest first, with the balance after each, and both ends' balances.

    `account`: available, promo, holdback, payable, verifier, reporter, stake, unbonding, subsidy or all. `month`
    (2026-11), or days from `since` on and before `until`, UTC.
    """
    period = periods.parse_period(month=month, since=since, until=until)
    accounts = periods.personal(caller.principal.id, account)
    span = periods.span_of(reader, period)
    start = cursor if cursor else periods.cursor_before(span.end, accounts)
    lines, after = periods.lines_of(reader, accounts, period.since, cursor=start, limit=limit)
    return answer(
        StatementPage(
            period=views.period_view(reader, accounts, period, span),
            items=tuple(views.statement_line(name, line) for name, line in lines),
            cursor=after,
        )
    )


@router.get("/account/earnings", response_model=EarningsView)
def show_earnings(caller: ProviderDep, reader: ReaderDep, plane: PlaneDep) -> Response:
    """What the caller's machines earned, where that money is, and when it becomes payable."""
    return answer(views.earnings_view(reader, caller.principal, plane.clock.now()))
