"""Whoever waits is told for what, by the mechanism that his job buys with, and everybody who waits is in the list."""

import pytest

from gondwana.jobs import admit
from gondwana.jobs.queue import queue
from gondwana.jobs.waits import waits_for
from gondwana.ledger.chain import seal
from gondwana.ledger.settings import change_setting
from gondwana.loops.call_spot import call_spot
from gondwana.loops.match_orders import match_orders
from gondwana.loops.run_auctions import run_auctions
from gondwana.market.model import Mechanism
from gondwana.policy import quotas
from gondwana.policy.model import Quota, Scope
from gondwana.supply import store as supply
from gondwana.wire.jobs import Accelerators, MarketTerms, Resources

CENT = 10_000


@pytest.fixture
def waiting_world(make_database, make_world):
    """One account on a side is enough for a spot call."""
    world = make_world(make_database(before_commit=seal))
    world.write(change_setting, world.now, "spot", {"sides_min": 1}, by="pri_founder")
    return world


def sell(world, name, *, floor=5 * CENT, **changes):
    machine = world.join(name, price=40 * CENT, **changes)
    world.write(supply.set_spot_floor, world.now, machine, floor)


def wants(world, make, name, mechanism, cap=None, *, tenant="", where="", **changes):
    """A job that buys by a mechanism, of a tenant of its own or of the one given."""
    tenant = tenant or world.principal(name, Scope.TENANT)
    world.deposit(tenant, 100_000_000)
    terms = MarketTerms(mechanism=mechanism, where=where)
    spec = make.spec(name=name, price_cap_micro_usd_per_device_hour=cap, market=terms, **changes)
    seen = admit.look(world.reader, world.context.shelf, tenant, spec, world.now)
    return world.write(admit.submit, world.random, world.now, tenant, spec, seen)


def reason(world, job):
    return waits_for(world.reader, job.order_id)


def called(world):
    """Whoever can be served by a spot call is; prices move slowly, so it takes a few."""
    for _ in range(20):
        world.clock.advance(60)
        call_spot(world.context, world.now)


def auctioned(world, seconds):
    world.clock.advance(seconds)
    run_auctions(world.context, world.now)


def test_a_spot_order_that_is_priced_out_is_told_the_price_and_its_cap(waiting_world, make):
    world = waiting_world
    for name in ("kauri", "rimu"):
        sell(world, name)
    rich = wants(world, make, "rich", "spot", 30 * CENT, num_nodes=2)
    poor = wants(world, make, "poor", "spot", 10 * CENT, num_nodes=2)
    thrifty = wants(world, make, "thrifty", "spot", 8 * CENT)
    called(world)
    assert reason(world, rich) == ""
    assert reason(world, thrifty) == (
        "a machine on spot: CPU in home is at $0.10, above its cap of $0.08; called every 60 s"
    )
    assert reason(world, poor) == (
        "2 machines on spot: outbid, or too few are free: "
        "CPU in home is at $0.10, its cap is $0.10; called every 60 s"
    )


def test_a_spot_order_is_told_no_price_of_a_place_that_it_does_not_want(waiting_world, make):
    world = waiting_world
    sell(world, "kauri", region="eu-1")
    sell(world, "rimu", region="us-1")
    for name, place in (("first", "eu-*"), ("second", "us-*")):
        wants(world, make, name, "spot", 30 * CENT, where=f"region={place}")
    poor = wants(world, make, "poor", "spot", 7 * CENT, where="region=us-*")
    called(world)
    assert "CPU in us-1 is at $0.07" in reason(world, poor)


def test_whoever_wants_any_accelerator_on_spot_is_told_no_price_of_machines_without_one(
    waiting_world, make
):
    world = waiting_world
    sell(world, "kauri")
    sell(world, "rimu", floor=6 * CENT, inventory=make.inventory(accelerators=["L4"]))
    any_will_do = Resources(accelerators=(Accelerators(name=""),))
    wants(world, make, "processor", "spot", 30 * CENT)
    for name in ("first", "second"):
        last = wants(world, make, name, "spot", 7 * CENT, resources=any_will_do)
        called(world)
    assert "L4 in home is at $0.07" in reason(world, last)


def test_where_nobody_made_a_price_a_spot_order_waits_for_what_is_free_at_its_cap(
    make_database, make_world, make
):
    world = make_world(make_database(before_commit=seal))
    sell(world, "kauri")
    wants(world, make, "first", "spot", 30 * CENT)
    call_spot(world.context, world.now)
    second = wants(world, make, "second", "spot", 30 * CENT)
    call_spot(world.context, world.now)
    assert reason(world, second) == (
        "a machine on spot: too few are free at its cap of $0.30 or less; called every 60 s"
    )


def test_an_auctioned_order_is_told_when_it_closes_and_then_that_it_is_open_again(
    waiting_world, make
):
    world = waiting_world
    world.join("kauri", price=40 * CENT)
    wants(world, make, "first", "auction", 50 * CENT)
    auctioned(world, 0)
    second = wants(world, make, "second", "auction", 50 * CENT)
    assert reason(world, second) == "a machine at auction: closes at 08:00:15 UTC"
    auctioned(world, 16)
    assert reason(world, second) == (
        "a machine at auction: open again, for too few were offered at its cap of $0.50 or less; "
        "closes at 08:00:32 UTC"
    )


def test_a_quota_is_told_before_a_price(waiting_world, make):
    world = waiting_world
    for name in ("kauri", "rimu"):
        sell(world, name)
    quota = Quota(tenant_id=world.tenant, devices_max=1, set_by=world.tenant, set_at=world.now)
    world.write(quotas.set_quota, quota)
    for name in ("first", "second"):
        last = wants(world, make, name, "spot", 30 * CENT, tenant=world.tenant)
        call_spot(world.context, world.now)
    assert reason(world, last).startswith("quota: ")
    (waits,) = queue(world.context, world.reader, world.now)
    assert waits.why.startswith("quota: ")


def test_the_list_of_who_waits_has_spot_and_auctions_after_the_queue_and_without_a_place(
    waiting_world, make
):
    world = waiting_world
    sell(world, "kauri")
    wants(world, make, "first", "posted")
    match_orders(world.context, world.now)
    others = []
    for mechanism, cap in (("auction", 50 * CENT), ("spot", 20 * CENT), ("posted", None)):
        world.clock.advance(1)
        others.append(wants(world, make, f"by-{mechanism}", mechanism, cap))
    for run in (match_orders, call_spot):
        run(world.context, world.now)
    found = queue(world.context, world.reader, world.now)
    assert [(each.order.mechanism, each.place) for each in found] == [
        (Mechanism.POSTED, 1), (Mechanism.AUCTION, 0), (Mechanism.SPOT, 0),
    ]  # fmt: skip
    assert [each.order.job_id for each in found] == [others[2].id, others[0].id, others[1].id]
    assert "closes at" in found[1].why
    assert "its cap" in found[2].why
    (own,) = queue(world.context, world.reader, world.now, others[1].tenant_id)
    assert own == found[2]
