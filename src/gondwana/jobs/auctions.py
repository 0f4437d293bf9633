"""Auctions over the market's supply: bids come in, gangs are cleared together, the result becomes leases.

Nothing is kept between two passes: whoever clears again after a crash finds the same bids, and so the same result.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from gondwana.core.clock import Instant
from gondwana.core.errors import NoSuchThing, NothingFits, WrongState
from gondwana.core.ids import PrincipalId, new_id
from gondwana.core.random import Random
from gondwana.db.transaction import Reader, Transaction
from gondwana.jobs import place
from gondwana.jobs.listings import listings_of
from gondwana.jobs.place import Proposal
from gondwana.jobs.shelf import Shelf
from gondwana.market import rules as market_rules
from gondwana.market import screening
from gondwana.market import store as market
from gondwana.market.auction import bidding, rules, store
from gondwana.market.auction.model import (
    Ask,
    Auction,
    Bid,
    BidReason,
    BidState,
    Gang,
    Numbers,
    Win,
)
from gondwana.market.model import Listing, Order, OrderState
from gondwana.supply import store as supply
from gondwana.supply.pricing import store as pricing

OFFERS_MAX: Final = 512  # standing offers that one order is cleared with: the cheapest per work
RESTARTS: Final = 2_000  # of the search for the best sequence: 0.15 s for 200 orders × 2,000 offers


@dataclass(frozen=True, slots=True, kw_only=True)
class Award:
    """What clearing gave one order, and the bids that it had seen."""

    order: Order
    open_bids: frozenset[str]
    unfit: frozenset[str]  # of them, those whose machines could not serve
    wins: tuple[Win, ...]


def place_bid(
    tx: Transaction, random: Random, now: Instant, owner_id: PrincipalId, order_id: str, machine: str,
    ask_micro_usd_per_device_hour: int,
) -> Bid:  # fmt: skip
    """The bid, stored; from now on it holds the devices that the order wants of the machine.

    Raises NoSuchThing, and what `market.auction.bidding` says for a bid that is late, doubled, above the cap or the
    machine's posted price, for the owner's own order, or for a machine that lacks what is wanted.
    """
    order = market.order(tx, order_id)
    bidding.check_order(order, owner_id, now)
    known = supply.machine_of(tx, owner_id, machine)
    listing = next(iter(listings_of(tx, [known.id])), None)
    if listing is None:
        raise NoSuchThing(
            f"{known.name} sells nothing", hint=f"gondwana provider show {known.name}"
        )
    bidding.check_ask(order, listing, ask_micro_usd_per_device_hour, floor=_floor(tx, listing))
    bidding.check_bids(store.bids_of(tx, [order.id])[order.id], known.id)
    past = market.leases_of_job(tx, order.job_id)
    bidding.check_fit(order, listing, past, ask_micro_usd_per_device_hour, now)
    if not place.not_kept(order, [listing], place.Kept.read(tx, [known.id], now), now, past):
        raise NothingFits(
            f"{known.name} is kept for an order that waits longer, or is booked",
            hint="bid with another",
        )
    bid = Bid(
        id=new_id("bid", now, random),
        order_id=order.id,
        machine_id=known.id,
        owner_id=owner_id,
        state=BidState.OPEN,
        devices=order.devices,
        ask_micro_usd_per_device_hour=ask_micro_usd_per_device_hour,
        limit_micro_usd_per_device_hour=listing.price_micro_usd_per_device_hour,
        created_at=now,
        expires_at=Instant(now + bidding.BID_SECONDS_MAX),
    )
    store.add(tx, bid)
    return bid


def _floor(reader: Reader, listing: Listing) -> int:
    """The least that an owner sells his machine at, as far as he ever said."""
    priced = pricing.of_machine(reader, listing.machine_id)
    of_policy = 0 if priced is None else priced.policy.floor_micro_usd_per_device_hour
    return max(of_policy, listing.spot_floor_micro_usd_per_device_hour or 0)


def withdraw_bid(tx: Transaction, now: Instant, owner_id: PrincipalId, bid_id: str) -> Bid:
    """The bid, taken back; its devices are free at once. Raises NoSuchThing for another owner's, WrongState."""
    known = store.bid(tx, bid_id)
    if known.owner_id != owner_id:
        raise NoSuchThing(bid=bid_id, hint="gondwana provider bids")
    return store.end(tx, now, known, BidState.WITHDRAWN, BidReason.WITHDRAWN)


def clear(reader: Reader, shelf: Shelf, now: Instant, due: Sequence[Order]) -> list[Award]:
    """What all these auctions come to together, by the bids and offers committed now."""
    shelf.begin_pass()
    table = _Table(reader, shelf, now, due)
    cleared = rules.clear(table.auction(), restarts=RESTARTS)
    return [
        Award(
            order=order,
            open_bids=frozenset(each.id for each in table.bids[order.id] if each.state is BidState.OPEN),
            unfit=frozenset(table.unfit & {each.id for each in table.bids[order.id]}),
            wins=tuple(win for win in cleared.wins if win.order_id == order.id),
        )
        for order in due
    ]  # fmt: skip


class _Table:
    """The gangs and asks of one clearing as they are gathered."""

    def __init__(self, reader: Reader, shelf: Shelf, now: Instant, due: Sequence[Order]) -> None:
        self._now = now
        self._gangs: list[Gang] = []
        self._asks: list[Ask] = []
        self._fits: list[list[int]] = []
        self._standing: dict[str, int] = {}  # machine -> its ask
        self._left: dict[str, int] = {}  # machine -> devices that no second choice set aside
        self.unfit = set[str]()
        self.bids = store.bids_of(reader, [order.id for order in due])
        past = market.leases_of_jobs(reader, [order.job_id for order in due])
        named = {bid.machine_id for bids in self.bids.values() for bid in bids}
        self._listings = {str(each.machine_id): each for each in listings_of(reader, named)}
        barred = {order.id: place.barred_machines(past[order.job_id]) for order in due}
        offers = {
            order.id: shelf.fitting(reader, order, barred[order.id], OFFERS_MAX, now)
            for order in due
        }
        standing = {each.machine_id: each for found in offers.values() for each in found}
        self._left |= {name: each.devices_free for name, each in standing.items()}
        self._kept = place.Kept.read(reader, sorted(standing.keys() | self._listings.keys()), now)
        self._past = past
        bids = {order.id: self._bids_for(order, barred[order.id]) for order in due}
        for order in due:  # what is set aside for second choices is known
            gang = bidding.gang_of(order, market.held_by(past[order.job_id], order.id))
            if gang is not None:
                self._gangs.append(gang)
                fits = bids[order.id]
                self._fits.append(fits + self._offers_for(order, offers[order.id], fits))

    def auction(self) -> Auction:
        """All of it, to be cleared."""
        fits: list[Numbers] = [np.array(each, dtype=np.int64) for each in self._fits]
        return Auction(gangs=tuple(self._gangs), asks=tuple(self._asks), fits=tuple(fits))

    def _bids_for(self, order: Order, barred: Sequence[str]) -> list[int]:
        """The asks of an order's bids: those that stand, then those that lost and whose machines are free."""
        found: list[int] = []
        bids = self.bids[order.id]
        for bid in bids:
            if bid.state is not BidState.OPEN:
                continue
            if bid.machine_id in barred or not self._serves(order, bid, held=bid.devices):
                self.unfit.add(bid.id)
            else:
                found.append(self._add_bid(bid))
        for bid in bidding.second_choices(bids, self._now):
            listing = self._listings.get(bid.machine_id)
            left = self._left.get(bid.machine_id, listing.devices_free if listing else 0)
            if (
                bid.machine_id in barred
                or left < bid.devices
                or not self._serves(order, bid, held=0)
            ):
                continue
            self._left[bid.machine_id] = left - bid.devices
            found.append(self._add_bid(bid))
        return found

    def _serves(self, order: Order, bid: Bid, *, held: int) -> bool:
        listing = self._listings.get(bid.machine_id)
        if listing is None:
            return False
        offered = bidding.at_price(listing, bid.ask_micro_usd_per_device_hour, more=held)
        free = place.not_kept(order, [offered], self._kept, self._now, self._past[order.job_id])
        return bool(screening.screen(order, free, self._now).fits)

    def _add_bid(self, bid: Bid) -> int:
        self._asks.append(
            Ask(
                machine_id=bid.machine_id,
                owner_id=bid.owner_id,
                devices=bid.devices,
                price_micro_usd_per_device_hour=bid.ask_micro_usd_per_device_hour,
                limit_micro_usd_per_device_hour=bid.limit_micro_usd_per_device_hour,
                serial=market_rules.serial_of(self._listings[bid.machine_id]),
                bid_id=bid.id,
            )
        )
        return len(self._asks) - 1

    def _offers_for(
        self, order: Order, offers: Sequence[Listing], bids: Sequence[int]
    ) -> list[int]:
        """The asks of the standing offers that an order may have; a machine that bids for it stands for others only."""
        bidders = {self._asks[each].machine_id for each in bids}
        free = place.not_kept(order, offers, self._kept, self._now, self._past[order.job_id])
        fits = screening.screen(order, free, self._now).fits
        return [self._stand(each) for each in fits if each.machine_id not in bidders]

    def _stand(self, listing: Listing) -> int:
        known = self._standing.get(listing.machine_id)
        if known is not None:
            return known
        price = listing.price_micro_usd_per_device_hour
        self._asks.append(
            Ask(
                machine_id=listing.machine_id,
                owner_id=listing.owner_id,
                devices=self._left.get(listing.machine_id, listing.devices_free),
                price_micro_usd_per_device_hour=price,
                limit_micro_usd_per_device_hour=price,
                serial=market_rules.serial_of(listing),
            )
        )
        self._standing[listing.machine_id] = len(self._asks) - 1
        return len(self._asks) - 1


def settle(tx: Transaction, random: Random, now: Instant, award: Award) -> int:
    """Make what an order won its leases, at the prices agreed, and end its bids; how many leases became active.

    All of it or nothing: where a bid came or went, a machine went, or an offer is dearer since it was cleared, nothing
    happens, and the next pass clears again. Raises WrongState where something else is in the way, such as a quota.
    """
    order = market.order(tx, award.order.id)
    if order.state is not OrderState.OPEN or bidding.takes_bids(order, now):
        return 0
    bids = {bid.id: bid for bid in store.bids_of(tx, [order.id])[order.id]}
    if award.open_bids != frozenset(bid.id for bid in bids.values() if bid.state is BidState.OPEN):
        return 0
    past = market.leases_of_job(tx, order.job_id)
    held = market.held_by(past, order.id)
    offers = {
        str(each.machine_id): each for each in listings_of(tx, [w.machine_id for w in award.wins])
    }
    if not _still_stands(order, award, bids, offers, place.barred_machines(past), now):
        return 0
    _end_bids(tx, now, award, bids)
    active = 0
    if award.wins:
        proposal = Proposal(
            order=order,
            machine_ids=[win.machine_id for win in award.wins],
            prices={win.machine_id: win.price_micro_usd_per_device_hour for win in award.wins},
        )
        seen = place.choose(tx, random, now, [proposal])
        if len(seen.reserved) != len(
            award.wins
        ):  # undoes all of this transaction: `postpone` is next
            raise WrongState(f"{order.id} was cleared, and may not be placed now")
        active = place.confirm(tx, random, now, seen)
    held += len(award.wins)
    if held < order.count_max:
        store.open_window(tx, now, order, bidding.next_window(order, now, held=held))
    return active


def postpone(tx: Transaction, now: Instant, order_id: str) -> None:
    """Try an auction again later, its bids as they are: what it came to may not be placed now."""
    order = market.order(tx, order_id)
    if order.state is OrderState.OPEN and not bidding.takes_bids(order, now):
        store.open_window(tx, now, order, bidding.next_window(order, now))


def _still_stands(
    order: Order, award: Award, bids: Mapping[str, Bid], offers: Mapping[str, Listing], barred: Sequence[str],
    now: Instant,
) -> bool:  # fmt: skip
    """Whether each winner can still give what it won, at the price agreed or less."""
    for win in award.wins:
        listing, bid = offers.get(win.machine_id), bids.get(win.bid_id)
        if listing is None or win.machine_id in barred:
            return False
        agreed = win.price_micro_usd_per_device_hour
        if bid is None and (win.bid_id or listing.price_micro_usd_per_device_hour > agreed):
            return False
        held = bid.devices if bid is not None and bid.state is BidState.OPEN else 0
        offered = bidding.at_price(listing, agreed, more=held)
        if not screening.screen(order, [offered], now).fits:
            return False
    return True


def _end_bids(tx: Transaction, now: Instant, award: Award, bids: Mapping[str, Bid]) -> None:
    prices = {win.bid_id: win.price_micro_usd_per_device_hour for win in award.wins if win.bid_id}
    for bid_id in sorted(award.open_bids | set(prices)):
        if bid_id in prices:
            store.end(tx, now, bids[bid_id], BidState.WON, BidReason.LEASED,
                      price_micro_usd_per_device_hour=prices[bid_id])  # fmt: skip
            continue
        reason = BidReason.OUTBID if award.wins else BidReason.GANG_NOT_WHOLE
        gone = bid_id in award.unfit
        store.end(tx, now, bids[bid_id], BidState.LOST, BidReason.MACHINE_GONE if gone else reason)


def expire_bid(tx: Transaction, now: Instant, bid_id: str) -> None:
    """End a bid that holds devices for nothing."""
    bid = store.bid(tx, bid_id)
    if bid.state is not BidState.OPEN:
        return
    order = market.order(tx, bid.order_id)
    if order.state is not OrderState.OPEN:
        store.end(tx, now, bid, BidState.EXPIRED, BidReason.ORDER_CLOSED)
    elif now >= bid.expires_at:
        store.end(tx, now, bid, BidState.EXPIRED, BidReason.LAPSED)
