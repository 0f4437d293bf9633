"""Make way for what is booked, in time; give up what cannot be had; open what is over."""

from gondwana.core.clock import Instant
from gondwana.db.transaction import Reader, Transaction
from gondwana.jobs import reclaims, reservations
from gondwana.jobs.context import Context
from gondwana.loops.each import write_each
from gondwana.market import store as market
from gondwana.market.calendar import rules, store
from gondwana.market.calendar.model import Booking, BookingKind, BookingState
from gondwana.market.calendar.rules import Leaving
from gondwana.supply import store as supply
from gondwana.wire.jobs import NOTICE_SECONDS_MAX


def keep_calendar(context: Context, now: Instant) -> int:
    """Returns how many leases were told to go, and how many bookings ended."""
    reader = context.database.reader()
    soon = store.due(reader, Instant(now + NOTICE_SECONDS_MAX))
    if not soon:
        return 0
    orders = dict.fromkeys(
        each.order_id for each in soon if each.order_id is not None and each.starts_at <= now
    )
    over = [each for each in soon if each.kind is BookingKind.MAINTENANCE and each.ends_at <= now]
    return (
        write_each(context, _make_way, [(now, *each) for each in _leaving(reader, soon, now)])
        + write_each(context, reservations.give_up, [(now, order_id) for order_id in orders])
        + write_each(context, _open_again, [(now, each.id) for each in over])
    )


def _leaving(reader: Reader, soon: list[Booking], now: Instant) -> list[tuple[str, Leaving]]:
    """Who has to go from which machine, as far as the reader sees."""
    ids = list(dict.fromkeys(str(each.machine_id) for each in soon))
    standing = store.standing_on(reader, ids)
    served = [each for each in ids if each in standing]
    machines = supply.supply_of(reader, served)
    bookings = store.booked_on(reader, served)
    return [
        (machine_id, each)
        for machine_id in served
        if machine_id in machines
        for each in rules.leaving(
            machines[machine_id].machine.devices, bookings[machine_id], standing[machine_id], now
        )
    ]


def _make_way(tx: Transaction, now: Instant, machine_id: str, told: Leaving) -> None:
    """Tell a lease to go, if it still has to."""
    bookings = store.booked_on(tx, [machine_id]).get(machine_id, [])
    standing = store.standing_on(tx, [machine_id]).get(machine_id, [])
    devices = supply.machine(tx, machine_id).devices
    if told in rules.leaving(devices, bookings, standing, now):
        reclaims.make_way(tx, now, market.lease(tx, told.lease_id), told.at, told.reason)


def _open_again(tx: Transaction, now: Instant, booking_id: str) -> None:
    booking = store.booking(tx, booking_id)
    if booking.state is BookingState.BOOKED:
        store.end(tx, now, booking, BookingState.OVER)
