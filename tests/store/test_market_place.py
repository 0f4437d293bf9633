"""Many placements in one transaction: the same as one after the other, and none hurts another."""

import contextlib
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gondwana.core.errors import GondwanaError, Unavailable
from gondwana.core.events import Event
from gondwana.db import postgres_few
from gondwana.db.database import Database
from gondwana.db.events import events_after
from gondwana.jobs import money, place
from gondwana.jobs import store as jobs
from gondwana.jobs.model import JobReason, JobState
from gondwana.ledger import budgets
from gondwana.ledger.accounts import lease_escrow
from gondwana.ledger.audit import audit
from gondwana.ledger.chain import seal
from gondwana.ledger.frozen import freeze
from gondwana.ledger.model import BudgetPeriod
from gondwana.ledger.store import balance
from gondwana.loops.each import PART_MAX, PARTS_AHEAD, write_parts
from gondwana.loops.match_orders import match_orders
from gondwana.market import store as market
from gondwana.market.model import CloseReason, LeaseState, OrderState
from gondwana.market.rules import RESERVATION_SECONDS_MAX
from gondwana.policy.model import Scope
from gondwana.supply import store as supply
from gondwana.supply.model import MachineState
from gondwana.wire.jobs import Accelerators, Resources

MANY = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture
def stored_world(make_database, make_world):
    return make_world(make_database(before_commit=seal))


def proposals(world, *named):
    """(job, machines) as the loop would propose them."""
    return [
        place.Proposal(
            order=market.order(world.reader, job.order_id),
            machine_ids=[f"mac_{each}" for each in names],
        )
        for job, names in named
    ]


def placed(world, *named):
    return world.write(place.place, world.random, world.now, proposals(world, *named))


def states(world, job):
    leases = market.leases_of_job(world.reader, job.id)
    return [(lease.machine_id, lease.state) for lease in leases]


def told(world, submitted):
    """Everything that placing decides, without the ids that chance gives."""
    reader, found = world.reader, []
    for job in submitted:
        now, order = jobs.job(reader, job.id), market.order(reader, job.order_id)
        leases = [
            (lease.machine_id, lease.epoch, lease.rank, lease.state, lease.reason, lease.notice,
             lease.price_micro_usd_per_hour, balance(reader, lease_escrow(lease.id)))
            for lease in market.leases_of_job(reader, job.id)
        ]  # fmt: skip
        runs = sorted((run.rank, run.state) for run in jobs.runs_of_job(reader, job.id))
        kinds = sorted(each.event.kind for each in events_after(reader, 0, job_id=job.id))
        found.append((now.state, now.reason, now.detail, order.state, sorted(leases), runs, kinds))
    epochs = [each.epoch for each in supply.supply(reader)]
    return found, epochs, money.available(reader, world.tenant)


wanted_jobs = st.lists(st.tuples(st.integers(1, 3), st.integers(1, 2)), min_size=1, max_size=5)
sizes = st.lists(st.integers(1, 3), min_size=1, max_size=5)


class Twins:
    """Two worlds alike."""

    def __init__(self, make_world, make, devices, wanted, *, price=3_600_000, **limits):
        self.databases = [Database.in_memory(before_commit=seal) for _ in range(2)]
        self.worlds = [make_world(each) for each in self.databases]
        self.submitted = [
            self.fill(world, make, devices, wanted, price, **limits) for world in self.worlds
        ]

    def fill(self, world, make, devices, wanted, price, *, budget=None, job_budgets=()):
        for number, count in enumerate(devices):
            inventory = make.inventory(accelerators=("H100",) * count)
            world.join(f"m{number}", devices=count, inventory=inventory, price=price)
        if budget is not None:
            world.write(
                budgets.set_budget, world.random, world.now, tenant_id=world.tenant, project="",
                period=BudgetPeriod.EVER, limit_micro_usd=budget, set_by=world.tenant, is_operators=False,
            )  # fmt: skip
        submitted = []
        for number, (nodes, count) in enumerate(wanted):
            resources = Resources(accelerators=(Accelerators(name="H100", count=count),))
            own = job_budgets[number % len(job_budgets)] if job_budgets else None
            spec = make.spec(
                name=f"j{number}", num_nodes=nodes, resources=resources, budget_micro_usd=own
            )
            try:
                submitted.append(world.submit(spec))
            except GondwanaError:  # nothing could ever serve it, or pay for it
                submitted.append(None)
        return submitted

    def compare(self, named):
        """One world places all at once, the other one after the other: the same comes of it."""
        for number, (world, submitted) in enumerate(zip(self.worlds, self.submitted, strict=True)):
            asked = [(submitted[n], names) for n, names in named if submitted[n] is not None]
            for part in [asked] if number == 0 else [[each] for each in asked]:
                placed(world, *part)
        first, second = (
            told(world, [job for job in submitted if job is not None])
            for world, submitted in zip(self.worlds, self.submitted, strict=True)
        )
        assert first == second
        for world in self.worlds:
            assert audit(world.reader).ok
            for machine in supply.machines(world.reader, None):
                live = market.live_leases_of_machine(world.reader, machine.id)
                assert sum(lease.devices for lease in live) <= machine.devices
        for database in self.databases:
            database.close()


@MANY
@given(devices=sizes, wanted=wanted_jobs, data=st.data())
def test_a_batch_is_one_after_the_other_whatever_was_proposed(
    make_world, make, devices, wanted, data
):
    machines = st.sampled_from([*(f"m{n}" for n in range(len(devices))), "nobody"])
    proposal = st.tuples(st.integers(0, len(wanted) - 1), st.lists(machines, unique=True))
    named = data.draw(st.lists(proposal, max_size=8))
    Twins(make_world, make, devices, wanted).compare(named)


@MANY
@given(
    wanted=wanted_jobs, price=st.sampled_from([150_000_000, 400_000_000]),
    budget=st.sampled_from([None, 500_000_000, 800_000_000]),
    job_budgets=st.sampled_from([(), (170_000_000,), (900_000_000, 5_000_000_000)]),
)  # fmt: skip
def test_a_batch_spends_as_one_after_the_other_where_money_is_short(
    make_world, make, wanted, price, budget, job_budgets
):
    devices = [2] * sum(nodes for nodes, _ in wanted)
    twins = Twins(
        make_world, make, devices, wanted, price=price, budget=budget, job_budgets=job_budgets
    )
    free, named = iter(range(len(devices))), []
    for number, (nodes, _) in enumerate(wanted):
        named.append((number, [f"m{next(free)}" for _ in range(nodes)]))
    twins.compare(named)


def test_of_two_orders_for_the_last_device_the_first_gets_it(stored_world):
    stored_world.join()
    first, second = stored_world.submit(), stored_world.submit()
    assert placed(stored_world, (first, ["kauri"]), (second, ["kauri"])) == 1
    assert states(stored_world, first) == [("mac_kauri", LeaseState.ACTIVE)]
    assert states(stored_world, second) == []
    assert market.order(stored_world.reader, second.order_id).state is OrderState.OPEN
    assert jobs.job(stored_world.reader, second.id).state is JobState.ADMITTED


def test_the_leases_of_one_machine_in_one_batch_have_epochs_of_their_own(stored_world):
    stored_world.join(devices=3)
    submitted = [stored_world.submit() for _ in range(4)]
    assert placed(stored_world, *((job, ["kauri"]) for job in submitted)) == 3
    live = market.live_leases_of_machine(stored_world.reader, "mac_kauri")
    assert sorted(lease.epoch for lease in live) == [1, 2, 3]
    assert stored_world.epoch() == 3


def test_a_proposal_that_is_old_is_not_placed_and_the_others_are(stored_world):
    for name in ("taken", "free", "gone"):
        stored_world.join(name)
    first, late, closed, fine = (stored_world.submit() for _ in range(4))
    asked = proposals(
        stored_world,
        (late, ["taken"]),
        (closed, ["free"]),
        (late, ["gone", "nobody"]),
        (fine, ["free"]),
    )
    placed(stored_world, (first, ["taken"]))
    order = market.order(stored_world.reader, closed.order_id)
    stored_world.write(market.move_order, stored_world.now, order, OrderState.CLOSED)
    stored_world.write(
        supply.move, stored_world.now, stored_world.machine("gone"), MachineState.DOWN
    )
    assert stored_world.write(place.place, stored_world.random, stored_world.now, asked) == 1
    assert states(stored_world, late) == states(stored_world, closed) == []
    assert states(stored_world, fine) == [("mac_free", LeaseState.ACTIVE)]


def test_a_gang_that_is_no_longer_whole_gets_nothing(stored_world, make):
    for name in ("a", "b", "c"):
        stored_world.join(name)
    single, gang = stored_world.submit(), stored_world.submit(make.spec(num_nodes=2))
    assert placed(stored_world, (single, ["a"]), (gang, ["a", "b"])) == 1
    assert states(stored_world, gang) == []
    assert placed(stored_world, (gang, ["b", "c"])) == 2
    assert len(jobs.runs_of_job(stored_world.reader, gang.id)) == 2


def test_whoever_cannot_pay_ends_alone(stored_world):
    other = stored_world.principal("other", Scope.TENANT)
    stored_world.deposit(other, 1_000_000_000)
    for name in ("a", "b", "c"):
        stored_world.join(name)
    first, broke, last = stored_world.submit(), None, None
    rich, stored_world.tenant = stored_world.tenant, other
    broke = stored_world.submit()
    stored_world.tenant = rich
    last = stored_world.submit()
    stored_world.write(freeze, stored_world.now, other, "a chargeback")
    assert placed(stored_world, (first, ["a"]), (broke, ["b"]), (last, ["c"])) == 2
    ended = jobs.job(stored_world.reader, broke.id)
    assert (ended.state, ended.reason) == (JobState.FAILED, JobReason.FUNDS_GONE)
    (lease,) = market.leases_of_job(stored_world.reader, broke.id)
    assert (lease.state, lease.reason) == (LeaseState.CLOSED, CloseReason.FUNDS_GONE)
    assert jobs.job(stored_world.reader, last.id).state is JobState.PROVISIONING


def test_a_job_that_cannot_be_read_stops_no_other_of_its_batch(stored_world):
    for name in ("a", "b", "c"):
        stored_world.join(name)
    submitted = [stored_world.submit() for _ in range(3)]
    stored_world.write(
        lambda tx: tx.execute("UPDATE job SET spec = '{}' WHERE id = ?", (submitted[1].id,))
    )
    assert match_orders(stored_world.context, stored_world.now) == 2
    assert [len(states(stored_world, job)) for job in submitted] == [1, 0, 1]


def test_what_fails_is_tried_alone_and_the_rest_of_its_part_is_done(stored_world):
    calls = []

    def run(tx, given, part):
        calls.append(len(part))
        if "bad" in part:
            raise ValueError("bad")
        return len(part) * given

    things = [str(n) for n in range(PART_MAX + 10)]
    things[7] = "bad"
    assert write_parts(stored_world.context, run, (2,), things) == 2 * (PART_MAX + 9)
    assert calls[:2] == [PART_MAX, 10]
    assert calls.count(1) >= 1


def test_a_part_whose_rows_are_copied_is_written_at_once(stored_world, make, monkeypatch):
    monkeypatch.setattr(postgres_few, "VALUES_MAX", 0)  # so that even a few rows are
    submit, calls = stored_world.context.database.writer.submit, []
    for number in range(3):
        stored_world.join(f"m{number}")
        stored_world.submit(make.spec(name=f"j{number}"))
    monkeypatch.setattr(
        stored_world.context.database.writer, "submit",
        lambda *call: calls.append(call[0]) or submit(*call),
    )  # fmt: skip
    assert match_orders(stored_world.context, stored_world.now) == 3
    assert calls.count(place.place) == 1


def test_what_fails_for_an_unknown_reason_is_logged_though_its_halves_are_done(
    stored_world, caplog
):
    def run(tx, part):
        if len(part) > 1:
            raise ValueError("too many")
        return len(part)

    assert write_parts(stored_world.context, run, (), ["a", "b"]) == 2
    assert "run of 2, done by halves" in caplog.text
    assert "too many" in caplog.text


def test_only_a_few_parts_are_made_before_they_can_be_written(stored_world):
    made, told = [], []

    def things():
        for number in range(10 * PART_MAX):
            made.append(number)
            yield number

    def after(part):
        told.append(part[0])
        assert len(made) <= part[0] + (PARTS_AHEAD + 1) * PART_MAX

    def run(tx, part):
        return len(part)

    assert write_parts(stored_world.context, run, (), things(), after) == 10 * PART_MAX
    assert told == [n * PART_MAX for n in range(10)]


def test_nothing_is_tried_again_by_halves_where_the_database_cannot_write(stored_world):
    calls = []

    def run(tx, part):
        calls.append(len(part))
        raise Unavailable("no room")

    assert write_parts(stored_world.context, run, (), ["a", "b", "c"]) == 0
    assert calls == [3]


def test_a_batch_that_dies_before_its_commit_leaves_nothing(make_database, make_world):
    doom = SimpleNamespace(near=False)

    def die(tx):
        seal(tx)
        if doom.near:
            raise RuntimeError("killed")

    world = make_world(make_database(before_commit=die))
    for name in ("a", "b"):
        world.join(name)
    submitted = [world.submit() for _ in range(2)]
    before, events = told(world, submitted), len(world.events())
    doom.near = True
    assert match_orders(world.context, world.now) == 0
    assert told(world, submitted) == before
    assert len(world.events()) == events
    assert audit(world.reader).ok
    doom.near = False
    assert match_orders(world.context, world.now) == 2


def test_a_reservation_of_an_earlier_pass_is_confirmed_once(stored_world):
    stored_world.join()
    job = stored_world.submit()
    (lease,) = stored_world.reserve(job, "mac_kauri")
    asked = (place.confirm_reserved, stored_world.random, stored_world.now, [lease.id, "lea_none"])
    assert stored_world.write(*asked) == 1
    assert stored_world.write(*asked) == 0
    assert stored_world.kinds(lease.id) == ["lease.reserved", "lease.active"]


def test_a_reservation_that_has_lapsed_is_not_confirmed_though_nobody_closed_it_yet(stored_world):
    stored_world.join()
    (lease,) = stored_world.reserve(stored_world.submit(), "mac_kauri")
    stored_world.clock.advance(RESERVATION_SECONDS_MAX)
    asked = (place.confirm_reserved, stored_world.random, stored_world.now, [lease.id])
    assert stored_world.write(*asked) == 0
    assert stored_world.kinds(lease.id) == ["lease.reserved"]


def test_many_events_are_numbered_and_told_as_if_one_by_one(database, make):
    heard = []
    database.writer.listen(heard.extend)
    told = [
        Event(at=make.NOW, kind="k", subject=f"s{n}", data={"n": n, "text": 'ü"\n\0'})
        for n in range(5)
    ]

    def write(tx):
        tx.emit(told[0])
        tx.emit_many(told[1:3])
        tx.emit_many([])
        with contextlib.suppress(KeyError), tx.savepoint():
            tx.emit_many(told[1:3])
            raise KeyError
        tx.emit_many(told[3:])

    database.writer.call(write)
    assert [each.event for each in heard] == told
    assert events_after(database.reader(), 0) == heard


def test_what_is_proposed_counts_until_it_is_returned_whatever_is_committed_meanwhile(stored_world):
    stored_world.join(devices=2)
    first, second, third = (stored_world.submit() for _ in range(3))
    shelf, reader = stored_world.context.shelf, stored_world.reader

    def propose(job):
        return shelf.propose(reader, market.order(reader, job.order_id), 0, (), stored_world.now)

    assert propose(first) == ["mac_kauri"]
    placed(stored_world, (first, ["kauri"]))
    assert propose(second) == ["mac_kauri"]
    assert propose(third) == []
    shelf.returned(["mac_kauri"])  # the second came to nothing
    assert propose(third) == ["mac_kauri"]


def test_a_pass_that_fails_half_way_returns_what_it_proposed(stored_world, monkeypatch):
    stored_world.join()
    stored_world.submit()
    with monkeypatch.context() as patch:
        patch.setattr("gondwana.loops.match_orders.write_parts", _fail)
        with pytest.raises(Unavailable):
            match_orders(stored_world.context, stored_world.now)
    assert match_orders(stored_world.context, stored_world.now) == 1


def _fail(context, run, given, things, after):
    list(things)
    raise Unavailable("the database went away")
