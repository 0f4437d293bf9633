"""Auctions over a real database: bids hold devices, gangs are cleared together, a crash anywhere changes nothing."""

import pytest

from gondwana.core.clock import Instant
from gondwana.core.errors import (
    Conflict,
    Exhausted,
    GondwanaError,
    InvalidValue,
    NoSuchThing,
    NothingFits,
    WrongState,
)
from gondwana.core.values import replace
from gondwana.jobs import admit, auctions, end
from gondwana.jobs import store as jobs
from gondwana.jobs.model import JobReason, JobState
from gondwana.ledger.accounts import stake
from gondwana.ledger.audit import audit
from gondwana.ledger.chain import seal
from gondwana.ledger.rules.stakes import stake_from_rail
from gondwana.ledger.settings import change_setting
from gondwana.ledger.store import balance, post
from gondwana.loops.run_auctions import run_auctions
from gondwana.market import store as market
from gondwana.market.auction import bidding, store
from gondwana.market.auction.model import BidReason, BidState
from gondwana.market.keeping import Hold
from gondwana.market.model import CloseReason, LeaseState, Mechanism, OrderState
from gondwana.policy import quotas
from gondwana.policy.model import Quota, Scope
from gondwana.supply import store as supply
from gondwana.supply.model import MachineState
from gondwana.supply.pricing import store as pricing
from gondwana.wire.jobs import MarketTerms
from gondwana.wire.pricing import PolicyKind, PricePolicy

USD = 1_000_000
CAP = 5 * USD
WINDOW = bidding.WINDOW_SECONDS


@pytest.fixture
def stored_world(make_database, make_world):
    world = make_world(make_database(before_commit=seal))
    yield world
    report = audit(world.reader)
    assert report.ok, report.differences


class Fair:
    """A world in which owners bid."""

    def __init__(self, world, make):
        self.world, self.make = world, make
        self.owners = {}

    def owner(self, name):
        if name not in self.owners:
            self.owners[name] = self.world.principal(name, Scope.PROVIDER)
        return self.owners[name]

    def join(self, machine, *, owner="owner", price=4 * USD, **changes):
        return self.world.join(machine, price=price, owner_id=self.owner(owner), **changes)

    def order(self, *, nodes=1, cap=CAP, name="job"):
        spec = self.make.spec(name=name, num_nodes=nodes, price_cap_micro_usd_per_device_hour=cap,
                              market=MarketTerms(mechanism="auction"))  # fmt: skip
        job = self.world.submit(spec)
        return market.order(self.world.reader, job.order_id)

    def bid(self, order, machine, ask, *, owner="owner"):
        world = self.world
        return world.write(
            auctions.place_bid, world.random, world.now, self.owner(owner), order.id, machine, ask
        )

    def close(self, seconds=WINDOW):
        self.world.clock.advance(seconds)
        return run_auctions(self.world.context, self.world.now)

    def leases(self, order):
        found = market.leases_of_job(self.world.reader, order.job_id)
        return {lease.machine_id.removeprefix("mac_"): lease.price_micro_usd_per_device_hour
                for lease in found if lease.state is not LeaseState.CLOSED}  # fmt: skip

    def bids(self, order):
        found = store.bids_of(self.world.reader, [order.id])[order.id]
        return {bid.machine_id.removeprefix("mac_"): bid for bid in found}

    def states(self, order):
        return {name: bid.state for name, bid in self.bids(order).items()}

    def free(self, machine):
        found = supply.supply_of(self.world.reader, [f"mac_{machine}"])
        shelf = {
            each.name: each.devices_free
            for each in self.world.context.shelf.listings(self.world.reader)
        }
        held = supply.held(self.world.reader, [f"mac_{machine}"])[f"mac_{machine}"][1]
        free = found[f"mac_{machine}"].devices_free
        assert free == shelf[machine] == found[f"mac_{machine}"].machine.devices - held
        return free


@pytest.fixture
def fair(stored_world, make):
    return Fair(stored_world, make)


def test_the_cheaper_bid_wins_and_is_paid_what_the_dearer_one_asked(fair):
    fair.join("rimu", owner="ada")
    fair.join("kauri", owner="bob")
    order = fair.order()
    assert order.mechanism is Mechanism.AUCTION
    fair.bid(order, "rimu", 2 * USD, owner="ada")
    fair.bid(order, "kauri", 3 * USD, owner="bob")
    assert fair.leases(order) == {}
    fair.close()
    assert fair.leases(order) == {"rimu": 3 * USD}
    assert fair.states(order) == {"rimu": BidState.WON, "kauri": BidState.LOST}
    assert fair.bids(order)["rimu"].price_micro_usd_per_device_hour == 3 * USD
    assert fair.bids(order)["kauri"].reason is BidReason.OUTBID
    assert market.order(fair.world.reader, order.id).state is OrderState.MATCHED


def test_nothing_is_cleared_before_the_window_has_closed(fair):
    fair.join("rimu")
    order = fair.order()
    fair.bid(order, "rimu", USD)
    fair.close(WINDOW - 0.1)
    assert fair.leases(order) == {}
    assert fair.states(order) == {"rimu": BidState.OPEN}


def test_a_posted_pass_leaves_auctions_alone(fair):
    fair.join("rimu")
    order = fair.order()
    fair.world.reconcile()
    assert fair.leases(order) == {}


def test_without_bids_an_auction_gives_what_the_shelf_would_have_at_posted_prices(fair):
    fair.join("rimu", price=2 * USD)
    fair.join("kauri", price=3 * USD)
    fair.join("totara", price=4 * USD)
    order = fair.order(nodes=2)
    fair.close()
    assert fair.leases(order) == {"rimu": 2 * USD, "kauri": 3 * USD}


def test_an_open_bid_holds_the_devices_for_everybody_until_it_is_decided(fair):
    fair.join("rimu", devices=3)
    fair.join("kauri", price=USD)
    order = fair.order()
    assert fair.free("rimu") == 3
    fair.bid(order, "rimu", 3 * USD)
    assert fair.free("rimu") == 2
    fair.close()
    assert fair.leases(order) == {"kauri": USD}
    assert fair.states(order) == {"rimu": BidState.LOST}
    assert fair.free("rimu") == 3


def test_what_a_bid_holds_no_posted_order_gets(fair, make):
    fair.join("rimu")
    order = fair.order()
    fair.bid(order, "rimu", 3 * USD)
    posted = fair.world.submit(make.spec(name="posted"))
    fair.world.reconcile()
    assert market.leases_of_job(fair.world.reader, posted.id) == []
    fair.world.reconcile(WINDOW)
    assert fair.leases(order) == {"rimu": 4 * USD}


def test_a_bid_is_withdrawn_at_once_and_by_its_owner_alone(fair):
    fair.join("rimu")
    order = fair.order()
    bid = fair.bid(order, "rimu", 3 * USD)
    with pytest.raises(NoSuchThing):
        fair.world.write(auctions.withdraw_bid, fair.world.now, fair.owner("eve"), bid.id)
    fair.world.write(auctions.withdraw_bid, fair.world.now, fair.owner("owner"), bid.id)
    assert fair.free("rimu") == 1
    with pytest.raises(WrongState):
        fair.world.write(auctions.withdraw_bid, fair.world.now, fair.owner("owner"), bid.id)
    again = fair.bid(order, "rimu", 2 * USD)
    assert again.id != bid.id


def test_a_bid_that_nobody_clears_lapses_after_five_minutes_and_frees_its_devices(fair):
    fair.join("rimu")
    order = fair.order()
    fair.bid(order, "rimu", 3 * USD)
    later = Instant(fair.world.now + bidding.BID_SECONDS_MAX)
    assert store.bids_over(fair.world.reader, Instant(later - 0.001)) == []
    over = store.bids_over(fair.world.reader, later)
    fair.world.write(auctions.expire_bid, later, over[0].id)
    assert fair.states(order) == {"rimu": BidState.EXPIRED}
    assert fair.bids(order)["rimu"].reason is BidReason.LAPSED
    assert fair.free("rimu") == 1


def test_the_bids_of_a_cancelled_job_end_with_it(fair):
    fair.join("rimu")
    order = fair.order()
    fair.bid(order, "rimu", 3 * USD)
    job = jobs.job(fair.world.reader, order.job_id)
    how = end.batch.End(state=JobState.CANCELLED, reason=JobReason.CANCELLED)
    fair.world.write(end.end_job, fair.world.now, job, how)
    fair.close(0)
    assert fair.bids(order)["rimu"].reason is BidReason.ORDER_CLOSED
    assert fair.free("rimu") == 1


def test_exactly_twenty_bids_stand_for_one_order_and_the_next_is_refused(fair):
    for number in range(bidding.BIDS_MAX + 1):
        fair.join(f"m{number}")
    order = fair.order()
    placed = [fair.bid(order, f"m{number}", USD) for number in range(bidding.BIDS_MAX)]
    with pytest.raises(Exhausted):
        fair.bid(order, f"m{bidding.BIDS_MAX}", USD)
    assert len(fair.bids(order)) == bidding.BIDS_MAX == 20
    assert fair.free(f"m{bidding.BIDS_MAX}") == 1
    fair.world.write(auctions.withdraw_bid, fair.world.now, fair.owner("owner"), placed[0].id)
    fair.bid(order, f"m{bidding.BIDS_MAX}", USD)


def test_what_a_bid_may_not_be_is_refused_with_a_reason_and_changes_nothing(fair, make):
    fair.join("rimu", price=4 * USD)
    fair.join("small", price=4 * USD)
    order, dear = fair.order(), fair.order(cap=2 * USD, name="dear")
    posted = fair.world.submit(make.spec(name="posted"))
    fair.owner("eve")
    before = len(fair.world.events())
    for refused, said, asked in [
        (InvalidValue, "at most", lambda: fair.bid(dear, "rimu", 3 * USD)),  # above the cap
        (InvalidValue, "for anybody", lambda: fair.bid(order, "rimu", 4 * USD + 1)),  # above its posted price
        (InvalidValue, "0 or more", lambda: fair.bid(order, "rimu", -1)),
        (NoSuchThing, "", lambda: fair.bid(order, "nobody", USD)),
        (NoSuchThing, "", lambda: fair.bid(order, "rimu", USD, owner="eve")),  # not hers
        (WrongState, "takes no bids", lambda: fair.bid(market.order(fair.world.reader, posted.order_id), "rimu", USD)),
    ]:  # fmt: skip
        with pytest.raises(refused) as told:
            asked()
        assert said in str(told.value)
        assert told.value.hint
    assert fair.bids(order) == fair.bids(dear) == {}
    assert len(fair.world.events()) == before


def test_a_second_bid_of_a_machine_and_one_for_a_device_it_does_not_have_are_refused(fair):
    fair.join("rimu", devices=1)
    order, other = fair.order(), fair.order(name="other")
    fair.bid(order, "rimu", USD)
    with pytest.raises(Conflict):
        fair.bid(order, "rimu", 2 * USD)
    with pytest.raises(NothingFits, match="1 free device"):  # the one it has is held
        fair.bid(other, "rimu", USD)
    assert fair.bids(order)["rimu"].ask_micro_usd_per_device_hour == USD
    assert fair.bids(other) == {}


def test_a_bid_below_the_owners_own_floor_is_refused(fair):
    machine = fair.join("rimu")
    sold = supply.offer_of(fair.world.reader, machine.id)
    floored = replace(sold, spot_floor_micro_usd_per_device_hour=2 * USD)
    fair.world.write(lambda tx: tx.execute(supply.SQL.save_offer, supply.to_row(floored)))
    order = fair.order()
    with pytest.raises(InvalidValue, match="own floor"):
        fair.bid(order, "rimu", USD)
    fair.bid(order, "rimu", 2 * USD)


def test_a_bid_below_the_floor_of_the_owners_policy_is_refused(fair):
    machine = fair.join("rimu")
    policy = PricePolicy(
        kind=PolicyKind.UNDERCUT, floor_micro_usd_per_device_hour=2 * USD,
        ceiling_micro_usd_per_device_hour=9 * USD,
    )  # fmt: skip
    fair.world.write(pricing.set_policy, fair.world.now, machine, policy)
    order = fair.order()
    with pytest.raises(InvalidValue, match="own floor"):
        fair.bid(order, "rimu", USD)
    fair.bid(order, "rimu", 2 * USD)


def test_the_operator_sets_how_long_new_auctions_take_bids(fair):
    world = fair.world
    fair.join("rimu")
    world.write(change_setting, world.now, "auction", {"window_seconds": 30}, by="operator")
    order = fair.order()
    assert order.closes_at == world.now + 30
    with pytest.raises(InvalidValue, match="window_seconds"):
        world.write(change_setting, world.now, "auction", {"window_seconds": 31}, by="operator")


def test_nobody_bids_for_his_own_order(fair):
    both = fair.world.principal("both", Scope.TENANT, Scope.PROVIDER)
    fair.owners["both"] = fair.world.tenant = both
    fair.world.deposit(both, 100 * USD)
    fair.join("rimu", owner="both")
    with pytest.raises(InvalidValue, match="own order"):
        fair.bid(fair.order(), "rimu", USD, owner="both")


def test_a_bid_after_the_window_is_late_by_the_control_planes_clock(fair):
    fair.join("rimu")
    order = fair.order()
    fair.world.clock.advance(WINDOW)
    with pytest.raises(WrongState, match="has closed"):
        fair.bid(order, "rimu", USD)
    fair.close(0)
    with pytest.raises(WrongState):
        fair.bid(order, "rimu", USD)


def test_of_two_gangs_that_want_the_last_device_the_one_that_is_worth_more_gets_it_whole(fair):
    fair.join("rimu", price=USD)
    fair.join("kauri", price=USD)
    poor, rich = (
        fair.order(nodes=2, cap=2 * USD, name="poor"),
        fair.order(nodes=1, cap=5 * USD, name="rich"),
    )
    fair.close()
    assert len(fair.leases(rich)) == 1
    assert fair.leases(poor) == {}
    assert market.order(fair.world.reader, poor.id).state is OrderState.OPEN


def test_a_gang_that_is_not_whole_gets_nothing_and_its_bids_are_free_and_are_tried_again(fair):
    fair.join("rimu")
    fair.join("kauri", up=True)
    order = fair.order(nodes=2)
    fair.bid(order, "rimu", USD)
    fair.world.write(supply.move, fair.world.now, fair.world.machine("kauri"), MachineState.DOWN)
    fair.close()
    assert fair.leases(order) == {}
    assert fair.bids(order)["rimu"].reason is BidReason.GANG_NOT_WHOLE
    assert fair.free("rimu") == 1
    again = market.order(fair.world.reader, order.id)
    assert again.state is OrderState.OPEN
    assert bidding.takes_bids(again, fair.world.now)
    fair.world.write(supply.move, fair.world.now, fair.world.machine("kauri"), MachineState.UP)
    fair.close()
    assert fair.leases(order) == {
        "rimu": 4 * USD,
        "kauri": 4 * USD,
    }  # the ask that lost is taken up


def test_a_bidder_whose_machine_went_away_loses_and_the_next_one_gets_it(fair):
    fair.join("rimu", owner="ada")
    fair.join("kauri", owner="bob")
    order = fair.order()
    fair.bid(order, "rimu", USD, owner="ada")
    fair.bid(order, "kauri", 3 * USD, owner="bob")
    fair.world.write(supply.move, fair.world.now, fair.world.machine("rimu"), MachineState.DOWN)
    fair.close()
    assert fair.leases(order) == {"kauri": 4 * USD}
    assert fair.bids(order)["rimu"].reason is BidReason.MACHINE_GONE


def cleared(fair):
    """What the loop would settle now."""
    world = fair.world
    return auctions.clear(
        world.reader, world.context.shelf, world.now, store.due(world.reader, world.now)
    )


def settle(fair, award):
    return fair.world.write(auctions.settle, fair.world.random, fair.world.now, award)


def test_the_writer_dies_between_clearing_and_reserving_and_the_next_pass_gives_the_same(fair):
    for name in ("rimu", "kauri", "totara"):
        fair.join(name, owner=name)
    order = fair.order(nodes=2)
    for name, ask in (("rimu", 1), ("kauri", 2), ("totara", 3)):
        fair.bid(order, name, ask * USD, owner=name)
    fair.world.clock.advance(WINDOW)
    first = cleared(fair)  # and then nothing of it was written
    assert cleared(fair) == first
    fair.world.context.shelf.__init__()  # a control plane that starts anew
    assert cleared(fair) == first
    assert settle(fair, first[0]) == 2
    assert settle(fair, first[0]) == 0  # twice is once
    assert fair.leases(order) == {"rimu": 3 * USD, "kauri": 3 * USD}


def test_the_writer_dies_within_settling_and_nothing_of_it_stays(fair):
    fair.join("rimu")
    order = fair.order()
    fair.bid(order, "rimu", USD)
    fair.world.clock.advance(WINDOW)
    award = cleared(fair)[0]

    def die(tx):
        auctions.settle(tx, fair.world.random, fair.world.now, award)
        raise WrongState("killed")

    with pytest.raises(WrongState):
        fair.world.write(die)
    assert fair.leases(order) == {}
    assert fair.states(order) == {"rimu": BidState.OPEN}
    fair.close(0)
    assert fair.leases(order) == {"rimu": 4 * USD}


def test_what_changed_since_it_was_cleared_is_cleared_again(fair):
    fair.join("rimu", owner="ada")
    fair.join("kauri", owner="bob")
    order = fair.order()
    bid = fair.bid(order, "rimu", USD, owner="ada")
    fair.bid(order, "kauri", 2 * USD, owner="bob")
    fair.world.clock.advance(WINDOW)
    award = cleared(fair)[0]
    fair.world.write(auctions.withdraw_bid, fair.world.now, fair.owner("ada"), bid.id)
    assert settle(fair, award) == 0
    assert fair.leases(order) == {}
    fair.close(0)
    assert fair.leases(order) == {"kauri": 4 * USD}


def test_a_standing_offer_that_went_up_since_it_was_cleared_is_not_taken_at_the_old_price(fair):
    machine = fair.join("rimu", price=2 * USD)
    order = fair.order()
    fair.world.clock.advance(WINDOW)
    award = cleared(fair)[0]
    fair.world.write(supply.set_price, fair.world.now, machine, 3 * USD)
    assert settle(fair, award) == 0
    fair.close(0)
    assert fair.leases(order) == {"rimu": 3 * USD}


def put_at_stake(fair, owner, micro_usd):
    fair.world.write(
        post,
        stake_from_rail("manual", fair.owner(owner), amount_micro_usd=micro_usd, key=owner),
        fair.world.now,
    )


def at_stake(fair, owner):
    return balance(fair.world.reader, stake(fair.owner(owner)))


def lose(fair, order, machine):
    world = fair.world
    live = market.live_leases_of_machine(world.reader, f"mac_{machine}")
    world.write(end.close_lease, world.now, live[0], CloseReason.RUN_FAILED)


def test_a_winner_that_does_not_deliver_pays_and_the_next_bid_gets_it_at_once(fair):
    fair.join("rimu", owner="ada")
    fair.join("kauri", owner="bob")
    put_at_stake(fair, "ada", 100 * USD)
    order = fair.order()
    fair.bid(order, "rimu", USD, owner="ada")
    fair.bid(order, "kauri", 3 * USD, owner="bob")
    fair.close()
    lose(fair, order, "rimu")
    assert at_stake(fair, "ada").debits_pending == 3 * USD  # an hour; held until the appeal is over
    fair.close(0)
    assert fair.leases(order) == {"kauri": 4 * USD}
    assert fair.bids(order)["kauri"].state is BidState.WON


def test_a_winner_with_nothing_at_stake_pays_nothing_and_one_that_served_owes_nothing(fair):
    fair.join("rimu", owner="ada")
    order = fair.order()
    fair.bid(order, "rimu", USD, owner="ada")
    fair.close()
    lose(fair, order, "rimu")
    assert at_stake(fair, "ada").debits_pending == 0
    fair.join("kauri", owner="bob")
    put_at_stake(fair, "bob", 100 * USD)
    served = fair.order(name="served")
    fair.bid(served, "kauri", USD, owner="bob")
    fair.close()
    lease = market.live_leases_of_machine(fair.world.reader, "mac_kauri")[0]
    fair.world.write(market.prove, replace(lease, lived_at=fair.world.now))
    lose(fair, served, "kauri")
    assert at_stake(fair, "bob").debits_pending == 0


def test_a_machine_that_failed_the_job_is_no_second_choice_of_it(fair):
    fair.join("rimu")
    order = fair.order()
    fair.bid(order, "rimu", USD)
    fair.close()
    lose(fair, order, "rimu")
    fair.close(0)
    assert fair.leases(order) == {}
    assert market.order(fair.world.reader, order.id).state is OrderState.OPEN


def test_a_withdrawn_second_choice_is_not_taken(fair):
    fair.join("rimu", owner="ada")
    fair.join("kauri", owner="bob", price=4 * USD)
    order = fair.order()
    fair.bid(order, "rimu", USD, owner="ada")
    bid = fair.bid(order, "kauri", 3 * USD, owner="bob")
    fair.close()
    fair.world.write(auctions.withdraw_bid, fair.world.now, fair.owner("bob"), bid.id)
    fair.world.write(supply.move, fair.world.now, fair.world.machine("kauri"), MachineState.PAUSED)
    lose(fair, order, "rimu")
    fair.close(0)
    assert fair.leases(order) == {}


def test_the_tenant_is_charged_and_the_owner_paid_by_the_price_agreed(fair):
    fair.join("rimu", owner="ada")
    fair.join("kauri", owner="bob")
    order = fair.order()
    fair.bid(order, "rimu", USD, owner="ada")
    fair.bid(order, "kauri", 2 * USD, owner="bob")
    fair.close()
    lease = market.live_leases_of_machine(fair.world.reader, "mac_rimu")[0]
    assert lease.mechanism is Mechanism.AUCTION
    assert lease.price_micro_usd_per_hour == 2 * USD
    held = balance(fair.world.reader, f"lease:{lease.id}:escrow")
    assert held.available_micro_usd == 2 * USD  # its first hour


def test_an_auction_without_a_cap_is_refused_and_big_orders_without_one_stay_posted(fair, make):
    fair.join("rimu")
    with pytest.raises(InvalidValue, match="needs a price cap"):
        fair.order(cap=None)
    terms = {"devices_min": 16, "lease_seconds": None}
    assert bidding.mechanism_for("", has_cap=False, **terms) is Mechanism.POSTED
    assert bidding.mechanism_for("", has_cap=True, **terms) is Mechanism.AUCTION
    assert bidding.mechanism_for("posted", has_cap=True, **terms) is Mechanism.POSTED


def test_a_job_whose_cap_is_below_every_posted_price_may_wait_for_bids(fair):
    fair.join("rimu", price=4 * USD)
    order = fair.order(cap=2 * USD)
    fair.bid(order, "rimu", USD)
    fair.close()
    assert fair.leases(order) == {"rimu": 2 * USD}


def test_clearing_is_bounded_though_a_thousand_impossible_auctions_wait(fair, make):
    fair.join("rimu", price=USD)
    spec = make.spec(
        num_nodes=64,
        price_cap_micro_usd_per_device_hour=CAP,
        market=MarketTerms(mechanism="auction"),
    )
    world = fair.world
    world.write(
        lambda tx: [
            market.place_order(
                tx, admit.order_for(spec, world.tenant, f"job_{n}", f"ord_{n:04}", world.now)
            )
            for n in range(store.AUCTIONS_MAX + 50)
        ]
    )
    order = fair.order()
    fair.close(WINDOW)
    assert len(store.due(world.reader, world.now)) <= 51
    fair.close(1)
    assert fair.leases(order) == {"rimu": USD}


def test_an_auction_above_its_tenants_quota_waits_with_its_bids_and_stops_no_other(fair):
    world = fair.world
    fair.join("rimu", owner="ada")
    fair.join("kauri", owner="bob")
    limit = Quota(tenant_id=world.tenant, devices_max=0, set_by=world.tenant, set_at=world.now)
    order = fair.order()
    fair.bid(order, "rimu", USD, owner="ada")
    world.write(quotas.set_quota, limit)
    poor, world.tenant = world.tenant, world.principal("other", Scope.TENANT)
    world.deposit(world.tenant, 100 * USD)
    other = fair.order(name="other")
    fair.close()
    assert fair.leases(order) == {}
    assert fair.states(order) == {"rimu": BidState.OPEN}
    assert bidding.takes_bids(market.order(world.reader, order.id), world.now)
    assert fair.leases(other) == {"kauri": 4 * USD}
    world.tenant = poor
    world.write(quotas.remove_quota, world.now, limit)
    fair.close(bidding.AGAIN_SECONDS_MAX - 1)
    assert fair.leases(order) == {"rimu": 4 * USD}


def test_a_machine_that_is_kept_for_another_order_takes_no_part(fair, make):
    world = fair.world
    fair.join("rimu", owner="ada", price=USD)
    fair.join("kauri", owner="bob", price=2 * USD)
    waiting = world.submit(make.spec(name="waiting"))
    order = fair.order()
    kept = Hold(
        machine_id="mac_rimu",
        order_id=waiting.order_id,
        devices=1,
        whole_at=world.now,
        since=world.now,
    )
    world.write(market.keep, world.now, [kept])
    with pytest.raises(NothingFits, match="kept"):
        fair.bid(order, "rimu", USD, owner="ada")
    fair.close()
    assert fair.leases(order) == {"kauri": 2 * USD}


def test_two_gangs_never_share_a_device_whatever_is_bid(fair):
    """A machine bids for one order, stands for the other, and lost a third: its devices are given once."""
    world = fair.world
    fair.join("rimu", devices=2, price=USD)
    first, second, third = (fair.order(name=name, nodes=1) for name in ("a", "b", "c"))
    fair.bid(first, "rimu", USD)
    fair.close()
    for order in (second, third):
        fair.close(1)
        assert len(fair.leases(first)) == 1, order
    live = market.live_leases_of_machine(world.reader, "mac_rimu")
    assert sum(lease.devices for lease in live) == 2
    assert sum(len(fair.leases(order)) for order in (first, second, third)) == 2


def test_errors_of_bids_are_of_the_tree():
    for kind in (Conflict, Exhausted, InvalidValue, NoSuchThing, NothingFits, WrongState):
        assert issubclass(kind, GondwanaError)
