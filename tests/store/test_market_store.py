import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gondwana.core.errors import GondwanaError, NoSuchThing, WrongState
from gondwana.core.values import replace
from gondwana.db.database import Database
from gondwana.db.errors import Refused
from gondwana.jobs import end, place
from gondwana.jobs import store as jobs
from gondwana.jobs.model import JobReason, JobState
from gondwana.jobs.rules.batch import End
from gondwana.market import rules, store
from gondwana.market.model import (
    LEASE_TRANSITIONS,
    ORDER_TRANSITIONS,
    CloseReason,
    LeaseState,
    OrderState,
)
from gondwana.supply import store as supply
from gondwana.wire.jobs import Accelerators, Resources


@pytest.fixture
def stored_world(database, make_world):
    return make_world(database)


@pytest.fixture
def leased(stored_world):
    """(world, the reserved lease of a job)."""
    stored_world.join()
    job = stored_world.submit()
    (lease,) = stored_world.reserve(job, "mac_kauri")
    return stored_world, lease


def put(world, lease, state):
    """A lease in any state, however it got there."""
    changed = replace(lease, state=state)
    world.write(lambda tx: tx.execute(store.SQL.save_lease, store.to_row(changed)))
    return changed


# -- orders


def test_an_order_comes_back_as_it_was_placed(stored_world, make):
    wanted = Resources(
        accelerators=(Accelerators(name="H100", count=2),), cpus_min=1.5, memory_bytes_min=7
    )
    order = make.order(
        tenant_id=stored_world.tenant, resources=wanted, price_cap_micro_usd_per_device_hour=9
    )
    stored_world.write(store.place_order, order)
    assert store.order(stored_world.reader, order.id) == order
    assert store.open_orders(stored_world.reader, stored_world.now) == [order.id]
    assert stored_world.kinds(order.id) == ["order.opened"]
    with pytest.raises(NoSuchThing):
        store.order(stored_world.reader, "ord_none")


def test_open_orders_come_oldest_first(stored_world, make):
    for name, at in (("late", 2), ("early", 1)):
        order = make.order(name, tenant_id=stored_world.tenant, created_at=make.NOW + at)
        stored_world.write(store.place_order, order)
    assert store.open_orders(stored_world.reader, stored_world.now) == ["ord_early", "ord_late"]


@pytest.mark.parametrize("before", OrderState)
@pytest.mark.parametrize("after", OrderState)
def test_an_order_moves_along_the_table_with_its_event_or_not_at_all(
    stored_world, make, before, after
):
    order = make.order(tenant_id=stored_world.tenant, state=before)
    stored_world.write(store.place_order, order)
    events = len(stored_world.events())
    if before is after or after in ORDER_TRANSITIONS[before]:
        stored_world.write(store.move_order, stored_world.now, order, after)
        assert store.order(stored_world.reader, order.id).state is after
        kinds = [event.kind for event in stored_world.events(events)]
        assert kinds == ([] if before is after else [f"order.{after}"])
    else:
        with pytest.raises(WrongState):
            stored_world.write(store.move_order, stored_world.now, order, after)
        assert store.order(stored_world.reader, order.id) == order
        assert len(stored_world.events()) == events


def test_an_order_that_moved_meanwhile_is_not_moved_by_who_saw_it_before(stored_world, make):
    seen = make.order(tenant_id=stored_world.tenant)
    stored_world.write(store.place_order, seen)
    stored_world.write(store.move_order, stored_world.now, seen, OrderState.CLOSED)
    with pytest.raises(WrongState):
        stored_world.write(store.move_order, stored_world.now, seen, OrderState.MATCHED)
    assert store.order(stored_world.reader, seen.id).state is OrderState.CLOSED


# -- leases


def test_a_reservation_takes_the_price_of_the_moment_and_a_new_epoch(leased):
    world, lease = leased
    assert store.lease(world.reader, lease.id) == lease
    assert (lease.state, lease.epoch, lease.price_micro_usd_per_hour) == (
        LeaseState.RESERVED,
        1,
        3_600_000,
    )
    assert world.epoch() == 1
    world.write(supply.set_price, world.now, world.machine(), 9_000_000)
    assert store.lease(world.reader, lease.id).price_micro_usd_per_hour == 3_600_000
    assert world.kinds(lease.id) == ["lease.reserved"]


def test_each_lease_of_a_machine_has_a_higher_epoch(stored_world):
    stored_world.join(devices=3)
    for _ in range(3):
        stored_world.submit()
    stored_world.reconcile()
    epochs = [
        lease.epoch for lease in store.live_leases_of_machine(stored_world.reader, "mac_kauri")
    ]
    assert sorted(epochs) == [1, 2, 3]
    assert stored_world.epoch() == 3


def test_a_lease_becomes_active_once_and_closes_with_its_reason(leased):
    world, lease = leased
    world.clock.advance(2.0)
    (active,) = world.write(store.activate, world.now, [lease])
    assert (active.active_at, active.proven_at) == (world.now, world.now)
    closed = world.write(store.close, world.now, active, CloseReason.JOB_DONE)
    assert store.lease(world.reader, lease.id) == closed
    assert (closed.state, closed.reason, closed.closed_at) == (
        LeaseState.CLOSED,
        CloseReason.JOB_DONE,
        world.now,
    )
    assert world.write(store.close, world.now, closed, CloseReason.MACHINE_LOST) == closed
    assert world.kinds(lease.id) == ["lease.reserved", "lease.active", "lease.closed"]
    assert all(
        event.data["machine_id"] == "mac_kauri"
        for event in world.events()
        if event.subject == lease.id
    )


@pytest.mark.parametrize("before", LeaseState)
def test_a_lease_moves_along_the_table_or_not_at_all(leased, before):
    world, lease = leased
    lease = put(world, lease, before)
    events = len(world.events())
    for after, move in (
        (LeaseState.ACTIVE, lambda tx: store.activate(tx, world.now, [lease])[0]),
        (LeaseState.CLOSED, lambda tx: store.close(tx, world.now, lease, CloseReason.JOB_DONE)),
    ):
        if after in LEASE_TRANSITIONS[before]:
            assert world.write(move).state is after
            assert [event.kind for event in world.events(events)] == [f"lease.{after}"]
            put(world, lease, before)
            events = len(world.events())
        elif after is not before:
            with pytest.raises(WrongState):
                world.write(move)
            assert store.lease(world.reader, lease.id) == lease
            assert len(world.events()) == events


def test_a_lease_that_closed_meanwhile_is_not_activated_by_who_saw_it_before(leased):
    world, seen = leased
    world.write(store.close, world.now, seen, CloseReason.RESERVATION_LAPSED)
    with pytest.raises(WrongState):
        world.write(store.activate, world.now, [seen])
    assert store.lease(world.reader, seen.id).state is LeaseState.CLOSED


def test_proven_time_is_stored_while_a_lease_lives_and_never_after(leased):
    world, lease = leased
    (active,) = world.write(store.activate, world.now, [lease])
    proved = rules.proved(active, world.now + 5, alive=True)
    world.write(store.prove, proved)
    assert store.lease(world.reader, lease.id).seconds_proven == 5
    world.write(store.close, world.now, proved, CloseReason.JOB_DONE)
    world.write(store.prove, rules.proved(proved, world.now + 10, alive=True))
    assert store.lease(world.reader, lease.id).seconds_proven == 5


def test_reservations_are_found_when_they_are_old_enough(leased):
    world, lease = leased
    assert store.reserved(world.reader) == [lease]
    assert store.reserved(world.reader, before=world.now - 0.001) == []
    assert store.reserved(world.reader, before=world.now) == [lease]
    world.write(store.activate, world.now, [lease])
    assert store.reserved(world.reader) == []
    assert [found.id for found in store.metered(world.reader)] == [lease.id]


def test_a_jobs_leases_are_found_all_or_the_live_ones(leased):
    world, lease = leased
    assert store.leases_of_job(world.reader, lease.job_id, live=True) == [lease]
    closed = world.write(store.close, world.now, lease, CloseReason.JOB_DONE)
    assert store.leases_of_job(world.reader, lease.job_id, live=True) == []
    assert store.leases_of_job(world.reader, lease.job_id) == [closed]
    assert store.held_by([lease, closed], lease.order_id) == 1


def test_no_two_leases_of_a_machine_share_an_epoch(leased):
    world, lease = leased
    twin = replace(lease, id="lea_twin")
    with pytest.raises(Refused, match=r"(?i)unique"):
        world.write(lambda tx: tx.execute(store.SQL.save_lease, store.to_row(twin)))


# -- one device, one lease


class Leasing(RuleBasedStateMachine):
    """Orders come, are matched, confirmed, lost and ended in any order: no device is ever leased twice."""

    make_world, make = None, None

    @initialize(devices=st.lists(st.integers(1, 3), min_size=1, max_size=3))
    def begin(self, devices):
        self.database = Database.in_memory()
        self.world = self.make_world(self.database)
        for number, count in enumerate(devices):
            inventory = self.make.inventory(accelerators=("H100",) * count)
            self.world.join(f"m{number}", devices=count, inventory=inventory)
        self.jobs = []

    @rule(nodes=st.integers(1, 2), devices=st.integers(1, 3))
    def submit(self, nodes, devices):
        wanted = Resources(accelerators=(Accelerators(name="H100", count=devices),))
        try:
            self.jobs.append(self.world.submit(self.make.spec(num_nodes=nodes, resources=wanted)))
        except GondwanaError:
            return  # no machine could ever serve it

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def reserve(self, data):
        """Whatever was proposed, however old or foolish it is."""
        job = data.draw(st.sampled_from(self.jobs))
        machines = [machine.id for machine in supply.machines(self.world.reader, None)]
        proposed = data.draw(st.lists(st.sampled_from([*machines, "mac_nobody"]), unique=True))
        self.world.reserve(job, *proposed)

    @rule()
    def confirm(self):
        ids = [lease.id for lease in store.reserved(self.world.reader)]
        self.world.write(place.confirm_reserved, self.world.random, self.world.now, ids)

    @precondition(lambda self: self.jobs)
    @rule(
        data=st.data(), reason=st.sampled_from([CloseReason.MACHINE_LOST, CloseReason.RUN_FAILED])
    )
    def lose(self, data, reason):
        job = data.draw(st.sampled_from(self.jobs))
        live = store.leases_of_job(self.world.reader, job.id, live=True)
        if live:
            lease = data.draw(st.sampled_from(live))
            self.world.write(end.close_lease, self.world.now, lease, reason)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def cancel(self, data):
        job = jobs.job(self.world.reader, data.draw(st.sampled_from(self.jobs)).id)
        how = End(state=JobState.CANCELLED, reason=JobReason.CANCELLED)
        self.world.write(end.end_job, self.world.now, job, how)

    @invariant()
    def no_device_is_leased_twice(self):
        if not hasattr(self, "world"):
            return
        for machine in supply.machines(self.world.reader, None):
            live = store.live_leases_of_machine(self.world.reader, machine.id)
            assert sum(lease.devices for lease in live) <= machine.devices
            assert len({lease.epoch for lease in live}) == len(live)
            assert len({lease.job_id for lease in live}) == len(live)

    @invariant()
    def an_order_holds_as_many_machines_as_it_says(self):
        for job in getattr(self, "jobs", []):
            order = store.order(self.world.reader, job.order_id)
            held = store.held_by(store.leases_of_job(self.world.reader, job.id), order.id)
            assert held <= order.count_max
            assert (order.state is OrderState.MATCHED) == (held == order.count_max)
            ranks = [
                lease.rank for lease in store.leases_of_job(self.world.reader, job.id, live=True)
            ]
            assert len(set(ranks)) == len(ranks)

    def teardown(self):
        if hasattr(self, "database"):
            self.database.close()


def test_no_device_is_ever_leased_twice(make_world, make):
    class Here(Leasing):
        pass

    Here.make_world, Here.make = staticmethod(make_world), make
    test = Here.TestCase()
    test.settings = settings(
        max_examples=25,
        stateful_step_count=20,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    test.runTest()
