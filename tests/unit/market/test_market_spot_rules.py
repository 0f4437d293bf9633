"""Who is served on the spot market, at what price, and who has to go."""

from hypothesis import given
from hypothesis import strategies as st

from gondwana.core.clock import Instant
from gondwana.core.values import replace
from gondwana.market.book import Key
from gondwana.market.spot.model import Book, Call, Past, Seat, Stall, Standing, Wish
from gondwana.market.spot.rules import STEP_MIN, Shelf, bounds, call, evictions, remembered
from gondwana.wire.spot import SpotSettings

NOW = Instant(1_000_000.0)
KEY = Key("H100", "eu")
OPEN = SpotSettings(sides_min=1)
CENT = 10_000


def stall(name, floor=5 * CENT, *, free=1, coming=0, provider=None, posted=20 * CENT):
    return Stall(
        machine_id=name, provider=provider or f"owner of {name}", free=free, coming=coming, floor=floor, posted=posted,
    )  # fmt: skip


def wish(name, cap, *, fits, machines=1, devices=1, since=0.0, most=None, tenant=None):
    return Wish(
        id=name, tenant=tenant or f"tenant of {name}", cap=cap, since=Instant(NOW + since), devices=devices,
        machines=machines, machines_max=most or machines, fits=frozenset(fits),
    )  # fmt: skip


def standing(
    name, cap, machines, *, runs=3600.0, price=5 * CENT, floor=5 * CENT, devices=1, provider=None
):
    seats = tuple(
        Seat(lease_id=f"{name}@{each}", machine_id=each, provider=provider or f"owner of {each}", devices=devices,
             price=price, floor=floor)
        for each in machines
    )  # fmt: skip
    begun = Instant(NOW - runs)
    return Standing(
        id=name,
        order_id=name,
        tenant=f"tenant of {name}",
        cap=cap,
        since=begun,
        began_at=begun,
        seats=seats,
    )


def one(book, *, past=(), settings=OPEN):
    return call([book], {KEY: Past(prices=tuple(past))}, settings, NOW)[0]


# -- prices


@given(st.lists(st.tuples(st.floats(1, 900), st.integers(0, 10**6)), min_size=1, max_size=60))
def test_no_price_is_more_than_a_tenth_away_from_any_of_the_last_ten_minutes(steps):
    calls, at = [], NOW
    for gap, wanted in steps:
        at = Instant(at + gap)
        lower, upper = bounds(remembered(calls, OPEN, at), OPEN)
        assert lower <= upper
        price = min(max(wanted, lower), upper)
        in_force = [each for each in calls if each.at > at - OPEN.move_seconds]
        in_force += [each for each in calls if each.at <= at - OPEN.move_seconds][-1:]
        for each in in_force:
            assert price - each.price <= max(each.price // 10, STEP_MIN)
            assert each.price - price <= max(each.price // 10, STEP_MIN)
        calls.append(
            Call(model="H100", region="eu", at=at, price=price, bids=1, asks=1, traded=1, evicted=0)
        )


def test_a_price_may_leave_zero():
    assert bounds(Past(prices=(0,)), OPEN) == (0, STEP_MIN)


def test_a_price_at_which_nobody_traded_for_an_hour_holds_nobody_back():
    stale = Call(
        model="H100",
        region="eu",
        at=Instant(NOW - 3_601),
        price=CENT,
        bids=1,
        asks=1,
        traded=1,
        evicted=0,
    )
    idle = Call(
        model="H100",
        region="eu",
        at=Instant(NOW - 60),
        price=CENT,
        bids=1,
        asks=1,
        traded=0,
        evicted=0,
    )
    assert remembered([stale, idle], OPEN, NOW) == Past()
    assert remembered([stale, idle], SpotSettings(memory_seconds=3_602), NOW) == Past(
        prices=(CENT, CENT)
    )


def test_everybody_who_runs_pays_the_new_price_but_not_above_his_cap_nor_below_his_owners_floor():
    book = Book(
        key=KEY,
        standing=(
            standing("a", 30 * CENT, ["m1"], price=10 * CENT),
            standing("b", 10 * CENT, ["m2"], price=10 * CENT, runs=60),
            standing("c", 30 * CENT, ["m3"], price=10 * CENT, floor=13 * CENT),
        ),
        wishes=(wish("d", 12 * CENT, fits=["m1"]),),
        stalls=(stall("m1", free=0), stall("m2", free=0), stall("m3", free=0)),
    )
    outcome = one(book, past=[12 * CENT])
    assert outcome.price == 12 * CENT
    assert outcome.prices == {"a@m1": 12 * CENT, "c@m3": 13 * CENT}


# -- service


def test_a_wish_gets_the_cheapest_machine_that_fits_at_the_calls_price():
    book = Book(
        key=KEY,
        wishes=(wish("a", 30 * CENT, fits=["m2", "m3"]), wish("b", 20 * CENT, fits=["m3"])),
        stalls=(stall("m1", 2 * CENT), stall("m2", 3 * CENT), stall("m3", 9 * CENT)),
    )
    outcome = one(book)
    assert outcome.price == 3 * CENT
    assert {each.order_id: dict(each.prices) for each in outcome.grants} == {"a": {"m2": 3 * CENT}}


def test_a_gang_gets_all_its_machines_or_none():
    three = wish("a", 30 * CENT, fits=["m1", "m2", "m3"], machines=3)
    two = (stall("m1"), stall("m2"))
    assert one(Book(key=KEY, wishes=(three,), stalls=two)).grants == ()
    outcome = one(Book(key=KEY, wishes=(three,), stalls=(*two, stall("m3"))))
    assert set(outcome.grants[0].prices) == {"m1", "m2", "m3"}


def test_what_was_reserved_for_the_higher_bid_is_not_given_to_the_lower_while_it_waits():
    gang = wish("gang", 30 * CENT, fits=["m1", "m2"], machines=2)
    small = wish("small", 20 * CENT, fits=["m1", "m2"])
    book = Book(key=KEY, wishes=(gang, small), stalls=(stall("m1"), stall("m2", free=0, coming=1)))
    assert one(book).grants == ()


def test_a_tenant_with_the_higher_cap_is_served_first_and_among_equals_the_older_order():
    wishes = (
        wish("late", 20 * CENT, fits=["m1", "m2"], since=5),
        wish("early", 20 * CENT, fits=["m1", "m2"], since=1),
        wish("rich", 30 * CENT, fits=["m1", "m2"], since=9),
    )
    wishes = tuple(sorted(wishes, key=lambda each: each.since))
    outcome = one(Book(key=KEY, wishes=wishes, stalls=(stall("m1"), stall("m2"))))
    assert [each.order_id for each in outcome.grants] == ["rich", "early"]


def crowded(soonest=()):
    """A gang that runs nowhere yet, a later bid below its cap, and one of two machines free."""
    gang = replace(wish("gang", 30 * CENT, fits=["m1", "m2"], machines=2), soonest=soonest)
    running = standing("running", 40 * CENT, ["m2"])
    small = wish("small", 20 * CENT, fits=["m1", "m2"], since=1)
    other = stall("m3", 5 * CENT, free=8)  # sold, but not what either wants
    return Book(key=KEY, standing=(running,), wishes=(gang, small),
                stalls=(stall("m1"), stall("m2", free=0), other))  # fmt: skip


def test_what_a_gang_keeps_goes_to_no_lower_bid_nor_to_a_later_one_in_a_thin_book():
    for settings in (OPEN, SpotSettings()):
        passed_by = one(crowded(), settings=settings)
        assert [each.order_id for each in passed_by.grants] == ["small"]
        assert one(crowded(soonest=("m1", "m2")), settings=settings).grants == ()


def test_one_gang_of_a_bucket_keeps_machines_and_no_second():
    first, second = (
        replace(wish(name, cap * CENT, fits=fits, machines=2, since=n), soonest=tuple(fits))
        for n, (name, cap, fits) in enumerate([("first", 40, ["m1", "m2"]), ("second", 30, ["m3", "m4"])])
    )  # fmt: skip
    small = wish("small", 20 * CENT, fits=["m1", "m3"], since=5)
    running = standing("a", 50 * CENT, ["m2", "m4"])
    other = stall("m5", 5 * CENT, free=8)
    book = Book(key=KEY, standing=(running,), wishes=(first, second, small),
                stalls=(stall("m1"), stall("m2", free=0), stall("m3"), stall("m4", free=0), other))  # fmt: skip
    for settings in (OPEN, SpotSettings()):
        outcome = one(book, settings=settings)
        assert {each.order_id: list(each.prices) for each in outcome.grants} == {"small": ["m3"]}


def test_a_call_keeps_what_it_sells_and_a_thin_book_whatever_the_gang_may_have():
    gang = replace(
        wish("gang", 30 * CENT, fits=["m1", "m2", "m3"], machines=2), soonest=("m1", "m2", "m3")
    )
    small = wish("small", 20 * CENT, fits=["m2"], since=1)
    sold = (
        stall("m1", None, posted=9 * CENT),
        stall("m2"),
        stall("m3", free=0),
        stall("m4", free=8),
    )
    book = Book(key=KEY, wishes=(gang, small), stalls=sold, standing=(standing("a", 40 * CENT, ["m3"]),))  # fmt: skip
    assert one(book).grants == ()  # m2 and m3 are kept, m1 is not for sale in a call
    assert [each.order_id for each in one(book, settings=SpotSettings()).grants] == ["gang"]
    unknown = replace(book, wishes=(replace(gang, soonest=("m1", "m2")), small))
    assert [each.order_id for each in one(unknown).grants] == ["small"]


# -- eviction


def evicting(*running, bid=30 * CENT, machines=1, devices=1, settings=OPEN, stalls=None):
    named = sorted({seat.machine_id for each in running for seat in each.seats})
    sold = stalls or tuple(stall(each, free=0) for each in named)
    book = Book(key=KEY, standing=running, stalls=sold,
                wishes=(wish("new", bid, fits=named, machines=machines, devices=devices),))  # fmt: skip
    outcome = one(book, settings=settings)
    assert outcome.grants == ()
    return [each.order_id for each in outcome.evicted]


def who_goes(*priced_out, machines=1, devices=1):
    """Of those who are priced out anyway."""
    named = [seat.machine_id for each in priced_out for seat in each.seats]
    shelf = Shelf(Book(key=KEY, stalls=tuple(stall(each, free=0) for each in named)))
    new = wish("new", 30 * CENT, fits=named, machines=machines, devices=devices)
    return [
        each.order_id
        for each in evictions(new, priced_out, shelf, price=5 * CENT, settings=OPEN, now=NOW)
    ]


def test_the_lowest_cap_goes_first_and_among_equals_the_youngest():
    low = standing("low", 10 * CENT, ["m1"], runs=9_000)
    old = standing("old", 12 * CENT, ["m2"], runs=9_000)
    young = standing("young", 12 * CENT, ["m3"], runs=2_000)
    for order in ((low, old, young), (young, old, low)):
        assert who_goes(*order) == ["low"]
    assert who_goes(young, old) == who_goes(old, young) == ["young"]
    assert evicting(low, old, young) == ["low"]


def test_nobody_goes_before_the_minimum_run_nor_for_less_than_a_tenth_more():
    assert evicting(standing("a", 10 * CENT, ["m1"], runs=899)) == []
    assert evicting(standing("a", 10 * CENT, ["m1"], runs=900)) == ["a"]
    assert evicting(standing("a", 10 * CENT, ["m1"]), bid=11 * CENT - 1) == []
    assert evicting(standing("a", 10 * CENT, ["m1"]), bid=11 * CENT) == ["a"]


def test_nobody_goes_while_a_machine_is_free_or_on_its_way():
    running = standing("a", 10 * CENT, ["m1"])
    for other in (stall("m2"), stall("m2", free=0, coming=1)):
        book = Book(key=KEY, standing=(running,), stalls=(stall("m1", free=0), other),
                    wishes=(wish("new", 30 * CENT, fits=["m1", "m2"]),))  # fmt: skip
        assert one(book).evicted == ()


def test_a_gang_is_evicted_whole_and_only_where_the_bid_is_then_whole():
    gang = standing("gang", 10 * CENT, ["m1", "m2"])
    assert evicting(gang) == ["gang"]
    assert evicting(gang, machines=2) == ["gang"]
    assert evicting(gang, standing("b", 29 * CENT, ["m3"]), machines=3) == []


def test_nobody_goes_whose_devices_are_not_needed():
    small = standing("small", 10 * CENT, ["m1"])
    large = standing("large", 11 * CENT, ["m2"], devices=4)
    assert who_goes(small, large, devices=4) == ["large"]


def test_what_is_on_its_way_is_promised_to_the_highest_bid_and_the_next_one_evicts():
    book = Book(
        key=KEY,
        standing=(standing("a", 10 * CENT, ["m1"]),),
        wishes=(
            wish("next", 20 * CENT, fits=["m1", "m2"]),
            wish("first", 30 * CENT, fits=["m1", "m2"]),
        ),
        stalls=(stall("m1", free=0), stall("m2", free=0, coming=1)),
    )
    assert [each.order_id for each in one(book).evicted] == ["a"]


def test_of_two_equals_the_older_gets_what_is_free_now():
    book = Book(
        key=KEY,
        wishes=(
            wish("late", 20 * CENT, fits=["m1", "m2"], since=5),
            wish("early", 20 * CENT, fits=["m1", "m2"]),
        ),
        stalls=(stall("m1"), stall("m2", free=0, coming=1)),
    )
    assert [each.order_id for each in one(book).grants] == ["early"]


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 3_000), st.integers(1, 3)), max_size=6),
    st.lists(st.tuples(st.integers(1, 60), st.integers(1, 3)), max_size=6),
    st.integers(0, 2),
)
def test_whatever_stands_and_comes_nobody_is_overcharged_oversold_or_evicted_in_vain(
    running, wanted, free
):
    names = iter(f"m{n}" for n in range(100))
    seated = tuple(
        standing(
            f"s{n}",
            cap * CENT,
            [next(names) for _ in range(size)],
            runs=float(runs),
            price=CENT,
            floor=CENT,
        )
        for n, (cap, runs, size) in enumerate(running)
    )
    held = [seat.machine_id for each in seated for seat in each.seats]
    idle = [next(names) for _ in range(free)]
    stalls = (*(stall(each, CENT, free=0) for each in held), *(stall(each, CENT) for each in idle))
    wishes = tuple(
        wish(f"w{n}", cap * CENT, fits=[*held, *idle], machines=size)
        for n, (cap, size) in enumerate(wanted)
    )
    outcome = one(Book(key=KEY, standing=seated, wishes=wishes, stalls=stalls))
    caps = {each.id: each.cap for each in wishes}
    granted = [machine for each in outcome.grants for machine in each.prices]
    assert len(granted) == len(set(granted)) <= len(idle)
    assert all(
        price <= caps[each.order_id] for each in outcome.grants for price in each.prices.values()
    )
    assert all(new <= next(each.cap for each in seated if lease in {s.lease_id for s in each.seats})
               for lease, new in outcome.prices.items())  # fmt: skip
    for gone in outcome.evicted:
        assert NOW - gone.began_at >= OPEN.run_seconds_min
        assert any(bid.cap * 10 >= gone.cap * 11 for bid in wishes)
    waiting = sum(each.machines for each in wishes) - len(granted)
    assert len(outcome.evicted) <= waiting


# -- thin books


def test_a_thin_book_serves_the_oldest_at_the_cheapest_ask_and_evicts_nobody():
    running, every = standing("a", 10 * CENT, ["m1"]), ["m1", "m2", "m3"]
    book = Book(
        key=KEY,
        standing=(running,),
        wishes=(wish("first", 12 * CENT, fits=every), wish("rich", 90 * CENT, fits=every, since=1)),
        stalls=(stall("m1", free=0), stall("m2", 9 * CENT), stall("m3", None, posted=40 * CENT)),
    )  # fmt: skip
    outcome = one(book, settings=SpotSettings())
    assert outcome.price is None
    assert outcome.evicted == () == tuple(outcome.prices)
    assert {each.order_id: dict(each.prices) for each in outcome.grants} == {
        "first": {"m2": 9 * CENT},
        "rich": {"m3": 40 * CENT},
    }


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=30))
def test_an_owner_alone_in_a_book_cannot_move_its_price(floors):
    stalls = tuple(stall(f"m{n}", floor, provider="alone") for n, floor in enumerate(floors))
    running = tuple(
        standing(f"s{n}", 10**6, [f"r{n}"], price=3 * CENT, floor=CENT, provider="alone")
        for n in range(20)
    )
    wishes = tuple(
        wish(f"w{n}", 10**6, fits=[each.machine_id for each in stalls]) for n in range(3)
    )
    book = Book(key=KEY, standing=running, wishes=wishes, stalls=stalls)
    outcome = one(book, settings=SpotSettings())
    assert outcome.price is None
    assert dict(outcome.prices) == {}


def test_an_owner_who_bids_on_his_own_machines_does_not_make_the_book_thick():
    wishes = tuple(
        wish(f"w{n}", 90 * CENT, fits=[f"m{n}"], tenant=f"owner of m{n}") for n in range(12)
    )
    book = Book(key=KEY, wishes=wishes, stalls=tuple(stall(f"m{n}") for n in range(12)))
    assert one(book, settings=SpotSettings()).price is None
    strangers = tuple(wish(f"w{n}", 90 * CENT, fits=[f"m{n}"]) for n in range(12))
    assert (
        one(Book(key=KEY, wishes=strangers, stalls=book.stalls), settings=SpotSettings()).price
        == 5 * CENT
    )
