"""Subsidy programs over HTTP and on the command line."""

import json

import pytest

from gondwana.cli.main import run
from gondwana.cli.subsidyfile import read_program
from gondwana.core.errors import (
    Conflict,
    InvalidValue,
    NoSuchThing,
    ScopeMissing,
    UnknownKey,
)
from gondwana.core.values import replace
from gondwana.ledger import rules
from gondwana.ledger.store import post
from gondwana.policy import store as policy
from gondwana.policy.model import Scope
from gondwana.sdk import Client
from gondwana.wire.subsidies import CapacityCheckRequest, ClawbackRequest

FILE = """
name: cards
budget_usd: 50
stake_usd_min: 100
epoch_hours: 24
decay_percent: 1
fees_percent_max: 50
vest_now_percent: 25
vest_days: 90
classes:
  rtx_4090:
    floor_usd_per_hour: 0.10
    electricity_usd_per_hour: 0.09
    market_price_usd_per_hour: 0.40
    devices_target: 500
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "cards.yaml"
    path.write_text(FILE)
    return path


def test_a_file_in_dollars_and_percent_becomes_a_program(file):
    told = read_program(file)
    assert (told.id, told.budget_micro_usd, told.stake_micro_usd_min) == (
        "cards",
        50_000_000,
        100_000_000,
    )
    assert (told.epoch_seconds, told.decay_ppm, told.alpha_ppm) == (86_400, 10_000, 500_000)
    assert (told.vest_now_ppm, told.vest_seconds) == (250_000, 7_776_000)
    assert told.classes[0].floor_micro_usd_per_hour == 100_000


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("budget_usd", "budget", UnknownKey),
        ("    devices_target", "    devices", UnknownKey),
        ("budget_usd: 50", "budget_usd: -1", InvalidValue),
        ("epoch_hours: 24", "epoch_hours: often", InvalidValue),
        ("decay_percent: 1", "decay_percent: .nan", InvalidValue),
        ("devices_target: 500", "devices_target: many", InvalidValue),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_by_its_key(file, old, new, error):
    file.write_text(FILE.replace(old, new))
    with pytest.raises(error):
        read_program(file)


def test_an_operator_starts_shows_and_stops_a_program(served, file, capsys):
    remote = ["--url", served.url, "--token", served.token]
    assert run(["subsidy", "create", str(file), *remote]) == 0
    assert "RTX4090" in capsys.readouterr().out
    assert run(["subsidy", "list", "--json", *remote]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["id"], listed["state"]) == ("cards", "running")
    assert run(["subsidy", "show", "cards", *remote]) == 0
    assert "no epoch has ended yet" in capsys.readouterr().out
    assert run(["subsidy", "stop", "cards", *remote]) == 0
    assert served.client.subsidies.get("cards").state == "stopped"
    assert run(["solvency", *remote]) == 0
    assert "insurance fund" in capsys.readouterr().out


def test_a_floor_that_makes_idling_a_business_is_refused(served, file):
    file.write_text(FILE.replace("floor_usd_per_hour: 0.10", "floor_usd_per_hour: 0.11"))
    with pytest.raises(InvalidValue):
        served.client.subsidies.create(read_program(file))


def test_only_an_operator_may_start_one_and_anybody_may_look(served, file):
    _, token = served.world.write(
        policy.create_token, served.world.random, served.world.now, name="x", scopes=(Scope.TENANT,)
    )
    stranger = Client(served.url, token)
    with pytest.raises(ScopeMissing):
        stranger.subsidies.create(read_program(file))
    served.client.subsidies.create(read_program(file))
    assert [each.id for each in stranger.subsidies.list()] == ["cards"]
    with pytest.raises(Conflict):
        served.client.subsidies.create(read_program(file))


def test_what_vests_can_be_taken_back_once_per_case(served):
    world = served.world
    owner = policy.principal_named(world.reader, "owner")
    world.write(post, rules.treasury_deposit("bank", 1_000, key="a"), world.now)
    program = rules.SubsidyProgram(
        id="p", budget_micro_usd=1_000, classes=(), stake_micro_usd_min=0, vest_now_ppm=0
    )
    world.write(post, rules.fund_subsidy(program, 0, 1_000), world.now)
    award = rules.Award(provider_id=owner.id, micro_usd=1_000)
    world.write(post, rules.award_subsidy(program, 0, award), world.now)
    asked = ClawbackRequest(principal="owner", case="c", reason="a lie", amount_micro_usd=600)
    assert served.client.subsidies.claw_back(asked).amount_micro_usd == 600
    assert served.client.subsidies.claw_back(asked).amount_micro_usd == 600  # the same case
    rest = ClawbackRequest(principal="owner", case="d", reason="a lie")
    assert served.client.subsidies.claw_back(rest).amount_micro_usd == 400


def test_a_check_names_machines_that_exist(served):
    served.world.join()
    told = {"device_class": "CPU", "at": served.world.now - 1, "seconds": 1.0}
    served.client.subsidies.record_check(
        CapacityCheckRequest(id="a", passed=("mac_kauri",), **told)
    )
    with pytest.raises(NoSuchThing):
        served.client.subsidies.record_check(
            CapacityCheckRequest(id="b", failed=("mac_x",), **told)
        )


@pytest.mark.parametrize("amount", ['"1000000"', "true", "1.0"])
def test_an_amount_that_is_no_whole_number_is_refused(served, amount):
    body = f'{{"principal": "tenant", "case": "c", "reason": "r", "amount_micro_usd": {amount}}}'
    headers = {"Content-Type": "application/json"}
    with pytest.raises(InvalidValue):
        served.client.subsidies._transport.request(
            "POST", "/v1/clawbacks", body=body.encode(), headers=headers
        )


def test_a_program_of_more_money_than_the_books_can_hold_is_refused(served, file):
    told = read_program(file)
    for changes in ({"budget_micro_usd": 2**63}, {"epoch_seconds": 10**12}):
        with pytest.raises(InvalidValue):
            served.client.subsidies.create(replace(told, **changes))
