"""Owners announce when they work on their machines: nobody is there then, and nobody is to blame."""

from gondwana.core.clock import Instant
from gondwana.core.errors import Conflict, Exhausted, InvalidValue, NoSuchThing
from gondwana.core.ids import new_id
from gondwana.core.random import Random
from gondwana.core.units import format_instant
from gondwana.db.transaction import Transaction
from gondwana.market.calendar import rules, store
from gondwana.market.calendar.model import Booking, BookingKind, BookingState
from gondwana.supply.model import Machine
from gondwana.wire.calendar import BOOKINGS_MAX


def announce(
    tx: Transaction, random: Random, now: Instant, machine: Machine, starts_at: float, ends_at: float
) -> Booking:  # fmt: skip
    """The window, stored: no lease is made that would last into it, and who is there is told to go in time.

    Raises InvalidValue for a window that cannot be, Conflict for one that overlaps what is booked, Exhausted.
    """
    rules.check_maintenance(starts_at, ends_at, now)
    known = store.of_machine(tx, machine.id)
    for each in known:
        if each.starts_at < ends_at and starts_at < each.ends_at:
            raise _overlap(machine, each)
    if len(known) >= BOOKINGS_MAX:
        raise Exhausted(
            f"{machine.name} is booked {len(known)} times", hint="cancel a window, or wait"
        )
    window = Booking(
        id=new_id("mnt", now, random),
        kind=BookingKind.MAINTENANCE,
        state=BookingState.BOOKED,
        machine_id=machine.id,
        devices=machine.devices,
        starts_at=Instant(starts_at),
        ends_at=Instant(ends_at),
        created_at=now,
    )
    store.add(tx, [window])
    return window


def cancel(tx: Transaction, now: Instant, machine: Machine, booking_id: str) -> Booking:
    """The window, not needed any more: the machine sells again; said twice is said once.

    Raises NoSuchThing for what is no window of this machine, InvalidValue for a reservation, which is its tenant's.
    """
    known = store.booking(tx, booking_id)
    if known.machine_id != machine.id:
        raise NoSuchThing(booking=booking_id, hint=f"gondwana provider maintenance {machine.name}")
    if known.kind is not BookingKind.MAINTENANCE:
        raise InvalidValue(
            "a reservation is its tenant's", field="--cancel", value=booking_id,
            hint=f"gondwana provider reclaim {machine.name} takes a machine back",
        )  # fmt: skip
    if known.state is not BookingState.BOOKED:
        return known
    return store.end(tx, now, known, BookingState.CANCELLED)


def _overlap(machine: Machine, booking: Booking) -> Conflict:
    is_reserved = booking.kind is BookingKind.RESERVATION
    what = "is reserved" if is_reserved else "has maintenance"
    span = f"{format_instant(booking.starts_at)} to {format_instant(booking.ends_at)} UTC"
    hint = (
        "choose a window before or after it"
        if is_reserved
        else f"gondwana provider maintenance {machine.name} --cancel {booking.id}"
    )
    return Conflict(f"{machine.name} {what} from {span} ({booking.id})", hint=hint)
