"""Orders whose filter narrows the machines, in every way that an order meets machines."""

import pytest

from gondwana.core.errors import InvalidValue, NothingFits
from gondwana.core.values import replace
from gondwana.jobs import admit, auctions, choosing, end, place, plans
from gondwana.ledger.service import SlaClass
from gondwana.loops.call_spot import call_spot
from gondwana.loops.match_orders import match_orders
from gondwana.loops.run_auctions import run_auctions
from gondwana.market import store as market
from gondwana.market.model import CloseReason, LeaseState, OrderState
from gondwana.policy.model import Scope
from gondwana.supply import network
from gondwana.supply import store as supply
from gondwana.supply.model import MachineState
from gondwana.wire.auctions import WINDOW_SECONDS
from gondwana.wire.jobs import Accelerators, Alternative, MarketTerms, Resources
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


def test_only_machines_that_a_filter_fits_bid_and_stand_in_an_auction(world, make):
    owner = world.principal("bidder", Scope.PROVIDER)
    world.join("slow", price=100_000, speed=fast(5))
    world.join("bids", price=900_000, speed=fast(5), owner_id=owner)
    world.join("good", price=900_000, speed=fast(50))
    wanted = job(
        make, "tflops>=40", market={"mechanism": "auction"},
        price_cap_micro_usd_per_device_hour=1_000_000,
    )  # fmt: skip
    submitted = world.submit(wanted)
    with pytest.raises(NothingFits, match="tflops>=40"):
        world.write(
            auctions.place_bid, world.random, world.now, owner, submitted.order_id, "bids", 50_000
        )
    world.clock.advance(WINDOW_SECONDS)
    run_auctions(world.context, world.now)
    assert served(world, submitted) == ["mac_good"]


def test_on_spot_only_machines_that_a_filter_fits_are_taken_at_the_price_asked_there(world, make):
    for name, speed in (("slow", 5), ("good", 50)):
        machine = world.join(name, price=900_000, speed=fast(speed))
        world.write(supply.set_spot_floor, world.now, machine, 200_000 if name == "good" else 100_000)  # fmt: skip
    wanted = job(
        make, "tflops>=40 price<=0.25", market={"mechanism": "spot"},
        price_cap_micro_usd_per_device_hour=300_000,
    )  # fmt: skip
    submitted = world.submit(wanted)
    world.clock.advance(60.0)
    call_spot(world.context, world.now)
    assert served(world, submitted) == ["mac_good"]


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


# -- alternatives

A, H = Accelerators(name="A100", count=2), Accelerators(name="H100", count=1)


def either(make, *kinds, is_ordered, **changes):
    accelerators = tuple(dict.fromkeys(one for each in kinds for one in each.accelerators))
    wanted = Resources(accelerators=accelerators, alternatives=kinds, is_ordered=is_ordered)
    return make.spec(resources=wanted, **changes)


def sells(world, make, name, model, count, price, **facts):
    world.join(
        name, price=price, devices=count, inventory=make.inventory(accelerators=(model,) * count), **facts
    )  # fmt: skip


@pytest.mark.parametrize(
    "is_ordered, taken, devices", [(True, "mac_dear", 1), (False, "mac_cheap", 2)]
)
def test_the_first_alternative_wins_where_they_are_ordered_and_else_the_cheapest_whole(
    world, make, is_ordered, taken, devices
):
    sells(world, make, "dear", "H100", 1, 3_000_000)
    sells(world, make, "cheap", "A100", 2, 1_000_000)
    kinds = Alternative(accelerators=(H,)), Alternative(accelerators=(A,))
    submitted = world.submit(either(make, *kinds, is_ordered=is_ordered))
    passed(world)
    (lease,) = market.leases_of_job(world.reader, submitted.id)
    assert (lease.machine_id, lease.devices) == (taken, devices)


def test_two_devices_of_the_cheaper_model_may_cost_more_than_one_of_the_dearer(world, make):
    sells(world, make, "one", "H100", 1, 1_900_000)
    sells(world, make, "two", "A100", 2, 1_000_000)
    kinds = Alternative(accelerators=(A,)), Alternative(accelerators=(H,))
    submitted = world.submit(either(make, *kinds, is_ordered=False))
    passed(world)
    assert served(world, submitted) == ["mac_one"]


def test_a_later_alternative_is_taken_while_the_first_is_leased_or_fits_nothing(world, make):
    sells(world, make, "h", "H100", 1, 1_000_000)
    sells(world, make, "a", "A100", 2, 2_000_000, region="eu")
    kinds = (
        Alternative(accelerators=(H,), where="region=mars"),
        Alternative(accelerators=(H,)),
        Alternative(accelerators=(A,), where="region=eu"),
    )
    jobs = [world.submit(either(make, *kinds, is_ordered=True, name=f"j{n}")) for n in range(3)]
    passed(world)
    assert sorted(served(world, each) for each in jobs) == [[], ["mac_a"], ["mac_h"]]
    waits = [each.order_id for each in jobs if not served(world, each)]
    assert world.context.shelf.without_idle(world.reader, waits, world.now) == []


def test_a_gang_is_of_one_alternative_and_no_mix(world, make):
    sells(world, make, "h", "H100", 1, 1_000_000)
    for name in ("a1", "a2"):
        sells(world, make, name, "A100", 2, 2_000_000)
    kinds = Alternative(accelerators=(H,)), Alternative(accelerators=(A,))
    submitted = world.submit(either(make, *kinds, is_ordered=True, num_nodes=2))
    passed(world)
    assert served(world, submitted) == ["mac_a1", "mac_a2"]


def any_of(make, *names, **changes):
    wanted = tuple(Accelerators(name=name, count=1) for name in names)
    return make.spec(resources=Resources(accelerators=wanted), **changes)


def test_a_gang_of_which_several_models_will_do_is_of_one_of_them(world, make):
    """Two H100 and one A100 would be the cheapest three, and each step would wait for the slowest of them."""
    for number in range(2):
        sells(world, make, f"h{number}", "H100", 1, 1_000_000)
    for number in range(3):
        sells(world, make, f"a{number}", "A100", 1, 2_000_000)
    spec = any_of(make, "H100", "A100", num_nodes=3)
    planned = admit.plan(world.reader, world.context.shelf, world.tenant, spec, world.now)
    assert {each.accelerator for each in planned.machines} == {"A100"}
    submitted = world.submit(spec)
    passed(world)
    assert served(world, submitted) == ["mac_a0", "mac_a1", "mac_a2"]


def test_of_such_a_gang_the_cheapest_model_wins_and_what_replaces_a_machine_is_of_the_same(
    world, make
):
    for number in range(3):
        sells(world, make, f"h{number}", "H100", 1, 2_000_000)
        sells(world, make, f"a{number}", "A100", 1, 1_000_000)
    submitted = world.submit(any_of(make, "H100", "A100", num_nodes=2))
    passed(world)
    assert served(world, submitted) == ["mac_a0", "mac_a1"]
    lost = replace(world.machine("a2"), state=MachineState.DOWN)
    world.write(supply.save, lost)
    gone = world.machine("a1")
    world.write(end.lose_machine, world.now, gone, MachineState.DOWN, CloseReason.MACHINE_LOST)
    passed(world)
    assert served(world, submitted) == ["mac_a0"], "an H100 beside an A100 is no gang"


def test_a_gang_whose_models_are_all_too_few_is_told_of_each(world, make):
    for name in ("H100", "A100"):
        sells(world, make, name.lower(), name, 1, 1_000_000)
    with pytest.raises(NothingFits) as refused:
        world.submit(any_of(make, "H100", "A100", "L40S", num_nodes=2))
    assert "H100: too few fit; A100: too few fit; L40S: accelerator L40S" in refused.value.message


def test_islands_of_a_training_may_be_of_several_models(world, make):
    sells(world, make, "h", "H100", 1, 1_000_000)
    sells(world, make, "a", "A100", 1, 2_000_000)
    wanted = tuple(Accelerators(name=name, count=1) for name in ("H100", "A100"))
    spec = make.train_spec(islands_min=2, islands_max=2)
    submitted = world.submit(replace(spec, resources=Resources(accelerators=wanted)))
    passed(world)
    assert served(world, submitted) == ["mac_a", "mac_h"]


def test_where_no_alternative_fits_each_is_told_why(world, make):
    sells(world, make, "h", "H100", 1, 1_000_000)
    kinds = Alternative(accelerators=(A,)), Alternative(accelerators=(H,), where="price<=0.1")
    with pytest.raises(NothingFits) as refused:
        world.submit(either(make, *kinds, is_ordered=False))
    assert "alternative 1: accelerator A100" in refused.value.message
    assert "alternative 2: where: price<=0.1: none of 1 machines" in refused.value.message


def test_alternatives_are_bought_at_posted_prices_only(world, make):
    kinds = Alternative(accelerators=(A,)), Alternative(accelerators=(H,))
    spec = either(make, *kinds, is_ordered=True, market=MarketTerms(mechanism="spot"),
                  price_cap_micro_usd_per_device_hour=5)  # fmt: skip
    with pytest.raises(InvalidValue) as refused:
        world.submit(spec)
    assert refused.value.fields["field"] == "resources.ordered"
