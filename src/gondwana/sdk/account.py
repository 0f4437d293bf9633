"""Money: the caller's account."""

from collections.abc import Iterator

from gondwana.sdk.pages import PAGE_ITEMS, PAGES_MAX
from gondwana.sdk.transport import Transport
from gondwana.wire.ledger import EarningsView, StatementLine, StatementPage
from gondwana.wire.views import AccountView, DepositRequest


class Account:
    """The caller's money."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def balance(self) -> AccountView:
        """What is available, held for jobs, held back and payable."""
        return self._transport.get("/v1/account").decode(AccountView)

    def statement(
        self, account: str = "all", *, month: str | None = None, since: str | None = None, until: str | None = None
    ) -> Iterator[StatementLine]:  # fmt: skip
        """The lines of one of the caller's accounts, or of all, in a month or between two days; newest first."""
        pages = self.statement_pages(account, month=month, since=since, until=until)
        return (line for page in pages for line in page.items)

    def statement_pages(
        self, account: str = "all", *, month: str | None = None, since: str | None = None, until: str | None = None
    ) -> Iterator[StatementPage]:  # fmt: skip
        """The same by page; the first one's `period` holds the balances at both ends."""
        asked = {"account": account, "month": month, "since": since, "until": until}
        cursor: str | None = None
        for _ in range(PAGES_MAX):
            query = {**asked, "limit": PAGE_ITEMS, "cursor": cursor}
            answer = self._transport.request("GET", "/v1/account/statement", query=query)
            page = answer.decode(StatementPage)
            yield page
            cursor = page.cursor
            if cursor is None:
                return

    def earnings(self) -> EarningsView:
        """What the caller's machines earned, where that money is, and when it becomes payable."""
        return self._transport.get("/v1/account/earnings").decode(EarningsView)

    def deposit(
        self, amount_micro_usd: int, *, principal: str = "", reference: str = ""
    ) -> AccountView:
        """The account of `principal` (default: the caller) after money came in (operator)."""
        request = DepositRequest(
            principal=principal, amount_micro_usd=amount_micro_usd, reference=reference
        )
        return self._transport.write("POST", "/v1/account/deposit", request).decode(AccountView)
