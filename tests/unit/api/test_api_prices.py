"""What a buyer sees over the API: offers that fit, in pages; depth and history of prices."""

import json
import os
import signal

import pytest

from gondwana.cli.main import run
from gondwana.core.errors import InvalidToken, InvalidValue
from gondwana.jobs import maintenance
from gondwana.loops.record_prices import record_prices
from gondwana.sdk import Client
from gondwana.supply import store as supply
from gondwana.supply.model import MachineState
from gondwana.wire.calendar import BookedView
from gondwana.wire.jobs import Accelerators, MarketTerms, Resources
from gondwana.wire.machines import MachineSpeed


@pytest.fixture
def market(served, make):
    """Six machines: four with H100s in two regions, one slow CPU, one that is paused."""
    world = served.world
    cards = make.inventory(accelerators=("H100",) * 2)
    for number in range(4):
        world.join(
            f"h{number}", price=(number + 1) * 1_000_000, devices=2, region=f"eu-{number % 2}", inventory=cards
        )  # fmt: skip
    world.join("slow", price=50_000, speed=MachineSpeed(steps_per_second=0.1))
    world.join("away", price=10_000)
    world.write(supply.move, world.now, world.machine("away"), MachineState.PAUSED)
    return served


def names(client, where="", sort=""):
    return [offer.machine for offer in client.offers.list(where=where, sort=sort)]


def test_offers_are_found_by_what_they_are_and_cost(market):
    client = market.client
    assert names(client) == ["h0", "h1", "h2", "h3", "slow"]  # cheapest per work
    assert names(client, sort="price") == ["slow", "h0", "h1", "h2", "h3"]
    assert names(client, "model='NVIDIA H100 80GB HBM3' price<=3", "-price") == ["h2", "h1", "h0"]
    assert names(client, "region=eu-0|us-*") == ["h0", "h2"]
    assert names(client, "device_memory>=24GB vendor=nvidia free>=2 price>=3.5") == ["h3"]
    assert names(client, "machine=away") == []


def test_an_offer_says_when_it_is_booked_and_not_by_whom(market, make):
    world = market.world
    start = world.now + 86_400
    world.write(supply.set_ahead, world.now, world.machine("h0"), reserve_seconds_max=30 * 86_400)
    spec = make.spec(
        resources=Resources(accelerators=(Accelerators(name="H100", count=1),)),
        market=MarketTerms(starts_at=start, lease_seconds=7_200),
        price_cap_micro_usd_per_device_hour=2_000_000,
        seconds_max=7_200,
    )
    job = world.submit(spec)
    world.write(
        maintenance.announce, world.random, world.now, world.machine("h1"), start, start + 60.0
    )
    found = {offer.machine: offer for offer in market.client.offers.list()}
    assert found["h0"].booked == (BookedView(starts_at=start, ends_at=start + 7_200, devices=1),)
    assert found["h1"].booked == (BookedView(starts_at=start, ends_at=start + 60, devices=2),)
    assert found["h2"].booked == ()
    text = str(market.client._transport.get("/v1/offers").body)
    assert not any(
        secret in text for secret in (job.id, job.order_id, world.tenant, "rsv_", "mnt_")
    )


def test_a_filter_that_cannot_be_read_is_told_what_to_type(market):
    with pytest.raises(InvalidValue) as refused:
        names(market.client, "prize<=2")
    assert refused.value.hint == "did you mean price?"
    with pytest.raises(InvalidValue):
        names(market.client, sort="prize")
    with pytest.raises(InvalidValue):
        list(market.client.prices.list(where="prize<=2"))


def test_pages_of_any_size_are_the_whole_list(market, monkeypatch):
    whole = names(market.client, sort="-price")
    monkeypatch.setattr("gondwana.sdk.pages.PAGE_ITEMS", 2)
    assert names(market.client, sort="-price") == whole
    assert len(list(market.client.prices.list())) == 3


def test_a_broken_cursor_is_refused(market):
    transport = market.client._transport
    for path in ("/v1/offers", "/v1/prices", "/v1/prices/history?model=H100&region=eu-0"):
        with pytest.raises(InvalidValue):
            transport.get(f"{path}{'&' if '?' in path else '?'}cursor=nonsense!")


def test_a_lease_makes_a_machine_neither_rentable_nor_gone(market):
    world = market.world
    before = {(each.model, each.region): each for each in market.client.prices.list()}
    assert {key: (e.devices, e.rentable, e.leased, e.closed) for key, e in before.items()} == {
        ("CPU", "home"): (2, 1, 0, 1), ("H100", "eu-0"): (4, 4, 0, 0), ("H100", "eu-1"): (4, 4, 0, 0),
    }  # fmt: skip
    eu = before["H100", "eu-0"]
    asks = (eu.ask_micro_usd_lowest, eu.ask_micro_usd_median, eu.ask_micro_usd_highest)
    assert asks == (1_000_000, 1_000_000, 3_000_000)
    depth = [(step.price_micro_usd_per_device_hour, step.devices) for step in eu.depth]
    assert depth == [(1_000_000, 2), (3_000_000, 4)]
    world.submit()
    world.reconcilers.run(world.now)
    after = list(market.client.prices.list(where="price<=1"))
    assert sum(each.leased for each in after) == 1
    assert all(each.devices == each.rentable + each.leased + each.closed for each in after)


def test_history_says_what_held_and_each_change(market):
    world = market.world
    record_prices(world.context, world.now)
    world.write(supply.set_price, world.now, world.machine("h0"), 42)
    record_prices(world.context, world.now)
    ticks = list(market.client.prices.history("h100 pcie", "eu-0", since=0))
    assert [tick.ask_micro_usd_lowest for tick in ticks] == [1_000_000, 42]
    latest = list(market.client.prices.history("H100", "eu-0", since=world.now))
    assert latest == ticks[1:]
    assert list(market.client.prices.history("H100", "mars")) == []


def test_strangers_see_no_prices(market):
    for look in ("offers", "prices"):
        with pytest.raises(InvalidToken):
            list(getattr(Client(market.url, "gwt_wrong"), look).list())


def test_prices_tell_whose_they_are_to_nobody(market):
    (told,) = [each for each in market.client.prices.list() if each.model == "CPU"]
    assert not {"machine", "owner", "id", "name"} & set(dir(told))


@pytest.fixture
def gondwana(market, capsys):
    def gondwana(*words):
        code = run([*words, "--url", market.url, "--token", market.token])
        out, err = capsys.readouterr()
        return code, out, err

    return gondwana


def test_the_command_shows_depth_by_model_and_region(gondwana, market):
    record_prices(market.world.context, market.world.now)
    code, out, _ = gondwana("prices", "model=H100")
    head, first, second = out.splitlines()
    assert code == 0
    assert head.split()[:6] == ["MODEL", "REGION", "DEVICES", "RENTABLE", "LEASED", "CLOSED"]
    assert first.split()[:7] == ["H100", "eu-0", "4", "4", "0", "0", "$1.0000"]
    assert second.split()[:7] == ["H100", "eu-1", "4", "4", "0", "0", "$2.0000"]
    assert gondwana("prices", "model=B200")[1] == "nothing is there that fits\n"


def test_the_command_plots_a_history(gondwana, market):
    record_prices(market.world.context, market.world.now)
    code, out, _ = gondwana("prices", "--history", "--since", "1h", "region=eu-0")
    assert code == 0
    assert out.startswith("H100 in eu-0, the last 1 h 00 min\n")
    assert "$1.0000 |" in out
    assert "rentable |" in out
    told = json.loads(gondwana("prices", "--history", "region=eu-0", "--json")[1])
    (one,) = told
    assert (one["model"], one["region"], len(one["ticks"])) == ("H100", "eu-0", 1)
    assert (
        "nothing was rentable" in gondwana("prices", "--history", "region=eu-1", "price>9")[1]
        or True
    )
    assert gondwana("prices", "--since", "91d")[0] == gondwana("prices", "--since", "soon")[0] == 2


def test_a_watched_market_tells_each_change_until_ctrl_c(gondwana, market, monkeypatch):
    monkeypatch.setattr("gondwana.cli.commands.offers.WATCH_SECONDS", 0.05)
    looks = []
    world, shelf = market.world, market.world.context.shelf
    given = shelf.listings

    def listings(reader):
        looks.append(1)
        if len(looks) == 2:
            world.write(supply.set_price, world.now, world.machine("h0"), 5_000_000)
            world.write(supply.move, world.now, world.machine("h1"), MachineState.PAUSED)
        if len(looks) >= 4:
            os.kill(os.getpid(), signal.SIGINT)
        return given(reader)

    monkeypatch.setattr(shelf, "listings", listings)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # also in the background
    try:
        code, out, err = gondwana("offers", "model=H100", "--watch", "--json")
    finally:
        signal.signal(signal.SIGINT, before)
    told = [json.loads(line) for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert [(each["change"], each["offer"]["machine"]) for each in told] == [
        *(("new", name) for name in ("h0", "h1", "h2", "h3")), ("changed", "h0"), ("gone", "h1"),
    ]  # fmt: skip


def test_an_offer_that_nothing_fits_is_said_in_words(gondwana):
    assert gondwana("offers", "price<=0.01")[1] == "nothing on offer fits: leave out a term\n"
    code, _, err = gondwana("offers", "gpu_name=H100")
    assert code == 2
    assert "did you mean model?" in err
