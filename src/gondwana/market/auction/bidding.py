"""Which orders are auctioned, for how long, and which bids are taken; pure."""

from collections.abc import Sequence
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.errors import Conflict, Exhausted, InvalidValue, NothingFits, WrongState
from gondwana.core.ids import PrincipalId
from gondwana.core.money import format_usd
from gondwana.core.values import replace
from gondwana.market import screening
from gondwana.market.auction.model import Bid, BidState, Gang
from gondwana.market.model import Lease, LeaseState, Listing, Mechanism, Order, OrderState
from gondwana.wire.auctions import WINDOW_SECONDS

AGAIN_SECONDS_MAX: Final = 300.0  # between two tries of an auction that nothing could serve
BIDS_MAX: Final = 20  # that stand for one order; standing offers do not count
TRIES_MAX: Final = 5  # bids of one machine for one order, withdrawn ones too
BID_SECONDS_MAX: Final = 300  # a bid holds real capacity, so it may not linger
SECOND_CHOICE_SECONDS_MAX: Final = 3_600  # a losing ask is taken up where a winner fails so soon
DEVICES_POSTED_MAX: Final = 8  # a gang of more goes to auction, where it has a cap
LEASE_SECONDS_POSTED_MAX: Final = 24 * 3600  # as does one for longer
NOT_DELIVERED_SECONDS: Final = 3_600  # of the agreed price: what it costs to win and not deliver
ASK_MAX: Final = 10**12  # micro-USD per device-hour: a million dollars


def mechanism_for(
    asked: str,
    *,
    devices_min: int,
    lease_seconds: int | None,
    has_cap: bool,
    is_ahead: bool = False,
) -> Mechanism:
    """By which mechanism an order buys: what was asked for; else big and long ones that have a cap are auctioned.

    One for a window ahead is promised at once, at what is asked: who bids now for then, nobody knows.
    """
    if is_ahead:
        return Mechanism.POSTED
    if asked:
        return Mechanism(asked)
    is_big = devices_min > DEVICES_POSTED_MAX
    is_long = (lease_seconds or 0) > LEASE_SECONDS_POSTED_MAX
    return Mechanism.AUCTION if has_cap and (is_big or is_long) else Mechanism.POSTED


def next_window(order: Order, now: Instant, *, held: int = 0) -> Instant:
    """When an auction that did not get all it wants closes again: it waits as long as it stood, within limits.

    One that has `held` leases already pays for them while it waits for the others, so it does not wait long.
    """
    stood = 0.0 if held else now - order.created_at
    return Instant(now + min(max(stood, WINDOW_SECONDS), AGAIN_SECONDS_MAX))


def takes_bids(order: Order, now: Instant) -> bool:
    """Whether an order takes bids at this moment of the control plane's clock."""
    is_auction = order.mechanism is Mechanism.AUCTION and order.state is OrderState.OPEN
    return is_auction and order.closes_at is not None and now < order.closes_at


def check_order(order: Order, owner_id: PrincipalId, now: Instant) -> None:
    """Raise for an order that takes no bid of this owner: WrongState, InvalidValue."""
    if order.mechanism is not Mechanism.AUCTION:
        raise WrongState(
            f"{order.id} buys at {order.mechanism} prices, it takes no bids",
            hint="gondwana orders shows those that do",
        )
    if order.tenant_id == owner_id:
        raise InvalidValue(
            "You cannot bid for your own order.", field="order", value=order.id,
            hint="gondwana orders shows those of others",
        )  # fmt: skip
    if order.state is not OrderState.OPEN:
        raise WrongState(
            f"{order.id} is {order.state}", hint="gondwana orders shows those that take bids"
        )
    if not takes_bids(order, now):
        raise WrongState(
            f"{order.id} takes no bids any more: its auction has closed",
            hint="gondwana orders shows those that take bids",
        )


def check_ask(
    order: Order, listing: Listing, ask_micro_usd_per_device_hour: int, *, floor: int = 0
) -> None:
    """Raise InvalidValue for a price that cannot be asked; `floor`: the least that the owner sells at."""
    ask, posted = ask_micro_usd_per_device_hour, listing.price_micro_usd_per_device_hour
    cap = order.price_cap_micro_usd_per_device_hour
    told, hint = "", ""
    if not 0 <= ask <= ASK_MAX:
        told, hint = "A price is 0 or more.", "say what a device-hour costs you, e.g. 0.80"
    elif cap is not None and ask > cap:
        told = f"The order pays at most {format_usd(cap)} per device-hour."
        hint = f"ask {format_usd(cap)} or less"
    elif ask > posted:
        told = f"Your machine stands at {format_usd(posted)} for anybody; a bid asks no more."
        hint = f"ask less, or: gondwana provider price {listing.name} {format_usd(ask)[1:]}"
    elif ask < floor:
        told = f"Your own floor for this machine is {format_usd(floor)} per device-hour."
        hint = f"ask {format_usd(floor)} or more"
    if told:
        raise InvalidValue(told, field="price", value=ask, hint=hint)


def check_bids(bids: Sequence[Bid], machine_id: str) -> None:
    """Raise Conflict for a second bid of a machine that has one, Exhausted where there are enough."""
    standing = [bid for bid in bids if bid.state is BidState.OPEN]
    if any(bid.machine_id == machine_id for bid in standing):
        raise Conflict(
            "Your machine bids for this order already.",
            hint="gondwana provider withdraw BID, then bid anew",
        )
    if len(standing) >= BIDS_MAX:
        raise Exhausted(
            f"{BIDS_MAX} bids stand for this order", hint="gondwana orders shows others"
        )
    if sum(bid.machine_id == machine_id for bid in bids) >= TRIES_MAX:
        raise Exhausted(
            f"this machine bid {TRIES_MAX} times for this order",
            hint="gondwana orders shows others",
        )


def check_fit(
    order: Order, listing: Listing, past: Sequence[Lease], ask: int, now: Instant
) -> None:
    """Raise NothingFits for a machine that could not serve the order now; `past` are all leases of its job."""
    if any(
        lease.machine_id == listing.machine_id and lease.state is not LeaseState.CLOSED
        for lease in past
    ):
        raise Conflict("Your machine serves this job already.", hint="bid with another one")
    screened = screening.screen(order, [at_price(listing, ask)], now)
    if not screened.fits:
        named = screened.why_not.partition(": none of")[0]
        raise NothingFits(
            f"{listing.name} does not have what the order wants: {named}", hint="gondwana orders"
        )


def at_price(listing: Listing, price_micro_usd_per_device_hour: int, *, more: int = 0) -> Listing:
    """The listing at another price, with so many more devices free."""
    return replace(
        listing,
        price_micro_usd_per_device_hour=price_micro_usd_per_device_hour,
        devices_free=listing.devices_free + more,
    )


def gang_of(order: Order, held: int) -> Gang | None:
    """What an order with `held` leases still lacks; None where it lacks nothing, or has no cap."""
    cap = order.price_cap_micro_usd_per_device_hour
    if cap is None or held >= order.count_max:
        return None
    return Gang(
        order_id=order.id,
        count_min=max(0, order.count_min - held),
        count_max=order.count_max - held,
        devices=order.devices,
        cap_micro_usd_per_device_hour=min(cap, ASK_MAX),
    )


def second_choices(bids: Sequence[Bid], now: Instant) -> list[Bid]:
    """The bids that lost not long ago, a machine's last one only, unless it bids anew; the oldest first."""
    latest = {
        bid.machine_id: bid
        for bid in bids
        if bid.state in (BidState.OPEN, BidState.LOST, BidState.WON)
    }
    return [
        bid
        for bid in latest.values()
        if bid.state is BidState.LOST
        and bid.ended_at is not None
        and now - bid.ended_at < SECOND_CHOICE_SECONDS_MAX
    ]
