"""An owner states a pricing policy by options or by a file, and asks why the price is what it is."""

import json

import pytest

from gondwana.cli.main import run
from gondwana.cli.pricing import make_policy, read_policy_file
from gondwana.core.errors import InvalidValue
from gondwana.wire.pricing import PolicyKind, Window

FILE = """
policy = "schedule"
floor = "0.10"
ceiling = 1
price = "0.30"
timezone = "Europe/Berlin"

[[window]]
days = "mon-fri,sun"
from = "18:00"
to = "24:00"
price = "0.45"
"""
LEAST = {"policy": "undercut", "floor": "0.10", "ceiling": "0.50"}


@pytest.fixture
def gondwana(plane, monkeypatch, tmp_path, capfd):
    """Runs one command line against the test's server: (exit code, standard output, standard error)."""
    monkeypatch.setenv("GONDWANA_URL", plane.url)
    monkeypatch.setenv("GONDWANA_TOKEN", "secret")
    monkeypatch.chdir(tmp_path)

    def gondwana(*arguments):
        code = run(arguments)
        return code, *capfd.readouterr()

    return gondwana


def test_a_file_states_a_schedule(tmp_path):
    (tmp_path / "policy.toml").write_text(FILE)
    made = make_policy(read_policy_file(tmp_path / "policy.toml"))
    assert (made.kind, made.timezone) == (PolicyKind.SCHEDULE, "Europe/Berlin")
    assert made.price_micro_usd_per_device_hour == 300_000
    assert made.windows == (
        Window(days=(0, 1, 2, 3, 4, 6), from_minute=1080, to_minute=1440, price_micro_usd_per_device_hour=450_000),
    )  # fmt: skip


def test_percents_and_times_become_whole_numbers():
    made = make_policy({**LEAST, "under": "1.5%", "step": "3", "every": "15m", "target": "80%"})
    assert (made.under_basis_points, made.move_basis_points_max, made.interval_seconds) == (
        150,
        300,
        900,
    )
    assert made.target_basis_points == 8_000


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"policy": "magic"}, "--policy"), ({"floor": "x"}, "--floor"), ({"floor": True}, "--floor"),
     ({"under": "101%"}, "--under"), ({"under": "nan"}, "--under"), ({"every": "soon"}, "--every"),
     ({"script": "nowhere.py"}, "--script"), ({"window": 3}, "window"), ({"window": [{}]}, "window"),
     ({"window": [{"days": "fri-mon", "from": "1:00", "to": "2:00", "price": 1}]}, "window.days"),
     ({"window": [{"days": "someday", "from": "1:00", "to": "2:00", "price": 1}]}, "window.days"),
     ({"window": [{"days": "mon", "from": "25:00", "to": "2:00", "price": 1}]}, "window.from")],
)  # fmt: skip
def test_what_states_no_policy_is_refused_with_its_name(changes, field):
    with pytest.raises(InvalidValue) as refused:
        make_policy({**LEAST, **changes})
    assert refused.value.fields["field"] == field


@pytest.mark.parametrize("missing", ["floor", "ceiling"])
def test_no_policy_without_a_range(missing):
    with pytest.raises(InvalidValue, match=missing):
        make_policy({name: value for name, value in LEAST.items() if name != missing})


@pytest.mark.parametrize("text", ["x", "magic = 1", "policy = "])
def test_a_file_that_is_no_policy_is_refused(tmp_path, text):
    (tmp_path / "p.toml").write_text(text)
    with pytest.raises(InvalidValue):
        read_policy_file(tmp_path / "p.toml")


def test_the_command_sends_the_policy_and_explains(gondwana, plane):
    view = {"machine": "kauri", "price_micro_usd_per_device_hour": 392_000, "reason": "undercut 2 % of $0.40",
            "changed_at": 1.0, "next_reason": "undercut 2 % of $0.40",
            "policy": {"kind": "undercut", "floor_micro_usd_per_device_hour": 100_000,
                       "ceiling_micro_usd_per_device_hour": 500_000},
            "facts": {"price_micro_usd_per_device_hour": 392_000, "changed_at": 1.0,
                      "utilisation_basis_points": 5_000, "competing_devices": 3, "model": "H100", "region": "eu",
                      "lowest_competing_micro_usd_per_device_hour": 400_000}}  # fmt: skip
    plane.reply(view)
    code, out, err = gondwana(
        "provider", "price", "kauri", "--policy", "undercut", "--floor", "0.10", "--ceiling", "0.50"
    )
    assert code == 0, err
    sent = plane.requests[-1]
    assert sent.path == "/v1/machines/kauri/pricing"
    assert json.loads(sent.body)["kind"] == "undercut"
    assert "because  undercut 2 % of $0.40" in out
    assert "others   3 H100 in eu, from $0.4000" in out
    plane.reply({"machine": "kauri", "price_micro_usd_per_device_hour": 5})
    assert "set by   its owner" in gondwana("provider", "price", "kauri", "--explain")[1]


@pytest.mark.parametrize(
    "words",
    [(), ("--policy", "undercut"), ("--floor", "1"), ("--policy", "undercut", "--notice", "1h")],
)
def test_half_a_policy_is_refused_before_anything_is_sent(gondwana, plane, words):
    assert gondwana("provider", "price", "kauri", *words)[0] == 2
    assert plane.requests == []
