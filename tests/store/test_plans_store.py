"""What a plan says that launching takes is what launching takes, whatever the job."""

import pytest

from gondwana.api.plan_views import plan_view
from gondwana.core.values import replace
from gondwana.jobs import plans
from gondwana.ledger.chain import seal
from gondwana.loops.match_orders import match_orders
from gondwana.market import store as market
from gondwana.market.plans.list_prices import packaged
from gondwana.supply import store as supply
from gondwana.wire.jobs import (
    WHERE_CHARS_MAX,
    Accelerators,
    Alternative,
    MarketTerms,
    Resources,
)
from gondwana.wire.machines import MachineSpeed
from gondwana.wire.plans import bound

A100, H100, TWO = (
    Accelerators(name="A100", count=1),
    Accelerators(name="H100", count=1),
    Accelerators(name="H100", count=2),
)


@pytest.fixture
def world(make_database, make_world):
    return make_world(make_database(before_commit=seal))


def planned(world, spec):
    given = world.reader, world.context.shelf, packaged(), world.tenant
    return plan_view(plans.make(*given, spec, world.now))


def launched(world, spec):
    """The names of the machines that it gets."""
    job = world.submit(spec)
    match_orders(world.context, world.now)
    found = market.leases_of_job(world.reader, job.id, live=True)
    return {str(lease.machine_id).removeprefix("mac_") for lease in found}


def sells(world, make, name, price, model=None, count=1, steps=10.0, **facts):
    inventory = make.inventory(accelerators=(model,) * count if model else ())
    world.join(
        name, price=price, devices=count, inventory=inventory, speed=MachineSpeed(steps_per_second=steps), **facts
    )  # fmt: skip


def apart(world, make):
    """Two cheap machines in two regions, and two dearer ones side by side."""
    for number, region in enumerate(("eu-1", "us-1")):
        sells(world, make, f"cheap-{number}", 1_000_000, region=region)
    for number in range(2):
        sells(world, make, f"near-{number}", 1_050_000, region="ap-1", site="hall")


def either(make, *kinds, is_ordered=False, **changes):
    accelerators = tuple(dict.fromkeys(one for each in kinds for one in each.accelerators))
    wanted = Resources(accelerators=accelerators, alternatives=kinds, is_ordered=is_ordered)
    return make.spec(resources=wanted, **changes)


def test_of_a_gang_the_default_is_what_the_plan_shows_and_launching_takes(world, make):
    apart(world, make)
    spec = make.spec(num_nodes=2)
    view = planned(world, spec)
    shown = {each.name for each in view.machines}
    assert shown == {"near-0", "near-1"}
    assert view.default.price_micro_usd_per_hour == view.price_micro_usd_per_hour == 2_100_000
    assert set(view.default.machines) == shown == launched(world, spec)


def test_of_a_training_the_default_is_what_the_plan_shows_and_launching_takes(world, make):
    for number in range(5):
        times = number + 1
        sells(world, make, f"m{number}", 500_000 * times, steps=4.0 * times, region=f"r-{number}")
    spec = make.train_spec(parameters=1_000_000, tokens_per_step=512)
    view = planned(world, spec)
    shown = {each.name for each in view.machines}
    assert set(view.default.machines) == shown == launched(world, spec)


def test_a_gang_that_is_bound_to_a_plan_gets_that_plans_machines(world, make):
    apart(world, make)
    for number in range(2):
        sells(world, make, f"quick-{number}", 2_000_000, steps=80.0, region="eu-2")
    spec = make.spec(num_nodes=2)
    fastest = planned(world, spec).front[0]
    assert set(fastest.machines) == {"quick-0", "quick-1"}
    assert launched(world, bound(spec, fastest)) == set(fastest.machines)


@pytest.mark.parametrize("is_ordered", [True, False])
def test_plans_are_of_every_alternative_and_a_job_is_bound_to_the_one_that_was_chosen(
    world, make, is_ordered
):
    sells(world, make, "slow", 1_000_000, "A100", steps=10.0)
    sells(world, make, "quick", 1_500_000, "H100", 2, steps=90.0)
    kinds = Alternative(accelerators=(A100,)), Alternative(accelerators=(TWO,), where="price<=2")
    spec = either(make, *kinds, is_ordered=is_ordered)
    view = planned(world, spec)
    assert (view.default.machines, view.default.alternative) == (("slow",), 1)
    fastest = view.front[0]
    assert (fastest.machines, fastest.alternative) == (("quick",), 2)
    alone = bound(spec, fastest)
    assert alone.resources == Resources(accelerators=(TWO,))
    assert alone.market.where.startswith("price<=2 ")
    assert launched(world, alone) == {"quick"}


def test_where_nothing_fits_the_changes_are_of_every_alternative(world, make):
    sells(world, make, "h", 2_000_000, "H100")
    kinds = (
        Alternative(accelerators=(A100,)),
        Alternative(accelerators=(H100,), where="price<=1.9"),
    )
    view = planned(world, either(make, *kinds))
    assert not view.fits
    told = {(each.alternative, each.words) for each in view.relaxations}
    assert told == {(1, "take H100 instead of A100"), (2, "ask for price<=2 instead of price<=1.9")}
    added = [each.added_micro_usd_per_hour for each in view.relaxations]
    assert added == sorted(added)


def test_on_spot_what_others_have_is_planned_with_and_said(world, make):
    sells(world, make, "h", 2_000_000, "H100")
    assert launched(world, make.spec(resources=Resources(accelerators=(H100,)))) == {"h"}
    world.write(_sell_on_spot, world, "h", 500_000)
    spec = make.spec(
        name="bid", resources=Resources(accelerators=(H100,)), market=MarketTerms(mechanism="spot"),
        price_cap_micro_usd_per_device_hour=1_000_000,
    )  # fmt: skip
    view = planned(world, spec)
    assert view.fits
    assert view.default.machines == ("h",)
    assert [each.machines for each in view.front] == [("h",)]
    assert any("1 are taken now" in note for note in view.notes)


def _sell_on_spot(tx, world, name, floor):
    offer = supply.offer_of(tx, f"mac_{name}")
    spot = replace(offer, spot_floor_micro_usd_per_device_hour=floor)
    tx.execute(supply.SQL.save_offer, supply.to_row(spot))


def test_a_gang_of_several_models_is_planned_in_each_and_bound_to_the_one_that_was_chosen(
    world, make
):
    for number in range(2):
        sells(world, make, f"slow-{number}", 1_000_000, "A100", steps=10.0)
        sells(world, make, f"quick-{number}", 1_500_000, "H100", steps=90.0)
    spec = make.spec(num_nodes=2, resources=Resources(accelerators=(A100, H100)))
    view = planned(world, spec)
    fastest = view.front[0]
    assert set(view.default.machines) == {"slow-0", "slow-1"}
    assert set(fastest.machines) == {"quick-0", "quick-1"}
    assert (view.default.alternative, fastest.alternative) == (1, 2)
    assert bound(spec, fastest).resources == Resources(accelerators=(H100,))
    assert launched(world, bound(spec, fastest)) == set(fastest.machines)


def test_what_is_only_taken_is_waited_for_and_what_could_never_fit_is_not(world, make):
    sells(world, make, "h", 2_000_000, "H100")
    spec = make.spec(resources=Resources(accelerators=(H100,)))
    hold = planned(world, spec).hold_micro_usd
    assert launched(world, spec) == {"h"}
    view = planned(world, replace(spec, name="later"))
    assert (view.fits, view.waits, view.hold_micro_usd) == (False, True, hold)
    never = make.spec(name="never", resources=Resources(accelerators=(A100,)))
    assert (planned(world, never).fits, planned(world, never).waits) == (False, False)


def test_how_long_a_budget_lasts_is_said_where_nobody_knows_how_long_the_work_takes(world, make):
    sells(world, make, "a", 2_000_000)
    (*_, note) = planned(world, make.spec(budget_micro_usd=100_000)).notes
    assert note == "the budget of $0.10 lasts for 3 min 00 s there, and ends the job then"
    assert "budget" not in " ".join(planned(world, make.spec(budget_micro_usd=10**9)).notes)


def test_a_job_that_is_bound_keeps_its_alternatives_filter_though_there_is_no_room_for_its_speed(
    world, make
):
    sells(world, make, "h", 1_500_000, "H100")
    kind = Alternative(accelerators=(H100,), where="devices>=1")
    spec = either(make, kind, is_ordered=True)
    (option,) = planned(world, spec).front
    assert option.alternative == 1
    own = "region=" + "x" * (WHERE_CHARS_MAX - len("region= devices>=1"))
    full = replace(spec, market=MarketTerms(where=own))
    assert bound(full, option).market.where == f"{own} devices>=1"
