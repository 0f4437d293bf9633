"""Quotas where machines are given out: what an order may get of what it was offered."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from gondwana.core.devices import CPU
from gondwana.core.errors import QuotaTooSmall
from gondwana.core.values import replace
from gondwana.db.transaction import Reader
from gondwana.jobs.listings import listings_of
from gondwana.market import store as market
from gondwana.market.calendar import rules
from gondwana.market.calendar import store as calendar
from gondwana.market.calendar.rules import Promise
from gondwana.market.fairness import CPUS, MEMORY, Holdings
from gondwana.market.model import Lease, Listing, Order, Sold
from gondwana.policy import limits, quotas
from gondwana.policy.limits import DevicesHeld
from gondwana.policy.model import Quota
from gondwana.wire.jobs import Accelerators

S = TypeVar("S", bound=Sold)


def models_of(order: Order) -> tuple[str, ...]:
    """The device models that the order names; none where any would do."""
    names = [each.name for each in order.resources.accelerators]
    return tuple(names) if all(names) else ()


def blocking(order: Order, of_tenant: Sequence[Quota], holdings: Holdings) -> str:
    """Why quotas let an order have nothing at all now; empty where they let it have some."""
    tenant_id = order.tenant_id
    if not of_tenant:
        left = limits.DEVICES_MAX_DEFAULT - holdings.devices(tenant_id, None, "")
        return "" if left >= order.devices else limits.why_waiting(None)
    applying, held = limits.applying(of_tenant, order.project), _held(tenant_id, holdings)
    if order.job_id not in holdings.jobs(tenant_id, None):
        stop = limits.blocked_jobs(applying, lambda p: len(holdings.jobs(tenant_id, p)))
        if stop is not None:
            return limits.why_waiting(stop)
    rooms = [limits.room(applying, model, held) for model in models_of(order) or ("",)]
    if all(each.devices < order.devices for each in rooms):
        return limits.why_waiting(rooms[0].quota)
    return ""


def stopping(order: Order, of_tenant: Sequence[Quota], holdings: Holdings) -> list[Quota]:
    """The quotas that an order waits for: they have no room for all that it needs."""
    tenant_id = order.tenant_id
    jobs = holdings.jobs(tenant_id, None)
    return limits.stopping(
        limits.applying(of_tenant, order.project),
        devices=order.count_min * order.devices,
        models=models_of(order),
        held=_held(tenant_id, holdings),
        jobs_held=None if order.job_id in jobs else lambda p: len(holdings.jobs(tenant_id, p)),
    )


def is_ever_allowed(order: Order, of_tenant: Sequence[Quota]) -> bool:
    """Whether quotas, as they are now, would let an order have what it needs if its account held nothing."""
    try:
        _check_ever(order, of_tenant)
    except QuotaTooSmall:
        return False
    return True


def concerns(quota: Quota, order: Order) -> bool:
    """Whether an order of that account may take room of a quota."""
    return limits.concerns(quota, order.project, models_of(order))


def within(order: Order, of_tenant: Sequence[Quota], holdings: Holdings) -> Order:
    """The order as the shelf is asked: without the models that its tenant holds enough of."""
    wanted = order.resources.accelerators
    if not any(each.model for each in of_tenant) or not wanted:
        return order
    applying, held = (
        limits.applying(of_tenant, order.project),
        _held(order.tenant_id, holdings),
    )
    left = tuple(
        each
        for each in _named(wanted, holdings)
        if limits.room(applying, each.name, held).devices >= order.devices
    )
    return replace(order, resources=replace(order.resources, accelerators=left))


def _named(wanted: Sequence[Accelerators], holdings: Holdings) -> Iterable[Accelerators]:
    """What would do, by its models: where any would, each that there is."""
    for each in wanted:
        if each.name:
            yield each
        else:
            models = sorted(holdings.totals.keys() - {CPU, CPUS, MEMORY})
            yield from (replace(each, name=model) for model in models)


def trim(
    order: Order, held_count: int, offered: Sequence[S], of_tenant: Sequence[Quota], holdings: Holdings
) -> tuple[list[S], str]:  # fmt: skip
    """Of what is offered what quotas allow, in order; nothing where a gang would not be whole; and why not more."""
    applying = limits.applying(of_tenant, order.project)
    kept, why = _allowed(order, offered, applying, _held(order.tenant_id, holdings))
    if held_count + len(kept) < order.count_min:
        return [], why
    return kept, why


def _allowed(
    order: Order, offered: Sequence[S], applying: Sequence[Quota], held: DevicesHeld
) -> tuple[list[S], str]:
    """Of what is offered what quotas allow, in order; and why not more."""
    if not applying:  # as most accounts are
        left = limits.DEVICES_MAX_DEFAULT - held(None, "")
        kept = list(offered[: max(0, left // order.devices)])
        return kept, "" if len(kept) == len(offered) else limits.why_waiting(None)
    kept = list[S]()
    why, taken = "", Counter[str]()

    def with_kept(project: str | None, model: str) -> int:
        mine = taken[model] if model else len(kept)
        return held(project, model) + mine * order.devices

    for each in offered:
        room = limits.room(applying, each.accelerator, with_kept)
        if room.devices >= order.devices:
            kept.append(each)
            taken[each.accelerator] += 1
        else:
            why = limits.why_waiting(room.quota)
    return kept, why


def allowed_ahead(
    reader: Reader, order: Order, offered: Sequence[Listing]
) -> tuple[list[Listing], str]:
    """Of what could be reserved what quotas allow, in order; and why not more.

    A reservation counts in its window, with all that its tenant will surely hold at any instant of it: what else is
    reserved, and leases that are agreed to last so long. Leases without an agreed end are not counted.
    """
    assert order.starts_at is not None
    tenant_id, start, end = order.tenant_id, order.starts_at, rules.window_end(order)
    known = calendar.promised_to(reader, tenant_id, start, end)
    machines = {each.machine_id for each in known}
    models = {str(each.machine_id): each.accelerator for each in listings_of(reader, machines)}

    def held(project: str | None, model: str) -> int:
        mine = [
            Promise(devices=each.devices, starts_at=each.starts_at, ends_at=each.ends_at)
            for each in known
            if project in (None, each.project) and model in ("", models.get(each.machine_id))
        ]
        return -rules.room(0, mine, start, end)

    applying = limits.applying(
        quotas.quotas_of(reader, [tenant_id]).get(tenant_id, []), order.project
    )
    asked = {(None, ""), *((each.project or None, each.model) for each in applying)}
    found = {each: held(*each) for each in asked}
    return _allowed(order, offered, applying, lambda project, model: found[project, model])


def _held(tenant_id: str, holdings: Holdings) -> DevicesHeld:
    return lambda project, model: holdings.devices(tenant_id, project, model)


@dataclass(frozen=True, slots=True)
class Limits:
    """The quotas of a batch's tenants, and what they hold, as the database has it."""

    quotas: dict[str, list[Quota]]
    holdings: Holdings

    @classmethod
    def read(cls, reader: Reader, orders: Iterable[Order]) -> "Limits":
        """Of the tenants of these orders; cheap where none of them has a quota."""
        return cls.of_tenants(reader, sorted({order.tenant_id for order in orders}))

    @classmethod
    def of_tenants(cls, reader: Reader, tenant_ids: Sequence[str]) -> "Limits":
        """Of these tenants; what is held is read of those who have a quota."""
        return cls.of(reader, quotas.quotas_of(reader, tenant_ids))

    @classmethod
    def of(cls, reader: Reader, found: dict[str, list[Quota]]) -> "Limits":
        """The same where the quotas have been read, by tenant."""
        holdings = Holdings()
        if found:
            rows = market.holdings_of_tenants(reader, list(found))
            machines = {row.machine_id for row in rows}
            known = {
                str(each.machine_id): each.accelerator for each in listings_of(reader, machines)
            }
            for row in rows:
                model = known.get(row.machine_id, "")
                holdings.add(row.tenant_id, row.project, {model: row.devices}, job_id=row.job_id)
        return cls(found, holdings)

    def allowed(self, order: Order, held: int, offered: Sequence[Listing]) -> Sequence[Listing]:
        """Of what is offered, what the order's quotas allow."""
        mine = self.quotas.get(order.tenant_id)
        if not mine:
            return offered
        if blocking(order, mine, self.holdings):
            return []
        return trim(order, held, offered, mine, self.holdings)[0]

    def count(self, order: Order, lease: Lease, model: str) -> None:
        """One more lease."""
        if order.tenant_id in self.quotas:
            self.holdings.add(
                order.tenant_id, order.project, {model: lease.devices}, job_id=order.job_id
            )


def check_ever(reader: Reader, order: Order) -> None:
    """Raise QuotaTooSmall for an order that its quotas will never let have what it needs at least."""
    _check_ever(order, quotas.quotas_of(reader, [order.tenant_id]).get(order.tenant_id, []))


def _check_ever(order: Order, of_tenant: Sequence[Quota]) -> None:
    limits.check_ever(
        limits.applying(of_tenant, order.project),
        devices=order.count_min * order.devices,
        models=models_of(order),
    )


def why_waiting(reader: Reader, order: Order) -> str:
    """Why quotas keep an order waiting now; empty where they do not."""
    found = Limits.read(reader, [order])
    mine = found.quotas.get(order.tenant_id, [])
    return blocking(order, mine, found.holdings) if mine else ""
