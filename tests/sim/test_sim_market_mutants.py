"""Bugs of the market that were planted on purpose, each caught by the worlds of `gondwana.sim.market`.

Each test prints the first seed that catches its bug; `pytest -s tests/sim/test_sim_market_mutants.py` shows them all.
"""

import pytest

from gondwana.api import deps
from gondwana.core import clock
from gondwana.core.values import replace
from gondwana.db.queries import Query
from gondwana.db.sqlite import SqliteConnection
from gondwana.jobs import (
    end,
    fairness,
    idle,
    money,
    open_orders,
    place,
    quotas,
    reclaims,
    shelf,
)
from gondwana.jobs.money import Opened
from gondwana.jobs.rules import memory
from gondwana.loops import (
    end_leases,
    expire_orders,
    keep_machines,
    lapse_reservations,
    match_orders,
    run_auctions,
)
from gondwana.market import rules, screening
from gondwana.market.spot import rules as spot_rules
from gondwana.sim.market.world import run
from gondwana.supply import store as supply

SEEDS_MAX = 120  # a bug that hides for longer is not caught
LOOK_FIRST = {
    "ask_no_quota": 102, "pass_large_orders_by": 27, "go_by_ones_own_clock": 25, "sleep_through_better_offers": 23,
    "lease_parts_of_gangs": 16, "lease_what_is_not_sold": 8,
}  # fmt: skip
"""The world in which a bug showed when this was written; it is looked for in all, from there on."""

BIDS = """
    + coalesce((SELECT sum(bid.devices) FROM bid
                WHERE bid.machine_id = machine.id AND bid.state = 'open'), 0)"""


def patch_query(patch, name, old, new=""):
    text = supply.SQL._texts[name]
    assert old in text, f"the query {name} says no longer: {old}"
    patch.setitem(supply.SQL._texts, name, Query(text.replace(old, new)))


# Gangs


def mix_models_in_a_gang(patch):
    """Where several models would do, a gang gets the cheapest machines of any."""
    for each in (match_orders, place):
        patch.setattr(each, "has_kinds", lambda order: False)


def let_the_writer_mix_models(patch):
    """It leases what an old book proposes to a gang, in whichever models."""
    patch.setattr(place, "has_kinds", lambda order: False)


# Devices


def forget_bids_when_the_book_is_read_anew(patch):
    """What open bids hold looks free after a restart."""
    patch_query(patch, "numbers", BIDS)


def lease_what_bids_hold(patch):
    """The writer does not count open bids."""
    patch_query(patch, "supply_of", BIDS)


def trust_who_proposes(patch):
    """The writer does not look whether the devices are still free."""

    def all_free(listed):
        return [replace(each, devices_free=each.devices) for each in listed]

    asked = place.listings_of_asked
    patch.setattr(place, "listings_of_asked", lambda ids: asked(ids).then(all_free))


def lease_what_is_not_sold(patch):
    """A machine that is paused, or gone, is leased."""
    patch.setattr(screening, "_OF_MACHINES", screening._OF_MACHINES[1:])


def lease_parts_of_gangs(patch):
    """A gang gets what there is."""
    patch.setattr(
        rules, "match", lambda order, held, screening: screening.fits[: order.count_max - held]
    )


def let_anybody_lead(patch):
    """A leader of an older term is not fenced."""
    patch.setattr(SqliteConnection, "begin_batch", lambda self: self.raw.execute("BEGIN IMMEDIATE"))


def answer_every_call_anew(patch):
    """The API does not keep what it answered."""
    patch.setattr(deps, "idempotent", lambda tx, key, run, *, at: run(tx))


# Money and promises


def serve_without_an_escrow(patch):
    """Leases begin before anything is set aside for them."""
    patch.setattr(
        money, "open_leases",
        lambda tx, now, reserved, *_: Opened(leases=list(reserved)),
    )  # fmt: skip


def keep_what_is_left(patch):
    """A lease that is over keeps its escrow."""
    patch.setattr(money, "close_lease", lambda tx, now, lease: None)


def charge_more_than_the_cap(patch):
    """A spot price that rises takes everybody along."""
    repriced = spot_rules._repriced
    patch.setattr(
        spot_rules, "_repriced",
        lambda standing, price: repriced(replace(standing, cap=10**9), price * 3),
    )  # fmt: skip


def take_back_at_once(patch):
    """An owner's notice is over when it is given."""
    patch.setattr(
        rules, "reclaim_of",
        lambda lease, now, known=rules.reclaim_of: (now, known(lease, now)[1]),
    )  # fmt: skip
    assert reclaims.rules is rules


def close_leases_alone(patch):
    """An order does not hear that it lost a machine."""
    patch.setattr(end, "_recover", lambda tx, now, lease: None)


# Ends


def lapse_never(patch):
    """A reservation is confirmed however old it is."""
    patch.setattr(lapse_reservations.rules, "has_lapsed", lambda lease, now: False)


def expire_never(patch):
    """An order that nothing fits stands for ever."""
    patch.setattr(expire_orders.market, "overdue_orders", lambda reader, now: [])


def end_never(patch):
    """A lease outlasts the time it was agreed for, and its notice."""
    patch.setattr(end_leases.market, "ending", lambda reader, now: [])


def hold_devices_for_nothing(patch):
    """Bids stand after their time, and after their orders."""
    patch.setattr(run_auctions.store, "bids_over", lambda reader, now: [])


# Memory, quotas, turns


def go_back_at_once(patch):
    """A machine that was lost may have its job back in the same moment."""
    patch.setattr(memory, "REST_SECONDS", 0)
    patch.setattr(memory, "WAIT_SECONDS_MAX", 0)


def forget_who_failed(patch):
    """A machine that could not run a job gets it again."""
    patch.setattr(memory, "NEVER_AGAIN", frozenset())


def ask_no_quota(patch):
    """The writer does not look at quotas again."""
    patch.setattr(quotas.Limits, "allowed", lambda self, order, held, offered: offered)


def pass_large_orders_by(patch):
    """Nothing is kept for whoever needs several devices."""
    patch.setattr(keep_machines.keeping, "keep", lambda *args: [])


def hear_no_leases(patch):
    """The book does not follow leases."""
    follow = shelf.Shelf.follow
    patch.setattr(
        shelf.Shelf, "follow",
        lambda self, events: follow(self, [e for e in events if not e.event.kind.startswith("lease.")]),
    )  # fmt: skip


def sleep_through_better_offers(patch):
    """An order that nothing fitted is not looked at again when a price falls or a device gets free."""
    patch.setattr(shelf, "_is_better", lambda row, before: False)


def count_what_ended(patch):
    """Whose turn it is does not follow the ends of leases."""
    follow = fairness.Fairness.follow
    patch.setattr(
        fairness.Fairness, "follow",
        lambda self, events: follow(self, [e for e in events if e.event.kind != "lease.closed"]),
    )  # fmt: skip


def hear_no_orders(patch):
    """Which orders are open is read once, and not followed."""
    patch.setattr(open_orders.OpenOrders, "follow", lambda self, events: None)


def want_one_more_than_lacks(patch):
    """An order that nothing fitted sleeps through the first offer that it could use."""
    remember = idle.Idle.remember
    patch.setattr(
        idle.Idle, "remember",
        lambda self, order_id, wish, lacking=1: remember(self, order_id, wish, lacking=lacking + 1),
    )  # fmt: skip


# Time


def go_by_ones_own_clock(patch):
    """A leader whose clock is behind writes into the past."""
    patch.setattr(clock, "AHEAD_SECONDS_MAX", 0.0)


def pay_for_silence(patch):
    """Whoever was silent for an hour proves all of it when he is back."""
    patch.setattr(rules, "PROOF_GAP_SECONDS_MAX", 3_600.0)


MUTANTS = (
    mix_models_in_a_gang, let_the_writer_mix_models, forget_bids_when_the_book_is_read_anew, lease_what_bids_hold,
    trust_who_proposes, lease_what_is_not_sold,
    lease_parts_of_gangs, let_anybody_lead, answer_every_call_anew, serve_without_an_escrow, keep_what_is_left,
    charge_more_than_the_cap, take_back_at_once, close_leases_alone, lapse_never, expire_never, end_never,
    hold_devices_for_nothing, go_back_at_once, forget_who_failed, ask_no_quota, pass_large_orders_by, hear_no_leases,
    sleep_through_better_offers, count_what_ended, hear_no_orders, want_one_more_than_lacks, go_by_ones_own_clock,
    pay_for_silence,
)  # fmt: skip


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_planted_bug_is_caught(monkeypatch, mutant):
    mutant(monkeypatch)
    first = LOOK_FIRST.get(mutant.__name__, 0)
    for seed in (*range(first, SEEDS_MAX), *range(first)):
        outcome = run(seed)
        if outcome.violations:
            print(f"\n{mutant.__name__}: seed {seed}: {outcome.violations[0]}")
            return
    pytest.fail(f"{SEEDS_MAX} worlds did not notice: {mutant.__doc__}")
