"""A training island that is about to leave is given nothing that it could not finish."""

import pytest

from gondwana.core.clock import Instant
from gondwana.core.errors import WrongState
from gondwana.core.values import replace
from gondwana.jobs import reclaims, store, units
from gondwana.loops.advance_training import advance_training
from gondwana.loops.match_orders import match_orders
from gondwana.market import store as market
from gondwana.market.model import CloseReason
from gondwana.supply import store as supply
from gondwana.wire.jobs import MarketTerms
from gondwana.wire.units import UnitKind

HOUR = 3_600


@pytest.fixture
def world(make_database, make_world):
    return make_world(make_database())


def train(world, make, *names, **changes):
    """A training on these machines, whose owners promise an hour of notice."""
    for name in names:
        world.write(supply.set_notice, world.now, world.join(name), HOUR)
    spec = make.train_spec(islands_min=len(names), islands_max=len(names), window_seconds=60.0)
    job = world.submit(replace(spec, **changes))
    match_orders(world.context, world.now)
    return job


def able(world, job, at, kind=UnitKind.TRAIN):
    return [each.machine_id for each in store.able_islands(world.reader, job, kind, Instant(at))]


def given(world, job):
    return [unit.machine_id for unit in store.units_of_job(world.reader, job.id)]


def test_the_notice_is_worked_in_until_a_unit_would_not_be_done_any_more(world, make):
    job = train(world, make, "kauri", "rimu")
    world.write(reclaims.reclaim_machine, world.now, world.machine("kauri"))
    end = world.now + HOUR
    cold = 150.0  # a first unit: a window of a minute, and the start of a worker
    assert able(world, job, end - cold) == ["mac_kauri", "mac_rimu"]
    assert able(world, job, end - cold + 1) == ["mac_rimu"]


def test_an_agreed_end_counts_like_a_notice(world, make):
    job = train(world, make, "kauri", market=MarketTerms(lease_seconds=HOUR))
    assert able(world, job, world.now + HOUR - 150) == ["mac_kauri"]
    assert able(world, job, world.now + HOUR - 149) == []


def test_a_reconciler_gives_the_unit_to_whoever_stays(world, make):
    job = train(world, make, "kauri", "rimu")
    world.write(reclaims.reclaim_machine, world.now, world.machine("kauri"))
    world.clock.advance(HOUR - 149)
    advance_training(world.context, world.now)
    assert given(world, job) == ["mac_rimu"]


def test_nobody_is_given_a_unit_when_everybody_leaves(world, make):
    job = train(world, make, "kauri")
    world.write(reclaims.reclaim_machine, world.now, world.machine("kauri"))
    world.clock.advance(HOUR - 149)
    advance_training(world.context, world.now)
    assert given(world, job) == []


def test_a_notice_that_comes_between_choosing_and_giving_is_seen(world, make):
    job = train(world, make, "kauri")
    (island,) = store.islands(world.reader, job.id)
    (lease,) = market.leases_of_job(world.reader, job.id)
    soon = Instant(world.now + 60)
    world.write(market.reclaim, world.now, lease, soon, CloseReason.RECLAIMED)
    with pytest.raises(WrongState):
        world.write(units.assign_init, world.random, world.now, job, island)
    assert given(world, job) == []
