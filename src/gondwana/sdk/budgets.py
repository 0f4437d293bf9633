"""Limits on what the caller's jobs may spend."""

from collections.abc import Iterator
from urllib.parse import urlencode

from gondwana.sdk.pages import every
from gondwana.sdk.transport import Transport
from gondwana.wire.budgets import BudgetRequest, BudgetView, SettleView


class Budgets:
    """Budgets by project and period."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, principal: str = "") -> Iterator[BudgetView]:
        """The caller's budgets, or those of `principal` (operator)."""
        return every(self._transport, "/v1/budgets", BudgetView, principal=principal or None)

    def set(
        self, limit_micro_usd: int, *, project: str = "", period: str = "month", principal: str = ""
    ) -> BudgetView:
        """The budget as it stands after it was set."""
        request = BudgetRequest(
            limit_micro_usd=limit_micro_usd, project=project, period=period, principal=principal
        )
        return self._transport.write("PUT", "/v1/budgets", request).decode(BudgetView)

    def remove(
        self, *, project: str = "", period: str = "month", principal: str = ""
    ) -> BudgetView:
        """The budget that is lifted."""
        asked = urlencode({"project": project, "period": period, "principal": principal})
        return self._transport.write("DELETE", f"/v1/budgets?{asked}").decode(BudgetView)

    def settle(self, lease_id: str) -> SettleView:
        """What a lease has cost by now, posted."""
        return self._transport.write("POST", f"/v1/leases/{lease_id}/settle").decode(SettleView)
