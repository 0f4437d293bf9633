"""Auctions and bids as the API tells them."""

from collections.abc import Sequence
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.ids import PrincipalId
from gondwana.db.transaction import Reader
from gondwana.jobs.listings import listings_of
from gondwana.market import screening
from gondwana.market import store as market
from gondwana.market.auction import bidding, store
from gondwana.market.auction.model import BID_CODES, Bid
from gondwana.market.model import LeaseState, Listing, Order
from gondwana.supply import store as supply
from gondwana.wire.auctions import AuctionView, AuctionWin, BidView

FITTED_MAX: Final = 200  # of the caller's machines that are looked at


def bid_view(reader: Reader, bid: Bid) -> BidView:
    """One bid as its owner sees it."""
    return BidView(
        id=bid.id,
        order=bid.order_id,
        machine=supply.machine(reader, bid.machine_id).name,
        state=bid.state,
        reason="" if bid.reason is None else bid.reason,
        code=None if bid.reason is None else BID_CODES[bid.reason],
        devices=bid.devices,
        ask_micro_usd_per_device_hour=bid.ask_micro_usd_per_device_hour,
        price_micro_usd_per_device_hour=bid.price_micro_usd_per_device_hour,
        created_at=bid.created_at,
        expires_at=bid.expires_at,
        ended_at=bid.ended_at,
    )


def auction_views(
    reader: Reader, orders: Sequence[Order], now: Instant, *, caller: PrincipalId, is_provider: bool
) -> list[AuctionView]:
    """These auctions as one caller sees them: which of his machines fit, and what became of those that are his."""
    depths = store.depths(reader, [order.id for order in orders])
    own = supply.machines(reader, caller, limit=FITTED_MAX) if is_provider and orders else []
    listings = listings_of(reader, (each.id for each in own))
    return [
        _auction_view(reader, order, now, depths.get(order.id, 0), listings, caller)
        for order in orders
    ]


def _auction_view(
    reader: Reader, order: Order, now: Instant, bids: int, listings: Sequence[Listing], caller: PrincipalId,
) -> AuctionView:  # fmt: skip
    is_own, want = order.tenant_id == caller, order.resources
    return AuctionView(
        id=order.id,
        state=order.state,
        takes_bids=bidding.takes_bids(order, now),
        closes_at=order.closes_at or 0.0,
        machines_min=order.count_min,
        machines_max=order.count_max,
        devices=order.devices,
        accelerators=tuple(each.name or "any" for each in want.accelerators),
        cpus_min=want.cpus_min,
        memory_bytes_min=want.memory_bytes_min,
        where=order.filters,
        price_cap_micro_usd_per_device_hour=order.price_cap_micro_usd_per_device_hour or 0,
        lease_seconds=order.lease_seconds,
        notice_seconds_min=order.notice_seconds_min,
        bids=bids,
        fits=() if is_own else _fits(order, listings, now),
        job=order.job_id if is_own else "",
        wins=_wins(reader, order) if is_own else (),
    )


def _fits(order: Order, listings: Sequence[Listing], now: Instant) -> tuple[str, ...]:
    """The machines that could bid: their posted prices may be above the cap, a bid need not be."""
    cap = order.price_cap_micro_usd_per_device_hour or 0
    asked = [
        bidding.at_price(each, min(each.price_micro_usd_per_device_hour, cap)) for each in listings
    ]
    return tuple(each.name for each in screening.screen(order, asked, now).fits)


def _wins(reader: Reader, order: Order) -> tuple[AuctionWin, ...]:
    leases = [
        lease
        for lease in market.leases_of_job(reader, order.job_id)
        if lease.order_id == order.id and lease.state is not LeaseState.CLOSED
    ]
    return tuple(
        AuctionWin(
            machine=supply.machine(reader, lease.machine_id).name,
            price_micro_usd_per_device_hour=lease.price_micro_usd_per_device_hour,
        )
        for lease in leases
    )
