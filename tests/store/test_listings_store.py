"""What sells, read for people and read for searches: two readings of the same rows."""

import pytest

from gondwana.core.values import replace
from gondwana.jobs import auctions
from gondwana.jobs.listings import listings, listings_of, rows, to_row
from gondwana.jobs.shelf import HAS_SANDBOX, IS_OPEN
from gondwana.ledger.chain import seal
from gondwana.loops.record_prices import record_prices
from gondwana.market import ticks
from gondwana.market.book import Book
from gondwana.market.prices import buckets, buckets_of
from gondwana.supply import store as supply
from gondwana.supply.model import MachineState
from gondwana.supply.network import save_network
from gondwana.wire.jobs import MarketTerms
from gondwana.wire.machines import MachineSpeed


@pytest.fixture
def stored_world(make_database, make_world):
    return make_world(make_database(before_commit=seal))


def _sell(world, make):
    """Machines of every odd kind."""
    world.join("kauri", price=0)
    world.join("rimu", cpus_max=2.5, memory_bytes_max=3_000_000_001)
    world.join(
        "totara", cpus_max=9_999.0, devices=4, inventory=make.inventory(accelerators=("H100",) * 4)
    )
    world.join("matai", up=False, inventory=None, speed=None, isolation="")
    world.join("miro", isolation="plain", speed=MachineSpeed(steps_per_second=None))
    world.join("rata", speed=MachineSpeed(steps_per_second=0.0004), region="ō'tautahi")
    world.join("tawa", speed=MachineSpeed(steps_per_second=3))
    world.join("puriri", up=False)
    for name, to in (("hinau", MachineState.PAUSED), ("maire", MachineState.DRAINING)):
        world.write(supply.move, world.now, world.join(name), to)
    world.write(supply.move, world.now, world.join("beech"), MachineState.LEFT)
    world.join("kahikatea", devices=3, price=7)
    offer = supply.offer_of(world.reader, "mac_kahikatea")
    world.write(
        lambda tx: tx.execute(
            supply.SQL.save_offer, supply.to_row(replace(offer, notice_seconds=9_000))
        )
    )
    job = world.submit(make.spec())
    world.reserve(job, "mac_kahikatea")


def test_a_search_reads_the_same_numbers_as_people_are_told(stored_world, make):
    _sell(stored_world, make)
    told = {row.machine_id: row for row in map(to_row, listings(stored_world.reader))}
    assert {row.machine_id: row for row in rows(stored_world.reader)} == told
    assert len(told) == 10  # all but what was not measured yet, and what has left


def test_buckets_of_the_book_are_those_of_the_listings(stored_world, make):
    _sell(stored_world, make)
    told = buckets(listings(stored_world.reader))
    depth = Book(rows(stored_world.reader)).depth()
    assert list(buckets_of(depth, IS_OPEN | HAS_SANDBOX)) == told
    assert any(bucket.leased for bucket in told)


def test_a_machine_sells_nothing_of_any_kind_until_it_is_known_what_it_has(stored_world, make):
    world, shelf = stored_world, stored_world.context.shelf

    def told():
        return [(each.model, each.devices, each.closed) for each in shelf.buckets(world.reader)]

    assert told() == []
    machine = world.join("slow", devices=3, up=False, inventory=None, speed=None, isolation="")
    machine = world.write(supply.move, world.now, machine, MachineState.PROBING)
    assert listings_of(world.reader, [machine.id]) == listings(world.reader) == []
    assert list(rows(world.reader)) == shelf.listings(world.reader) == told() == []
    record_prices(world.context, world.now)
    cards = make.inventory(accelerators=("T4",) * 3)
    machine = world.write(
        save_network, world.now, replace(machine, inventory=cards, isolation="sandbox")
    )
    assert told() == [("T4", 3, 3)]
    world.write(supply.move, world.now, machine, MachineState.UP)
    assert told() == [("T4", 3, 0)]
    record_prices(world.context, world.now)
    assert [tick.model for tick in ticks.latest(world.reader)] == ["T4"]


def test_devices_that_open_bids_hold_count_when_the_book_is_read_anew(stored_world, make):
    world, cap = stored_world, 5_000_000
    world.join("kauri", devices=3)
    terms = MarketTerms(mechanism="auction")
    for number in range(2):
        wanted = make.spec(name=f"j{number}", market=terms, price_cap_micro_usd_per_device_hour=cap)
        job = world.submit(wanted)
        world.write(
            auctions.place_bid, world.random, world.now, world.owner, job.order_id, "kauri", 1_000_000
        )  # fmt: skip
    world.reserve(world.submit(make.spec(name="other")), "mac_kauri")
    (told,) = listings(world.reader)
    assert told.devices_free == 0
    assert list(rows(world.reader)) == [to_row(told)]


@pytest.mark.parametrize("asked_first", [False, True])
def test_what_people_are_told_follows_what_is_committed(stored_world, make, asked_first):
    shelf = stored_world.context.shelf
    stored_world.join("kauri", devices=2)
    assert len(shelf.book(stored_world.reader)) == 1
    if asked_first:
        assert len(shelf.listings(stored_world.reader)) == 1
    stored_world.join("rimu")
    machine = stored_world.machine("kauri")
    stored_world.write(supply.set_price, stored_world.now, machine, 5)
    stored_world.reserve(stored_world.submit(make.spec()), "mac_kauri")
    by_name = lambda each: each.name  # noqa: E731
    told = sorted(shelf.listings(stored_world.reader), key=by_name)
    assert told == sorted(listings(stored_world.reader), key=by_name)
    assert (told[0].price_micro_usd_per_device_hour, told[0].devices_free, told[0].epoch) == (
        5,
        1,
        1,
    )
