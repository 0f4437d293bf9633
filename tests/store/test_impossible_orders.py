"""Ten thousand orders that nothing can serve: each costs one look, and nobody else waits for them."""

import pytest

from gondwana.core.clock import Instant
from gondwana.jobs import spot_books, store
from gondwana.jobs.model import JobState
from gondwana.loops.expire_orders import expire_orders
from gondwana.loops.keep_machines import keep_machines
from gondwana.loops.match_orders import match_orders
from gondwana.market import keeping
from gondwana.market import store as market
from gondwana.market.model import CloseReason, Mechanism
from gondwana.policy.model import Scope
from gondwana.supply import store as supply
from gondwana.wire.jobs import Accelerators, MarketTerms, Resources

MANY = 10_000
TENANTS = 5
MACHINES = 16  # of two devices each
FILTERS = 120  # more than are remembered at once
PASSES = 3
PASSES_FIRST = 12  # filters are held against the machines over a few passes
DAY = 86_400.0


def gpus(name="H100", count=1):
    return Resources(accelerators=(Accelerators(name=name, count=count),))


def impossible(number):
    """What the order of this number wants and nobody has."""
    return (
        {"resources": gpus("B900")},
        {"resources": gpus(), "price_cap_micro_usd_per_device_hour": 1 + number % 1_000},
        {"resources": gpus(), "filters": f"tflops>={100_000 + number % FILTERS}"},
        {"resources": gpus(), "count_min": MACHINES + 40, "count_max": MACHINES + 40},
    )[number % 4]


def place_impossible(world, make, many=MANY, **changes):
    tenants = [world.principal(f"tenant{n}", Scope.TENANT) for n in range(TENANTS)]

    def put(tx):
        for number in range(many):
            common = {"tenant_id": tenants[number % TENANTS], "created_at": world.now}
            wanted = {**impossible(number), **changes}
            expires_at = Instant(world.now + DAY)
            store.add_job(tx, make.job(f"x{number}", state=JobState.ADMITTED, **common))
            market.place_order(
                tx, make.order(f"x{number}", expires_at=expires_at, **common, **wanted)
            )

    world.write(put)


def join(world, make, name):
    inventory = make.inventory(accelerators=("H100",) * 2)
    return world.join(name, devices=2, price=100_000, inventory=inventory)


def submit(world, make, **changes):
    return world.submit(make.spec(**{"resources": gpus(), **changes}))


def to_look_at(world):
    """How many orders a pass would look at now."""
    shelf, ids = world.context.shelf, world.context.open_orders.ids(world.reader, world.now)
    return len(shelf.without_idle(world.reader, ids, world.now))


def leases_of(world, job):
    return market.leases_of_job(world.reader, job.id, live=True)


def statements_of(world, run):
    """How many statements the database was asked by `run`."""
    asked = []
    raw = world.reader._connection.raw
    raw.set_trace_callback(asked.append)
    try:
        run()
    finally:
        raw.set_trace_callback(None)
    return len(asked)


def settle(world):
    """Passes until nothing is looked at any more."""
    for _ in range(PASSES_FIRST):
        match_orders(world.context, world.now)
        if not to_look_at(world):
            return
    raise AssertionError(f"{to_look_at(world)} are looked at again and again")


@pytest.fixture
def world(file_database, make_world, make):
    found = make_world(file_database)
    for number in range(MACHINES):
        join(found, make, f"m{number}")
    found.clock.advance(1.0)
    return found


def test_whoever_comes_after_ten_thousand_impossible_orders_is_served_in_the_next_pass(world, make):
    place_impossible(world, make)
    world.clock.advance(1.0)
    first = submit(world, make)
    assert match_orders(world.context, world.now) == 1
    assert leases_of(world, first)
    settle(world)
    for number in range(5):
        world.clock.advance(1.0)
        jobs = [submit(world, make, name=f"job-{number}-{n}") for n in range(2)]
        gang = submit(world, make, name=f"gang-{number}", num_nodes=2)
        assert to_look_at(world) == 3  # and none of the ten thousand
        assert match_orders(world.context, world.now) == 4
        assert [len(leases_of(world, job)) for job in (*jobs, gang)] == [1, 1, 2]
    assert sum(1 for _ in market.all_open_orders(world.reader)) == MANY


def test_a_later_pass_asks_the_database_no_more_than_if_they_were_not_there(world, make):
    def served():
        world.clock.advance(20.0)  # all there is is counted anew
        submit(world, make)
        return statements_of(world, lambda: match_orders(world.context, world.now))

    def idle():
        return statements_of(world, lambda: match_orders(world.context, world.now))

    settle(world)
    alone, nothing = [served() for _ in range(2)][-1], idle()
    place_impossible(world, make)
    settle(world)
    assert max(served() for _ in range(PASSES)) <= alone
    assert max(idle() for _ in range(PASSES)) <= nothing


def test_a_better_offer_wakes_only_those_whom_it_could_serve(world, make):
    place_impossible(world, make)
    job = submit(world, make)
    settle(world)
    (lease,) = leases_of(world, job)
    world.write(lambda tx: market.close(tx, world.now, lease, CloseReason.JOB_DONE))
    assert (
        to_look_at(world) == MANY // 4
    )  # those with filters: the rest wants another model, a lower price, or more
    settle(world)


def test_machines_are_kept_for_a_gang_that_came_after_ten_thousand_impossible_ones(world, make):
    for number in range(MACHINES):
        submit(world, make, name=f"small-{number}", resources=gpus(count=2))
    assert match_orders(world.context, world.now) == MACHINES
    place_impossible(world, make, count_min=MACHINES + 40, count_max=MACHINES + 40)
    world.clock.advance(1.0)
    gang = submit(world, make, name="gang", num_nodes=4, resources=gpus(count=2))
    world.clock.advance(keeping.PATIENCE_SECONDS)
    world.clock.advance(5.0)
    for _ in range(int(keeping.HOPELESS_SECONDS / 5)):
        if keep_machines(world.context, world.now):
            break
        world.clock.advance(5.0)
    assert {hold.order_id for hold in market.holds(world.reader)} == {gang.order_id}


def test_they_all_expire_in_time(world, make):
    place_impossible(world, make, many=300)
    world.clock.advance(DAY)
    assert expire_orders(world.context, world.now) == 300


def test_a_spot_order_after_ten_thousand_cheap_ones_is_in_the_book(world, make):
    place_impossible(
        world, make, mechanism=Mechanism.SPOT, price_cap_micro_usd_per_device_hour=1, filters=""
    )
    join(world, make, "spot")
    world.write(supply.set_spot_floor, world.now, world.machine("spot"), 50_000)
    terms = MarketTerms(mechanism="spot")
    job = submit(world, make, market=terms, price_cap_micro_usd_per_device_hour=60_000)
    books = spot_books.books(world.reader, world.context.shelf.listings(world.reader), world.now)
    assert job.order_id in {wish.id for book in books for wish in book.wishes}
