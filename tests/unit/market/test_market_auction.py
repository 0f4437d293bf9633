"""The auction's clearing: whole gangs, honest asks, the same answer from both searches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gondwana.core.values import replace
from gondwana.market.auction import greedy, rules
from gondwana.market.auction.greedy_twin import plain_search, worth_of
from gondwana.market.auction.model import (
    BID_CODES,
    BID_TRANSITIONS,
    Ask,
    Auction,
    BidReason,
    BidState,
    Gang,
)

RESTARTS = 8
MANY = settings(max_examples=200, deadline=None)


def gang(name="a", *, count=1, count_max=None, devices=1, cap=1_000):
    return Gang(
        order_id=name, count_min=count, count_max=count_max or count, devices=devices,
        cap_micro_usd_per_device_hour=cap,
    )  # fmt: skip


def ask(name, price, *, limit=None, bid=False, owner=None, devices=1, serial=0):
    return Ask(
        machine_id=name, owner_id=owner or f"owner of {name}", devices=devices, serial=serial,
        price_micro_usd_per_device_hour=price, limit_micro_usd_per_device_hour=limit or price,
        bid_id=f"bid of {name}" if bid else "",
    )  # fmt: skip


def auction(gangs, asks, fits=None):
    everything = [list(range(len(asks)))] * len(gangs)
    return Auction(
        gangs=tuple(gangs), asks=tuple(asks),
        fits=tuple(np.array(part, dtype=np.int64) for part in fits or everything),
    )  # fmt: skip


def prices(cleared):
    return {win.machine_id: win.price_micro_usd_per_device_hour for win in cleared.wins}


def clear(given, **more):
    return rules.clear(given, restarts=RESTARTS, **more)


@st.composite
def auctions(draw, *, bids=True, owners=4):
    """Auctions as the market makes them: a bid is for one gang and holds what that needs; offers stand for all."""
    gangs = [
        gang(f"g{n}", count=count, count_max=count + draw(st.integers(0, 1)),
             devices=draw(st.integers(1, 3)), cap=draw(st.integers(1, 40)))
        for n, count in enumerate(draw(st.lists(st.integers(1, 3), min_size=1, max_size=4)))
    ]  # fmt: skip
    asks, fits = [], [[] for _ in gangs]
    for n in range(draw(st.integers(0, 8))):
        price = draw(st.integers(1, 40))
        asks.append(ask(f"m{n}", price, devices=draw(st.integers(1, 4)), serial=n,
                        owner=f"o{draw(st.integers(0, owners - 1))}"))  # fmt: skip
        for part in fits:
            if draw(st.booleans()):
                part.append(n)
    for n in range(draw(st.integers(0, 6)) if bids else 0):
        limit, number = draw(st.integers(1, 40)), draw(st.integers(0, len(gangs) - 1))
        fits[number].append(len(asks))
        asks.append(ask(f"b{n}", draw(st.integers(1, limit)), limit=limit, bid=True, serial=100 + n,
                        devices=gangs[number].devices, owner=f"o{draw(st.integers(0, owners - 1))}"))  # fmt: skip
    return auction(gangs, asks, fits)


@MANY
@given(auctions(), st.integers(0, 40), st.integers(0, 2**31 - 1))
def test_both_searches_find_the_same_sequence(given_auction, restarts, seed):
    public = np.array(
        [each.price_micro_usd_per_device_hour for each in given_auction.asks], dtype=np.int64
    )
    found = [
        greedy.best_sequence(given_auction, public, restarts=restarts, seed=seed, search=search)
        for search in (greedy.SEARCH, plain_search)
    ]
    assert found[0] == found[1]


@MANY
@given(auctions())
def test_a_gang_gets_all_it_needs_or_nothing_of_devices_that_are_there(given_auction):
    cleared = clear(given_auction)
    given_devices = dict.fromkeys(range(len(given_auction.asks)), 0)
    numbers = {(each.machine_id, each.bid_id): n for n, each in enumerate(given_auction.asks)}
    for each, fits in zip(given_auction.gangs, given_auction.fits, strict=True):
        wins = [win for win in cleared.wins if win.order_id == each.order_id]
        assert not wins or each.count_min <= len(wins) <= each.count_max
        assert len({win.machine_id for win in wins}) == len(wins)
        for win in wins:
            number = numbers[win.machine_id, win.bid_id]
            assert number in fits
            given_devices[number] += each.devices
    for number, devices in given_devices.items():
        assert devices <= given_auction.asks[number].devices


@MANY
@given(auctions())
def test_nobody_pays_above_the_cap_or_gets_less_than_he_asked_or_more_than_he_stands_at(
    given_auction,
):
    caps = {each.order_id: each.cap_micro_usd_per_device_hour for each in given_auction.gangs}
    asks = {(each.machine_id, each.bid_id): each for each in given_auction.asks}
    for win in clear(given_auction).wins:
        asked, paid = asks[win.machine_id, win.bid_id], win.price_micro_usd_per_device_hour
        assert asked.price_micro_usd_per_device_hour <= paid <= caps[win.order_id]
        assert paid <= asked.limit_micro_usd_per_device_hour


@MANY
@given(auctions())
def test_the_sequence_of_the_gangs_depends_on_no_sealed_ask(given_auction):
    lower = [
        replace(each, price_micro_usd_per_device_hour=1) if each.bid_id else each
        for each in given_auction.asks
    ]
    assert (
        clear(given_auction).sequence == clear(replace(given_auction, asks=tuple(lower))).sequence
    )


@MANY
@given(auctions(), st.data())
def test_a_bid_that_asks_less_still_wins(given_auction, data):
    winning = [win.bid_id for win in clear(given_auction).wins if win.bid_id]
    if not winning:
        return
    bid_id = data.draw(st.sampled_from(winning))
    lower = [
        replace(each, price_micro_usd_per_device_hour=data.draw(st.integers(0, each.price_micro_usd_per_device_hour)))
        if each.bid_id == bid_id else each for each in given_auction.asks
    ]  # fmt: skip
    assert bid_id in {win.bid_id for win in clear(replace(given_auction, asks=tuple(lower))).wins}


@MANY
@given(auctions(owners=1_000))
def test_a_winner_is_paid_the_highest_ask_at_which_it_still_wins(given_auction):
    """Where each owner has one bid: above what it is paid it would lose, below it would win."""
    asks = list(given_auction.asks)
    for place, each in enumerate(asks):
        asks[place] = replace(each, owner_id=f"alone {place}")
    given_auction = replace(given_auction, asks=tuple(asks))
    caps = {each.order_id: each.cap_micro_usd_per_device_hour for each in given_auction.gangs}
    for win in clear(given_auction).wins:
        if not win.bid_id:
            continue
        place = next(n for n, each in enumerate(asks) if each.bid_id == win.bid_id)
        paid, limit = (
            win.price_micro_usd_per_device_hour,
            asks[place].limit_micro_usd_per_device_hour,
        )
        assert paid == 1 or _wins_at(given_auction, place, max(paid - 1, 0))
        assert paid in (limit, caps[win.order_id]) or not _wins_at(given_auction, place, paid + 1)


def _wins_at(given_auction, place, price):
    asks = list(given_auction.asks)
    asks[place] = replace(asks[place], price_micro_usd_per_device_hour=price)
    return asks[place].bid_id in {
        win.bid_id for win in clear(replace(given_auction, asks=tuple(asks))).wins
    }


@MANY
@given(auctions(owners=3), st.data())
def test_a_gang_alone_never_pays_more_than_it_would_for_standing_offers(given_auction, data):
    """Every bidder's machine stands for anybody at its limit: what would the same machines have cost, posted?"""
    number = data.draw(st.integers(0, len(given_auction.gangs) - 1))
    alone = replace(given_auction, gangs=given_auction.gangs[number : number + 1],
                    fits=given_auction.fits[number : number + 1])  # fmt: skip
    posted = [
        replace(
            each, bid_id="", price_micro_usd_per_device_hour=each.limit_micro_usd_per_device_hour
        )
        for each in alone.asks
    ]
    before, after = clear(replace(alone, asks=tuple(posted))).wins, clear(alone).wins
    if len(before) == len(after):
        assert sum(win.price_micro_usd_per_device_hour for win in after) <= sum(
            win.price_micro_usd_per_device_hour for win in before
        )
    assert len(after) >= len(before)


# What honest means here: the ask is the owner's own cost. The search looks for an owner who does better otherwise.


def gain(given_auction, cleared, owner):
    """What an owner makes of his bids, his asks in `given_auction` being his costs; per hour."""
    costs = {
        each.bid_id: each.price_micro_usd_per_device_hour
        for each in given_auction.asks
        if each.bid_id and each.owner_id == owner
    }
    devices = {each.order_id: each.devices for each in given_auction.gangs}
    return sum(
        devices[win.order_id] * (win.price_micro_usd_per_device_hour - costs[win.bid_id])
        for win in cleared.wins
        if win.bid_id in costs
    )


def random_auction(random, *, owners, gangs_max=3):
    """One auction, every bid at its owner's cost; each owner bids at most once where there are many owners."""
    count = int(random.integers(1, gangs_max + 1))
    gangs = [
        gang(f"g{n}", count=int(random.integers(1, 4)), devices=int(random.integers(1, 3)),
             cap=int(random.integers(5, 40)))
        for n in range(count)
    ]  # fmt: skip
    gangs = [replace(each, count_max=each.count_min + int(random.integers(0, 2))) for each in gangs]
    asks, fits = [], [[] for _ in gangs]
    for n in range(int(random.integers(0, 6))):
        asks.append(
            ask(f"m{n}", int(random.integers(1, 40)), devices=int(random.integers(1, 5)), serial=n)
        )
        for part in fits:
            part.append(n)
    for n in range(int(random.integers(1, 6))):
        number, limit = int(random.integers(0, count)), int(random.integers(1, 60))
        fits[number].append(len(asks))
        owner = f"o{n if owners is None else int(random.integers(0, owners))}"
        asks.append(ask(f"b{n}", int(random.integers(1, limit + 1)), limit=limit, bid=True, serial=100 + n,
                        devices=gangs[number].devices, owner=owner))  # fmt: skip
    return auction(gangs, asks, fits)


def best_deviation(given_auction, random, *, pay, tries, upward_only=False):
    """The most that any owner gains by asking otherwise than his costs, over `tries` random ways for each."""
    honest = clear(given_auction, pay=pay)
    most = 0
    for owner in sorted({each.owner_id for each in given_auction.asks if each.bid_id}):
        base = gain(given_auction, honest, owner)
        for _ in range(tries):
            asks = [
                replace(each, price_micro_usd_per_device_hour=int(random.integers(
                    each.price_micro_usd_per_device_hour if upward_only else 0,
                    each.limit_micro_usd_per_device_hour + 1)))
                if each.bid_id and each.owner_id == owner and random.random() < 0.8 else each
                for each in given_auction.asks
            ]  # fmt: skip
            other = clear(replace(given_auction, asks=tuple(asks)), pay=pay)
            most = max(most, gain(given_auction, other, owner) - base)
    return most


def pay_the_ask(gang, winners, losers):
    """The planted fault: whoever asks more is paid more."""
    return [each.price_micro_usd_per_device_hour for each in winners]


def shading_gains(pay, *, auctions=300, owners=None, gangs_max=3, **how):
    random = np.random.default_rng(7)
    return [
        found
        for _ in range(auctions)
        if (
            found := best_deviation(
                random_auction(random, owners=owners, gangs_max=gangs_max),
                random,
                pay=pay,
                tries=6,
                **how,
            )
        )
    ]


def test_no_owner_of_one_bid_gains_by_asking_anything_but_his_cost():
    assert shading_gains(rules.critical_prices) == []


def test_no_owner_of_several_bids_for_one_order_gains_by_asking_more():
    assert shading_gains(rules.critical_prices, owners=2, gangs_max=1, upward_only=True) == []


def test_the_search_for_deviations_finds_them_where_winners_are_paid_what_they_ask():
    assert len(shading_gains(pay_the_ask, auctions=60)) > 20


def test_the_search_for_deviations_finds_them_where_own_asks_move_the_price():
    def naive(gang, winners, losers):
        bound = min(
            [each.price_micro_usd_per_device_hour for each in losers]
            or [gang.cap_micro_usd_per_device_hour]
        )
        return [min(bound, each.limit_micro_usd_per_device_hour) if each.bid_id else
                each.price_micro_usd_per_device_hour for each in winners]  # fmt: skip

    assert shading_gains(naive, owners=2, gangs_max=1, upward_only=True)


def test_the_cheaper_of_two_bidders_is_paid_what_the_other_asked():
    given_auction = auction(
        [gang()], [ask("dear", 700, limit=900, bid=True), ask("cheap", 300, limit=900, bid=True)]
    )
    assert prices(clear(given_auction)) == {"cheap": 700}


def test_a_bidder_without_a_rival_is_paid_what_his_machine_stands_at_or_the_cap():
    assert prices(clear(auction([gang(cap=500)], [ask("only", 300, limit=900, bid=True)]))) == {
        "only": 500
    }
    assert prices(clear(auction([gang(cap=5_000)], [ask("only", 300, limit=900, bid=True)]))) == {
        "only": 900
    }


def test_a_standing_offer_is_paid_its_posted_price_though_it_has_no_rival():
    assert prices(clear(auction([gang(count=2)], [ask("a", 300), ask("b", 400)]))) == {
        "a": 300,
        "b": 400,
    }


def test_an_ask_above_the_cap_serves_nobody_and_sets_no_price():
    cleared = clear(
        auction([gang(cap=500)], [ask("dear", 501), ask("bidder", 300, limit=900, bid=True)])
    )
    assert prices(cleared) == {"bidder": 500}


def test_an_auction_of_nothing_comes_to_nothing():
    assert clear(auction([], [])).wins == ()
    assert clear(auction([gang()], [])).wins == ()


def test_restarts_never_make_it_worse_and_the_same_seed_gives_the_same():
    random = np.random.default_rng(3)
    for _ in range(5):
        gangs = [
            gang(f"g{n}", count=int(random.integers(1, 6)), cap=int(random.integers(10, 90)))
            for n in range(20)
        ]
        asks = [ask(f"m{n}", int(random.integers(1, 80)), serial=n) for n in range(40)]
        given_auction = auction(gangs, asks)
        worth = [
            rules.clear(given_auction, restarts=n).welfare_micro_usd_per_hour for n in (0, 50, 500)
        ]
        assert worth == sorted(worth)
        assert rules.clear(given_auction, restarts=50) == rules.clear(
            given_auction, restarts=50, search=plain_search
        )


def test_the_welfare_told_is_that_of_the_sequence():
    random = np.random.default_rng(5)
    gangs = [
        gang(f"g{n}", count=int(random.integers(1, 4)), cap=int(random.integers(10, 90)))
        for n in range(9)
    ]
    given_auction = auction(
        gangs, [ask(f"m{n}", int(random.integers(1, 80)), serial=n) for n in range(15)]
    )
    public = np.array(
        [each.price_micro_usd_per_device_hour for each in given_auction.asks], dtype=np.int64
    )
    cleared = clear(given_auction)
    table = greedy.table_of(given_auction, public)
    assert worth_of(table, np.array(cleared.sequence)) == cleared.welfare_micro_usd_per_hour


@pytest.mark.parametrize("state", BidState)
def test_every_bid_state_has_its_arrows_and_ends_stay(state):
    assert state in BID_TRANSITIONS
    assert BidState.OPEN not in BID_TRANSITIONS[state]


def test_every_reason_of_a_bid_has_a_code_of_its_own():
    assert set(BID_CODES) == set(BidReason)
    assert len(set(BID_CODES.values())) == len(BID_CODES)
