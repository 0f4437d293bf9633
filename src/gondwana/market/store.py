"""Orders and leases, loaded and saved; every change of state writes its event."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from gondwana.core.clock import Instant
from gondwana.core.errors import NoSuchThing, WrongState
from gondwana.core.events import Event
from gondwana.core.ids import JobId, OrderId
from gondwana.core.values import replace
from gondwana.db.conditional import change_all, expect_state
from gondwana.db.many import insert_values, of_keys, read_keys, read_values
from gondwana.db.queries import load_queries
from gondwana.db.rows import from_row, from_rows, to_row
from gondwana.db.together import Asked, of_all
from gondwana.db.transaction import Reader, Transaction
from gondwana.market import rules
from gondwana.market.fairness import Holding
from gondwana.market.keeping import Hold, Serving, latest_end
from gondwana.market.model import (
    LEASE_TRANSITIONS,
    ORDER_TRANSITIONS,
    Charge,
    CloseReason,
    Lease,
    LeaseState,
    Mechanism,
    Order,
    OrderState,
)

SQL: Final = load_queries("gondwana.market")
ROWS_MAX: Final = 10_000  # orders or leases looked at in one pass
LEASES_PAGE: Final = 1_000  # leases read at once where all are looked at


def order(reader: Reader, id: str) -> Order:
    """One order; raises NoSuchThing."""
    row = reader.one(SQL.order_by_id, {"id": id})
    if row is None:
        raise NoSuchThing(order=id)
    return from_row(Order, row)


def orders(reader: Reader, ids: Sequence[str]) -> dict[str, Order]:
    """These orders, by id; those that do not exist are left out."""
    return {each.id: each for each in read_values(reader, Order, SQL.orders_by_id, ids)}


def count_standing_orders(reader: Reader, tenant_id: str) -> int:
    """How many of a tenant's orders wait, or are served, until he cancels them."""
    row = reader.one(SQL.count_standing_orders, {"tenant_id": tenant_id})
    return int(row["orders"]) if row else 0


def still_open_asked(ids: Sequence[str]) -> Asked[set[str]]:
    """Those of the orders that want machines."""
    return of_keys(tuple, SQL.still_open, ids).then(lambda rows: {order_id for (order_id,) in rows})


class OpenOrder(NamedTuple):
    """An order that wants machines at posted prices; they sort by age."""

    created_at: Instant
    id: OrderId
    starts_at: Instant | None = None

    def wants_now(self, now: Instant) -> bool:
        """Whether it wants them already."""
        return self.starts_at is None or self.starts_at <= now


def all_open_orders(reader: Reader) -> Iterator[OpenOrder]:
    """The orders that want machines at posted prices, now or later: oldest first, however many they are."""
    last = OpenOrder(Instant(0.0), OrderId(""))
    while rows := reader.tuples(
        SQL.open_orders, {"created_at": last.created_at, "id": last.id, "limit": ROWS_MAX}
    ):
        yield from map(OpenOrder._make, rows)
        last = OpenOrder._make(rows[-1])


def open_orders(reader: Reader, now: Instant) -> list[OrderId]:
    """The orders that want machines now at posted prices, oldest first."""
    return [each.id for each in all_open_orders(reader) if each.wants_now(now)]


def open_by_price(reader: Reader, tenant_id: str | None, *, limit: int) -> list[Order]:
    """The orders that want machines on spot or at auction, or one tenant's, oldest first."""
    return from_rows(Order, reader.all(SQL.open_by_price, {"tenant_id": tenant_id, "limit": limit}))


def open_order(order: Order) -> OpenOrder | None:
    """The order if it wants machines at posted prices, now or later."""
    if order.state is not OrderState.OPEN or order.mechanism is not Mechanism.POSTED:
        return None
    return OpenOrder(order.created_at, order.id, order.starts_at)


def live_holdings(reader: Reader) -> Iterator[Holding]:
    """What every live lease holds."""
    after = ""
    while rows := reader.all(SQL.live_holdings, {"after": after, "limit": ROWS_MAX}):
        yield from from_rows(Holding, rows)
        after = rows[-1]["id"]


def holdings_of_leases(reader: Reader, ids: Sequence[str]) -> list[Holding]:
    """What these leases hold; those that are closed are left out."""
    return read_values(reader, Holding, SQL.holdings_of_leases, ids)


def holdings_of_tenants(reader: Reader, ids: Sequence[str]) -> list[Holding]:
    """What these tenants' live leases hold."""
    return read_values(reader, Holding, SQL.holdings_of_tenants, ids)


def holds(reader: Reader) -> list[Hold]:
    """Every machine that is kept for an order."""
    return holds_asked().of(reader)


def holds_asked() -> Asked[list[Hold]]:
    """The same, not asked yet."""
    return of_all(Hold, SQL.holds)


def holds_on_asked(machine_ids: Sequence[str]) -> Asked[dict[str, Hold]]:
    """What is kept of these machines."""
    found = of_keys(Hold, SQL.holds_on, machine_ids)
    return found.then(lambda holds: {each.machine_id: each for each in holds})


def keep(tx: Transaction, now: Instant, wanted: Sequence[Hold]) -> None:
    """Keep these machines, and no others."""
    since = {(each.machine_id, each.order_id): each.since for each in holds(tx)}
    before = {order_id for _, order_id in since}
    kept = [
        replace(each, since=since.get((each.machine_id, each.order_id), each.since))
        for each in wanted
    ]
    tx.execute(SQL.drop_holds)
    insert_values(tx, "market_hold", kept)
    for each in {each.order_id: each for each in kept if each.order_id not in before}.values():
        data = {"machines": sum(one.order_id == each.order_id for one in kept), "whole_at": each.whole_at}  # fmt: skip
        tx.emit(Event(at=now, kind="order.kept", subject=each.order_id, data=data))
    for order_id in sorted(before - {each.order_id for each in kept}):
        tx.emit(Event(at=now, kind="order.kept_no_more", subject=order_id))


def serving(reader: Reader, machine_ids: Sequence[str]) -> dict[str, list[Serving]]:
    """The live leases of these machines, and when they are over at the latest."""
    found: dict[str, list[Serving]] = {}
    for row in read_keys(reader, SQL.serving, machine_ids):
        each = from_row(Lease, row)
        ends_at = latest_end(each, row["seconds_max"])
        one = Serving(machine_id=each.machine_id, devices=each.devices, ends_at=ends_at)
        found.setdefault(each.machine_id, []).append(one)
    return found


def overdue_orders(reader: Reader, now: Instant) -> list[Order]:
    """The orders that want machines and had time to find them until now, oldest first."""
    rows = reader.all(SQL.overdue_orders, {"now": now, "limit": ROWS_MAX})
    return from_rows(Order, rows)


def timed_out_orders(reader: Reader, now: Instant) -> list[Order]:
    """The orders that seek machines again, though the time is over by `now` that they had them for."""
    rows = reader.all(SQL.timed_out_orders, {"now": now, "limit": ROWS_MAX})
    return from_rows(Order, rows)


def place_order(tx: Transaction, new: Order) -> None:
    """Store a new order."""
    tx.execute(SQL.save_order, to_row(new))
    tx.emit(Event(at=new.created_at, kind="order.opened", subject=new.id, job_id=new.job_id))


def move_order(tx: Transaction, now: Instant, target: Order, to: OrderState) -> Order:
    """The order in its new state; staying is no change. Raises WrongState."""
    move_orders(tx, now, [target], to)
    return replace(target, state=to)


def move_orders(tx: Transaction, now: Instant, targets: Sequence[Order], to: OrderState) -> None:
    """Move all of the orders; staying is no change. Raises WrongState where one cannot, by the call's end."""
    moving = [each for each in targets if each.state is not to]
    for state in {each.state for each in moving}:
        if to not in ORDER_TRANSITIONS[state]:
            raise WrongState(f"the order is {state}, it cannot become {to}")
        ids = [each.id for each in moving if each.state is state]
        change_all(tx, SQL.move_orders, ids, state, to.value, state.value)
    kind = f"order.{to}"
    tx.emit_many([Event(at=now, kind=kind, subject=each.id, job_id=each.job_id) for each in moving])


def renew_order(tx: Transaction, now: Instant, target: Order) -> Order:
    """The order after it lost a lease, with time to find another."""
    renewed = rules.renewed(target, now)
    tx.execute(SQL.save_order, to_row(renewed))
    return renewed


def reserve(
    tx: Transaction, now: Instant, leases: Sequence[Lease], names: Mapping[str, str],
    *, active: Sequence[Lease] = (),
) -> list[Lease]:  # fmt: skip
    """Store reservations. The caller has just seen, in this transaction, that the devices are free.

    `names`: of the machines. `active`: those of the leases that are stored as serving from now on; they are returned as
    such, and the caller tells of it (`tell_active`). Each lease has its machine's next epoch: the database refuses one
    that is taken.
    """
    serving = {lease.id: _activated(lease, now) for lease in active}
    insert_values(tx, "lease", [serving.get(lease.id, lease) for lease in leases])
    tx.emit_many(
        [
            lease_event(now, each, "lease.reserved", {"machine": names[each.machine_id]})
            for each in leases
        ]
    )
    return list(serving.values())


def activate(tx: Transaction, now: Instant, leases: Sequence[Lease]) -> list[Lease]:
    """Reservations, serving from now on: all of them. Raises WrongState where one is no reservation any more."""
    active = [_activated(lease, now) for lease in leases]
    ids = [lease.id for lease in leases]
    change_all(tx, SQL.activate, ids, LeaseState.RESERVED, now, now)
    tell_active(tx, now, active)
    return active


def _activated(lease: Lease, now: Instant) -> Lease:
    _check_move(lease, LeaseState.ACTIVE)
    return replace(lease, state=LeaseState.ACTIVE, active_at=now, proven_at=now)


def tell_active(tx: Transaction, now: Instant, active: Sequence[Lease]) -> None:
    """Tell that leases serve from now on."""
    tx.emit_many([
        lease_event(now, each, "lease.active", {"price_micro_usd_per_hour": each.price_micro_usd_per_hour})
        for each in active
    ])  # fmt: skip


def save_order(tx: Transaction, now: Instant, changed: Order, verb: str) -> None:
    """Store what its tenant wants otherwise now; `verb` says how: "resized", "extended"."""
    tx.execute(SQL.save_order, to_row(changed))
    data = {"count_max": changed.count_max, "lease_seconds": changed.lease_seconds}
    kind = f"order.{verb}"
    tx.emit(Event(at=now, kind=kind, subject=changed.id, job_id=changed.job_id, data=data))


def extend(tx: Transaction, now: Instant, leases: Sequence[Lease], seconds: int) -> None:
    """Move the agreed ends of these leases; those without one have none to move, but their runs may take longer."""
    timed = [lease.id for lease in leases if lease.ends_at is not None]
    change_all(tx, SQL.extend, timed, "live", seconds)
    tx.emit_many(
        [lease_event(now, each, "lease.extended", {"seconds": seconds}) for each in leases]
    )


def reclaim(
    tx: Transaction, now: Instant, lease: Lease, reclaim_at: Instant, reason: CloseReason
) -> Lease:
    """The lease with its notice: it serves until `reclaim_at`, then it is closed with `reason` (`loops.end_leases`).

    A second notice changes nothing: what was told stands. Raises WrongState for a lease that is not active.
    """
    if lease.state is LeaseState.RECLAIMING:
        return lease
    _check_move(lease, LeaseState.RECLAIMING)
    change_all(tx, SQL.reclaim, [lease.id], LeaseState.ACTIVE, reclaim_at, reason.value)
    told = replace(lease, state=LeaseState.RECLAIMING, reclaim_at=reclaim_at, reason=reason)
    emit_lease(tx, now, told, "lease.reclaiming", {"reason": reason, "reclaim_at": reclaim_at})
    return told


def close(tx: Transaction, now: Instant, lease: Lease, reason: CloseReason) -> Lease:
    """The lease, over; a closed one stays as it is."""
    if lease.state is LeaseState.CLOSED:
        return lease
    closed = replace(_move(tx, lease, LeaseState.CLOSED), closed_at=now, reason=reason)
    tx.execute(SQL.save_lease, to_row(closed))
    emit_lease(
        tx, now, closed, "lease.closed", {"reason": reason, "seconds_proven": closed.seconds_proven}
    )
    return closed


def prove(tx: Transaction, proved: Lease) -> None:
    """Store what a lease has proven by now."""
    values = {
        "id": proved.id, "proven_ms": proved.proven_ms, "proven_at": proved.proven_at, "lived_at": proved.lived_at,
    }  # fmt: skip
    tx.execute(SQL.prove_lease, values)


def notice(tx: Transaction, now: Instant, target: Lease, told: str, *, paid_seconds: int) -> None:
    """Tell a lease's tenant, once each, that its money runs low or that it is about to be stopped."""
    if told == target.notice:
        return
    tx.execute(SQL.notice_lease, {"id": target.id, "notice": told})
    if told:
        emit_lease(tx, now, target, f"lease.runway_{told}", {"paid_seconds": paid_seconds})


def lease(reader: Reader, id: str) -> Lease:
    """One lease; raises NoSuchThing."""
    row = reader.one(SQL.lease_by_id, {"id": id})
    if row is None:
        raise NoSuchThing(lease=id)
    return from_row(Lease, row)


def leases(reader: Reader, ids: Sequence[str]) -> list[Lease]:
    """These leases; those that do not exist are left out."""
    return read_values(reader, Lease, SQL.leases_by_id, ids)


def leases_of_jobs(reader: Reader, job_ids: Iterable[JobId]) -> dict[JobId, list[Lease]]:
    """The leases of each of these jobs, oldest first."""
    return leases_of_jobs_asked(job_ids).of(reader)


def leases_of_jobs_asked(job_ids: Iterable[JobId]) -> Asked[dict[JobId, list[Lease]]]:
    """The same, not asked yet."""
    ids = list(dict.fromkeys(job_ids))

    def by_job(leases: Sequence[Lease]) -> dict[JobId, list[Lease]]:
        found: dict[JobId, list[Lease]] = {job_id: [] for job_id in ids}
        for each in leases:
            found[each.job_id].append(each)
        return found

    return of_keys(Lease, SQL.leases_of_jobs, ids).then(by_job)


def leases_of_job(reader: Reader, job_id: JobId, *, live: bool = False) -> list[Lease]:
    """A job's leases; with `live` only those that are not closed."""
    query = SQL.live_leases_of_job if live else SQL.leases_of_job
    return from_rows(Lease, reader.all(query, {"job_id": job_id}))


def live_leases_of_machine(reader: Reader, machine_id: str) -> list[Lease]:
    """What a machine serves."""
    return from_rows(Lease, reader.all(SQL.live_leases_of_machine, {"machine_id": machine_id}))


def reserved(reader: Reader, *, before: Instant | None = None) -> list[Lease]:
    """Reservations that nobody confirmed yet; with `before`, those made until then."""
    if before is None:
        return reserved_asked().of(reader)
    return from_rows(Lease, reader.all(SQL.reserved_before, {"instant": before, "limit": ROWS_MAX}))


def reserved_asked() -> Asked[list[Lease]]:
    """All of them, not asked yet."""
    return of_all(Lease, SQL.reserved, limit=ROWS_MAX)


def ending(reader: Reader, now: Instant) -> list[Lease]:
    """Live leases whose notice or whose time is over by `now`."""
    rows = reader.all(SQL.ending_leases, {"now": now, "limit": ROWS_MAX})
    return from_rows(Lease, rows)


def metered(reader: Reader, *, after: str = "", limit: int = ROWS_MAX) -> list[Lease]:
    """Live leases that are paid by the second, those after this one."""
    rows = reader.all(SQL.metered, {"limit": limit, "after": after})
    return from_rows(Lease, rows)


def draining(reader: Reader) -> list[Lease]:
    """Those of them whose tenants were told that they are about to be stopped."""
    return from_rows(Lease, reader.all(SQL.draining, {"limit": ROWS_MAX}))


def seconds_proven(reader: Reader, machine_id: str) -> int:
    """Whole seconds that a machine proved over all its leases."""
    row = reader.one(SQL.seconds_proven_of_machine, {"machine_id": machine_id})
    return int(row["seconds"]) if row else 0


def all_metered(reader: Reader) -> Iterator[Lease]:
    """All of them, by id."""
    after = ""
    while found := metered(reader, after=after, limit=LEASES_PAGE):
        yield from found
        after = found[-1].id


def settle_service(tx: Transaction, now: Instant, lease_id: str) -> None:
    """The closed lease owes no credit any more."""
    tx.execute(SQL.service_settled, {"id": lease_id, "at": now})


def served_again_at(reader: Reader, ended: Lease) -> Instant | None:
    """When the place of a closed lease in its order was served again, if it was."""
    row = reader.one(SQL.served_again, to_row(ended))
    return None if row is None or row["at"] is None else Instant(row["at"])


def held_by(leases: Sequence[Lease], order_id: str) -> int:
    """How many of these leases serve the order, and will go on doing so as far as is known.

    A machine that was given notice is replaced at once where that costs nothing (units are paid when they are done);
    where seconds are paid, when it is gone.
    """
    return len([each for each in leases if each.order_id == order_id and _is_held(each)])


def emit_lease(
    tx: Transaction, now: Instant, subject: Lease, kind: str, data: dict[str, Any]
) -> None:
    """Tell what happened to a lease."""
    tx.emit(lease_event(now, subject, kind, data))


def lease_event(now: Instant, subject: Lease, kind: str, data: dict[str, Any]) -> Event:
    """An event about a lease; it names the machine, whose agent is then told what it should do."""
    told = {"machine_id": subject.machine_id, **data}
    return Event(at=now, kind=kind, subject=subject.id, job_id=subject.job_id, data=told)


def _is_held(lease: Lease) -> bool:
    leaving = lease.state is LeaseState.RECLAIMING and lease.charge is Charge.UNIT
    return lease.state is not LeaseState.CLOSED and not leaving


def _move(tx: Transaction, lease: Lease, to: LeaseState) -> Lease:
    _check_move(lease, to)
    expect_state(tx, SQL.lease_by_id, lease.id, lease.state)
    return replace(lease, state=to)


def _check_move(lease: Lease, to: LeaseState) -> None:
    if to not in LEASE_TRANSITIONS[lease.state]:
        raise WrongState(f"the lease is {lease.state}, it cannot become {to}")
