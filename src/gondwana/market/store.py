"""Orders and leases, loaded and saved; every change of state writes its event."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from gondwana.core.clock import Instant
from gondwana.core.errors import NoSuchThing, WrongState
from gondwana.core.events import Event
from gondwana.core.ids import JobId, LeaseId, new_id
from gondwana.core.random import Random
from gondwana.db.conditional import expect_state
from gondwana.db.queries import load_queries
from gondwana.db.rows import from_row, to_row
from gondwana.db.transaction import Reader, Transaction
from gondwana.market import rules
from gondwana.market.model import (
    LEASE_TRANSITIONS,
    ORDER_TRANSITIONS,
    CloseReason,
    Lease,
    LeaseState,
    Listing,
    Order,
    OrderState,
)

SQL: Final = load_queries("gondwana.market")
ROWS_MAX: Final = 10_000  # orders or leases looked at in one pass
SERVICE_PAGE: Final = 1_000  # leases read at once; they are all looked at


def order(reader: Reader, id: str) -> Order:
    """One order; raises NoSuchThing."""
    row = reader.one(SQL.order_by_id, {"id": id})
    if row is None:
        raise NoSuchThing(order=id)
    return from_row(Order, row)


def open_orders(reader: Reader) -> list[Order]:
    """Orders that want machines, oldest first."""
    return [from_row(Order, row) for row in reader.all(SQL.open_orders, {"limit": ROWS_MAX})]


def place_order(tx: Transaction, new: Order) -> None:
    """Store a new order."""
    tx.execute(SQL.save_order, to_row(new))
    tx.emit(Event(at=new.created_at, kind="order.opened", subject=new.id, job_id=new.job_id))


def move_order(tx: Transaction, now: Instant, target: Order, to: OrderState) -> Order:
    """The order in its new state; staying is no change."""
    if target.state is to:
        return target
    if to not in ORDER_TRANSITIONS[target.state]:
        raise WrongState(f"the order is {target.state}, it cannot become {to}")
    expect_state(tx, SQL.order_by_id, target.id, target.state)
    moved = replace(target, state=to)
    tx.execute(SQL.save_order, to_row(moved))
    tx.emit(Event(at=now, kind=f"order.{to}", subject=target.id, job_id=target.job_id))
    return moved


def renew_order(tx: Transaction, now: Instant, target: Order) -> Order:
    """The order after it lost a lease, with time to find another."""
    renewed = rules.renewed(target, now)
    tx.execute(SQL.save_order, to_row(renewed))
    return renewed


def reserve(
    tx: Transaction, random: Random, now: Instant, target: Order, chosen: Listing, rank: int
) -> Lease:
    """Hold a machine's devices for an order; its epoch grows, so older workers on it are refused.

    The caller has just seen, in this transaction, that the devices are free.
    """
    epoch = chosen.epoch + 1
    lease = Lease(
        id=LeaseId(new_id("lea", now, random)),
        order_id=target.id,
        job_id=target.job_id,
        tenant_id=target.tenant_id,
        machine_id=chosen.machine_id,
        offer_id=chosen.offer_id,
        state=LeaseState.RESERVED,
        devices=target.devices,
        price_micro_usd_per_device_hour=chosen.price_micro_usd_per_device_hour,
        charge=target.charge,
        epoch=epoch,
        rank=rank,
        sla=chosen.sla,
        reserved_at=now,
    )
    tx.execute(SQL.save_lease, to_row(lease))
    tx.execute(SQL.grow_epoch, {"id": chosen.machine_id, "epoch": epoch})
    emit_lease(tx, now, lease, "lease.reserved", {"machine": chosen.name})
    return lease


def activate(tx: Transaction, now: Instant, lease: Lease) -> Lease:
    """The lease, serving from now on."""
    active = replace(_move(tx, lease, LeaseState.ACTIVE), active_at=now, proven_at=now)
    tx.execute(SQL.save_lease, to_row(active))
    emit_lease(
        tx,
        now,
        active,
        "lease.active",
        {"price_micro_usd_per_hour": active.price_micro_usd_per_hour},
    )
    return active


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


def leases_of_job(reader: Reader, job_id: JobId, *, live: bool = False) -> list[Lease]:
    """A job's leases; with `live` only those that are not closed."""
    query = SQL.live_leases_of_job if live else SQL.leases_of_job
    return [from_row(Lease, row) for row in reader.all(query, {"job_id": job_id})]


def live_leases_of_machine(reader: Reader, machine_id: str) -> list[Lease]:
    """What a machine serves."""
    return [
        from_row(Lease, row)
        for row in reader.all(SQL.live_leases_of_machine, {"machine_id": machine_id})
    ]


def reserved(reader: Reader, *, before: Instant | None = None) -> list[Lease]:
    """Reservations that nobody confirmed yet; with `before`, those made until then."""
    if before is None:
        return [from_row(Lease, row) for row in reader.all(SQL.reserved, {"limit": ROWS_MAX})]
    return [
        from_row(Lease, row)
        for row in reader.all(SQL.reserved_before, {"instant": before, "limit": ROWS_MAX})
    ]


def metered(reader: Reader, *, notice: str | None = None) -> list[Lease]:
    """Live leases that are paid by the second; with `notice`, those whose tenants were told just that."""
    params = {"limit": ROWS_MAX, "notice": notice}
    return [from_row(Lease, row) for row in reader.all(SQL.metered, params)]


def seconds_proven(reader: Reader, machine_id: str) -> int:
    """Whole seconds that a machine proved over all its leases."""
    row = reader.one(SQL.seconds_proven_of_machine, {"machine_id": machine_id})
    return int(row["seconds"]) if row else 0


def to_service(reader: Reader) -> Iterator[Lease]:
    """Leases by the second, live or closed, that may still owe their tenants a credit."""
    after = ""
    while rows := reader.all(SQL.to_service, {"after": after, "limit": SERVICE_PAGE}):
        yield from (from_row(Lease, row) for row in rows)
        after = rows[-1]["id"]


def settle_service(tx: Transaction, now: Instant, lease_id: str) -> None:
    """The closed lease owes no credit any more."""
    tx.execute(SQL.service_settled, {"id": lease_id, "at": now})


def served_again_at(reader: Reader, ended: Lease) -> Instant | None:
    """When the place of a closed lease in its order was served again, if it was."""
    row = reader.one(SQL.served_again, to_row(ended))
    return None if row is None or row["at"] is None else Instant(row["at"])


def held_by(leases: Sequence[Lease], order_id: str) -> int:
    """How many of these live leases serve the order."""
    return sum(
        lease.order_id == order_id and lease.state is not LeaseState.CLOSED for lease in leases
    )


def emit_lease(
    tx: Transaction, now: Instant, subject: Lease, kind: str, data: dict[str, Any]
) -> None:
    """An event about a lease; it names the machine, whose agent is then told what it should do."""
    names = {"machine_id": subject.machine_id}
    tx.emit(
        Event(at=now, kind=kind, subject=subject.id, job_id=subject.job_id, data={**names, **data})
    )


def _move(tx: Transaction, lease: Lease, to: LeaseState) -> Lease:
    if to not in LEASE_TRANSITIONS[lease.state]:
        raise WrongState(f"the lease is {lease.state}, it cannot become {to}")
    expect_state(tx, SQL.lease_by_id, lease.id, lease.state)
    return replace(lease, state=to)
