"""Maintenance over a real database: who goes when, who is to blame, when the machine sells again."""

import pytest

from gondwana.core.errors import Conflict, InvalidValue, NoSuchThing, NothingFits
from gondwana.core.values import replace
from gondwana.jobs import maintenance, report
from gondwana.loops.match_orders import match_orders
from gondwana.market import store as market
from gondwana.market.calendar import rules
from gondwana.market.calendar import store as calendar
from gondwana.market.calendar.model import BookingState
from gondwana.market.model import CloseReason, LeaseState
from gondwana.supply import store as supply
from gondwana.supply.model import MachineState
from gondwana.wire.jobs import MarketTerms

HOUR, DAY = 3_600, 86_400


@pytest.fixture
def world(audited_database, make_world):
    return make_world(audited_database)


def join(world, name="kauri", *, notice=0, **changes):
    machine = world.join(name, **changes)
    if notice:
        world.write(supply.set_notice, world.now, machine, notice)
    return machine


def announce(world, machine, *, ahead=DAY, hours=2):
    start = world.now + ahead
    return world.write(
        maintenance.announce, world.random, world.now, machine, start, start + hours * HOUR
    )


def train(world, make):
    job = world.submit(make.train_spec())
    match_orders(world.context, world.now)
    return job


def leases_of(world, job):
    return market.leases_of_job(world.reader, job.id)


def stand(world, seconds, *names):
    """Time passes, and the machines prove to be alive at its end."""
    world.clock.advance(seconds)
    for name in names:
        world.write(report.heartbeat, world.now, f"mac_{name}", ())
    world.reconcile()


def test_who_agreed_a_notice_has_it_before_the_window_and_his_end_is_nobodys_fault(world, make):
    machine = join(world, notice=HOUR)
    job = train(world, make)
    window = announce(world, machine)
    stand(world, DAY - HOUR - rules.LOOK_SECONDS - 1, "kauri")
    assert leases_of(world, job)[0].state is LeaseState.ACTIVE
    stand(world, 1, "kauri")
    (lease,) = leases_of(world, job)
    assert (lease.state, lease.reclaim_at) == (LeaseState.RECLAIMING, window.starts_at)
    stand(world, HOUR + rules.LOOK_SECONDS, "kauri")
    assert leases_of(world, job)[0].reason is CloseReason.MAINTENANCE


@pytest.mark.parametrize(("notice", "ahead"), [(0, DAY), (HOUR, HOUR - 1)])
def test_who_was_there_and_is_not_told_in_time_was_left_by_the_owner(world, make, notice, ahead):
    machine = join(world, notice=notice)
    job = train(world, make)
    window = announce(world, machine, ahead=ahead)
    stand(world, ahead - 100, "kauri")
    stand(world, 121, "kauri")
    (lease,) = leases_of(world, job)
    assert lease.reason is CloseReason.OWNER_LEFT
    assert lease.closed_at >= window.starts_at


def test_a_window_that_begins_at_once_still_leaves_two_minutes_to_save(world, make):
    machine = join(world)
    job = train(world, make)
    announce(world, machine, ahead=0)
    stand(world, 1, "kauri")
    (lease,) = leases_of(world, job)
    assert (lease.reason, lease.reclaim_at) == (CloseReason.OWNER_LEFT, world.now + 120)


def test_only_what_is_over_before_a_window_is_leased_and_after_it_all_is_again(world, make):
    machine = join(world)
    window = announce(world, machine)
    long = train(world, make)
    short = world.submit(make.spec(seconds_max=HOUR))
    match_orders(world.context, world.now)
    assert leases_of(world, long) == []
    assert len(leases_of(world, short)) == 1
    stand(world, 301, "kauri")  # nobody took it up
    stand(world, DAY - 301 + HOUR, "kauri")
    busy = world.submit(make.spec(name="busy", seconds_max=60))
    match_orders(world.context, world.now)
    assert leases_of(world, busy) == []
    stand(world, HOUR, "kauri")
    stand(world, 1, "kauri")
    assert calendar.booking(world.reader, window.id).state is BookingState.OVER
    served = [job for job in (long, busy) if leases_of(world, job)]
    assert len(served) == 1  # one device: it sells again by itself


def test_a_machine_that_is_switched_off_in_its_window_is_not_lost_and_comes_back(world):
    machine = join(world)
    announce(world, machine)
    stand(world, DAY + 60)
    assert (world.machine().state, world.machine().reason) == (MachineState.DOWN, CloseReason.MAINTENANCE)  # fmt: skip
    stand(world, HOUR, "kauri")
    assert world.machine().state is MachineState.UP


def test_a_machine_that_still_serves_somebody_is_lost_even_in_its_window(world, make):
    machine = join(world)
    job = train(world, make)
    announce(world, machine, ahead=0)
    stand(world, 60)
    assert leases_of(world, job)[0].reason is CloseReason.MACHINE_LOST


def test_a_window_and_a_reservation_never_overlap_and_each_says_what_is_in_its_way(world, make):
    machine = join(world)
    world.write(supply.set_ahead, world.now, machine, reserve_seconds_max=30 * DAY)
    terms = MarketTerms(starts_at=world.now + DAY, lease_seconds=HOUR)
    spec = make.spec(market=terms, price_cap_micro_usd_per_device_hour=9_000_000)
    world.submit(spec)
    (reserved,) = calendar.all_booked(world.reader)
    with pytest.raises(Conflict, match=f"kauri is reserved from .*{reserved.id}"):
        announce(world, machine, ahead=DAY - HOUR)
    window = announce(world, machine, ahead=DAY + HOUR)
    with pytest.raises(Conflict, match=f"kauri has maintenance from .*{window.id}"):
        announce(world, machine, ahead=DAY + 2 * HOUR)
    later = replace(spec, market=replace(terms, starts_at=world.now + DAY + 2 * HOUR))
    with pytest.raises(NothingFits):
        world.submit(later)
    world.write(maintenance.cancel, world.now, machine, window.id)
    assert world.submit(later)


def test_a_window_is_cancelled_by_its_owner_once_and_a_reservation_never(world, make):
    machine, other = join(world), join(world, "rimu")
    world.write(supply.set_ahead, world.now, machine, reserve_seconds_max=30 * DAY)
    window = announce(world, machine)
    for _ in range(2):
        ended = world.write(maintenance.cancel, world.now, machine, window.id)
        assert ended.state is BookingState.CANCELLED
    assert world.kinds(window.id) == ["booking.booked", "booking.cancelled"]
    with pytest.raises(NoSuchThing):
        world.write(maintenance.cancel, world.now, other, window.id)
    terms = MarketTerms(starts_at=world.now + DAY, lease_seconds=HOUR)
    world.submit(make.spec(market=terms, price_cap_micro_usd_per_device_hour=9_000_000))
    (reserved,) = calendar.all_booked(world.reader)
    with pytest.raises(InvalidValue):
        world.write(maintenance.cancel, world.now, machine, reserved.id)


@pytest.mark.parametrize(
    ("ahead", "hours"), [(-HOUR, 2), (DAY, 0), (DAY, 31 * 24), (400 * DAY, 1), (DAY, -1)]
)
def test_a_window_that_cannot_be_is_refused(world, ahead, hours):
    machine = join(world)
    with pytest.raises(InvalidValue):
        announce(world, machine, ahead=ahead, hours=hours)
