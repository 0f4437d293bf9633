"""What the commands about money refuse before anything is sent, and how they say what came back."""

import io
import sys

import pytest

from gondwana.cli.main import run

PAYOUT = {"id": "pay_1", "principal": "olga", "account": "provider:pri_1:payable", "amount_micro_usd": 5_000_000,
          "rail": "csv", "destination": "…3000", "state": "requested", "requested_at": 1.8e9}  # fmt: skip
TREASURY = {"rails": [], "owed": [], "operator": [], "held_micro_usd": 0, "owed_micro_usd": 0,
            "unclear": [{"name": "suspense:csv", "micro_usd": 7_000_000}], "difference_micro_usd": 0}  # fmt: skip


@pytest.fixture
def gondwana(plane, monkeypatch, tmp_path, capfd):
    """Runs one command line against the test's server: (exit code, standard output, standard error)."""
    monkeypatch.setenv("GONDWANA_URL", plane.url)
    monkeypatch.setenv("GONDWANA_TOKEN", "secret")
    monkeypatch.chdir(tmp_path)

    def gondwana(*arguments):
        code = run(arguments)
        out, err = capfd.readouterr()
        return code, out, err

    return gondwana


@pytest.mark.parametrize("line", [
    "account deposit 0", "treasury deposit 0", "treasury withdraw 0 --yes", "treasury sweep 0", "treasury tax de 0",
    "treasury deposits record ann 0", "treasury deposits expect ann 0", "treasury deposits unclear 0",
    "treasury fund deposit insurance 0", "treasury promo grant ann 0 --why x", "payout request 0 --yes",
    "stake add 0 --yes", "stake unbond 0 --yes", "case report kauri wrong --bond 0 --yes",
    "case open kauri 0 --reason x --evidence evidence.json", "subsidy clawback olga --case x --reason x --amount 0",
])  # fmt: skip
def test_nothing_is_no_amount(gondwana, plane, tmp_path, line):
    (tmp_path / "evidence.json").write_text("{}")
    code, out, err = gondwana(*line.split())
    assert (code, out) == (2, "")
    assert "give more than 0" in err
    assert plane.requests == []


def test_an_amount_below_zero_is_told_as_one(gondwana, plane):
    code, _, err = gondwana("account", "deposit", "-5")
    assert code == 2
    assert "no amount is below 0" in err


@pytest.mark.parametrize(("day", "hint"), [("2020-01-01", "not over yet"), ("soon", "2026-12-31")])
def test_a_promotion_ends_on_a_day_to_come(gondwana, plane, day, hint):
    code, _, err = gondwana("treasury", "promo", "grant", "ann", "5", "--why", "x", "--expires", day)  # fmt: skip
    assert code == 2
    assert "--expires" in err
    assert day in err
    assert hint in err
    assert plane.requests == []


@pytest.mark.parametrize("line", ["account statement --csv --json", "ledger export --csv --json"])
def test_csv_and_json_exclude_each_other(gondwana, plane, line):
    code, out, err = gondwana(*line.split())
    assert (code, out) == (2, "")
    assert "not both" in err
    assert plane.requests == []


def test_a_batch_that_is_not_there_is_not_told_as_made(gondwana, plane, tmp_path):
    plane.problem(404, "no_such_thing", "no batch")
    code, _, err = gondwana("treasury", "payouts", "export", "batch.csv", "--batch", "bat_1")
    assert code == 4
    assert "is made" not in err
    assert not (tmp_path / "batch.csv").exists()


def test_payouts_are_never_handed_over_for_a_file_that_is_there(gondwana, plane, tmp_path):
    (tmp_path / "batch.csv").write_text("mine")
    code, _, err = gondwana("treasury", "payouts", "export", "batch.csv", "--yes")
    assert code == 2
    assert "name a new file" in err
    assert (tmp_path / "batch.csv").read_text() == "mine"
    assert plane.requests == []


def test_a_payout_names_the_account_as_its_owner_does(gondwana, plane):
    plane.reply(PAYOUT)
    assert "from       payable\n" in gondwana("payout", "show", "pay_1")[1]


def test_what_is_unclear_names_the_command_that_clears_it(gondwana, plane, tmp_path):
    plane.reply(TREASURY)
    assert "treasury deposits list --state unclear" in gondwana("treasury", "balance")[1]
    (tmp_path / "statement.csv").write_text("id,reference,amount,date,sender\n")
    line = {"line": 2, "outcome": "applied", "subject": "dep_1", "detail": "unclear"}
    plane.reply({"applied": 1, "repeated": 0, "refused": 0, "lines": [line]})
    out = gondwana("treasury", "deposits", "import", "statement.csv")[1]
    assert "gondwana treasury deposits clear ID NAME" in out


def test_a_setting_is_shown_as_it_is_typed_and_as_people_say_it(gondwana, plane):
    value = {"fee_bps": 150, "micro_usd_min": 25_000_000, "seconds": 604_800, "rails": ["csv"]}
    plane.reply({"items": [{"name": "shares", "value": value}], "cursor": None})
    lines = gondwana("settings", "show")[1].splitlines()
    assert [line.split(maxsplit=2)[2] for line in lines[1:]] == [
        "150       1.5 %", "25000000  $25.00", "604800    7 days", '["csv"]',
    ]  # fmt: skip


def test_a_broken_program_is_answered_with_a_program_not_with_a_job(gondwana, plane, tmp_path):
    (tmp_path / "cards.yaml").write_text("")
    code, _, err = gondwana("subsidy", "create", "cards.yaml")
    assert code == 2
    assert "start-a-network-with-subsidies.md" in err


@pytest.mark.parametrize("typed", [True, False])
def test_who_types_a_destination_is_asked_for_it_and_a_pipe_is_not(
    gondwana, plane, monkeypatch, typed
):
    told = io.StringIO("DE89370400440532013000\n")
    monkeypatch.setattr(told, "isatty", lambda: typed)
    monkeypatch.setattr(sys, "stdin", told)
    plane.reply({"rail": "csv", "destination": "…3000", "holder": "Olga O", "changed_at": 1.8e9})
    code, _, err = gondwana("payout", "destination", "-", "--holder", "Olga O")
    assert code == 0
    assert ("then Enter" in err) is typed
    assert b"DE89370400440532013000" in plane.requests[0].body


def test_a_job_says_to_the_micro_dollar_what_it_cost_and_what_came_back(gondwana, plane):
    plane.reply({"id": "job_1", "name": "hello", "kind": "batch", "state": "failed", "created_at": 1.0,
                 "held_micro_usd": 0, "paid_micro_usd": 98_233, "credited_micro_usd": 2_400})  # fmt: skip
    out = gondwana("jobs", "show", "hello")[1]
    assert "$0.098233" in out
    assert "$0.002400 back" in out
