"""Earnings become payable after the challenge window; promotions that nobody spent in time go back."""

import pytest

from gondwana.core.errors import InvalidValue
from gondwana.ledger import accounts as chart
from gondwana.ledger import rules, settings, treasury
from gondwana.ledger.audit import audit
from gondwana.ledger.model import Entry, Leg
from gondwana.ledger.store import balance, post
from gondwana.loops.expire_promos import expire_promos
from gondwana.loops.mature_holdbacks import mature_holdbacks

DAY = 86_400
USD = 1_000_000


def move(world, debit, credit, micro_usd):
    leg = Leg(debit=debit, credit=credit, amount_micro_usd=micro_usd)
    key = world.random.token(8).hex()
    entry = Entry(event_id=f"moved:{key}", kind="lease.meter", subject="lea_a", legs=(leg,))
    world.write(post, entry, world.now)


def earn(world, micro_usd, owner=None):
    held = chart.provider_holdback(owner or world.owner)
    move(world, chart.tenant_available(world.tenant), held, micro_usd)


def payable(world, owner=None):
    return balance(world.reader, chart.provider_payable(owner or world.owner)).available_micro_usd


def promo(world):
    return balance(world.reader, chart.tenant_promo(world.tenant)).available_micro_usd


def grant(world, micro_usd, *, days=None):
    told = {
        "tenant_id": world.tenant,
        "amount_micro_usd": micro_usd,
        "why": "welcome",
        "expires_at": None if days is None else world.now + days * DAY,
    }
    return world.write(treasury.grant_promo, world.random, world.now, **told)


@pytest.fixture
def funded(world):
    world.write(post, rules.treasury_deposit("manual", 100 * USD, key="seed"), world.now)
    return world


def test_each_days_earnings_become_payable_seven_days_later_and_not_before(world):
    for day in range(10):
        earn(world, (day + 1) * USD)
        world.reconcile(DAY)
        ripe = max(0, day - 6)  # those made more than seven days ago
        assert payable(world) == sum(range(1, ripe + 1)) * USD
    assert audit(world.reader).ok


def test_maturing_twice_at_one_moment_moves_nothing_the_second_time(world):
    earn(world, 5 * USD)
    world.clock.advance(7 * DAY + 1)
    assert mature_holdbacks(world.context, world.now) == 1
    events = len(world.events())
    assert mature_holdbacks(world.context, world.now) == 0
    assert (payable(world), len(world.events())) == (5 * USD, events)
    assert world.kinds(world.owner)[-1] == "holdback.matured"


def test_what_was_slashed_counts_as_the_oldest_earnings(world):
    earn(world, 5 * USD)
    world.clock.advance(6 * DAY)
    earn(world, 5 * USD)
    move(world, chart.provider_holdback(world.owner), chart.fund_verification(), 4 * USD)
    world.clock.advance(DAY + 1)
    mature_holdbacks(world.context, world.now)
    assert payable(world) == USD


def test_the_window_is_the_operators_and_a_longer_one_takes_nothing_back(world):
    earn(world, 5 * USD)
    world.write(settings.change_setting, world.now, "holdback", {"seconds": 3600}, by="op")
    world.clock.advance(3601)
    assert mature_holdbacks(world.context, world.now) == 1
    world.write(settings.change_setting, world.now, "holdback", {"seconds": 30 * DAY}, by="op")
    earn(world, 5 * USD)
    world.clock.advance(8 * DAY)
    assert mature_holdbacks(world.context, world.now) == 0
    assert payable(world) == 5 * USD


def test_every_owner_matures_by_himself(world):
    owners = [world.principal(f"owner{number}") for number in range(5)]
    for number, owner in enumerate(owners):
        earn(world, (number + 1) * USD, owner)
    world.clock.advance(7 * DAY + 1)
    assert mature_holdbacks(world.context, world.now) == len(owners)
    assert [payable(world, owner) for owner in owners] == [USD, 2 * USD, 3 * USD, 4 * USD, 5 * USD]


def test_a_promotion_is_there_until_its_moment_and_goes_back_to_the_treasury_then(funded):
    grant(funded, 10 * USD, days=1)
    funded.clock.advance(DAY - 1)
    assert expire_promos(funded.context, funded.now) == 0
    move(funded, chart.tenant_promo(funded.tenant), chart.lease_escrow("lea_a"), 4 * USD)
    funded.clock.advance(1)
    assert expire_promos(funded.context, funded.now) == 1
    assert promo(funded) == 0
    assert balance(funded.reader, chart.fund_treasury()).posted_micro_usd == 96 * USD
    assert expire_promos(funded.context, funded.now) == 0
    # what an escrow gives back later has expired too
    move(funded, chart.lease_escrow("lea_a"), chart.tenant_promo(funded.tenant), 3 * USD)
    assert expire_promos(funded.context, funded.now) == 1
    assert promo(funded) == 0
    assert audit(funded.reader).ok


def test_a_promotion_that_is_still_valid_survives_one_that_expired(funded):
    grant(funded, 10 * USD, days=1)
    grant(funded, 20 * USD)
    funded.clock.advance(DAY)
    funded.reconcile()
    assert promo(funded) == 20 * USD
    funded.reconcile(1000 * DAY)
    assert promo(funded) == 20 * USD


def test_a_grant_that_expires_in_the_past_or_never_ends_is_refused(funded):
    for days in (-1, 0, 10**9):
        with pytest.raises(InvalidValue):
            grant(funded, USD, days=days)
    assert promo(funded) == 0
