"""Reservations over a real database: who gets what, what it costs, what is left after a crash."""

import pytest

from gondwana.core.clock import Instant
from gondwana.core.errors import BudgetTooSmall, FundsTooLow, InvalidValue, NothingFits, WrongState
from gondwana.core.values import replace
from gondwana.jobs import admit, end, reclaims, report, reservations, resizes
from gondwana.jobs import store as jobs
from gondwana.jobs.model import JobReason, JobState
from gondwana.jobs.rules import batch
from gondwana.ledger import budgets, slashes, stakes
from gondwana.ledger import rules as ledger
from gondwana.ledger.accounts import (
    fund_insurance,
    lease_escrow,
    provider_holdback,
    stake,
    tenant_available,
    tenant_promo,
)
from gondwana.ledger.charges import accounts, charges
from gondwana.ledger.model import BudgetPeriod
from gondwana.ledger.periods import Span
from gondwana.ledger.store import balance, post
from gondwana.loops.keep_calendar import keep_calendar
from gondwana.loops.match_orders import match_orders
from gondwana.market import store as market
from gondwana.market.calendar import rules
from gondwana.market.calendar import store as calendar
from gondwana.market.calendar.model import BookingState
from gondwana.market.model import CloseReason, LeaseState, OrderState
from gondwana.policy import quotas
from gondwana.policy.model import Quota
from gondwana.supply import store as supply
from gondwana.supply.model import MachineState
from gondwana.wire.agent import RunReport
from gondwana.wire.calendar import Discount
from gondwana.wire.jobs import MarketTerms
from gondwana.wire.machines import RELIABILITY_PRIOR

HOUR, DAY = 3_600, 86_400
PRICE = 3_600_000


@pytest.fixture
def world(audited_database, make_world):
    return make_world(audited_database)


def join(world, name="kauri", *, ahead=30 * DAY, notice=0, discounts=(), **changes):
    machine = world.join(name, **changes)
    world.write(
        supply.set_ahead, world.now, machine, reserve_seconds_max=ahead, discounts=tuple(discounts)
    )
    if notice:
        world.write(supply.set_notice, world.now, machine, notice)
    return machine


def ahead(make, name="later", *, start=2 * DAY, hours=2, **changes):
    terms = MarketTerms(starts_at=make.NOW + start, lease_seconds=hours * HOUR)
    given = {"price_cap_micro_usd_per_device_hour": PRICE, "seconds_max": hours * HOUR, "market": terms}  # fmt: skip
    return make.spec(name=name, **{**given, **changes})


def stand(world, seconds, *names, step=None):
    """Time passes, and the machines prove to be alive at its end."""
    left = seconds
    while left > 0:
        world.clock.advance(min(left, step or left))
        left -= step or left
        for name in names:
            world.write(report.heartbeat, world.now, f"mac_{name}", ())
        world.reconcile()


def begin(world, job):
    """Every run of the job runs."""
    for run in jobs.runs_of_job(world.reader, job.id):
        lease = market.lease(world.reader, run.lease_id)
        told = RunReport(
            number=1, run_id=run.id, lease_id=lease.id, epoch=lease.epoch, state="running"
        )
        world.write(report.run_report, world.now, lease.machine_id, told)


def bookings_of(world, job):
    return calendar.of_job(world.reader, job.id)


def leases_of(world, job, *, live=False):
    return market.leases_of_job(world.reader, job.id, live=live)


def cancel(world, job):
    how = batch.End(state=JobState.CANCELLED, reason=JobReason.CANCELLED, exit_code=130)
    return world.write(end.end_job, world.now, jobs.job(world.reader, job.id), how)


def money(world):
    return balance(world.reader, tenant_available(world.tenant)).available_micro_usd


def test_a_reservation_sets_its_first_hour_aside_and_starts_by_itself(world, make):
    join(world)
    had = money(world)
    job = world.submit(ahead(make))
    (booking,) = bookings_of(world, job)
    assert (booking.state, booking.deposit_micro_usd) == (BookingState.BOOKED, PRICE)
    assert money(world) == had - PRICE
    stand(world, DAY, "kauri")
    assert leases_of(world, job) == []
    stand(world, DAY, "kauri")
    (lease,) = leases_of(world, job)
    assert (lease.state, lease.ends_at) == (LeaseState.ACTIVE, make.NOW + 2 * DAY + 2 * HOUR)
    assert bookings_of(world, job)[0].state is BookingState.USED
    assert balance(world.reader, lease_escrow(booking.id)).available_micro_usd == 0
    assert balance(world.reader, lease_escrow(lease.id)).available_micro_usd == PRICE
    begin(world, job)
    stand(world, 2 * HOUR, "kauri", step=10.0)
    ended = jobs.job(world.reader, job.id)
    assert (ended.state, ended.reason) == (JobState.FAILED, JobReason.LEASE_ENDED)


def test_two_tenants_never_get_the_same_hours_of_a_machine(world, make):
    join(world)
    world.submit(ahead(make, "first"))
    for start in (2 * DAY, 2 * DAY + HOUR, 2 * DAY - HOUR):
        with pytest.raises(NothingFits, match="free for all of that time: 0 of 1 machines"):
            world.submit(ahead(make, "second", start=start))
    assert bookings_of(world, world.submit(ahead(make, "before", start=2 * DAY - 2 * HOUR)))
    assert bookings_of(world, world.submit(ahead(make, "after", start=2 * DAY + 2 * HOUR)))


def test_two_launches_that_both_saw_the_machine_free_do_not_both_get_it(world, make):
    join(world)
    spec = ahead(make)
    seen = [admit.look(world.reader, world.context.shelf, world.tenant, spec, world.now) for _ in range(2)]  # fmt: skip
    world.write(admit.submit, world.random, world.now, world.tenant, spec, seen[0])
    before = money(world)
    with pytest.raises(NothingFits):
        world.write(admit.submit, world.random, world.now, world.tenant, spec, seen[1])
    assert money(world) == before
    assert len(calendar.of_machine(world.reader, "mac_kauri")) == 1


def test_a_gang_is_reserved_whole_or_not_at_all(world, make):
    join(world, "kauri")
    with pytest.raises(NothingFits, match="needs 2 machines at once, 1 fit"):
        world.submit(ahead(make, num_nodes=2))
    assert calendar.all_booked(world.reader) == []
    join(world, "rimu")
    job = world.submit(ahead(make, num_nodes=2))
    stand(world, 2 * DAY, "kauri", "rimu")
    assert sorted(each.machine_id for each in leases_of(world, job)) == ["mac_kauri", "mac_rimu"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"price_cap_micro_usd_per_device_hour": None}, "price_cap"),
        ({"market": MarketTerms(starts_at=2_000_000_000.0)}, "lease_hours"),
        ({"market": MarketTerms(starts_at=1.0, lease_seconds=HOUR)}, "starts_at"),
        ({"market": MarketTerms(starts_at=4_000_000_000.0, lease_seconds=HOUR)}, "starts_at"),
        ({"market": MarketTerms(starts_at=1_800_009_000.0, lease_seconds=HOUR, mechanism="spot")}, "mechanism"),
        ({"market": MarketTerms(starts_at=1_800_009_000.0, lease_seconds=HOUR, is_standing=True)}, "standing"),
    ],
)  # fmt: skip
def test_a_reservation_that_cannot_be_is_refused_by_the_field_that_is_wrong(world, make, changes, field):  # fmt: skip
    join(world)
    with pytest.raises(InvalidValue) as refused:
        world.submit(ahead(make, **changes))
    assert field in refused.value.fields["field"]


def test_an_owner_who_offers_nothing_ahead_is_asked_for_nothing(world, make):
    join(world, ahead=0)
    with pytest.raises(NothingFits, match=r"may be reserved until .*: 0 of 1"):
        world.submit(ahead(make))
    assert "provider price" in refused_hint(world, make)


def refused_hint(world, make):
    with pytest.raises(NothingFits) as refused:
        world.submit(ahead(make))
    return refused.value.hint


def test_a_deposit_that_is_not_there_reserves_nothing(world, make):
    world.join("dear", price=800_000_000)
    world.write(supply.set_ahead, world.now, world.machine("dear"), reserve_seconds_max=9 * DAY)
    spec = ahead(make, hours=48, price_cap_micro_usd_per_device_hour=900_000_000)
    world.submit(spec)
    before = len(jobs.jobs(world.reader, None, limit=100))
    with pytest.raises(FundsTooLow):
        world.submit(ahead(make, start=5 * DAY, price_cap_micro_usd_per_device_hour=900_000_000))
    assert len(jobs.jobs(world.reader, None, limit=100)) == before


# -- what others get meanwhile


def test_work_that_would_still_run_then_does_not_get_the_machine_and_short_work_does(world, make):
    join(world)
    job = world.submit(ahead(make))
    long = world.submit(make.spec(name="long", seconds_max=2 * DAY))
    short = world.submit(make.spec(name="short", seconds_max=DAY))
    match_orders(world.context, world.now)
    assert leases_of(world, long) == []
    (lease,) = leases_of(world, short)
    assert lease.machine_id == "mac_kauri"
    cancel(world, job)  # nothing is in the way any more
    cancel(world, short)
    match_orders(world.context, world.now)
    assert len(leases_of(world, long)) == 1


def test_who_agreed_a_notice_has_all_of_it_and_is_gone_when_the_reservation_begins(world, make):
    join(world, notice=HOUR)
    other = world.submit(make.train_spec())
    match_orders(world.context, world.now)
    (lease,) = leases_of(world, other)
    job = world.submit(ahead(make))
    stand(world, 2 * DAY - HOUR - 61, "kauri")
    assert market.lease(world.reader, lease.id).state is LeaseState.ACTIVE
    stand(world, 1, "kauri")
    told = market.lease(world.reader, lease.id)
    assert (told.state, told.reclaim_at) == (LeaseState.RECLAIMING, make.NOW + 2 * DAY)
    stand(world, HOUR + 60, "kauri")
    assert market.lease(world.reader, lease.id).reason is CloseReason.RECLAIMED
    stand(world, 1, "kauri")
    assert [each.machine_id for each in leases_of(world, job)] == ["mac_kauri"]


def test_who_agreed_no_notice_and_no_end_is_not_sent_away_for_a_reservation(world, make):
    join(world)
    world.submit(make.train_spec())
    match_orders(world.context, world.now)
    with pytest.raises(NothingFits):
        world.submit(ahead(make))


def test_a_running_lease_is_not_extended_into_a_reservation(world, make):
    join(world)
    timed = make.spec(name="timed", market=MarketTerms(lease_seconds=DAY), seconds_max=DAY)
    now = world.submit(timed)
    match_orders(world.context, world.now)
    job = world.submit(ahead(make))
    with pytest.raises(WrongState, match="kauri is booked from"):
        world.write(resizes.extend, world.now, jobs.job(world.reader, now.id), DAY + 1)
    world.write(resizes.extend, world.now, jobs.job(world.reader, now.id), DAY)
    assert leases_of(world, now)[0].ends_at == make.NOW + 2 * DAY
    with pytest.raises(WrongState, match="reserved from"):
        world.write(resizes.extend, world.now, jobs.job(world.reader, job.id), HOUR)


def test_spot_is_sold_until_shortly_before_and_gone_at_the_start(world, make):
    machine = join(world)
    world.write(supply.set_spot_floor, world.now, machine, 1_000_000)
    job = world.submit(ahead(make))
    terms = MarketTerms(mechanism="spot")
    bid = replace(make.train_spec(), market=terms, price_cap_micro_usd_per_device_hour=2_000_000)
    spot = world.submit(bid)
    stand(world, 10, "kauri")
    (lease,) = leases_of(world, spot)
    stand(world, 2 * DAY - 10 - 120, "kauri")
    assert market.lease(world.reader, lease.id).reclaim_at == make.NOW + 2 * DAY
    stand(world, 121, "kauri", step=1.0)
    assert [each.machine_id for each in leases_of(world, job, live=True)] == ["mac_kauri"]


def test_on_a_machine_that_sells_no_spot_a_spot_order_cannot_be_sent_away_and_does_not_get_it(world, make):  # fmt: skip
    join(world)
    job = world.submit(ahead(make))
    terms = MarketTerms(mechanism="spot")
    cap = {"price_cap_micro_usd_per_device_hour": PRICE}
    spot = world.submit(make.spec(name="spot", market=terms, seconds_max=9 * DAY, **cap))
    stand(world, 10, "kauri")
    assert leases_of(world, spot) == []
    stand(world, 2 * DAY - 10, "kauri", step=DAY / 2)
    assert [each.machine_id for each in leases_of(world, job, live=True)] == ["mac_kauri"]


# -- the start


def test_a_machine_that_is_gone_at_the_start_costs_its_tenant_nothing_and_another_is_sought(world, make):  # fmt: skip
    join(world, price=1_000_000)
    had = money(world)
    job = world.submit(ahead(make))
    world.join("rimu", price=2_000_000)
    world.write(supply.move, world.now, world.machine("kauri"), MachineState.DOWN)
    stand(world, 2 * DAY, "rimu")
    stand(world, 1, "rimu")
    (booking,) = bookings_of(world, job)
    assert (booking.state, booking.kept_micro_usd) == (BookingState.BROKEN, 0)
    (lease,) = leases_of(world, job)
    assert (lease.machine_id, lease.ends_at) == ("mac_rimu", make.NOW + 2 * DAY + 2 * HOUR)
    assert money(world) == had - 2_000_000  # the deposit is back, the other's first hour set aside


def put_at_stake(world, micro_usd, owner=None):
    owner = owner or world.owner
    world.write(stakes.add_stake, world.now, owner, micro_usd, key=f"stake {owner}", rail="bank")


def cases_of(world):
    return slashes.cases(world.reader, None, limit=10)


def stand_until_start(world, *names):
    """Two days pass, and the network is known to hear its machines at their end."""
    stand(world, 2 * DAY - 100, *names)
    stand(world, 100, *names, step=10.0)


@pytest.mark.parametrize("state", ["down", "paused", "draining", "left"])
def test_an_owner_whose_machine_is_gone_at_the_start_pays_its_tenant_the_deposit(world, make, state):  # fmt: skip
    join(world)
    put_at_stake(world, 100 * PRICE)
    had = money(world)
    job = world.submit(ahead(make))
    world.write(supply.move, world.now, world.machine(), MachineState(state))
    stand_until_start(world)
    (case,) = cases_of(world)
    assert (case.held_micro_usd, case.made_whole_micro_usd) == (PRICE, PRICE)
    assert (case.tenant_id, case.job_id, case.machine_id) == (world.tenant, job.id, "mac_kauri")
    assert money(world) == had  # the deposit is back; the rest is held while the owner may appeal
    stand(world, 4 * DAY)
    assert money(world) == had + PRICE
    assert balance(world.reader, stake(world.owner)).available_micro_usd == 99 * PRICE


def test_an_owner_who_has_less_pays_less_and_nobody_else_pays_the_rest(world, make):
    join(world)
    put_at_stake(world, PRICE // 4)
    world.write(post, ledger.treasury_deposit("manual", PRICE, key="fund"), world.now)
    world.write(post, ledger.fund_deposit(fund_insurance(), PRICE, key="fund"), world.now)
    had = money(world)
    world.submit(ahead(make))
    world.write(supply.move, world.now, world.machine(), MachineState.DOWN)
    stand_until_start(world)
    stand(world, 4 * DAY)
    assert money(world) == had + PRICE // 4
    assert balance(world.reader, fund_insurance()).available_micro_usd == PRICE


def test_who_has_nothing_at_stake_or_books_his_own_machine_pays_nothing(world, make):
    join(world, owner_id=world.tenant)
    put_at_stake(world, 100 * PRICE, world.tenant)
    world.submit(ahead(make))
    world.write(supply.move, world.now, world.machine(), MachineState.DOWN)
    join(world, "rimu")
    world.submit(ahead(make, "other"))
    world.write(supply.move, world.now, world.machine("rimu"), MachineState.DOWN)
    stand_until_start(world)
    assert cases_of(world) == []


def test_a_machine_that_took_the_lease_and_never_served_it_pays_like_one_that_was_gone(world, make):
    join(world)
    put_at_stake(world, 100 * PRICE)
    job = world.submit(ahead(make))
    stand(world, 2 * DAY, "kauri")
    (lease,) = leases_of(world, job)
    world.write(end.close_lease, world.now, lease, CloseReason.MACHINE_LOST)
    (case,) = cases_of(world)
    assert case.held_micro_usd == PRICE


def test_nobody_pays_where_the_network_could_not_hear_his_machine(world, make):
    join(world)
    put_at_stake(world, 100 * PRICE)
    job = world.submit(ahead(make))
    world.write(supply.move, world.now, world.machine(), MachineState.DOWN)
    stand(world, DAY)  # then the control plane is away, and comes back after the start
    world.clock.advance(DAY + 60.0)
    keep_calendar(world.context, world.now)
    assert bookings_of(world, job)[0].state is BookingState.BROKEN
    assert cases_of(world) == []
    world.reconcile()
    assert world.machine().reliability == RELIABILITY_PRIOR


def test_a_machine_that_breaks_reservations_is_relied_on_less_and_after_a_month_as_before(world, make):  # fmt: skip
    join(world)
    world.submit(ahead(make))
    world.write(supply.move, world.now, world.machine(), MachineState.DOWN)
    stand_until_start(world)
    stand(world, 60, step=10.0)
    assert world.machine().reliability < RELIABILITY_PRIOR
    stand(world, 31 * DAY)
    assert world.machine().reliability == RELIABILITY_PRIOR


def test_a_gang_whose_one_machine_is_gone_gets_it_from_the_market_and_keeps_the_other(world, make):
    join(world, "kauri")
    join(world, "rimu")
    job = world.submit(ahead(make, num_nodes=2))
    world.write(supply.move, world.now, world.machine("rimu"), MachineState.DOWN)
    stand(world, 2 * DAY, "kauri")
    stand(world, 1, "kauri")
    assert leases_of(world, job) == []  # nobody is leased half a gang
    busy = world.submit(make.spec(name="busy", seconds_max=60))
    match_orders(world.context, world.now)
    assert leases_of(world, busy) == []  # what is there is kept
    world.join("totara")
    stand(world, 1, "kauri", "totara")
    assert sorted(each.machine_id for each in leases_of(world, job)) == ["mac_kauri", "mac_totara"]


def test_a_price_that_was_agreed_holds_when_its_owner_asks_more(world, make):
    machine = join(world, price=1_000_000)
    job = world.submit(ahead(make))
    world.write(supply.set_price, world.now, machine, 900_000_000)
    stand(world, 2 * DAY, "kauri")
    assert [each.price_micro_usd_per_device_hour for each in leases_of(world, job)] == [1_000_000]


def test_a_long_lease_costs_less_by_its_owners_ladder(world, make):
    join(world, price=1_000_001, discounts=(Discount(seconds=2 * HOUR, basis_points=1_000),))
    plan = admit.plan(world.reader, world.context.shelf, world.tenant, ahead(make), world.now)
    assert plan.price_micro_usd_per_hour == 900_001
    job = world.submit(ahead(make))
    assert bookings_of(world, job)[0].price_micro_usd_per_device_hour == 900_001
    now = world.submit(make.spec(market=MarketTerms(lease_seconds=2 * HOUR), seconds_max=60))
    match_orders(world.context, world.now)
    assert leases_of(world, now)[0].price_micro_usd_per_device_hour == 900_001


def test_a_price_that_one_order_was_given_is_not_the_price_of_the_next_in_the_same_pass(
    world, make
):
    join(world, price=1_000_000, devices=2, discounts=(Discount(seconds=2 * HOUR, basis_points=1_000),))  # fmt: skip
    terms = MarketTerms(lease_seconds=2 * HOUR)
    made = [world.submit(make.spec(name="long", market=terms, seconds_max=60))]
    made.append(world.submit(make.spec(name="short", seconds_max=60)))
    match_orders(world.context, world.now)
    prices = [
        each.price_micro_usd_per_device_hour for job in made for each in leases_of(world, job)
    ]
    assert prices == [900_000, 1_000_000]


def test_a_tenant_who_may_not_take_what_he_reserved_pays_the_deposit(world, make):
    join(world)
    job = world.submit(ahead(make))
    quota = Quota(tenant_id=world.tenant, devices_max=0, set_by=world.tenant, set_at=world.now)
    world.write(quotas.set_quota, quota)
    stand(world, 2 * DAY, "kauri")
    stand(world, rules.KEPT_SECONDS_MAX - 1, "kauri", step=10.0)
    assert bookings_of(world, job)[0].state is BookingState.BOOKED
    stand(world, 1, "kauri")
    (booking,) = bookings_of(world, job)
    assert (booking.state, booking.kept_micro_usd) == (BookingState.UNUSED, PRICE)


def test_a_control_plane_that_was_away_at_the_start_still_gives_the_tenant_what_he_reserved(world, make):  # fmt: skip
    join(world)
    job = world.submit(ahead(make))
    stand(world, 2 * DAY - 60, "kauri")
    stand(world, 60 + rules.KEPT_SECONDS_MAX + 60, "kauri")
    assert [each.state for each in bookings_of(world, job)] == [BookingState.USED]
    assert [each.machine_id for each in leases_of(world, job, live=True)] == ["mac_kauri"]


def test_who_may_not_take_it_has_the_same_time_after_the_network_was_away(world, make):
    join(world)
    job = world.submit(ahead(make))
    limit(world, 0)
    stand(world, 2 * DAY - 60, "kauri")
    stand(world, 60 + rules.KEPT_SECONDS_MAX - 10, "kauri")
    stand(world, rules.KEPT_SECONDS_MAX, "kauri", step=10.0)
    assert bookings_of(world, job)[0].state is BookingState.BOOKED
    stand(world, 60, "kauri", step=10.0)  # in which agents come back
    assert bookings_of(world, job)[0].state is BookingState.UNUSED


def limit(world, devices_max, **changes):
    by = {"tenant_id": world.tenant, "set_by": world.tenant, "set_at": world.now}
    world.write(quotas.set_quota, Quota(devices_max=devices_max, **by, **changes))


def test_what_is_reserved_for_the_same_time_counts_against_the_quota_and_other_times_do_not(world, make):  # fmt: skip
    for name in ("kauri", "rimu"):
        join(world, name)
    limit(world, 1)
    world.submit(ahead(make, "first"))
    for start in (2 * DAY, 2 * DAY - HOUR, 2 * DAY + HOUR):
        with pytest.raises(NothingFits, match="quota: this account may hold 1 devices at once"):
            world.submit(ahead(make, "second", start=start))
    assert bookings_of(world, world.submit(ahead(make, "after", start=2 * DAY + 2 * HOUR)))


def test_two_launches_that_both_saw_room_in_the_quota_do_not_both_get_it(world, make):
    for name in ("kauri", "rimu"):
        join(world, name)
    limit(world, 1)
    specs = [ahead(make, name) for name in ("first", "second")]
    seen = [admit.look(world.reader, world.context.shelf, world.tenant, spec, world.now) for spec in specs]  # fmt: skip
    world.write(admit.submit, world.random, world.now, world.tenant, specs[0], seen[0])
    with pytest.raises(NothingFits, match="quota"):
        world.write(admit.submit, world.random, world.now, world.tenant, specs[1], seen[1])
    assert len(calendar.all_booked(world.reader)) == 1


def test_of_leases_only_those_that_are_agreed_to_last_into_a_reservation_count_with_it(world, make):
    for name in ("kauri", "rimu"):
        join(world, name)
    limit(world, 1)
    world.submit(make.spec(name="now", market=MarketTerms(lease_seconds=DAY), seconds_max=DAY))
    match_orders(world.context, world.now)
    with pytest.raises(NothingFits, match="quota"):
        world.submit(ahead(make, start=DAY - HOUR))
    assert bookings_of(world, world.submit(ahead(make, start=DAY)))


def test_a_quota_of_one_project_leaves_reservations_of_others_alone(world, make):
    for name in ("kauri", "rimu"):
        join(world, name)
    limit(world, 1, project="nest")
    world.submit(ahead(make, "mine", project="nest"))
    with pytest.raises(NothingFits, match="quota: project nest"):
        world.submit(ahead(make, "more", project="nest"))
    assert bookings_of(world, world.submit(ahead(make, "other")))


def test_nothing_found_by_the_end_of_the_window_ends_the_job(world, make):
    join(world)
    job = world.submit(ahead(make))
    world.write(supply.move, world.now, world.machine(), MachineState.DOWN)
    stand(world, 2 * DAY + 2 * HOUR)
    stand(world, 1)
    assert jobs.job(world.reader, job.id).reason is JobReason.NOTHING_FITS
    assert market.order(world.reader, job.order_id).state is OrderState.EXPIRED


# -- cancelling


@pytest.mark.parametrize(("left", "kept"), [(DAY, 0), (DAY - 1, PRICE // 2), (HOUR - 1, PRICE)])
def test_cancelling_costs_by_how_late_it_is_and_every_micro_unit_is_somewhere(world, make, left, kept):  # fmt: skip
    join(world)
    had = money(world)
    job = world.submit(ahead(make))
    world.clock.advance(2 * DAY - left)
    cancel(world, job)
    (booking,) = bookings_of(world, job)
    assert (booking.state, booking.kept_micro_usd) == (BookingState.CANCELLED, kept)
    assert money(world) == had - kept
    earned = balance(world.reader, provider_holdback(world.owner)).available_micro_usd
    assert (earned > kept * 0.8) == bool(kept)  # the rest is the network's part
    cancel(world, job)  # said twice is said once
    assert money(world) == had - kept
    assert world.submit(ahead(make, start=2 * DAY + HOUR))  # the time is free again


def test_nobody_pays_himself_for_what_he_cancels(world, make):
    join(world, owner_id=world.tenant)
    had = money(world)
    job = world.submit(ahead(make))
    world.clock.advance(2 * DAY - 1)
    cancel(world, job)
    assert money(world) == had


# -- crashes


class Crash(Exception):
    """The process is gone before it commits."""


def crashing(run):
    def call(tx, *args):
        run(tx, *args)
        raise Crash

    return call


def test_a_crash_before_the_commit_leaves_no_reservation_and_no_deposit(world, make):
    join(world)
    had, spec = money(world), ahead(make)
    seen = admit.look(world.reader, world.context.shelf, world.tenant, spec, world.now)
    with pytest.raises(Crash):
        world.write(crashing(admit.submit), world.random, world.now, world.tenant, spec, seen)
    assert (money(world), calendar.all_booked(world.reader)) == (had, [])
    job = world.write(admit.submit, world.random, world.now, world.tenant, spec, seen)
    assert len(bookings_of(world, job)) == 1


def test_a_crash_while_it_begins_leaves_it_booked_and_the_next_pass_begins_it(world, make):
    from gondwana.jobs import place
    from gondwana.jobs.place import Proposal

    join(world)
    job = world.submit(ahead(make))
    world.clock.advance(2 * DAY)
    world.write(report.heartbeat, world.now, "mac_kauri", ())
    order = market.order(world.reader, job.order_id)
    proposal = Proposal(order=order, machine_ids=["mac_kauri"])
    with pytest.raises(Crash):
        world.write(crashing(place.place), world.random, world.now, [proposal])
    assert [each.state for each in bookings_of(world, job)] == [BookingState.BOOKED]
    stand(world, 1, "kauri")
    assert [each.state for each in bookings_of(world, job)] == [BookingState.USED]
    assert len(leases_of(world, job)) == 1


def test_giving_up_twice_gives_the_deposit_back_once(world, make):
    join(world)
    had = money(world)
    job = world.submit(ahead(make))
    world.write(supply.move, world.now, world.machine(), MachineState.DOWN)
    world.clock.advance(2 * DAY)
    for expected in (1, 0):
        assert world.write(reservations.give_up, world.now, job.order_id) == expected
    assert money(world) == had


def test_telling_a_lease_to_make_way_twice_is_telling_it_once(world, make):
    join(world, notice=HOUR)
    world.submit(make.train_spec())
    match_orders(world.context, world.now)
    (lease,) = market.live_leases_of_machine(world.reader, "mac_kauri")
    for at in (100, 200):
        fresh = market.lease(world.reader, lease.id)
        world.write(reclaims.make_way, world.now, fresh, Instant(world.now + at), CloseReason.RECLAIMED)  # fmt: skip
    assert market.lease(world.reader, lease.id).reclaim_at == world.now + 100


def test_what_a_late_cancellation_cost_stands_on_the_invoice_to_the_micro_unit(world, make):
    join(world)
    job = world.submit(ahead(make))
    world.clock.advance(2 * DAY - 1)
    cancel(world, job)
    own = accounts(world.reader, world.tenant)
    sums = charges(world.reader, own, Span(first=0, end=2**40), {job.id: "later"}.get)
    (billed,) = sums.jobs
    (line,) = billed.lines
    assert (line.words, line.amount_micro_usd) == ("Cancelled reservations", PRICE)
    assert sums.total_micro_usd == PRICE


def test_a_deposit_counts_against_a_budget_until_it_comes_back(world, make):
    join(world)
    world.write(
        budgets.set_budget, world.random, world.now, tenant_id=world.tenant, project="",
        period=BudgetPeriod.MONTH, limit_micro_usd=PRICE, set_by=world.tenant, is_operators=False,
    )  # fmt: skip
    job = world.submit(ahead(make))

    def left():
        (limit,) = budgets.limiting(world.reader, world.tenant, "", world.now)
        return limit.left_micro_usd

    assert left() == 0
    with pytest.raises(BudgetTooSmall):
        world.submit(ahead(make, "more", start=3 * DAY))
    cancel(world, job)
    assert left() == PRICE


def test_promotional_credit_comes_back_as_such(world, make):
    join(world)
    before = money(world)
    world.write(post, ledger.treasury_deposit("manual", PRICE, key="seed"), world.now)
    gift = ledger.grant_promo(world.tenant, PRICE // 2, key="gift", why="welcome")
    world.write(post, gift, world.now)
    job = world.submit(ahead(make))
    assert money(world) == before - PRICE // 2
    cancel(world, job)
    assert money(world) == before
    promo = balance(world.reader, tenant_promo(world.tenant)).available_micro_usd
    assert promo == PRICE // 2
