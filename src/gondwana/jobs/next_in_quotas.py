"""Who is next to get room in quotas: a large order would be passed by for ever by smaller ones of its own account."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gondwana.core.clock import Instant
from gondwana.jobs import quotas as rules
from gondwana.market.fairness import Holdings
from gondwana.market.keeping import AGED_SECONDS, is_large
from gondwana.market.model import Order
from gondwana.policy.model import Quota


@dataclass(slots=True)
class _Next:
    """An order that waits for more of some quotas than gets free at once."""

    order: Order
    stops: Sequence[Quota]  # those that had no room for it
    has_room: bool = False  # they have by now


class NextInQuotas:
    """One order of each account, at most, for which what its quotas leave is kept; for one thread at a time.

    It waits for AGED_SECONDS, for several devices. What stops it is kept from the account's other orders until it got
    its machines, or there are none for it.
    """

    def __init__(self) -> None:
        self._of: dict[str, _Next] = {}  # by tenant

    def note(
        self, order: Order, of_tenant: Sequence[Quota], holdings: Holdings, now: Instant
    ) -> None:
        """Quotas keep an order waiting, whose turn it was."""
        waits = now - order.created_at
        if not is_large(order) or waits < AGED_SECONDS or order.tenant_id in self._of:
            return
        stops = rules.stopping(order, of_tenant, holdings)
        if stops and rules.is_ever_allowed(order, of_tenant):
            self._of[order.tenant_id] = _Next(order, stops)

    def why_not(self, order: Order) -> str:
        """Why an order may have nothing of what its quotas leave; empty where it may."""
        found = self._of.get(order.tenant_id)
        if found is None or order.id == found.order.id:
            return ""
        if not any(rules.concerns(each, order) for each in found.stops):
            return ""
        return (
            f"quota: {found.order.job_id} of this account waited longer for room in it, and is next"
        )

    def look(self, quotas: Mapping[str, Sequence[Quota]], holdings: Holdings) -> bool:
        """Look whether there is room by now; whether there is for one that had none."""
        self.forget(lambda order: not rules.is_ever_allowed(order, quotas.get(order.tenant_id, ())))
        has_news = False
        for tenant_id, each in self._of.items():
            had_room = each.has_room
            each.has_room = not rules.stopping(each.order, quotas.get(tenant_id, ()), holdings)
            has_news |= each.has_room and not had_room
        return has_news

    def found_nothing(self, order: Order) -> None:
        """There is no machine for an order: if quotas have room for it, it keeps nobody waiting any more."""
        found = self._of.get(order.tenant_id)
        if found is not None and found.order.id == order.id and found.has_room:
            del self._of[order.tenant_id]

    def forget(self, is_over: Callable[[Order], bool]) -> None:
        """Those that are over, or not what they were, are next no more."""
        for tenant_id in [name for name, each in self._of.items() if is_over(each.order)]:
            del self._of[tenant_id]
