"""An owner's script sets the price of his machine."""

import pytest
from network import until

pytestmark = pytest.mark.sandbox
SCRIPT = """
import json, sys
told = json.load(sys.stdin)
print(json.dumps({"price_micro_usd_per_device_hour": told["lowest_competing_micro_usd_per_device_hour"] + 7}))
"""


def test_an_owners_script_sets_the_price_of_his_machine(sandboxed, make_network):
    network = make_network()
    network.join("atlas", "--region", "eu", price="0.10")
    network.join("birch", "--region", "eu", owner="bert", price="0.50")
    path = network.folder / "price.py"
    path.write_text(SCRIPT)
    bert = network.people["bert"]
    limits = ("--floor", "0.01", "--ceiling", "1", "--every", "60s", "--step", "50%")
    stated = bert.cli("provider", "price", "birch", "--policy", "script", "--script", path, *limits)
    assert stated.returncode == 0, stated.stderr
    price = until(
        lambda: (now := bert.client.machines.pricing("birch")).reason and now,
        150,
        what="the script's price",
        note=network.logs,
    )
    assert price.facts.answer_micro_usd_per_device_hour == 100_007
    assert price.price_micro_usd_per_device_hour == 250_000
    assert price.reason == "your script said $0.100007, at most 50 % at once"
