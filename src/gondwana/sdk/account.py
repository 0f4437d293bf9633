"""Money: the caller's account, and the public audit of the books."""

from collections.abc import Iterator

from gondwana.sdk.pages import every
from gondwana.sdk.transport import Transport
from gondwana.wire.views import AccountView, AuditView, DepositRequest, StatementLine


class Account:
    """The caller's money."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def balance(self) -> AccountView:
        """What is available, held for jobs, held back and payable."""
        return self._transport.get("/v1/account").decode(AccountView)

    def statement(self) -> Iterator[StatementLine]:
        """Every transfer that touched the caller's accounts."""
        return every(self._transport, "/v1/account/statement", StatementLine)

    def deposit(
        self, amount_micro_usd: int, *, principal: str = "", reference: str = ""
    ) -> AccountView:
        """The account of `principal` (default: the caller) after money came in (operator)."""
        request = DepositRequest(
            principal=principal, amount_micro_usd=amount_micro_usd, reference=reference
        )
        return self._transport.write("POST", "/v1/account/deposit", request).decode(AccountView)


class Ledger:
    """The books of everyone."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def audit(self) -> AuditView:
        """The books recomputed from every transfer, and where they differ from what is stored."""
        return self._transport.get("/v1/ledger/audit").decode(AuditView)
