"""Machines reserved for a job ahead of its start: chosen, paid for in advance, kept, given up.

What may be promised is `market.calendar.rules`. Every function that writes is part of its caller's transaction.
"""

from collections.abc import Sequence
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.errors import FundsTooLow, NothingFits
from gondwana.core.ids import JobId, OrderId, new_id
from gondwana.core.money import format_usd
from gondwana.core.random import Random
from gondwana.core.units import format_instant, format_seconds
from gondwana.core.values import replace
from gondwana.db.transaction import Reader, Transaction
from gondwana.jobs import money, quotas, service, store, undelivered
from gondwana.jobs.listings import listings_of
from gondwana.jobs.model import Job
from gondwana.jobs.purse import Purses
from gondwana.jobs.rules import presence
from gondwana.jobs.shelf import Shelf
from gondwana.ledger import budgets
from gondwana.ledger import rules as ledger
from gondwana.ledger.accounts import lease_escrow
from gondwana.ledger.model import LeaseTerms
from gondwana.ledger.store import balance, post, post_all
from gondwana.market import rules as market_rules
from gondwana.market import screening
from gondwana.market import store as market
from gondwana.market.calendar import rules
from gondwana.market.calendar import store as calendar
from gondwana.market.calendar.model import Booking, BookingKind, BookingState
from gondwana.market.keeping import FITTING_MAX
from gondwana.market.model import Listing, Order, Screening
from gondwana.supply import store as supply
from gondwana.supply.model import MachineState

_QUOTA_HINT: Final = (
    "with what is reserved for that time already: gondwana quota list, or choose another time"
)
SPARE_MAX: Final = 64  # machines beyond those wanted that are looked at again in the transaction


def find(reader: Reader, shelf: Shelf, order: Order, now: Instant) -> Screening:
    """The machines that an order could reserve, cheapest per work first, some to spare; or why there are too few."""
    wide = replace(order, count_max=FITTING_MAX)
    names = shelf.find(reader, wide, now, taken_too=True)
    fits = _screen(order, listings_of(reader, names), now)
    if len(fits.fits) < order.count_min:  # the reason takes a look at every offer
        fits = _screen(order, shelf.listings(reader), now)
    if len(fits.fits) < order.count_min:
        return fits
    free = _reservable(reader, order, fits.fits, now)
    if len(free) < order.count_min:
        why_not = _why_not(order, fits.fits, free, now)
        return Screening(fits=(), why_not=why_not, hint=_hint(order, fits.fits, now))
    allowed, stop = quotas.allowed_ahead(reader, order, free)
    if len(allowed) < order.count_min:
        return Screening(fits=(), why_not=stop, hint=_QUOTA_HINT)
    if len(allowed) < order.count_max:
        return Screening(fits=tuple(allowed))
    wanted = {each.machine_id for each in allowed}
    spare = [each for each in free if each.machine_id not in wanted]
    return Screening(fits=(*allowed, *spare)[: order.count_max + SPARE_MAX])


def reserve(
    tx: Transaction, random: Random, now: Instant, job: Job, order: Order, machine_ids: Sequence[str]
) -> list[Booking]:  # fmt: skip
    """Book what the order wants of these machines, all of a gang or nothing, with the deposits.

    `machine_ids` is from `find`; what it found is looked at again. Raises NothingFits where it is taken meanwhile, and
    FundsTooLow.
    """
    fits = _screen(order, listings_of(tx, machine_ids), now).fits
    free = _reservable(tx, order, fits, now)
    if len(free) < order.count_min:
        raise NothingFits(_why_not(order, fits, free, now), hint="gondwana plan JOB")
    allowed, stop = quotas.allowed_ahead(tx, order, free)
    chosen = allowed[: order.count_max]
    if len(chosen) < order.count_min:
        raise NothingFits(stop, hint=_QUOTA_HINT)
    made = [_booking(order, each, new_id("rsv", now, random), now) for each in chosen]
    made = [replace(each, deposit_micro_usd=rules.deposit_micro_usd(each)) for each in made]
    calendar.add(tx, made)
    _hold(tx, now, job, made)
    return made


def deposit_micro_usd(order: Order, machines: Sequence[Listing], now: Instant) -> int:
    """What reserving these machines sets aside."""
    return sum(rules.deposit_micro_usd(_booking(order, each, "", now)) for each in machines)


def use(tx: Transaction, now: Instant, bookings: Sequence[Booking]) -> None:
    """The leases begin that were booked: the deposits come back, and open the leases' escrows next."""
    for each in bookings:
        _settle(tx, now, calendar.end(tx, now, each, BookingState.USED), 0)


def cancel(tx: Transaction, now: Instant, order_id: OrderId) -> None:
    """What is still booked for an order is booked no more; its owners are paid as late as that is."""
    for each in _booked(tx, order_id):
        ended = calendar.end(tx, now, each, BookingState.CANCELLED)
        _settle(tx, now, ended, rules.cancelling_micro_usd(each, now))


def give_up(tx: Transaction, now: Instant, order_id: OrderId) -> int:
    """After the start: machines that are not there serve the order no more, and it looks for others at once.

    Their owners owe a penalty. After some minutes those serve it no more either that wait for it in vain: if all were
    there it was the tenant who could not take them (a quota), and he pays the deposit. Returns how many bookings ended.
    """
    waiting = [each for each in _booked(tx, order_id) if each.starts_at <= now]
    states = {each.id: supply.machine(tx, each.machine_id).state for each in waiting}
    gone = [each for each in waiting if states[each.id] is not MachineState.UP]
    for each in gone:
        _settle(tx, now, calendar.end(tx, now, each, BookingState.BROKEN), 0)
        tenant_id = market.order(tx, order_id).tenant_id
        undelivered.penalise_absence(tx, now, each, tenant_id, state=states[each.id].value)
    late = [each for each in waiting if each not in gone and _is_late(tx, each, now)]
    every = calendar.of_orders(tx, [order_id])[order_id] if late else []
    tenants_fault = all(each.state in (BookingState.BOOKED, BookingState.USED) for each in every)
    for each in late:
        ended = calendar.end(tx, now, each, BookingState.UNUSED)
        _settle(tx, now, ended, each.deposit_micro_usd if tenants_fault else 0)
    return len(gone) + len(late)


def waiting(reader: Reader, orders: Sequence[Order], now: Instant) -> dict[str, list[str]]:
    """The machines that are kept for each of these orders and can be had now."""
    ahead = [each.id for each in orders if each.starts_at is not None]
    found = calendar.of_orders(reader, ahead) if ahead else {}
    return {
        order_id: [
            each.machine_id
            for each in bookings
            if each.state is BookingState.BOOKED and each.starts_at <= now
        ]
        for order_id, bookings in found.items()
    }


def told(order: Order, machines: Sequence[Listing], now: Instant) -> tuple[str, ...]:
    """What there is to say of a reservation before it is made."""
    assert order.starts_at is not None
    deposit = deposit_micro_usd(order, machines, now)
    start, until = format_instant(order.starts_at), format_instant(rules.window_end(order))
    free, half = _hours(rules.FREE_UNTIL_SECONDS), _hours(rules.HALF_UNTIL_SECONDS)
    return (
        f"reserved from {start} to {until} UTC at these prices; {format_usd(deposit)} is set aside for it: cancelling "
        f"is free until {free} before the start, costs half of that until {half} before, then all of it",
    )


def _screen(order: Order, found: Sequence[Listing], now: Instant) -> Screening:
    """What fits if nothing were leased, at the prices of so long a lease."""
    free = [replace(each, devices_free=each.devices) for each in found]
    return screening.screen(order, [market_rules.discounted(order, each) for each in free], now)


def _reservable(
    reader: Reader, order: Order, fits: Sequence[Listing], now: Instant
) -> list[Listing]:
    offered = [each for each in fits if rules.window_end(order) <= now + each.reserve_seconds_max]
    ids = [str(each.machine_id) for each in offered]
    bookings, standing = calendar.booked_on(reader, ids), calendar.standing_on(reader, ids)
    return [
        each
        for each in offered
        if rules.may_reserve(
            each, order, bookings.get(each.machine_id, ()), standing.get(each.machine_id, ()), now
        )
    ]


def _why_not(order: Order, fits: Sequence[Listing], free: Sequence[Listing], now: Instant) -> str:
    offered = sum(rules.window_end(order) <= now + each.reserve_seconds_max for each in fits)
    if offered < order.count_min:
        return f"may be reserved until {format_instant(rules.window_end(order))} UTC: {offered} of {len(fits)} machines"
    return f"free for all of that time: {len(free)} of {offered} machines, {order.count_min} wanted"


def _hint(order: Order, fits: Sequence[Listing], now: Instant) -> str:
    longest = sorted((each.reserve_seconds_max for each in fits), reverse=True)
    ahead = longest[order.count_min - 1] if len(longest) >= order.count_min else 0
    if rules.window_end(order) <= now + ahead:
        return "choose another time or a shorter one: gondwana.starts_at, gondwana.lease_hours"
    if not ahead:
        return "take gondwana.starts_at out to start now; owners offer it with: gondwana provider price M --reserve 30d"
    return (
        f"end it within {format_seconds(ahead)} from now: gondwana.starts_at, gondwana.lease_hours"
    )


def _booking(order: Order, listing: Listing, id: str, now: Instant) -> Booking:
    assert order.starts_at is not None
    return Booking(
        id=id,
        kind=BookingKind.RESERVATION,
        state=BookingState.BOOKED,
        machine_id=listing.machine_id,
        order_id=order.id,
        job_id=order.job_id,
        devices=order.devices,
        price_micro_usd_per_device_hour=listing.price_micro_usd_per_device_hour,
        starts_at=order.starts_at,
        ends_at=rules.window_end(order),
        created_at=now,
    )


def _hold(tx: Transaction, now: Instant, job: Job, made: Sequence[Booking]) -> None:
    total = sum(each.deposit_micro_usd for each in made)
    purses = Purses(tx, now, [job], {})
    if total > purses.allowed_micro_usd(job):
        raise FundsTooLow(
            f"reserving sets {format_usd(total)} aside, {format_usd(purses.allowed_micro_usd(job))} may be used",
            hint="gondwana account deposit, raise gondwana.budget_usd, or reserve fewer machines",
        )
    post_all(
        tx,
        [
            ledger.hold_deposit(_terms(tx, job, each), each.deposit_micro_usd, purses.take(job, each.deposit_micro_usd))
            for each in made
            if each.deposit_micro_usd
        ],
        now,
    )  # fmt: skip


def _settle(tx: Transaction, now: Instant, ended: Booking, kept_micro_usd: int) -> None:
    """Give a deposit back, but for what its owner keeps; nobody pays himself."""
    if not ended.deposit_micro_usd:
        return
    job = store.job(tx, ended.job_id or JobId(""))
    terms, account = _terms(tx, job, ended), lease_escrow(ended.id)
    kept = 0 if terms.provider_id == terms.tenant_id else kept_micro_usd
    drawn = budgets.draws(tx, account)
    post(tx, ledger.settle_deposit(terms, balance(tx, account), kept, drawn), now)
    if kept:
        calendar.save_kept(tx, ended, kept)


def _is_late(reader: Reader, booking: Booking, now: Instant) -> bool:
    """Whether a machine waited for its order in vain; time in which the network was away does not count."""
    if now < booking.starts_at + rules.KEPT_SECONDS_MAX:
        return False
    known = service.known(reader, since=booking.starts_at)
    since = known and presence.hears_since(known.until, known.gaps, since=booking.starts_at, at=now)
    return since is not None and now >= since + rules.KEPT_SECONDS_MAX


def _terms(reader: Reader, job: Job, each: Booking) -> LeaseTerms:
    return money.terms_of(
        each.id,
        job,
        supply.machine(reader, each.machine_id).owner_id,
        each.price_micro_usd_per_hour,
    )


def _booked(reader: Reader, order_id: OrderId) -> list[Booking]:
    found = calendar.of_orders(reader, [order_id]).get(order_id, [])
    return [each for each in found if each.state is BookingState.BOOKED]


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:g} h"
