"""Auctions over the API and the command line: what everybody sees, and what nobody but a bid's owner does."""

import json
from types import SimpleNamespace

import pytest

from gondwana.cli.main import run
from gondwana.core.clock import Instant
from gondwana.core.errors import (
    Conflict,
    InvalidValue,
    NoSuchThing,
    NothingFits,
    ScopeMissing,
    WrongState,
)
from gondwana.loops.run_auctions import run_auctions
from gondwana.market.auction import bidding
from gondwana.policy import store as policy
from gondwana.policy.model import Scope
from gondwana.sdk import Client
from gondwana.wire.auctions import BidView
from gondwana.wire.jobs import MarketTerms

USD = 1_000_000


@pytest.fixture
def fair(served, make):
    """Two owners with a machine each, and a tenant whose job is auctioned."""
    world = served.world

    def person(name, *scopes):
        token, text = world.write(
            policy.create_token, world.random, world.now, name=name, scopes=scopes
        )
        return SimpleNamespace(id=token.principal_id, token=text, client=Client(served.url, text))

    ada, bob = person("ada", Scope.PROVIDER), person("bob", Scope.PROVIDER)
    tina = person("tina", Scope.TENANT)
    world.tenant = tina.id
    world.deposit(tina.id, 100 * USD)
    world.join("rimu", owner_id=ada.id, price=4 * USD)
    world.join("kauri", owner_id=bob.id, price=6 * USD)
    job = world.submit(
        make.spec(
            price_cap_micro_usd_per_device_hour=5 * USD, market=MarketTerms(mechanism="auction")
        )
    )

    def close():
        run_auctions(world.context, Instant(world.now + bidding.WINDOW_SECONDS))

    return SimpleNamespace(
        world=world, ada=ada, bob=bob, tina=tina, job=job, order=job.order_id, close=close
    )


def test_a_provider_sees_what_is_wanted_and_which_of_his_machines_fit_and_not_for_whom(fair):
    (seen,) = fair.bob.client.auctions.list()
    assert (seen.id, seen.machines_min, seen.price_cap_micro_usd_per_device_hour) == (
        fair.order,
        1,
        5 * USD,
    )
    assert seen.fits == ("kauri",)  # it stands above the cap, and may bid below
    assert (seen.job, seen.wins) == ("", ())


def test_the_tenant_sees_how_many_bid_and_then_what_she_got(fair):
    fair.ada.client.bids.place(fair.order, "rimu", USD)
    fair.bob.client.bids.place(fair.order, "kauri", 2 * USD)
    (before,) = fair.tina.client.auctions.list(mine=True)
    assert (before.bids, before.wins, before.takes_bids, before.job) == (2, (), True, fair.job.id)
    fair.close()
    after = fair.tina.client.auctions.get(fair.order)
    assert (after.state, after.takes_bids, after.bids) == ("matched", False, 2)
    assert [(win.machine, win.price_micro_usd_per_device_hour) for win in after.wins] == [
        ("rimu", 2 * USD)
    ]
    assert fair.bob.client.auctions.get(fair.order).wins == ()
    assert list(fair.tina.client.auctions.list()) == []


def test_a_sealed_ask_is_shown_to_nobody_but_its_owner(fair):
    asked = 1_234_567
    fair.ada.client.bids.place(fair.order, "rimu", asked)
    fair.close()
    events = fair.world.events()
    assert str(asked) not in str([event.data for event in events])
    for other in (fair.bob, fair.tina):
        told = [*other.client.auctions.list(), other.client.auctions.get(fair.order)]
        assert str(asked) not in str(told)
    assert list(fair.bob.client.bids.list()) == []
    assert [bid.ask_micro_usd_per_device_hour for bid in fair.ada.client.bids.list()] == [asked]
    with pytest.raises(ScopeMissing):
        list(fair.tina.client.bids.list())


def test_the_events_of_a_job_tell_its_tenant_of_no_bidder(fair):
    fair.ada.client.bids.place(fair.order, "rimu", USD)
    kinds = [event.kind for event in fair.tina.client.jobs.events(fair.job.id)]
    assert not [kind for kind in kinds if kind.startswith("bid.")]


def test_an_owner_sees_what_became_of_his_bids(fair):
    fair.ada.client.bids.place(fair.order, "rimu", USD)
    fair.bob.client.bids.place(fair.order, "kauri", 2 * USD)
    fair.close()
    (won,), (lost,) = fair.ada.client.bids.list(), fair.bob.client.bids.list()
    assert (won.state, won.reason, won.code, won.price_micro_usd_per_device_hour) == (
        "won",
        "leased",
        1101,
        2 * USD,
    )
    assert (lost.state, lost.reason, lost.code, lost.price_micro_usd_per_device_hour) == (
        "lost",
        "outbid",
        3101,
        None,
    )


def test_refusals_say_what_to_type_next(fair):
    bids = fair.ada.client.bids
    for kind, asked in (
        (InvalidValue, lambda: bids.place(fair.order, "rimu", 6 * USD)),
        (InvalidValue, lambda: bids.place(fair.order, "rimu", 4 * USD + 1)),
        (NoSuchThing, lambda: bids.place(fair.order, "kauri", USD)),
        (NoSuchThing, lambda: bids.place("ord_nowhere", "rimu", USD)),
        (NoSuchThing, lambda: bids.withdraw("bid_nowhere")),
    ):
        with pytest.raises(kind) as refused:
            asked()
        assert refused.value.message
    bid = bids.place(fair.order, "rimu", USD)
    with pytest.raises(Conflict):
        bids.place(fair.order, "rimu", USD)
    with pytest.raises(NoSuchThing):
        fair.bob.client.bids.withdraw(bid.id)
    assert bids.withdraw(bid.id).state == "withdrawn"
    with pytest.raises(WrongState):
        bids.withdraw(bid.id)


def test_a_repeat_with_the_same_key_is_one_bid(fair):
    transport = fair.ada.client.bids._transport
    body = json.dumps({"machine": "rimu", "ask_micro_usd_per_device_hour": USD}).encode()
    headers = {"Idempotency-Key": "once", "Content-Type": "application/json"}
    path = f"/v1/orders/{fair.order}/bids"
    first, again = (transport.request("POST", path, body=body, headers=headers) for _ in range(2))
    assert again.decode(BidView) == first.decode(BidView)
    assert len(list(fair.ada.client.bids.list())) == 1


def test_the_command_line_bids_and_tells(fair, capsys, monkeypatch):
    monkeypatch.setenv("GONDWANA_URL", fair.ada.client.url)
    monkeypatch.setenv("GONDWANA_TOKEN", fair.ada.token)
    assert run(["orders"]) == 0
    assert "rimu" in capsys.readouterr().out
    assert (
        run(["provider", "bid", fair.order, "--machine", "rimu", "--price", "1.50", "--json"]) == 0
    )
    bid = json.loads(capsys.readouterr().out)
    assert bid["ask_micro_usd_per_device_hour"] == 1_500_000
    assert run(["provider", "bids"]) == 0
    assert bid["id"] in capsys.readouterr().out
    assert run(["provider", "withdraw", bid["id"]]) == 0
    assert "is withdrawn" in capsys.readouterr().out
    monkeypatch.setenv("GONDWANA_TOKEN", fair.tina.token)
    assert run(["orders", "--mine", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["job"] == fair.job.id


def test_who_waits_at_auction_is_in_the_list_of_who_waits_with_its_reason(
    fair, capsys, monkeypatch
):
    (waits,) = fair.tina.client.quotas.queue()
    assert (waits.job_id, waits.place, waits.mechanism) == (fair.job.id, 0, "auction")
    assert "closes at" in waits.why
    assert "at auction: closes at" in fair.tina.client.jobs.get(fair.job.id).waits_for
    monkeypatch.setenv("GONDWANA_URL", fair.tina.client.url)
    monkeypatch.setenv("GONDWANA_TOKEN", fair.tina.token)
    assert run(["queue"]) == 0
    shown = capsys.readouterr().out
    assert "auction" in shown
    assert waits.why in shown


def test_a_machine_that_lacks_what_is_wanted_does_not_bid(fair, make):
    world = fair.world
    big = world.submit(
        make.spec(
            name="big", price_cap_micro_usd_per_device_hour=5 * USD, market=MarketTerms(mechanism="auction"),
        )
    )  # fmt: skip
    fair.ada.client.bids.place(fair.order, "rimu", USD)
    with pytest.raises(NothingFits):
        fair.ada.client.bids.place(big.order_id, "rimu", USD)


def test_a_plan_says_that_a_job_is_auctioned_and_fits_below_every_posted_price(fair, make):
    spec = make.spec(
        price_cap_micro_usd_per_device_hour=2 * USD, market=MarketTerms(mechanism="auction")
    )
    plan = fair.tina.client.plans.make(spec)
    assert plan.fits
    assert "auctioned" in plan.notes[0]
    assert "$2.00" in plan.notes[0]
