"""What it costs an owner that his machine does not serve what it was promised for: a won auction, a reservation."""

from gondwana.core.clock import Instant
from gondwana.core.money import MICRO_USD_MAX
from gondwana.db.transaction import Reader, Transaction
from gondwana.jobs import service
from gondwana.jobs.rules import presence
from gondwana.jobs.service import Known
from gondwana.ledger.cases import SlashTerms
from gondwana.ledger.slashes import find_case, open_slash, takeable_micro_usd
from gondwana.market.auction import bidding, store
from gondwana.market.auction.model import BidState
from gondwana.market.calendar import store as calendar
from gondwana.market.calendar.model import Booking, BookingState
from gondwana.market.measures import BY_PROVIDER
from gondwana.market.model import Lease, Mechanism
from gondwana.supply import store as supply


def penalise(tx: Transaction, now: Instant, lease: Lease) -> None:
    """Open a slash where a machine never served the lease that its owner won in an auction, or that was reserved.

    `lease` has just ended by its provider; its order is open again.
    """
    if lease.lived_at is not None:
        return
    if lease.mechanism is Mechanism.AUCTION:
        _penalise_winner(tx, now, lease)
    booking = _booking_of(tx, lease)
    if booking is not None and lease.reason is not None and lease.reason in BY_PROVIDER:
        penalise_absence(tx, now, booking, lease.tenant_id, state=lease.reason.value)


def penalise_absence(
    tx: Transaction, now: Instant, booking: Booking, tenant_id: str, *, state: str
) -> None:
    """Open a slash for a machine that was not there when a reservation began; `state`: in which it was instead.

    It takes as much as the tenant would have lost by staying away, the deposit, of what the owner has at stake or held
    back, and it goes to the tenant. The insurance fund adds nothing: who books his own machine could drain it. Nothing
    where the network could not hear its machines.
    """
    owner_id = supply.machine(tx, booking.machine_id).owner_id
    case_id = f"case_{booking.id.removeprefix('rsv_')}"
    known = service.known(tx, since=booking.starts_at)
    if known is None or not _could_hear(known, booking, now):
        return
    amount = min(booking.deposit_micro_usd, takeable_micro_usd(tx, owner_id))
    if owner_id == tenant_id or amount <= 0 or find_case(tx, case_id) is not None:
        return
    terms = SlashTerms(
        case_id=case_id,
        provider_id=owner_id,
        amount_micro_usd=amount,
        reason="its machine was not there when a reservation began",
        tenant_id=tenant_id,
        made_whole_micro_usd=amount,
        job_id=booking.job_id,
    )
    evidence = {
        "booking": booking.id, "order": booking.order_id, "machine": booking.machine_id, "state": state,
        "booked_at": booking.created_at, "starts_at": booking.starts_at, "found_at": now,
        "deposit_micro_usd": booking.deposit_micro_usd,
    }  # fmt: skip
    open_slash(tx, now, terms, evidence=evidence, machine_id=booking.machine_id)


def is_owners_fault(booking: Booking, known: Known) -> bool:
    """Whether a reservation was broken while the network could hear its machines."""
    return booking.ended_at is not None and _could_hear(known, booking, booking.ended_at)


def _could_hear(known: Known, booking: Booking, at: Instant) -> bool:
    """Whether the network heard its machines from a reservation's start to `at`; else nobody is blamed."""
    start = booking.starts_at
    return presence.hears_since(known.until, known.gaps, since=start, at=at) == start


def _booking_of(reader: Reader, lease: Lease) -> Booking | None:
    """The reservation that this lease began with."""
    found = calendar.of_orders(reader, [lease.order_id]).get(lease.order_id, [])
    mine = (
        each
        for each in found
        if each.machine_id == lease.machine_id and each.state is BookingState.USED
    )
    return next((each for each in mine if each.ended_at == lease.reserved_at), None)


def _penalise_winner(tx: Transaction, now: Instant, lease: Lease) -> None:
    """What is taken is an hour of the price agreed, and nothing where the owner has nothing.

    It goes to the insurance fund: a tenant who gained by it could bid himself, in another name.
    """
    bids = store.bids_of(tx, [lease.order_id])[lease.order_id]
    won = [bid for bid in bids if bid.machine_id == lease.machine_id and bid.state is BidState.WON]
    case_id = f"case_{lease.id.removeprefix('lea_')}"
    if not won or find_case(tx, case_id) is not None:
        return
    bid = won[-1]
    amount = lease.price_micro_usd_per_hour * bidding.NOT_DELIVERED_SECONDS // 3_600
    if amount <= 0 or takeable_micro_usd(tx, bid.owner_id) <= 0:
        return
    terms = SlashTerms(
        case_id=case_id,
        provider_id=bid.owner_id,
        amount_micro_usd=min(amount, MICRO_USD_MAX),
        reason="it won an auction and did not deliver",
        job_id=lease.job_id,
    )
    evidence = {
        "bid": bid.id, "order": lease.order_id, "lease": lease.id, "machine": lease.machine_id,
        "end": None if lease.reason is None else lease.reason.value, "reserved_at": lease.reserved_at,
        "closed_at": lease.closed_at, "price_micro_usd_per_hour": lease.price_micro_usd_per_hour,
    }  # fmt: skip
    open_slash(tx, now, terms, evidence=evidence, machine_id=lease.machine_id)
