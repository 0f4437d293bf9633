"""Auctions: what is wanted, and bids for it. Nobody sees another's ask."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from gondwana.api.auctionviews import auction_views, bid_view
from gondwana.api.deps import (
    LIMIT_MAX,
    CallerDep,
    PlaneDep,
    ProviderDep,
    ReaderDep,
    WriteDep,
    answer,
    page,
    page_of,
    strict,
)
from gondwana.core.clock import Instant
from gondwana.core.errors import NoSuchThing
from gondwana.db.transaction import Reader, Transaction
from gondwana.jobs import auctions
from gondwana.market import store as market
from gondwana.market.auction import store
from gondwana.market.model import Mechanism, Order
from gondwana.policy import rules as policy_rules
from gondwana.policy.model import Scope
from gondwana.wire.auctions import AuctionView, BidRequest, BidView

router = APIRouter(prefix="/v1", tags=["auctions"])


@router.get("/orders")
def list_auctions(
    caller: CallerDep, plane: PlaneDep, reader: ReaderDep, mine: bool = False, cursor: str | None = None,
    limit: int = Query(50, ge=1, le=LIMIT_MAX),
) -> Response:  # fmt: skip
    """Auctions that take bids now, those that close first come first; with `mine` a tenant's own, newest first."""
    now, own_id = plane.clock.now(), caller.principal.id
    if mine:
        policy_rules.require(caller, Scope.TENANT)
        found = store.auctions_of(reader, own_id, before=cursor, limit=limit)
    else:
        found = store.open_auctions(reader, now, limit=limit)
    views = auction_views(
        reader, found, now, caller=own_id, is_provider=Scope.PROVIDER in caller.scopes
    )
    more = found[-1].id if mine and len(found) == limit else None
    return page(views, more)


@router.get("/orders/{order_id}", response_model=AuctionView)
def show_auction(order_id: str, caller: CallerDep, plane: PlaneDep, reader: ReaderDep) -> Response:
    """One auction; its tenant also sees which machines it gave him, at what price."""
    found = auction_views(
        reader, [_auction(reader, order_id)], plane.clock.now(), caller=caller.principal.id,
        is_provider=Scope.PROVIDER in caller.scopes,
    )  # fmt: skip
    return answer(found[0])


@router.post("/orders/{order_id}/bids", response_model=BidView)
def bid(
    order_id: str, told: Annotated[BidRequest, strict(BidRequest)], caller: ProviderDep, plane: PlaneDep,
    write: WriteDep,
) -> Response:  # fmt: skip
    """Bid for an order with one machine; the bid holds its devices until the auction is cleared."""

    def run(tx: Transaction, now: Instant) -> Any:
        placed = auctions.place_bid(
            tx, plane.context.random, now, caller.principal.id, order_id, told.machine,
            told.ask_micro_usd_per_device_hour,
        )  # fmt: skip
        return bid_view(tx, placed)

    return write(run)


@router.get("/bids")
def list_bids(
    caller: ProviderDep, reader: ReaderDep, cursor: str | None = None,
    limit: int = Query(50, ge=1, le=LIMIT_MAX),
) -> Response:  # fmt: skip
    """The caller's bids, newest first."""
    found = store.bids_of_owner(reader, caller.principal.id, before=cursor, limit=limit)
    return page_of(found, limit, lambda each: bid_view(reader, each))


@router.post("/bids/{bid_id}/withdraw", response_model=BidView)
def withdraw(bid_id: str, caller: ProviderDep, write: WriteDep) -> Response:
    """Take a bid back: its devices are free at once. One that lost is no second choice any more."""

    def run(tx: Transaction, now: Instant) -> Any:
        return bid_view(tx, auctions.withdraw_bid(tx, now, caller.principal.id, bid_id))

    return write(run)


def _auction(reader: Reader, order_id: str) -> Order:
    found = market.order(reader, order_id)
    if found.mechanism is not Mechanism.AUCTION:
        raise NoSuchThing(order=order_id, hint="gondwana orders")
    return found
