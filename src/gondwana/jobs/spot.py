"""The spot market over the database: what a call of its books changes.

Each part is a transaction of its own that looks again: a crash between two leaves nothing half done, and the next call
does what is left. What a call decides is `market.spot.rules`; how a machine is leased is `jobs.place`.
"""

from collections.abc import Iterable, Sequence

from gondwana.core.clock import Instant
from gondwana.core.random import Random
from gondwana.core.values import replace
from gondwana.db.transaction import Reader, Transaction
from gondwana.jobs import place, reclaims, store
from gondwana.jobs.listings import listings_of
from gondwana.jobs.place import Proposal
from gondwana.jobs.spot_books import ask
from gondwana.ledger.settings import setting
from gondwana.market import store as market
from gondwana.market.model import Charge, CloseReason, LeaseState, Listing, Mechanism
from gondwana.market.spot import store as spot
from gondwana.market.spot.model import Call, Grant, Outcome, Standing
from gondwana.wire.spot import SpotSettings


def settings(reader: Reader) -> SpotSettings:
    """How the spot market works now."""
    return setting(reader, "spot", SpotSettings)


def to_calls(outcomes: Iterable[Outcome], now: Instant) -> list[Call]:
    """What is kept of a minute's calls: of buckets that have a price."""
    return [
        Call(
            model=each.key.model,
            region=each.key.region,
            at=now,
            price=each.price,
            bids=each.bids,
            asks=each.asks,
            traded=each.traded,
            evicted=each.evicted_devices,
        )
        for each in outcomes
        if each.price is not None
    ]


def reprice(tx: Transaction, now: Instant, prices: Sequence[tuple[str, int]]) -> int:
    """Let running leases pay their new prices from now on; an island's next units too. How many changed."""
    changed = spot.reprice(tx, now, prices)
    for lease in market.leases(tx, [lease_id for lease_id, _ in prices]):
        if lease.charge is Charge.UNIT and lease.state is LeaseState.ACTIVE:
            island, price = store.island_of_lease(tx, lease.id), lease.price_micro_usd_per_hour
            if island is not None and island.price_micro_usd_per_hour != price:
                store.save_island(tx, replace(island, price_micro_usd_per_hour=price))
    return changed


def evict(tx: Transaction, now: Instant, notice_seconds: int, standing: Sequence[Standing]) -> int:
    """Give notice to each of these, whole; how many leases that were. What ended or has notice already stays."""
    told = 0
    for each in standing:
        leases = market.leases(tx, [seat.lease_id for seat in each.seats])
        for lease in leases:
            if lease.state is LeaseState.ACTIVE:
                reclaims.reclaim(tx, now, lease, Instant(now + notice_seconds), CloseReason.OUTBID)
                told += 1
    return told


def grant(tx: Transaction, random: Random, now: Instant, proposals: Sequence[Proposal]) -> int:
    """Lease what a call granted, where it still stands; how many leases became active.

    A machine whose owner asks more by now than was agreed is not leased for less.
    """
    named = {each for proposal in proposals for each in proposal.machine_ids}
    offers = {str(each.machine_id): each for each in listings_of(tx, named)}
    agreed = [
        replace(
            proposal,
            machine_ids=[
                each
                for each in proposal.machine_ids
                if each in offers
                and ask(proposal.order, offers[each]) <= (proposal.prices or {})[each]
            ],
        )
        for proposal in proposals
    ]
    return place.place(tx, random, now, agreed)


def proposals(reader: Reader, grants: Sequence[Grant]) -> list[Proposal]:
    """What a call granted, for `grant`."""
    orders = market.orders(reader, [each.order_id for each in grants])
    return [
        Proposal(
            order=orders[each.order_id], machine_ids=list(each.prices), prices=dict(each.prices)
        )
        for each in grants
        if each.order_id in orders
    ]


def withdrawn(reader: Reader, listings: Sequence[Listing]) -> list[str]:
    """Running spot leases on machines whose owners sell no spot any more."""
    active = [
        lease
        for _, leases in spot.running(reader)
        for lease in leases
        if lease.state is LeaseState.ACTIVE
    ]
    if not active:
        return []
    unsold = {
        each.machine_id for each in listings if each.spot_floor_micro_usd_per_device_hour is None
    }
    return [lease.id for lease in active if lease.machine_id in unsold]


def take_back(tx: Transaction, now: Instant, notice_seconds: int, lease_ids: Sequence[str]) -> int:
    """Give notice to spot leases whose owners sell no spot any more; how many there were."""
    told = 0
    for lease in market.leases(tx, lease_ids):
        if lease.state is LeaseState.ACTIVE and lease.mechanism is Mechanism.SPOT:
            reclaims.reclaim(tx, now, lease, Instant(now + notice_seconds), CloseReason.RECLAIMED)
            told += 1
    return told
