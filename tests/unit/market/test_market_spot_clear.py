"""The call auction: one price, fair to both sides, whole numbers; against a plain oracle."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gondwana.market.spot.clear import NO_PRICE, PRICE_MAX, Side, clear

BUCKETS = 3
NO_LIMIT = np.zeros(BUCKETS, dtype=np.int64), np.full(BUCKETS, PRICE_MAX, dtype=np.int64)

buckets = st.integers(0, BUCKETS - 1)
prices = st.integers(0, 12)
bid_rows = st.lists(
    st.tuples(buckets, prices, st.sampled_from([1, 1, 1, 2, 4, 7]), st.integers(0, 20)), max_size=25
)
ask_rows = st.lists(st.tuples(buckets, prices, st.integers(1, 4), st.integers(18, 40)), max_size=25)
single_rows = st.lists(st.tuples(buckets, prices, st.just(1), st.integers(0, 20)), max_size=25)


def side(rows):
    columns = np.array(rows, dtype=np.int64).reshape(len(rows), 4).T
    return Side(bucket=columns[0], price=columns[1], devices=columns[2], account=columns[3])


def called(bids, asks, *, lower=NO_LIMIT[0], upper=NO_LIMIT[1], last=None, sides_min=1):
    last = np.full(BUCKETS, NO_PRICE) if last is None else last
    return clear(side(bids), side(asks), lower=lower, upper=upper, last=last, sides_min=sides_min)


def supply_at(asks, bucket, price):
    return sum(ask[2] for ask in asks if ask[0] == bucket and ask[1] <= price)


def oracle(bids, asks, *, lower, upper, last, sides_min):
    """(price by bucket, accepted bids), by loops that anybody can check."""
    price, accepted = [NO_PRICE] * BUCKETS, set()
    for bucket in range(BUCKETS):
        owners = {ask[3] for ask in asks if ask[0] == bucket}
        mine = sorted(
            (n for n, bid in enumerate(bids) if bid[0] == bucket), key=lambda n: (-bids[n][1], n)
        )
        counts = [
            n for n in mine
            if bids[n][3] not in owners and bids[n][2] <= supply_at(asks, bucket, bids[n][1])
        ]  # fmt: skip
        if min(len({bids[n][3] for n in counts}), len(owners)) < sides_min:
            continue
        had, trading = 0, []
        for n in counts:
            if had + bids[n][2] <= supply_at(asks, bucket, bids[n][1]):
                had += bids[n][2]
                trading.append(n)
        free = NO_PRICE
        if trading:
            asked = sorted(ask[1] for ask in asks if ask[0] == bucket for _ in range(ask[2]))
            after = counts[counts.index(trading[-1]) + 1 :]
            free = max(asked[had - 1], bids[after[0]][1] if after else NO_PRICE)
        price[bucket] = (
            last[bucket] if free == NO_PRICE else min(max(free, lower[bucket]), upper[bucket])
        )
        if price[bucket] == NO_PRICE:
            continue
        had, sold = 0, supply_at(asks, bucket, price[bucket])
        for n in mine:
            if bids[n][1] >= price[bucket] and had + bids[n][2] <= sold:
                had += bids[n][2]
                accepted.add(n)
    return price, accepted


@given(bid_rows, ask_rows, st.integers(1, 3), st.lists(st.integers(-1, 12), min_size=3, max_size=3))
def test_all_buckets_at_once_give_what_loops_over_each_give(bids, asks, sides_min, last):
    last = np.array(last)
    lower = np.where(last >= 0, np.maximum(last - 2, 0), 0)
    upper = np.where(last >= 0, last + 2, PRICE_MAX)
    cleared = called(bids, asks, lower=lower, upper=upper, last=last, sides_min=sides_min)
    price, accepted = oracle(bids, asks, lower=lower, upper=upper, last=last, sides_min=sides_min)
    assert cleared.price.tolist() == price
    assert set(np.flatnonzero(cleared.accepted).tolist()) == accepted


@given(bid_rows, ask_rows)
def test_who_trades_pays_at_most_his_cap_and_gets_at_least_his_floor(bids, asks):
    cleared = called(bids, asks)
    for n in np.flatnonzero(cleared.accepted).tolist():
        assert bids[n][1] >= cleared.price[bids[n][0]]
    for bucket, traded in enumerate(cleared.traded.tolist()):
        assert traded <= supply_at(
            asks, bucket, cleared.price[bucket]
        )  # whose floors are not above it
        assert traded == sum(
            bids[n][2] for n in np.flatnonzero(cleared.accepted) if bids[n][0] == bucket
        )


@given(single_rows, ask_rows)
def test_no_bid_above_the_price_is_left_beside_an_ask_below_it(bids, asks):
    cleared = called(bids, [(*ask[:3], ask[3] + 100) for ask in asks])
    for bucket in range(BUCKETS):
        price = cleared.price[bucket]
        left = [n for n, bid in enumerate(bids) if bid[0] == bucket and not cleared.accepted[n]]
        idle = supply_at(asks, bucket, price - 1) - cleared.traded[bucket]
        assert not (idle > 0 and any(bids[n][1] > price for n in left))


@given(bid_rows, ask_rows)
def test_a_bid_for_several_devices_is_left_only_where_it_would_not_be_whole(bids, asks):
    cleared = called(bids, [(*ask[:3], ask[3] + 100) for ask in asks])
    for n, bid in enumerate(bids):
        price = cleared.price[bid[0]]
        if price != NO_PRICE and not cleared.accepted[n] and bid[1] > price:
            assert cleared.traded[bid[0]] + bid[2] > supply_at(asks, bid[0], price)


@given(single_rows, ask_rows, st.integers(0, 24), prices)
def test_a_tenant_who_wants_one_device_gains_nothing_by_another_cap_than_his_true_one(
    bids, asks, who, told
):
    asks = [(*ask[:3], ask[3] + 100) for ask in asks]
    bids = [(*bid[:3], n) for n, bid in enumerate(bids)]  # an account each
    if who >= len(bids):
        return
    bucket, worth = bids[who][:2]

    def gain(cap):
        cleared = called([*bids[:who], (bucket, cap, 1, who), *bids[who + 1 :]], asks)
        return worth - cleared.price[bucket] if cleared.accepted[who] else 0

    assert gain(told) <= gain(worth)


def test_the_price_is_the_highest_ask_that_trades_where_machines_are_left():
    cleared = called([(0, 10, 1, 1), (0, 8, 1, 2)], [(0, 2, 1, 31), (0, 3, 1, 32), (0, 9, 1, 33)])
    assert cleared.price[0] == 3
    assert cleared.accepted.all()


def test_the_price_is_the_highest_bid_that_does_not_trade_where_machines_are_short():
    cleared = called([(0, 10, 1, 1), (0, 8, 1, 2), (0, 7, 1, 3)], [(0, 2, 2, 31)])
    assert cleared.price[0] == 7
    assert cleared.accepted.tolist() == [True, True, False]


def test_a_jump_in_demand_rations_by_cap_and_then_by_age_at_the_bounded_price():
    bids = [(0, 20, 1, 1), (0, 50, 1, 2), (0, 20, 1, 3), (0, 90, 1, 4)]
    limit = np.full(BUCKETS, 11)
    cleared = called(bids, [(0, 5, 3, 31)], lower=limit - 2, upper=limit, last=limit - 1)
    assert cleared.price[0] == 11
    assert cleared.accepted.tolist() == [
        True,
        True,
        False,
        True,
    ]  # of two equals the one who came first


def test_one_account_with_many_bids_counts_once_and_makes_no_thick_book():
    bids = [(0, 10, 1, 1)] * 10
    asks = [(0, 2, 1, 30 + n) for n in range(10)]
    assert called(bids, asks, sides_min=10).price[0] == NO_PRICE
    assert called([(0, 10, 1, n) for n in range(10)], asks, sides_min=10).price[0] == 2


def test_an_owner_who_bids_on_his_own_machines_moves_no_price_and_fills_no_side():
    others = [(0, 6, 1, n) for n in range(3)]
    asks = [(0, 2, 1, 31), (0, 2, 1, 32), (0, 2, 1, 33)]
    honest = called(others, asks)
    shouting = called([*others, *[(0, 9, 1, 31)] * 5], asks)
    assert honest.price[0] == shouting.price[0] == 2
    assert shouting.bidders[0] == 3
    assert called([(0, 9, 1, 31)] * 5, asks).price[0] == NO_PRICE


def test_a_bid_that_nothing_could_ever_serve_sets_no_price_and_fills_no_side():
    cleared = called([(0, 9, 1, 1), (0, 8, 500, 2)], [(0, 2, 3, 31)], sides_min=1)
    assert (cleared.price[0], cleared.bidders[0]) == (2, 1)


def test_nothing_comes_of_nothing():
    assert called([], []).price.tolist() == [NO_PRICE] * BUCKETS


@pytest.mark.parametrize("seed", range(3))
def test_large_books_with_gangs_come_out_as_the_loops_say(seed):
    random = np.random.default_rng(seed)
    bids = [tuple(row) for row in np.stack([
        random.integers(0, BUCKETS, 400), random.integers(0, 1_000, 400),
        random.choice([1, 2, 4, 8, 64], 400), random.integers(0, 300, 400),
    ], axis=1).tolist()]  # fmt: skip
    asks = [tuple(row) for row in np.stack([
        random.integers(0, BUCKETS, 300), random.integers(0, 1_000, 300),
        random.integers(1, 9, 300), random.integers(290, 600, 300),
    ], axis=1).tolist()]  # fmt: skip
    given = {
        "lower": NO_LIMIT[0],
        "upper": NO_LIMIT[1],
        "last": np.full(BUCKETS, NO_PRICE),
        "sides_min": 10,
    }
    cleared, (price, accepted) = called(bids, asks, sides_min=10), oracle(bids, asks, **given)
    assert cleared.price.tolist() == price
    assert set(np.flatnonzero(cleared.accepted).tolist()) == accepted
