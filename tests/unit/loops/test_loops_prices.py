"""What the market is said to hold is what its machines and leases come to, whatever happened before."""

import random

import pytest

from gondwana.core.errors import GondwanaError
from gondwana.core.values import replace
from gondwana.jobs.end import lose_machine
from gondwana.loops.record_prices import record_prices
from gondwana.market import store as market
from gondwana.market import ticks
from gondwana.market.model import CloseReason
from gondwana.market.prices import buckets
from gondwana.supply import store as supply
from gondwana.supply.model import MachineState
from gondwana.wire.jobs import Accelerators, Resources

DEEDS = {
    "join": 3,
    "submit": 6,
    "cancel": 2,
    "pause": 1,
    "resume": 1,
    "lose": 1,
    "price": 1,
    "rejoin": 1,
}
NAMES = "SELECT name FROM machine WHERE state <> 'left' ORDER BY name"
MODELS = ((), ("H100",) * 4, ("RTX4090",) * 2)
COUNTS = """
    SELECT machine.id, machine.region, machine.devices, machine.state, machine.isolation, offer.state AS offer_state,
    coalesce((SELECT sum(devices) FROM lease WHERE machine_id = machine.id AND state <> 'closed'), 0) AS leased
    FROM machine JOIN offer ON offer.machine_id = machine.id WHERE offer.state <> 'withdrawn'"""


def expected(world):
    """(model, region) -> (devices, rentable, leased, closed), machine by machine from the tables."""
    found = {}
    for row in world.reader.all(COUNTS):
        inventory = supply.machine(world.reader, row["id"]).inventory
        model = inventory.accelerators[0].name if inventory.accelerators else "CPU"
        free = max(0, row["devices"] - row["leased"])
        sells = (row["state"], row["offer_state"], row["isolation"]) == ("up", "open", "sandbox")
        counts = (row["leased"] + free, free if sells else 0, row["leased"], 0 if sells else free)
        before = found.get((model, row["region"]), (0, 0, 0, 0))
        found[model, row["region"]] = tuple(a + b for a, b in zip(before, counts, strict=True))
    return found


def told(world):
    found = buckets(world.context.shelf.listings(world.reader))
    return {(e.model, e.region): (e.devices, e.rentable, e.leased, e.closed) for e in found}


def act(world, make, chance, number):
    """One thing that happens on a network."""
    what = chance.choices(list(DEEDS), DEEDS.values())[0]
    names = [row["name"] for row in world.reader.all(NAMES)]
    if what == "join" or not names:
        cards = chance.choice(MODELS)
        world.join(
            f"m{number}", price=chance.randint(1, 9) * 100_000, devices=len(cards) or 1,
            region=chance.choice(["eu", "us"]), inventory=make.inventory(accelerators=cards),
            isolation=chance.choice(["sandbox", "sandbox", "plain"]),
        )  # fmt: skip
        return
    machine = world.machine(chance.choice(names))
    if what == "submit":
        name, most = chance.choice([("", 0), ("H100", 4), ("RTX4090", 2)])
        wanted = (Accelerators(name=name, count=chance.randint(1, most)),) if name else ()
        world.submit(make.spec(name=f"j{number}", resources=Resources(accelerators=wanted)))
    elif what == "cancel":
        live = world.reader.all("SELECT id FROM lease WHERE state = 'active' ORDER BY id")
        if live:
            lease = market.lease(world.reader, chance.choice(live)["id"])
            world.write(market.close, world.now, lease, CloseReason.JOB_CANCELLED)
    elif what == "price":
        world.write(supply.set_price, world.now, machine, chance.randint(1, 9) * 100_000)
    elif what == "rejoin":
        offer = supply.offer_of(world.reader, machine.id)
        fewer = replace(machine, devices=max(1, machine.devices - 1))
        world.write(supply.register, fewer, offer, world.now)
    elif what == "lose":
        world.write(lose_machine, world.now, machine, MachineState.LEFT, CloseReason.OWNER_LEFT)
    else:
        state = MachineState.PAUSED if what == "pause" else MachineState.UP
        world.write(supply.move, world.now, machine, state)


@pytest.mark.parametrize("seed", range(6))
def test_counts_agree_with_the_leases_to_the_unit_after_anything(world, make, seed):
    chance = random.Random(seed)
    leased = 0
    for number in range(40):
        try:
            act(world, make, chance, number)
        except GondwanaError:
            continue  # not in this state, or nothing fits
        if chance.random() < 0.7:
            world.reconcilers.run(world.now)
        assert told(world) == expected(world)
        leased += sum(counts[2] for counts in told(world).values())
    assert leased, "nothing was ever leased: this shows nothing"
    world.clock.advance(60.0)
    record_prices(world.context, world.now)
    kept = {
        (t.model, t.region): (t.devices, t.rentable, t.leased, t.closed)
        for t in ticks.latest(world.reader)
        if t.devices
    }
    assert kept == expected(world)


def test_a_price_is_recorded_when_it_changes_and_not_again(world):
    world.join()
    assert record_prices(world.context, world.now) == 1
    world.clock.advance(60.0)
    assert record_prices(world.context, world.now) == 0
    world.write(supply.set_price, world.now, world.machine(), 42)
    assert record_prices(world.context, world.now) == 1
    found = ticks.history(world.reader, "CPU", "home", since=world.now, after=None, limit=9)
    assert [tick.ask_median for tick in found] == [42]


def test_a_market_that_everybody_left_is_recorded_as_empty_once(world):
    world.join()
    record_prices(world.context, world.now)
    world.clock.advance(60.0)
    world.write(lose_machine, world.now, world.machine(), MachineState.LEFT, CloseReason.OWNER_LEFT)
    assert record_prices(world.context, world.now) == 1
    (tick,) = ticks.latest(world.reader)
    assert (tick.devices, tick.ask_lowest) == (0, None)
    world.clock.advance(60.0)
    assert record_prices(world.context, world.now) == 0


def test_what_is_old_is_forgotten_by_the_same_pass(world):
    world.join()
    for ask in range(5):
        world.write(supply.set_price, world.now, world.machine(), ask)
        record_prices(world.context, world.now)
        world.clock.advance(60.0)
    world.clock.advance(ticks.KEPT_SECONDS)
    record_prices(world.context, world.now)
    found = ticks.history(world.reader, "CPU", "home", since=world.now, after=None, limit=9)
    assert [tick.ask_lowest for tick in found] == [4]
    assert len(world.reader.all("SELECT * FROM price_tick")) == 1


def test_a_read_that_failed_is_made_up_for_by_the_next(world):
    world.join()
    assert (
        world.context.shelf.listings(world.reader)[0].price_micro_usd_per_device_hour == 3_600_000
    )

    class Broken:
        def __getattr__(self, name):
            raise OSError("away")

    world.write(supply.set_price, world.now, world.machine(), 42)
    with pytest.raises(OSError):
        world.context.shelf.listings(Broken())
    assert world.context.shelf.listings(world.reader)[0].price_micro_usd_per_device_hour == 42
