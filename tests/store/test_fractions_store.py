"""Parts of machines as the matcher gives them: large ones stay whole for who wants them whole, and a plan says so."""

import pytest

from gondwana.jobs import admit
from gondwana.ledger.chain import seal
from gondwana.loops.match_orders import match_orders
from gondwana.market import store as market
from gondwana.wire.jobs import Accelerators, Resources
from gondwana.wire.machines import MachineSpeed


@pytest.fixture
def world(make_database, make_world):
    return make_world(make_database(before_commit=seal))


def join(world, make, name, devices, **changes):
    inventory = make.inventory(accelerators=("H100",) * devices)
    given = {"speed": MachineSpeed(steps_per_second=100.0), **changes}
    world.join(name, devices=devices, inventory=inventory, **given)


def submit(world, make, name, count, **changes):
    resources = Resources(accelerators=(Accelerators(name="H100", count=count),))
    return world.submit(make.spec(name=name, resources=resources, **changes))


def leased(world, job):
    found = market.leases_of_job(world.reader, job.id, live=True)
    return sorted(str(each.machine_id).removeprefix("mac_") for each in found)


def test_small_orders_leave_the_large_machine_whole_though_it_joined_first(world, make):
    for name, devices in (("eight", 8), ("two", 2), ("one", 1)):
        join(world, make, name, devices)
    small = [submit(world, make, f"small{n}", 1) for n in range(3)]
    large = submit(world, make, "large", 8)
    assert match_orders(world.context, world.now) == 4
    assert [leased(world, each) for each in small] == [["one"], ["two"], ["two"]]
    assert leased(world, large) == ["eight"]


def test_a_machine_of_alike_speed_at_the_same_price_is_an_equal(world, make):
    """Measured again, 99 would be 100 steps a second: that is no reason to break the large machine."""
    join(world, make, "eight", 8, speed=MachineSpeed(steps_per_second=100.0))
    join(world, make, "one", 1, speed=MachineSpeed(steps_per_second=99.0))
    assert leased_first(world, make) == ["one"]


def test_a_price_that_is_lower_by_a_micro_usd_comes_first(world, make):
    join(world, make, "eight", 8, price=999_999)
    join(world, make, "one", 1, price=1_000_000)
    assert leased_first(world, make) == ["eight"]


def test_a_faster_machine_at_the_same_price_comes_first(world, make):
    join(world, make, "eight", 8, speed=MachineSpeed(steps_per_second=110.0))
    join(world, make, "one", 1)
    assert leased_first(world, make) == ["eight"]


def leased_first(world, make):
    job = submit(world, make, "job", 1)
    match_orders(world.context, world.now)
    return leased(world, job)


def test_the_machines_of_a_gang_are_those_that_it_breaks_the_least(world, make):
    for name, devices in (("eight", 8), ("two-a", 2), ("two-b", 2)):
        join(world, make, name, devices)
    gang = submit(world, make, "gang", 2, num_nodes=2)
    assert match_orders(world.context, world.now) == 2
    assert leased(world, gang) == ["two-a", "two-b"]


def test_a_gang_over_places_too_is_of_those_that_it_breaks_the_least(world, make):
    for name, devices in (("eight", 8), ("two-a", 2), ("two-b", 2)):
        join(world, make, name, devices, region="eu")
    join(world, make, "dear", 8, region="us", price=9_000_000)
    gang = submit(world, make, "gang", 2, num_nodes=2)
    assert match_orders(world.context, world.now) == 2
    assert leased(world, gang) == ["two-a", "two-b"]


def test_a_plan_names_the_machine_that_launching_takes(world, make):
    for name, devices in (("eight", 8), ("one", 1)):
        join(world, make, name, devices)
    spec = make.spec(resources=Resources(accelerators=(Accelerators(name="H100", count=1),)))
    planned = admit.plan(world.reader, world.context.shelf, world.tenant, spec, world.now)
    assert [each.name for each in planned.machines] == ["one"]
    assert leased_first(world, make) == ["one"]


def test_what_was_asked_lately_decides_where_a_part_goes(world, make):
    """Two free here, three there: where everybody wants two, an order for one takes nothing from them on the second."""
    join(world, make, "two", 2)
    join(world, make, "three", 3)
    join(world, make, "large", 16, price=1_000_000)
    pairs = [submit(world, make, f"pair{n}", 2) for n in range(8)]
    assert match_orders(world.context, world.now) == len(pairs)
    assert leased_first(world, make) == ["three"]


# -- work that asks for no accelerator


def cpu_machine(world, name, **changes):
    world.join(name, speed=MachineSpeed(steps_per_second=1.0), **changes)


def test_work_without_accelerators_leaves_those_of_others_alone_though_they_are_cheaper_per_step(
    world, make
):
    join(world, make, "gpu", 1, price=2_000_000)
    cpu_machine(world, "cpu", price=100_000)
    spec = make.spec()
    planned = admit.plan(world.reader, world.context.shelf, world.tenant, spec, world.now)
    assert [each.name for each in planned.machines] == ["cpu"]
    first, second = world.submit(spec), world.submit(make.spec(name="second"))
    assert match_orders(world.context, world.now) == 2
    assert (leased(world, first), leased(world, second)) == (["cpu"], ["gpu"]), "rather than wait"


def test_where_only_machines_with_accelerators_are_free_it_takes_the_lowest_price(world, make):
    for number in range(6):  # the dearer, the faster, the cheaper per step
        speed = MachineSpeed(steps_per_second=100.0 * 3**number)
        join(world, make, f"gpu{number}", 1, price=1_000_000 * (1 + number), speed=speed)
    jobs = [world.submit(make.spec(name=f"job{n}")) for n in range(3)]
    assert match_orders(world.context, world.now) == 3
    assert sorted(leased(world, each) for each in jobs) == [["gpu0"], ["gpu1"], ["gpu2"]]


def test_a_gang_without_accelerators_is_of_machines_without_any_where_they_are_enough(world, make):
    for name in ("gpu-a", "gpu-b"):
        join(world, make, name, 1, price=200_000, region="eu")
    for name, region in (("cpu-a", "eu"), ("cpu-b", "us")):
        cpu_machine(world, name, price=100_000, region=region)
    gang = world.submit(make.spec(num_nodes=2))
    assert match_orders(world.context, world.now) == 2
    assert leased(world, gang) == ["cpu-a", "cpu-b"]


def test_islands_of_a_training_go_by_measured_work_whatever_they_ask(world, make):
    join(world, make, "gpu", 1, price=2_000_000)
    cpu_machine(world, "cpu", price=100_000)
    training = world.submit(make.train_spec(islands_min=1, islands_max=1))
    assert match_orders(world.context, world.now) == 1
    assert leased(world, training) == ["gpu"]
