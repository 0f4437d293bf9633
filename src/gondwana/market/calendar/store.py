"""Bookings, loaded and saved; every change of state writes its event."""

from collections.abc import Sequence
from typing import Any, Final

from gondwana.core.clock import Instant
from gondwana.core.errors import NoSuchThing, WrongState
from gondwana.core.events import Event
from gondwana.core.values import grouped, replace
from gondwana.db.conditional import change_all
from gondwana.db.many import insert_values, of_keys, read_keys, read_values
from gondwana.db.queries import load_queries
from gondwana.db.rows import from_row, from_rows
from gondwana.db.together import Asked, of_all
from gondwana.db.transaction import Reader, Transaction
from gondwana.market.calendar.model import (
    BOOKING_TRANSITIONS,
    Booking,
    BookingState,
    Held,
    Standing,
)
from gondwana.market.keeping import END_SLACK_SECONDS
from gondwana.market.model import Lease, Mechanism
from gondwana.market.store import SQL as MARKET
from gondwana.wire.calendar import BOOKINGS_MAX

SQL: Final = load_queries("gondwana.market.calendar")
ROWS_MAX: Final = 10_000  # bookings looked at in one pass


def booking(reader: Reader, id: str) -> Booking:
    """One booking; raises NoSuchThing."""
    row = reader.one(SQL.booking_by_id, {"id": id})
    if row is None:
        raise NoSuchThing(booking=id, hint="gondwana provider maintenance MACHINE")
    return from_row(Booking, row)


def booked_on(reader: Reader, machine_ids: Sequence[str]) -> dict[str, list[Booking]]:
    """What of these machines is promised ahead; machines without a booking are left out."""
    return booked_on_asked(machine_ids).of(reader)


def booked_on_asked(machine_ids: Sequence[str]) -> Asked[dict[str, list[Booking]]]:
    """The same, not asked yet."""
    found: Asked[list[Booking]] = of_keys(Booking, SQL.booked_on, list(dict.fromkeys(machine_ids)))
    return found.then(lambda bookings: grouped(bookings, lambda each: str(each.machine_id)))


def of_machine(reader: Reader, machine_id: str) -> list[Booking]:
    """What a machine is promised for, the soonest first."""
    rows = reader.all(SQL.of_machine, {"machine_id": machine_id, "limit": BOOKINGS_MAX})
    return from_rows(Booking, rows)


def of_orders(reader: Reader, order_ids: Sequence[str]) -> dict[str, list[Booking]]:
    """All that was ever booked for these orders, by order."""
    found: dict[str, list[Booking]] = {}
    for row in read_keys(reader, SQL.of_orders, order_ids):
        found.setdefault(row["order_id"], []).append(from_row(Booking, row))
    return found


def of_job(reader: Reader, job_id: str) -> list[Booking]:
    """All that was ever booked for a job."""
    return from_rows(Booking, reader.all(SQL.of_job, {"job_id": job_id}))


def promised_to(reader: Reader, tenant_id: str, start: Instant, end: Instant) -> list[Held]:
    """What a tenant will surely hold at some instant from `start` until before `end`."""
    params = {"tenant_id": tenant_id, "start": start, "end": end, "limit": ROWS_MAX}
    return from_rows(Held, reader.all(SQL.promised_to, params))


def all_booked(reader: Reader) -> list[Booking]:
    """All that is booked, the soonest first."""
    return all_booked_asked().of(reader)


def all_booked_asked() -> Asked[list[Booking]]:
    """The same, not asked yet."""
    return of_all(Booking, SQL.all_booked, limit=ROWS_MAX)


def due(reader: Reader, until: Instant) -> list[Booking]:
    """What is booked and begins by `until`, the soonest first."""
    return from_rows(Booking, reader.all(SQL.due, {"until": until, "limit": ROWS_MAX}))


def broken_since(reader: Reader, machine_ids: Sequence[str], since: Instant) -> list[Booking]:
    """The reservations for which these machines were not there."""
    ids = list(dict.fromkeys(machine_ids))
    return read_values(reader, Booking, SQL.broken_since, ids, since)


def add(tx: Transaction, new: Sequence[Booking]) -> None:
    """Store new bookings. The caller has just seen, in this transaction, that nobody else has the devices then."""
    insert_values(tx, "booking", new)
    spans = [{"starts_at": each.starts_at, "ends_at": each.ends_at} for each in new]
    tx.emit_many(
        [_event(each.created_at, each, span) for each, span in zip(new, spans, strict=True)]
    )


def end(tx: Transaction, now: Instant, target: Booking, to: BookingState) -> Booking:
    """The booking in its last state; raises WrongState for one that has ended."""
    if to not in BOOKING_TRANSITIONS[target.state]:
        raise WrongState(f"the booking is {target.state}, it cannot become {to}")
    change_all(tx, SQL.end, [target.id], target.state, to.value, now)
    ended = replace(target, state=to, ended_at=now)
    tx.emit(_event(now, ended, {}))
    return ended


def save_kept(tx: Transaction, target: Booking, kept_micro_usd: int) -> Booking:
    """The booking, with what of its deposit its owner was paid."""
    tx.execute(SQL.keep, {"id": target.id, "kept": kept_micro_usd})
    return replace(target, kept_micro_usd=kept_micro_usd)


def standing_on(reader: Reader, machine_ids: Sequence[str]) -> dict[str, list[Standing]]:
    """The live leases of these machines, as far as the calendar cares."""
    found: dict[str, list[Standing]] = {}
    for row in read_keys(reader, MARKET.serving, list(dict.fromkeys(machine_ids))):
        one = standing(from_row(Lease, row), row["seconds_max"])
        found.setdefault(one.machine_id, []).append(one)
    return found


def standing(lease: Lease, seconds_max: float | None) -> Standing:
    """A live lease, as far as the calendar cares; `seconds_max`: of its order."""
    return Standing(
        lease_id=lease.id,
        machine_id=lease.machine_id,
        devices=lease.devices,
        reserved_at=lease.reserved_at,
        notice_seconds=lease.notice_seconds,
        is_spot=lease.mechanism is Mechanism.SPOT,
        agreed_end=lease.ends_at,
        noticed_end=lease.reclaim_at,
        latest_end=None
        if seconds_max is None
        else lease.reserved_at + seconds_max + END_SLACK_SECONDS,
    )


def _event(now: Instant, subject: Booking, data: dict[str, Any]) -> Event:
    """It names the machine: who keeps the market in memory looks at it again."""
    told = {"machine_id": subject.machine_id, "kind": subject.kind.value, **data}
    kind = f"booking.{subject.state}"
    return Event(at=now, kind=kind, subject=subject.id, job_id=subject.job_id, data=told)
