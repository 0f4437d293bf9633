"""What is kept in memory follows what is committed, and is what the database says."""

from gondwana.core.clock import Instant
from gondwana.core.events import Event
from gondwana.db.events import StoredEvent
from gondwana.jobs.fairness import LEASES_AT_ONCE
from gondwana.jobs.open_orders import MANY, OpenOrders
from gondwana.loops.match_orders import match_orders
from gondwana.market import store as market
from gondwana.market.model import OrderState


class Gone:
    """A database that went away."""

    def __init__(self, reader):
        self.dialect = reader.dialect

    def values(self, kind, sql, params=()):
        raise ConnectionError

    def all(self, sql, params=()):
        raise ConnectionError

    def together(self, reads):
        raise ConnectionError


def open_ids(world):
    return world.context.open_orders.ids(world.reader, world.now)


def stored_ids(world):
    return market.open_orders(world.reader, world.now)


def test_an_order_that_opens_again_is_open_and_one_that_is_over_is_not(world):
    world.join()
    jobs = [world.submit() for _ in range(3)]
    first, second, third = (market.order(world.reader, each.order_id) for each in jobs)
    assert sorted(open_ids(world)) == sorted([first.id, second.id, third.id])

    def move(tx):
        matched = market.move_order(tx, world.now, first, OrderState.MATCHED)
        market.move_order(tx, world.now, second, OrderState.MATCHED)
        market.move_order(tx, world.now, third, OrderState.EXPIRED)
        market.move_order(tx, world.now, matched, OrderState.OPEN)

    world.write(move)
    assert open_ids(world) == stored_ids(world) == [first.id]


def test_many_orders_that_open_and_end_at_once_are_followed_as_few_are(world, make):

    world.join()
    job = world.submit()
    kept = market.order(world.reader, job.order_id)
    few = world.context.open_orders
    assert open_ids(world) == [kept.id]
    names = [f"x{number}" for number in range(MANY + 10)]

    def open_all(tx):
        for number, name in enumerate(names):
            at = Instant(world.now - number)
            market.place_order(
                tx, make.order(name, tenant_id=kept.tenant_id, created_at=at, job_id=kept.job_id)
            )

    world.write(open_all)
    many = open_ids(world)
    assert many == stored_ids(world)
    assert len(many) == len(names) + 1
    ended = [market.order(world.reader, f"ord_{name}") for name in names[:-5]]
    world.write(lambda tx: market.move_orders(tx, world.now, ended, OrderState.EXPIRED))
    assert few.ids(world.reader, world.now) == stored_ids(world)
    assert len(stored_ids(world)) == 6


def test_what_could_not_be_read_is_looked_at_again_unless_it_is_over_by_then(world):
    world.join()
    followed = OpenOrders()
    order = market.order(world.reader, world.submit().order_id)
    assert followed.ids(world.reader, world.now) == [order.id]
    followed.follow([_event("order.resized", order.id)])

    for _ in range(2):
        try:
            followed.ids(Gone(world.reader), world.now)
        except ConnectionError:
            continue
        raise AssertionError("it read nothing")
    followed.follow([_event("order.matched", order.id)])
    assert followed.ids(Gone(world.reader), world.now) == []


def test_what_a_pass_leased_is_counted_once_when_it_is_over(world):
    many = LEASES_AT_ONCE + 3
    for number in range(many):
        world.join(f"m{number}")
    jobs = [world.submit() for _ in range(many)]
    assert match_orders(world.context, world.now) == many
    held = world.context.fairness._fresh(world.reader, world.context.shelf, world.now)
    assert held.devices(jobs[0].tenant_id, None, "") == many
    assert len(held.jobs(jobs[0].tenant_id, None)) == many
    assert not world.context.fairness._changed


def test_catching_up_rests_after_every_few_and_keeps_what_it_could_not_read(world):

    fairness, shelf, rests = world.context.fairness, world.context.shelf, []
    world.join()
    world.submit()
    assert match_orders(world.context, world.now) == 1  # what there is was read
    fairness.follow([_event("lease.reserved", f"lea_{n}") for n in range(2 * LEASES_AT_ONCE + 1)])

    try:
        fairness.catch_up(Gone(world.reader), shelf, lambda: rests.append(1))
    except ConnectionError:
        assert rests == []
    assert len(fairness._changed) == 2 * LEASES_AT_ONCE + 1
    fairness.catch_up(world.reader, shelf, lambda: rests.append(1))
    assert len(rests) == 3


def _event(kind, subject):
    return StoredEvent(seq=1, event=Event(at=Instant(0.0), kind=kind, subject=subject))
