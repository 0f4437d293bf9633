"""Orders whose filter narrows the machines, in every way that an order meets machines."""

from dataclasses import replace

import pytest

from gondwana.core.errors import InvalidValue, NothingFits
from gondwana.jobs import choosing, place, plans
from gondwana.ledger.service import SlaClass
from gondwana.loops.match_orders import match_orders
from gondwana.market import store as market
from gondwana.market.model import CloseReason, LeaseState, OrderState
from gondwana.supply import network
from gondwana.supply import store as supply
from gondwana.wire.jobs import MarketTerms
from gondwana.wire.machines import MachineNetwork, MachineSpeed


@pytest.fixture
def world(make_database, make_world):
    return make_world(make_database())


def fast(tflops):
    return MachineSpeed(steps_per_second=10.0, matmul_gflops=tflops * 1_000)


def job(make, where, name="job", **changes):
    terms = MarketTerms(where=where, **changes.pop("market", {}))
    return make.spec(name=name, market=terms, **changes)


def served(world, submitted):
    leases = market.leases_of_job(world.reader, submitted.id)
    return sorted(each.machine_id for each in leases if each.state is not LeaseState.CLOSED)


def passed(world):
    match_orders(world.context, world.now)


def test_a_job_gets_only_a_machine_that_its_filter_fits_even_if_others_are_cheaper(world, make):
    world.join("cheap", price=100_000, speed=fast(5))
    world.join("good", price=900_000, speed=fast(50))
    submitted = world.submit(job(make, "tflops>=40 region=home"))
    passed(world)
    assert served(world, submitted) == ["mac_good"]


def test_a_filter_that_nothing_fits_is_refused_with_the_term_that_left_nothing(world, make):
    world.join("kauri", price=1_000_000, speed=fast(50))
    with pytest.raises(NothingFits) as refused:
        world.submit(job(make, "region=home price_per_tflop<=0.01"))
    assert refused.value.message == "where: price_per_tflop<=0.01: none of 1 machines"
    assert "the nearest has 0.02" in refused.value.hint


@pytest.mark.parametrize("where", ["prize<=1", "price<=1 or region=eu", "free>=1", "price<='1"])
def test_a_filter_that_cannot_be_read_is_refused_before_anything_is_stored(world, make, where):
    world.join("kauri")
    with pytest.raises(InvalidValue) as refused:
        world.submit(job(make, where))
    assert refused.value.fields["field"] == "gondwana.where"
    assert not [each for each in world.kinds() if each.startswith("job.")]


@pytest.mark.parametrize(
    "where, change",
    [
        ("price<=0.50", lambda world, tx, each: supply.set_price(tx, world.now, each, 400_000)),
        ("price>=3", lambda world, tx, each: supply.set_price(tx, world.now, each, 4_000_000)),
        ("notice>=2h", lambda world, tx, each: supply.set_notice(tx, world.now, each, 7_200)),
        ("sla>=datacentre", lambda world, tx, each: supply.set_sla(tx, world.now, each, SlaClass.DATACENTRE)),
        ("spot=yes", lambda world, tx, each: supply.set_spot_floor(tx, world.now, each, 5)),
        ("tflops>=40", lambda world, tx, each: network.save_network(tx, world.now, replace(each, speed=fast(45)))),
        ("bandwidth>=fast", lambda world, tx, each: network.save_network(
            tx, world.now, replace(each, network=MachineNetwork(
                up_bits_per_second=10**9, down_bits_per_second=10**9, measured_at=world.now)))),
    ],
)  # fmt: skip
def test_an_order_that_waits_is_served_when_an_offer_comes_to_fit_its_filter(
    world, make, where, change
):
    world.join("kauri", price=1_000_000, speed=fast(5))
    submitted = world.submit(job(make, where, market={"is_standing": True}, budget_micro_usd=9_000_000))  # fmt: skip
    passed(world)
    passed(world)
    assert served(world, submitted) == []
    assert world.context.shelf.without_idle(world.reader, [submitted.order_id], world.now) == []
    world.write(lambda tx: change(world, tx, supply.machine(tx, "mac_kauri")))
    passed(world)
    assert served(world, submitted) == ["mac_kauri"]


def test_what_was_proposed_is_held_against_the_filter_again_where_it_is_written(world, make):
    kauri = world.join("kauri", price=1_000_000)
    submitted = world.submit(job(make, "price<=1"))
    order = market.order(world.reader, submitted.order_id)
    world.write(lambda tx: supply.set_price(tx, world.now, kauri, 1_000_001))
    stale = [place.Proposal(order=order, machine_ids=["mac_kauri"])]
    assert world.write(place.place, world.random, world.now, stale) == 0
    assert served(world, submitted) == []


def test_a_gang_is_made_of_machines_that_fit_its_filter_or_not_at_all(world, make):
    for number in range(4):
        world.join(f"m{number}", price=1_000_000 + number, speed=fast(10 * number))
    whole = world.submit(job(make, "tflops>=20", "two", num_nodes=2))
    passed(world)
    assert served(world, whole) == ["mac_m2", "mac_m3"]
    with pytest.raises(NothingFits):
        world.submit(job(make, "tflops>=20", "three", num_nodes=3))


def test_a_job_that_lost_its_machine_goes_on_at_one_that_fits_its_filter(world, make):
    world.join("first", price=1_000_000, speed=fast(50))
    world.join("slow", price=1_000_000, speed=fast(5))
    world.join("second", price=2_000_000, speed=fast(50))
    submitted = world.submit(job(make, "tflops>=40"))
    passed(world)
    (lease,) = market.leases_of_job(world.reader, submitted.id)
    past = [
        replace(
            lease, state=LeaseState.CLOSED, reason=CloseReason.MACHINE_LOST, closed_at=world.now
        )
    ]
    chooser = choosing.Chooser(
        reader=world.reader, shelf=world.context.shelf, probes=world.context.probes, now=world.now
    )
    order = market.order(world.reader, submitted.order_id)
    assert chooser.propose(replace(order, state=OrderState.OPEN), past) == ["mac_second"]


def test_a_plan_names_what_to_write_instead_of_the_term_that_left_nothing(world, make):
    world.join("kauri", price=1_000_000, speed=fast(30))
    told = plans.make(
        world.reader, world.context.shelf, world.context.list_prices, world.tenant,
        job(make, "tflops>=40 region=home"), world.now,
    )  # fmt: skip
    words = [each.words for each, _ in told.relaxations]
    assert words[0] == "ask for tflops>=30 instead of tflops>=40"
    assert told.relaxations[0][0].order.filters == "region=home tflops>=30"
    assert told.plan.why_not == "where: tflops>=40: none of 1 machines"


def test_many_impossible_filters_make_nobody_else_wait(world, make):
    for number in range(40):
        world.join(f"m{number}", speed=fast(5))
    terms = {"is_standing": True}
    waiting = [
        world.submit(job(make, f"tflops>={n + 6}", f"j{n}", market=terms, budget_micro_usd=9_000))
        for n in range(90)
    ]
    last = world.submit(job(make, "tflops>=4", "last"))
    passed(world)
    assert served(world, last) != []
    for _ in range(2):
        passed(world)
    assert not any(served(world, each) for each in waiting)
    ids = [each.order_id for each in waiting]
    assert world.context.shelf.without_idle(world.reader, ids, world.now) == []
