"""An owner puts money at stake, a tenant reports wrong work, the operator judges, the owner appeals: all by command."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gondwana.wire.views import MachineRegistration


@pytest.fixture(scope="module")
def network(make_network):
    network = make_network()
    network.person("ada", "tenant", usd=50)
    network.person("olga", "provider")
    network.person("sven", "provider")
    return network


@pytest.fixture(scope="module")
def machine(network):
    """A machine of olga's; nothing has to run on it to be reported."""
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw().hex()
    return network.people["olga"].client.machines.register(
        MachineRegistration(
            name="kauri", region="home", public_key=public, signature=key.sign(f"kauri|{public}".encode()).hex(),
            price_micro_usd_per_device_hour=100_000, devices=1,
        )
    )  # fmt: skip


def ok(done):
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_from_a_stake_and_a_report_to_a_slash_that_is_heard(network, machine):
    ada, olga, sven = (network.people[name] for name in ("ada", "olga", "sven"))
    operator = network.operator
    assert "unverified work" in ok(olga.cli("stake", "show"))
    assert olga.cli("stake", "add", "10", "--yes").returncode == 6  # nothing earned yet
    ok(operator.cli("stake", "add", "20", "--to", "olga", "--rail", "manual", "--yes"))
    assert olga.cli("stake", "unbond", "5").returncode == 7  # nobody is there to say yes
    view = olga.json("stake", "unbond", "5", "--yes")
    assert (view["staked_micro_usd"], len(view["unbonding"])) == (15_000_000, 1)
    shown = ok(olga.cli("stake", "show"))
    assert "on its way out" in shown
    assert "More work at once" in shown

    report = ada.json("case", "report", "kauri", "every loss is the same", "--yes")
    assert ada.json("account", "balance")["available_micro_usd"] == 45_000_000
    assert olga.cli("case", "decide", report["id"], "uphold", "--why", "mine").returncode == 3
    ok(operator.cli("case", "decide", report["id"], "uphold", "--why", "they are"))
    assert ada.json("account", "balance")["available_micro_usd"] == 50_000_000
    assert report["id"] in ok(ada.cli("case", "reports"))

    evidence = network.folder / "evidence.json"
    evidence.write_text(json.dumps({"losses": [1.5, 1.5, 1.5]}))
    opened = operator.json(
        "case", "open", "kauri", "18", "--reason", "made up losses", "--evidence", evidence, "--tenant", "ada",
        "--made-whole", "10", "--report", report["id"], "--yes",
    )  # fmt: skip
    case = opened["id"]
    shown = ok(olga.cli("case", "show", case))
    assert "made up losses" in shown
    assert "1.5" in shown
    assert "upheld, if it is not appealed" in shown
    assert report["id"] not in shown
    assert "a stake on its way out → the insurance fund" in shown
    assert sven.cli("case", "show", case).returncode == 4
    assert sven.cli("case", "appeal", case, "me too").returncode == 4
    assert operator.cli("case", "decide", case, "uphold", "--why", "early").returncode == 5

    ok(olga.cli("case", "appeal", case, "the data was constant"))
    assert olga.cli("case", "appeal", case, "again").returncode == 5
    network.plane.kill()
    network.start()
    assert case in ok(operator.cli("case", "list", "--all"))
    ok(operator.cli("case", "decide", case, "uphold", "--why", "it was not"))
    assert operator.cli("case", "decide", case, "reverse", "--why", "but").returncode == 5
    # made whole by ten, and a quarter of what was taken as the bounty
    assert ada.json("account", "balance")["available_micro_usd"] == 64_500_000
    assert "$18.00 moved" in ok(olga.cli("case", "show", case))
    network.audit()

    ok(operator.cli("case", "correct", case, "--why", "the data was constant", "--yes"))
    assert ada.json("account", "balance")["available_micro_usd"] == 50_000_000
    assert olga.json("stake", "show")["staked_micro_usd"] == 15_000_000
    network.audit()


def test_a_report_that_was_wrong_costs_its_bond(network, machine):
    ada, operator = network.people["ada"], network.operator
    report = ada.json("case", "report", "kauri", "too slow", "--bond", "6", "--yes")
    ok(operator.cli("case", "decide", report["id"], "refuse", "--why", "it is not"))
    assert ada.json("account", "balance")["available_micro_usd"] == 44_000_000
    assert network.people["olga"].json("stake", "show")["payable_micro_usd"] == 3_000_000
    ok(network.people["olga"].cli("stake", "add", "3", "--yes"))
    network.audit()
