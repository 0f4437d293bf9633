"""What machines' leases say of them is kept beside them, and filters of offers and jobs go by it."""

import pytest

from gondwana.core.errors import InvalidValue, NothingFits
from gondwana.jobs import end, report
from gondwana.jobs.listings import listings_of
from gondwana.ledger import stakes
from gondwana.loops.rate_machines import rate_machines
from gondwana.market import store as market
from gondwana.market.model import CloseReason
from gondwana.supply import rules
from gondwana.wire.agent import LeaseProof
from gondwana.wire.jobs import MarketTerms
from gondwana.wire.machines import RELIABILITY_PRIOR, Trust

DAY = 86_400


@pytest.fixture
def rated_world(audited_database, make_world):
    return make_world(audited_database)


def listing(world, name):
    return listings_of(world.reader, [f"mac_{name}"])[0]


def serve(world, name, *, proven_days, reason=CloseReason.JOB_DONE):
    """A lease of the machine that is over, with so much proven of a day."""
    world.submit()
    world.reconcile()
    (lease,) = market.live_leases_of_machine(world.reader, f"mac_{name}")
    proof = LeaseProof(lease_id=lease.id, epoch=lease.epoch, alive=True)
    world.clock.advance(10.0)
    world.write(report.heartbeat, world.now, lease.machine_id, (proof,))
    world.write(
        lambda tx: tx.execute(
            "UPDATE lease SET proven_ms = :ms, active_at = :began WHERE id = :id",
            {"ms": round(proven_days * DAY * 1_000), "began": world.now - DAY, "id": lease.id},
        )
    )
    world.write(end.close_lease, world.now, market.lease(world.reader, lease.id), reason)


def test_a_machine_that_served_well_is_proven_and_one_that_was_lost_is_not(rated_world):
    world = rated_world
    world.join("good")
    serve(world, "good", proven_days=1)
    world.write(lambda tx: tx.execute("UPDATE offer SET state = 'paused' WHERE machine_id = 'mac_good'"))  # fmt: skip
    world.context.shelf.returned(["mac_good"])
    world.join("bad", price=1)
    serve(world, "bad", proven_days=0.5, reason=CloseReason.MACHINE_LOST)
    rate_machines(world.context, world.now)
    good, bad = listing(world, "good"), listing(world, "bad")
    assert (good.trust, bad.trust) == (Trust.PROVEN, Trust.NEW)
    assert bad.reliability < RELIABILITY_PRIOR < good.reliability
    assert "machine.rated" in world.kinds()
    assert rate_machines(world.context, world.now) == 0  # nothing new, nothing written


def test_what_is_more_than_a_month_ago_is_forgotten(rated_world):
    world = rated_world
    world.join("bad")
    serve(world, "bad", proven_days=0.5, reason=CloseReason.MACHINE_LOST)
    rate_machines(world.context, world.now)
    assert listing(world, "bad").reliability < RELIABILITY_PRIOR
    world.clock.advance(31 * DAY)
    rate_machines(world.context, world.now)
    assert listing(world, "bad").reliability == RELIABILITY_PRIOR


def test_money_at_stake_is_the_highest_level(rated_world):
    world = rated_world
    world.join("good")
    serve(world, "good", proven_days=1)
    world.write(stakes.add_stake, world.now, world.owner, 1_000_000, key="k", rail="bank")
    rate_machines(world.context, world.now)
    assert listing(world, "good").trust is Trust.STAKED


def test_a_job_asks_for_the_country_and_for_what_was_proven(rated_world, make):
    world = rated_world
    world.join("kauri", country="DE")
    for where in ("country=FR", "reliability>=0.96", "trust>=proven"):
        with pytest.raises(NothingFits, match=where.split("=")[0].rstrip(">")):
            world.submit(make.spec(market=MarketTerms(where=where)))
    job = world.submit(make.spec(market=MarketTerms(where="country=de reliability>=0.95")))
    world.reconcile()
    assert market.leases_of_job(world.reader, job.id)


def test_a_country_is_two_letters():
    assert rules.country_code(" de ") == "DE"
    assert rules.country_code("") == ""
    for wrong in ("DEU", "d1", "ÄÖ"):
        with pytest.raises(InvalidValue, match="country"):
            rules.country_code(wrong)
