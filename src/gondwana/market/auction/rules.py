"""How an auction is cleared and what its winners are paid; pure.

The sequence of the gangs is searched with public prices alone: a bid stands in it at its machine's limit, never at its
sealed ask. Then each gang takes the cheapest asks that are left. A sealed ask therefore decides only whether its own
machine is among them, and asking less never hurts that; its owner is paid what others' asks allow, whatever he asked.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from zlib import crc32

import numpy as np

from gondwana.market.auction.greedy import Search, Table, best_sequence, table_of
from gondwana.market.auction.model import Ask, Auction, Clearing, Gang, Numbers, Win

Pay = Callable[[Gang, Sequence[Ask], Sequence[Ask]], list[int]]
"""(gang, its winners, the asks that would have served it too, cheapest first) -> what each winner is paid."""


def critical_prices(gang: Gang, winners: Sequence[Ask], losers: Sequence[Ask]) -> list[int]:
    """What each winner is paid, in micro-USD per device-hour: its critical value, or a standing offer its own price.

    For all his winning bids together an owner is paid what the gang would have paid had he not bid, his machines
    standing at their public prices: the cheapest asks that he kept out, and the gang's cap where there are none
    (Vickrey; Clarke). So no ask of his moves what he is paid, and a lone bid gets the highest ask at which it would
    still have won. No bid is paid more than its machine stands at for anybody, and none less than its ask: whoever lost
    asked no less than who won.
    """
    paid = [ask.price_micro_usd_per_device_hour for ask in winners]
    by_owner: dict[str, list[int]] = defaultdict(list)
    for place, ask in enumerate(winners):
        if ask.bid_id:
            by_owner[ask.owner_id].append(place)
    for owner, places in by_owner.items():
        kept_out = sorted((_seen_by(owner, ask), len(winners)) for ask in losers)
        own = [(winners[place].limit_micro_usd_per_device_hour, place) for place in places]
        cap = (gang.cap_micro_usd_per_device_hour, len(winners))
        counted = sorted([*kept_out, *own, *[cap] * len(places)])[: len(places)]
        at_limit = {place: price for price, place in counted if place < len(winners)}
        others = iter([price for price, place in counted if place == len(winners)])
        for place in places:
            paid[place] = at_limit[place] if place in at_limit else next(others)
    return paid


def _seen_by(owner: str, ask: Ask) -> int:
    own_bid = ask.bid_id and ask.owner_id == owner
    return ask.limit_micro_usd_per_device_hour if own_bid else ask.price_micro_usd_per_device_hour


def clear(
    auction: Auction, *, restarts: int, pay: Pay = critical_prices, search: Search | None = None
) -> Clearing:
    """Who serves which gang at what price. The same auction and number of restarts give the same answer."""
    public = _numbers(ask.limit_micro_usd_per_device_hour for ask in auction.asks)
    seed = seed_of(gang.order_id for gang in auction.gangs)
    sequence = best_sequence(auction, public, restarts=restarts, seed=seed, search=search)
    told = _numbers(ask.price_micro_usd_per_device_hour for ask in auction.asks)
    table = table_of(auction, told)
    left, wins, welfare = table.free.copy(), list[Win](), 0
    for number in sequence:
        gang = auction.gangs[number]
        winners, losers = _serve(table, number, gang, left)
        won, lost = ([auction.asks[each] for each in part.tolist()] for part in (winners, losers))
        prices = pay(gang, won, lost)
        welfare += gang.devices * sum(
            gang.cap_micro_usd_per_device_hour - ask.price_micro_usd_per_device_hour for ask in won
        )
        wins += [
            Win(order_id=gang.order_id, machine_id=ask.machine_id, bid_id=ask.bid_id,
                price_micro_usd_per_device_hour=price)
            for ask, price in zip(won, prices, strict=True)
        ]  # fmt: skip
    return Clearing(wins=tuple(wins), welfare_micro_usd_per_hour=welfare, sequence=tuple(sequence))


def _serve(table: Table, number: int, gang: Gang, left: Numbers) -> tuple[Numbers, Numbers]:
    """The asks that serve a gang, taken from `left`, and those that might have; none of either if it fails."""
    asks = table.asks[table.firsts[number] : table.firsts[number + 1]]
    free = asks[left[asks] >= gang.devices]
    if len(free) < max(1, gang.count_min):
        return free[:0], free[:0]
    winners, losers = free[: gang.count_max], free[gang.count_max :]
    left[winners] -= gang.devices
    return winners, losers


def seed_of(order_ids: Iterable[str]) -> int:
    """A seed that a pass after a crash finds again: from the orders alone."""
    return crc32("\n".join(sorted(order_ids)).encode())


def _numbers(values: Iterable[int]) -> Numbers:
    return np.fromiter(values, dtype=np.int64)
