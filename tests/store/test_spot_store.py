"""The spot market over a real database: served, repriced, evicted, and conserved."""

import pytest

from gondwana.core.clock import Instant
from gondwana.core.values import replace
from gondwana.jobs import admit, report, spot_books
from gondwana.jobs import spot as jobs_spot
from gondwana.jobs import store as jobs
from gondwana.jobs.model import JobState, RunState
from gondwana.ledger.accounts import lease_escrow, provider_holdback
from gondwana.ledger.audit import audit
from gondwana.ledger.chain import seal
from gondwana.ledger.settings import change_setting
from gondwana.ledger.store import balance
from gondwana.loops.call_spot import call_spot
from gondwana.loops.end_leases import end_leases
from gondwana.loops.finish_jobs import finish_jobs
from gondwana.loops.meter_leases import meter_leases
from gondwana.market import store as market
from gondwana.market.book import Key
from gondwana.market.keeping import PATIENCE_SECONDS
from gondwana.market.model import CloseReason, LeaseState, Mechanism, OrderState
from gondwana.market.spot import rules
from gondwana.market.spot import store as spot
from gondwana.market.spot.model import Call
from gondwana.policy.model import Scope
from gondwana.supply import store as supply
from gondwana.wire.agent import LeaseProof
from gondwana.wire.jobs import Accelerators, MarketTerms, Resources

CENT = 10_000
KEY = Key("CPU", "home")


@pytest.fixture
def world(make_database, make_world):
    return make_world(make_database(before_commit=seal))


@pytest.fixture
def opened(world):
    """One account on a side is enough."""
    world.write(change_setting, world.now, "spot", {"sides_min": 1}, by="pri_founder")
    return world


def sell(world, name="kauri", floor=5 * CENT, *, price=40 * CENT, **changes):
    machine = world.join(name, price=price, **changes)
    world.write(supply.set_spot_floor, world.now, machine, floor)
    return machine


def bid(world, make, cap, name="bidder", **changes):
    """A spot job of a tenant of its own."""
    tenant = world.principal(f"{name}-{len(world.events())}", Scope.TENANT)
    world.deposit(tenant, 100_000_000)
    spec = make.spec(
        name=name,
        price_cap_micro_usd_per_device_hour=cap,
        market=MarketTerms(mechanism="spot"),
        **changes,
    )
    seen = admit.look(world.reader, world.context.shelf, tenant, spec, world.now)
    return world.write(admit.submit, world.random, world.now, tenant, spec, seen)


def minute(world, seconds=60.0):
    world.clock.advance(seconds)
    call_spot(world.context, world.now)


def prove(world, *leases, seconds=10):
    """So many seconds of proofs."""
    for _ in range(seconds // 10):
        world.clock.advance(10)
        for lease in leases:
            proof = LeaseProof(lease_id=lease.id, epoch=lease.epoch, alive=True)
            world.write(report.heartbeat, world.now, lease.machine_id, (proof,))


def live(world, job):
    return [
        each
        for each in market.leases_of_job(world.reader, job.id)
        if each.state is not LeaseState.CLOSED
    ]


def calls(world):
    return spot.history(world.reader, KEY, after=Instant(0.0), limit=100)


def balances_are_kept(world):
    found = audit(world.reader)
    assert found.ok, found


# -- thin books


def test_in_a_thin_book_a_spot_order_gets_the_cheapest_ask_under_its_cap_at_once(world, make):
    sell(world, "kauri", 6 * CENT)
    sell(world, "rimu", 5 * CENT)
    world.join("posted", price=30 * CENT)
    job = bid(world, make, 20 * CENT)
    minute(world)
    (lease,) = live(world, job)
    assert lease.machine_id == "mac_rimu"
    assert (lease.mechanism, lease.price_micro_usd_per_device_hour) == (Mechanism.SPOT, 5 * CENT)
    assert lease.floor_micro_usd_per_device_hour == 5 * CENT
    assert calls(world) == []  # nobody made a price
    assert jobs.job(world.reader, job.id).state is JobState.PROVISIONING


def test_an_order_goes_where_its_cap_reaches_though_there_is_room_on_spot_elsewhere(world, make):
    sell(world, "kauri", 25 * CENT, price=40 * CENT, region="akl")
    world.join("posted", price=15 * CENT, region="wlg")
    sell(world, "taken", 5 * CENT, price=9 * CENT, region="akl")
    first, second = bid(world, make, 10 * CENT, "first"), bid(world, make, 20 * CENT, "second")
    minute(world)
    minute(world)
    assert [each.machine_id for each in live(world, first)] == ["mac_taken"]
    assert [each.machine_id for each in live(world, second)] == ["mac_posted"]


def test_a_machine_that_sells_no_spot_is_leased_at_its_posted_price_and_no_bid_evicts_it(
    world, make
):
    world.join("posted", price=10 * CENT)
    job = bid(world, make, 20 * CENT)
    minute(world)
    (lease,) = live(world, job)
    assert (lease.mechanism, lease.price_micro_usd_per_device_hour) == (Mechanism.POSTED, 10 * CENT)


def test_a_cap_below_every_ask_is_told_so(world, make):
    sell(world, "kauri", 6 * CENT)
    with pytest.raises(Exception, match="price at most"):
        bid(world, make, 5 * CENT)


def test_nobody_is_evicted_and_no_price_moves_in_a_thin_book(world, make):
    sell(world)
    first, second = bid(world, make, 6 * CENT), None
    minute(world)
    second = bid(world, make, 90 * CENT)
    for _ in range(40):
        minute(world)
    assert [each.state for each in live(world, first)] == [LeaseState.ACTIVE]
    assert live(world, second) == []


# -- calls


def test_a_call_makes_one_price_and_keeps_it_for_everybody_to_see(opened, make):
    sell(opened, "kauri", 5 * CENT)
    sell(opened, "rimu", 7 * CENT)
    jobs_of = [bid(opened, make, cap, str(cap)) for cap in (20 * CENT, 9 * CENT)]
    minute(opened)
    prices = [live(opened, job)[0].price_micro_usd_per_device_hour for job in jobs_of]
    assert prices == [7 * CENT, 7 * CENT]
    (call,) = calls(opened)
    assert (call.price, call.bids, call.asks, call.traded, call.evicted) == (7 * CENT, 2, 2, 2, 0)


def test_a_second_call_in_the_same_minute_changes_nothing(opened, make):
    sell(opened)
    bid(opened, make, 20 * CENT)
    minute(opened)
    before = (calls(opened), opened.events())
    bid_later = bid(opened, make, 30 * CENT, "later")
    at = opened.events()
    assert call_spot(opened.context, opened.now) == 0
    assert call_spot(opened.context, Instant(opened.now + 1)) == 0
    assert (calls(opened), opened.events()) == (before[0], at)
    assert live(opened, bid_later) == []


def test_what_a_call_decided_before_a_crash_is_decided_again_in_the_next_minute(opened, make):
    sell(opened)
    job = bid(opened, make, 20 * CENT)
    opened.clock.advance(60)
    done = Call(
        model="CPU",
        region="home",
        at=opened.now,
        price=5 * CENT,
        bids=1,
        asks=1,
        traded=1,
        evicted=0,
    )
    settings = jobs_spot.settings(opened.reader)
    assert opened.write(spot.record, opened.now, settings, [done])  # … and here it died
    assert not opened.write(spot.record, opened.now, settings, [done])
    assert call_spot(opened.context, opened.now) == 0
    assert live(opened, job) == []
    minute(opened)
    assert [each.state for each in live(opened, job)] == [LeaseState.ACTIVE]
    assert [each.price for each in calls(opened)] == [5 * CENT, 5 * CENT]


def test_a_running_lease_pays_the_price_of_each_minute_and_the_books_say_so(opened, make):
    sell(opened, "kauri", 5 * CENT)
    job = bid(opened, make, 30 * CENT)
    minute(opened)
    (lease,) = live(opened, job)
    prove(opened, lease, seconds=60)
    bid(opened, make, 10 * CENT, "rival")  # a cap that gets nothing: the price rises towards it
    call_spot(opened.context, opened.now)
    (after,) = live(opened, job)
    assert (after.price_micro_usd_per_device_hour, after.priced_from_seconds) == (55_000, 60)
    assert after.due_before_micro_usd == 50_000 * 60 // 3600
    prove(opened, after, seconds=40)
    meter_leases(opened.context, opened.now)
    escrow = balance(opened.reader, lease_escrow(lease.id))
    assert escrow.debits_posted == 50_000 * 60 // 3600 + 55_000 * 40 // 3600
    assert [
        e.data["price_micro_usd_per_hour"] for e in opened.events() if e.kind == "lease.repriced"
    ] == [55_000]
    balances_are_kept(opened)


def test_only_open_history_of_a_week_is_kept(opened):
    settings = jobs_spot.settings(opened.reader)
    old = Call(
        model="CPU", region="home", at=opened.now, price=1, bids=1, asks=1, traded=1, evicted=0
    )
    opened.write(spot.record, opened.now, settings, [old])
    opened.clock.advance(spot.KEPT_SECONDS + 60)
    new = replace(old, at=opened.now, price=2)
    opened.write(spot.record, opened.now, settings, [new])
    assert calls(opened) == [new]


# -- eviction


def evicted(world, make, *, low=10 * CENT, high=30 * CENT, **changes):
    """A job that runs and the job whose higher cap takes its machine, after the notice was given."""
    first = bid(world, make, low, "low", **changes)
    minute(world)
    leases = live(world, first)
    second = bid(world, make, high, "high", **changes)
    for _ in range(16):
        assert [each.state for each in live(world, first)] == [LeaseState.ACTIVE] * len(leases)
        minute(world)
        if live(world, first)[0].state is LeaseState.RECLAIMING:
            break
    return first, second


def test_a_higher_cap_evicts_the_lower_after_the_minimum_run_with_notice(opened, make):
    sell(opened)
    first, second = evicted(opened, make)
    (lease,) = live(opened, first)
    assert lease.reason is CloseReason.OUTBID
    assert opened.now - lease.active_at >= 900
    assert lease.reclaim_at == opened.now + 120
    assert calls(opened)[-1].evicted == 1
    minute(opened)
    assert live(opened, second) == []  # it waits, and nobody else is told to go
    opened.clock.advance(60)
    end_leases(opened.context, opened.now)
    call_spot(opened.context, opened.now)
    assert live(opened, first) == []
    assert market.order(opened.reader, first.order_id).state is OrderState.OPEN
    assert jobs.job(opened.reader, first.id).state in (JobState.RECOVERING, JobState.PROVISIONING)
    (served,) = live(opened, second)
    assert served.price_micro_usd_per_device_hour <= 30 * CENT
    balances_are_kept(opened)


def test_who_was_evicted_again_and_again_has_not_failed(opened, make):
    sell(opened)
    job = bid(opened, make, 10 * CENT)
    for _ in range(4):
        minute(opened, 120)
        (lease,) = live(opened, job)
        seat = spot_books.books(
            opened.reader, opened.context.shelf.listings(opened.reader), opened.now
        )[0].standing
        opened.write(jobs_spot.evict, opened.now, 120, seat)
        opened.clock.advance(120)
        end_leases(opened.context, opened.now)
        finish_jobs(opened.context, opened.now)
        assert [run.state for run in jobs.runs_of_lease(opened.reader, lease.id)] == [RunState.LOST]
    assert not jobs.job(opened.reader, job.id).ended


def test_the_notice_is_paid_for_as_far_as_it_is_proven_and_at_the_price_of_before(opened, make):
    sell(opened)
    first, _ = evicted(opened, make)
    (lease,) = live(opened, first)
    prove(opened, lease, seconds=60)
    minute(opened, 0.0)
    (later,) = live(opened, first)
    assert later.price_micro_usd_per_device_hour == lease.price_micro_usd_per_device_hour
    opened.clock.advance(60)
    end_leases(opened.context, opened.now)
    closed = market.lease(opened.reader, lease.id)
    assert closed.reason is CloseReason.OUTBID
    assert closed.seconds_proven == 50
    escrow = balance(opened.reader, lease_escrow(lease.id))
    assert escrow.available_micro_usd == 0
    paid = lease.price_micro_usd_per_hour * 50 // 3600
    fees = paid * 300 // 10_000
    assert balance(opened.reader, provider_holdback(opened.owner)).posted_micro_usd == paid - fees
    balances_are_kept(opened)


def test_a_gang_is_evicted_whole(opened, make):
    sell(opened, "kauri")
    sell(opened, "rimu")
    gang, single = bid(opened, make, 10 * CENT, "gang", num_nodes=2), None
    minute(opened)
    assert len(live(opened, gang)) == 2
    single = bid(opened, make, 30 * CENT, "single")
    for _ in range(16):
        minute(opened)
    assert [each.state for each in live(opened, gang)] == [LeaseState.RECLAIMING] * 2
    assert live(opened, single) == []


def end(world, job):
    for lease in live(world, job):
        world.write(lambda tx, lease=lease: market.close(tx, world.now, lease, CloseReason.JOB_DONE))  # fmt: skip


def test_in_a_thin_book_a_gang_that_waits_is_not_passed_by_by_later_orders(world, make):
    for name in ("kauri", "rimu"):
        sell(world, name)
    running = [bid(world, make, 50 * CENT, f"running-{n}") for n in range(2)]
    minute(world)
    gang = bid(world, make, 40 * CENT, "gang", num_nodes=2)
    minute(world, PATIENCE_SECONDS)
    passing = bid(world, make, 50 * CENT, "passing")
    for each in running:
        end(world, each)
        minute(world)
    assert (len(live(world, passing)), len(live(world, gang))) == (0, 2)
    balances_are_kept(world)


def test_an_owner_who_sells_no_spot_any_more_gets_his_machine_back_after_the_same_notice(
    opened, make
):
    machine = sell(opened)
    job = bid(opened, make, 10 * CENT)
    minute(opened)
    opened.write(supply.set_spot_floor, opened.now, machine, None)
    minute(opened, 2.0)
    (lease,) = live(opened, job)
    assert (lease.state, lease.reason) == (LeaseState.RECLAIMING, CloseReason.RECLAIMED)
    assert lease.reclaim_at == opened.now + 120


def test_a_raised_floor_is_for_the_next_lease_only(opened, make):
    machine = sell(opened)
    job = bid(opened, make, 30 * CENT)
    minute(opened)
    opened.write(supply.set_spot_floor, opened.now, machine, 20 * CENT)
    minute(opened)
    (lease,) = live(opened, job)
    assert lease.price_micro_usd_per_device_hour == 5 * CENT


def test_an_owner_who_asks_more_by_now_is_not_leased_for_less(opened, make):
    machine = sell(opened)
    job = bid(opened, make, 30 * CENT)
    opened.clock.advance(60)
    books = spot_books.books(
        opened.reader, opened.context.shelf.listings(opened.reader), opened.now
    )
    found = rules.call(books, {}, jobs_spot.settings(opened.reader), opened.now)
    opened.write(supply.set_spot_floor, opened.now, machine, 90 * CENT)  # he asks more by now
    proposed = jobs_spot.proposals(opened.reader, found[0].grants)
    assert proposed
    assert opened.write(jobs_spot.grant, opened.random, opened.now, proposed) == 0
    assert live(opened, job) == []


def test_only_offers_of_models_that_somebody_wants_or_runs_on_are_looked_at(
    opened, make, monkeypatch
):
    for model in ("H100", "A100", "L4"):
        sell(opened, model.lower(), inventory=make.inventory(accelerators=(model,)))
    wanted = {"H100": bid(opened, make, 30 * CENT, resources=_of("H100"))}
    minute(opened)
    assert live(opened, wanted["H100"])  # it runs; nobody waits
    bid(opened, make, 30 * CENT, resources=_of("A100"))
    looked_at = []

    class Books(spot_books._Books):
        def __init__(self, listings, now):
            looked_at.append(sorted(each.accelerator for each in listings))
            super().__init__(listings, now)

    monkeypatch.setattr(spot_books, "_Books", Books)
    everything = opened.context.shelf.listings(opened.reader)
    books = spot_books.books(opened.reader, everything, opened.now)
    assert [each.key.model for each in books] == ["A100", "H100"]
    bid(opened, make, 30 * CENT, resources=_of(""))
    spot_books.books(opened.reader, everything, opened.now)
    assert looked_at == [["A100", "H100"], ["A100", "H100", "L4"]]


def _of(model):
    return Resources(accelerators=(Accelerators(name=model, count=1),))
