"""An owner's script is asked in the sandbox: no network, no files of his, ten seconds; a failure is an answer."""

import asyncio
import os

import msgspec
import pytest

from gondwana.agent import pricing
from gondwana.agent.pricing import ask_script, question
from gondwana.core.values import replace
from gondwana.engines.detect import detect
from gondwana.wire.pricing import PolicyKind, PriceFacts, PricePolicy, PricingView

pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def engine():
    found = detect(owner=f"pricing-{os.getpid()}")
    if not found.available:
        pytest.skip(f"NO SANDBOX ON THIS MACHINE: {found.missing}; {found.hint}")
    return found.sandbox()


def view(script, **changes):
    policy = PricePolicy(
        kind=PolicyKind.SCRIPT,
        floor_micro_usd_per_device_hour=100,
        ceiling_micro_usd_per_device_hour=1000,
        script=script,
    )
    facts = PriceFacts(
        price_micro_usd_per_device_hour=500, changed_at=1.0, utilisation_basis_points=2_500, model="H100",
        lowest_competing_micro_usd_per_device_hour=480, answer_error="old",
    )  # fmt: skip
    given = {
        "machine": "kauri",
        "price_micro_usd_per_device_hour": 500,
        "policy": policy,
        "facts": facts,
    }
    return PricingView(**{**given, **changes})


def ask(engine, tmp_path, script):
    return asyncio.run(ask_script(engine, tmp_path / "work", view(script), name="price-test"))


ANSWER = """
import json, sys
q = json.load(sys.stdin)
print("thinking")
print(json.dumps({"price_micro_usd_per_device_hour": %s}))
"""


def test_a_script_is_given_the_question_and_its_last_line_is_the_answer(engine, tmp_path):
    script = ANSWER % 'q["lowest_competing_micro_usd_per_device_hour"] - 1'
    assert ask(engine, tmp_path, script).price_micro_usd_per_device_hour == 479
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("said", [-5, 99, 1001, 10**9, 10**30])
def test_an_answer_out_of_the_range_is_told_as_it_was_said(engine, tmp_path, said):
    assert ask(engine, tmp_path, ANSWER % said).price_micro_usd_per_device_hour == said


@pytest.mark.parametrize(
    ("script", "error"),
    [("raise KeyError('x')", "exited: KeyError: 'x'"), ("print('nothing')", "its last line is no answer"),
     ("", "its last line is no answer"), ("print('x' * 10**6)", "its last line is no answer"),
     ('print(\'{"price_micro_usd_per_device_hour": 1.5}\')', "its last line is no answer"),
     ("import socket; socket.create_connection(('1.1.1.1', 53), 2)", "exited: OSError"),
     ("open('/etc/shadow').read()", "exited: "), ("x = ' ' * (1 << 30)", "")],
)  # fmt: skip
def test_a_script_that_fails_says_how(engine, tmp_path, script, error):
    told = ask(engine, tmp_path, script)
    assert told.price_micro_usd_per_device_hour is None
    assert told.error.startswith(error)
    assert told.error


def test_a_script_that_does_not_end_is_ended(engine, tmp_path, monkeypatch):
    monkeypatch.setattr(pricing, "LIMITS", replace(pricing.LIMITS, seconds_max=1.0))
    assert ask(engine, tmp_path, "while True: pass").error.startswith("out of time")


def test_a_question_says_nothing_of_the_last_answer_and_names_the_range():
    asked = msgspec.json.decode(question(view("")))
    assert asked["floor_micro_usd_per_device_hour"] == 100
    assert asked["utilisation_basis_points"] == 2_500
    assert asked["machine"] == "kauri"
    assert not [name for name in asked if name.startswith("answer")]
