import pytest

from gondwana.core.errors import NoSuchThing, WrongState
from gondwana.core.values import replace
from gondwana.supply import rules, store
from gondwana.supply.model import TRANSITIONS, MachineState, OfferState

ARROWS = [(a, b) for a in MachineState for b in MachineState if a is not b]


@pytest.fixture
def stored_world(database, make_world):
    return make_world(database)


def put(world, machine, state):
    """A machine in any state, however it got there."""
    return world.write(store.save, replace(machine, state=state))


def test_a_machine_comes_back_as_it_was_stored(stored_world, make):
    joined = stored_world.join(
        inventory=make.inventory(accelerators=("H100",)), cpus_max=2.5, memory_bytes_max=2**33, devices=1,
    )  # fmt: skip
    assert store.machine(stored_world.reader, joined.id) == joined
    assert store.machine_of(stored_world.reader, stored_world.owner, "kauri") == joined
    assert store.machine_of(stored_world.reader, stored_world.owner, joined.id) == joined


def test_what_is_not_there_or_not_the_owners_is_not_found(stored_world):
    joined = stored_world.join()
    for owner, name in (
        ("pri_other", joined.id),
        ("pri_other", "kauri"),
        (stored_world.owner, "rimu"),
    ):
        with pytest.raises(NoSuchThing):
            store.machine_of(stored_world.reader, owner, name)
    with pytest.raises(NoSuchThing):
        store.machine(stored_world.reader, "mac_none")


def test_machines_are_listed_by_owner_in_pages(stored_world):
    ids = [stored_world.join(name).id for name in ("a", "b", "c")]
    listed = store.machines(stored_world.reader, stored_world.owner, limit=2)
    assert [machine.id for machine in listed] == ids[:2]
    rest = store.machines(stored_world.reader, None, after=ids[1])
    assert [machine.id for machine in rest] == ids[2:]
    assert store.machines(stored_world.reader, "pri_other") == []


# -- joining


def test_joining_again_with_the_same_key_is_the_same_machine_with_new_terms(stored_world):
    first = stored_world.join(cpus_max=2.0)
    again = stored_world.join(id="mac_new", cpus_max=4.0, price=7, up=False)
    assert again.id == first.id
    assert (again.cpus_max, again.state) == (4.0, MachineState.UP)
    assert store.offer_of(stored_world.reader, first.id).price_micro_usd_per_device_hour == 7
    assert len(store.machines(stored_world.reader, None)) == 1


def test_a_name_belongs_to_one_key_of_an_owner(stored_world):
    stored_world.join("kauri")
    key = stored_world.key("another").public_key().public_bytes_raw().hex()
    taken = replace(stored_world.machine(), id="mac_x", public_key=key)
    with pytest.raises(WrongState):
        stored_world.write(
            store.register,
            taken,
            store.offer_of(stored_world.reader, "mac_kauri"),
            stored_world.now,
        )


def test_a_key_cannot_join_under_another_name_or_owner(stored_world):
    joined = stored_world.join()
    offer = store.offer_of(stored_world.reader, joined.id)
    other = stored_world.principal("other")
    for changed in (replace(joined, name="rimu"), replace(joined, owner_id=other)):
        with pytest.raises(WrongState):
            stored_world.write(store.register, changed, offer, stored_world.now)


def test_who_left_for_good_does_not_come_back_with_the_same_key(stored_world):
    stored_world.write(store.move, stored_world.now, stored_world.join(), MachineState.LEFT)
    with pytest.raises(WrongState):
        stored_world.join()


# -- moving


@pytest.mark.parametrize("before, after", ARROWS)
def test_a_machine_moves_along_the_table_with_its_offer_and_its_event_or_not_at_all(
    stored_world, before, after
):
    machine = put(stored_world, stored_world.join(), before)
    events = len(stored_world.events())
    offered = store.offer_of(stored_world.reader, machine.id).state
    if after in TRANSITIONS[before]:
        moved = stored_world.write(store.move, stored_world.now, machine, after, "because")
        assert store.machine(stored_world.reader, machine.id) == moved
        assert (moved.state, moved.reason) == (after, "because")
        assert store.offer_of(stored_world.reader, machine.id).state is rules.offer_state(after)
        (event,) = stored_world.events(events)
        assert (event.kind, event.subject, event.data["reason"]) == (
            f"machine.{after}",
            machine.id,
            "because",
        )
    else:
        with pytest.raises(WrongState):
            stored_world.write(store.move, stored_world.now, machine, after)
        assert store.machine(stored_world.reader, machine.id) == machine
        assert store.offer_of(stored_world.reader, machine.id).state is offered
        assert len(stored_world.events()) == events


def test_staying_is_no_change_and_no_event(stored_world):
    machine = stored_world.join()
    events = len(stored_world.events())
    assert stored_world.write(store.move, stored_world.now, machine, MachineState.UP) == machine
    assert len(stored_world.events()) == events


def test_a_machine_that_moved_meanwhile_is_not_moved_by_who_saw_it_before(stored_world):
    seen = stored_world.join()
    stored_world.write(store.move, stored_world.now, seen, MachineState.SUSPENDED)
    with pytest.raises(WrongState):
        stored_world.write(store.move, stored_world.now, seen, MachineState.PAUSED)
    assert stored_world.machine().state is MachineState.SUSPENDED


def test_a_new_price_is_told_and_stands(stored_world):
    machine = stored_world.join()
    stored_world.write(store.set_price, stored_world.now, machine, 99)
    assert store.offer_of(stored_world.reader, machine.id).price_micro_usd_per_device_hour == 99
    assert stored_world.kinds(machine.id)[-1] == "offer.priced"


# -- life


def test_the_silent_are_found_and_only_while_they_serve(stored_world):
    machine = stored_world.join()
    for state in MachineState:
        put(stored_world, replace(machine, proven_at=stored_world.now), state)
        late = [found.id for found in store.silent(stored_world.reader, stored_world.now + 1)]
        assert late == ([machine.id] if state in rules.SERVING else [])
        assert store.silent(stored_world.reader, stored_world.now) == []


def test_a_machine_that_never_proved_its_life_is_silent_from_its_joining_on(stored_world):
    machine = stored_world.join()
    put(stored_world, replace(machine, proven_at=None), MachineState.UP)
    assert store.silent(stored_world.reader, stored_world.now + 1) != []


def test_who_is_down_and_proves_to_live_is_found_but_not_who_was_stopped(stored_world):
    machine = stored_world.write(
        store.move, stored_world.now, stored_world.join(), MachineState.DOWN
    )
    assert store.alive_again(stored_world.reader, stored_world.now) == []
    stored_world.write(store.prove_life, machine.id, stored_world.now + 5)
    assert [found.id for found in store.alive_again(stored_world.reader, stored_world.now)] == [
        machine.id
    ]
    stored_world.write(
        store.save, replace(machine, reason=rules.STOPPED, proven_at=stored_world.now + 5)
    )
    assert store.alive_again(stored_world.reader, stored_world.now) == []


def test_what_is_supplied_are_offers_that_were_not_withdrawn_and_their_free_devices(
    stored_world, make
):
    stored_world.join("kauri", devices=4)
    gone = stored_world.join("rimu")
    stored_world.write(store.move, stored_world.now, gone, MachineState.LEFT)
    (found,) = store.supply(stored_world.reader)
    assert (found.machine.name, found.devices_free, found.offer.state) == (
        "kauri",
        4,
        OfferState.OPEN,
    )
    stored_world.submit()
    stored_world.reconcile()
    (found,) = store.supply(stored_world.reader)
    assert found.devices_free == 3
