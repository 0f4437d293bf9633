"""A policy moves a price in one transaction with its reason; leases that run keep theirs; both databases."""

import pytest

from gondwana.core.errors import WrongState
from gondwana.jobs.report import heartbeat
from gondwana.market import store as market
from gondwana.supply import store as supply
from gondwana.supply.model import MachineState
from gondwana.supply.pricing import store
from gondwana.supply.pricing.rules import Decision
from gondwana.wire.pricing import PolicyKind, PricePolicy, ScriptAnswer


@pytest.fixture
def world(database, make_world):
    return make_world(database)


def policy(kind=PolicyKind.UNDERCUT, **changes):
    given = {
        "floor_micro_usd_per_device_hour": 100_000,
        "ceiling_micro_usd_per_device_hour": 9_000_000,
    }
    return PricePolicy(kind=kind, **{**given, **changes})


def price(world, name="kauri"):
    return supply.offer_of(world.reader, f"mac_{name}").price_micro_usd_per_device_hour


def state(world, machine, kind=PolicyKind.UNDERCUT, **changes):
    return world.write(store.set_policy, world.now, machine, policy(kind, **changes))


def pass_time(world, seconds, *names):
    """Machines prove to live, each ten seconds, and every reconciler looks."""
    for _ in range(seconds // 10):
        world.clock.advance(10)
        for name in names:
            world.write(heartbeat, world.now, f"mac_{name}", ())
        world.reconcile()


def priced(world):
    return [each for each in world.events() if each.kind == "offer.priced"]


def test_an_undercut_is_one_event_with_its_reason_and_own_offers_are_no_rivals(world, make):
    ours = world.join("kauri", price=4_000_000)
    world.join("sister", price=1_000_000)
    other = world.principal("other")
    world.join("rival", price=3_900_000, owner_id=other)
    state(world, ours)
    pass_time(world, 60, "kauri", "sister", "rival")
    assert price(world) == 3_822_000
    (event,) = priced(world)
    assert event.data["reason"] == "undercut 2 % of $3.90"
    assert event.data["price_micro_usd_per_device_hour"] == 3_822_000
    assert store.of_machine(world.reader, "mac_kauri").reason == "undercut 2 % of $3.90"
    pass_time(world, 120, "kauri", "sister", "rival")
    assert len(priced(world)) == 1, "at most one move an hour"


def test_a_running_lease_keeps_its_price(world):
    ours = world.join("kauri", price=4_000_000)
    job = world.submit()
    world.reconcile()
    (lease,) = market.leases_of_job(world.reader, job.id)
    state(world, ours, PolicyKind.FIXED, price_micro_usd_per_device_hour=2_000_000)
    pass_time(world, 60, "kauri")
    assert price(world) == 2_000_000
    assert market.lease(world.reader, lease.id).price_micro_usd_per_device_hour == 4_000_000


def test_utilisation_is_of_the_leased_time(world):
    ours = world.join("kauri", price=4_000_000)
    state(world, ours, PolicyKind.UTILISATION, interval_seconds=60)
    pass_time(world, 60, "kauri")
    assert price(world) == 3_800_000
    assert store.of_machine(world.reader, "mac_kauri").reason.startswith("lowered: 0 % leased")
    world.submit()
    pass_time(world, 130, "kauri")
    assert price(world) > 3_800_000


def test_what_was_decided_on_an_older_state_changes_nothing(world):
    ours = world.join("kauri", price=4_000_000)
    seen = state(world, ours)
    decision = Decision(price_micro_usd_per_device_hour=200_000, reason="x")
    assert world.write(store.reprice, world.now, seen, 3_999_999, decision) is False
    changed = state(world, ours, PolicyKind.UTILISATION)
    assert world.write(store.reprice, world.now, seen, 4_000_000, decision) is False
    assert world.write(store.reprice, world.now, changed, 4_000_000, decision) is True
    assert world.write(store.reprice, world.now, changed, 4_000_000, decision) is False
    world.write(store.forget, "mac_kauri")
    assert world.write(store.reprice, world.now, changed, 200_000, decision) is False


def test_an_agent_that_starts_again_does_not_undo_the_policy(world):
    ours = world.join("kauri", price=4_000_000)
    state(world, ours, PolicyKind.FIXED, price_micro_usd_per_device_hour=2_000_000)
    pass_time(world, 60, "kauri")
    world.join("kauri", price=4_000_000, up=False)
    assert price(world) == 2_000_000
    world.write(store.forget, "mac_kauri")
    world.join("kauri", price=4_000_000, up=False)
    assert price(world) == 4_000_000


def test_a_script_that_fails_keeps_the_price_and_its_owner_is_told_once(world):
    ours = world.join("kauri", price=4_000_000)
    with pytest.raises(WrongState):
        world.write(store.answer, world.now, ours, ScriptAnswer(error="x"))
    state(world, ours, PolicyKind.SCRIPT, script="print(1)")
    for _ in range(3):
        world.write(store.answer, world.now, ours, ScriptAnswer(error="exited: KeyError"))
    pass_time(world, 60, "kauri")
    assert price(world) == 4_000_000
    assert world.kinds("mac_kauri").count("offer.price_failed") == 1
    world.write(store.answer, world.now, ours, ScriptAnswer(price_micro_usd_per_device_hour=1))
    pass_time(world, 60, "kauri")
    assert price(world) == 3_800_000, "clamped to the floor, reached in steps"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (10**30, "your script said $1,000.00, at most 5 % at once, held at your ceiling of $4.10"),
        (
            -(10**30),
            "your script said -$1,000.00, at most 5 % at once, held at your floor of $3.90",
        ),
    ],
)
def test_a_script_that_names_an_impossible_price_is_held_at_the_owners_own(world, said, told):
    ours = world.join("kauri", price=4_000_000)
    limits = {
        "floor_micro_usd_per_device_hour": 3_900_000,
        "ceiling_micro_usd_per_device_hour": 4_100_000,
    }
    state(world, ours, PolicyKind.SCRIPT, script="print(1)", **limits)
    world.write(store.answer, world.now, ours, ScriptAnswer(price_micro_usd_per_device_hour=said))
    pass_time(world, 60, "kauri")
    assert store.of_machine(world.reader, ours.id).reason == told


def test_a_machine_that_left_is_not_priced(world):
    ours = world.join("kauri")
    seen = state(world, ours)
    assert list(store.standing(world.reader)) == [seen]
    world.write(supply.move, world.now, ours, MachineState.LEFT)
    assert list(store.standing(world.reader)) == []
