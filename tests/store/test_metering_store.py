"""Of many leases some are metered in each pass, each in its turn."""

import pytest

from gondwana.jobs import end
from gondwana.jobs import store as jobs
from gondwana.jobs.model import JobReason, JobState
from gondwana.jobs.rules.batch import End
from gondwana.ledger.accounts import lease_escrow
from gondwana.ledger.store import balance
from gondwana.loops import meter_leases as metering
from gondwana.market import rules
from gondwana.market import store as market


@pytest.fixture
def metered_world(audited_database, make_world, monkeypatch):
    monkeypatch.setattr(metering, "METERED_MAX", 2)
    return make_world(audited_database)


def leases_of_five(world):
    for number in range(5):
        world.join(f"m{number}")
        world.submit()
    world.reconcile()
    found = market.metered(world.reader)
    assert len(found) == 5
    return found


def prove(world, leases, seconds=5.0):
    world.clock.advance(seconds)
    for lease in leases:
        current = market.lease(world.reader, lease.id)
        world.write(market.prove, rules.proved(current, world.now, alive=True))


def begin_turn(world):
    world.context.metering.after, world.context.metering.began_at = "", None


def paid(world, leases):
    return [balance(world.reader, lease_escrow(each.id)).debits_posted > 0 for each in leases]


def test_every_lease_has_its_turn_and_none_twice_before_all_had_it(metered_world):
    world = metered_world
    leases = leases_of_five(world)
    begin_turn(world)
    prove(world, leases)
    counts = []
    for _ in range(3):
        metering.meter_leases(world.context, world.now)
        counts.append(sum(paid(world, leases)))
    assert counts == [2, 4, 5]


def test_a_turn_goes_on_where_the_lease_it_stood_at_has_ended(metered_world):
    world = metered_world
    leases = leases_of_five(world)
    begin_turn(world)
    metering.meter_leases(world.context, world.now)
    stood_at = market.lease(world.reader, world.context.metering.after)
    job = jobs.job(world.reader, stood_at.job_id)
    world.write(end.end_job, world.now, job, End(state=JobState.CANCELLED, reason=JobReason.CANCELLED))  # fmt: skip
    left = [each for each in leases if each.id != stood_at.id]
    prove(world, left)
    looked_at = [metering.meter_leases(world.context, world.now) for _ in range(3)]
    assert looked_at == [2, 1, 0]
    world.clock.advance(metering.TURN_SECONDS)
    assert metering.meter_leases(world.context, world.now) == 2
    assert paid(world, left) == [True] * 4
