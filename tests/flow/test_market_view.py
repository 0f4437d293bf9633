"""A buyer looks at the market of a served network: filters, a live list, depth that agrees with what is leased."""

import json

import pytest
from network import GONDWANA, job_file, until

pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def network(sandboxed, make_network):
    network = make_network()
    network.person("ada", "tenant", usd=50)
    network.join("atlas", "--region", "eu-west", price="0.10")
    network.join("birch", "--region", "us-east", "--sla", "mixed", price="0.20")
    return network


@pytest.fixture
def ada(network):
    return network.people["ada"]


def counts(ada):
    return {
        each["region"]: (each["devices"], each["rentable"], each["leased"], each["closed"])
        for each in ada.json("prices")
    }


def test_a_buyer_finds_machines_by_what_was_measured_and_agreed(ada):
    found = ada.json(
        "offers", "region=eu-*|us-* steps>0 memory>=1GB price<=0.20", "--sort", "-price"
    )
    assert [offer["machine"] for offer in found] == ["birch", "atlas"]
    assert [offer["machine"] for offer in ada.json("offers", "sla>=mixed")] == ["birch"]
    refused = ada.cli("offers", "dph<=1")
    assert refused.returncode == 2
    assert "did you mean price?" in refused.stderr


def test_what_is_leased_is_no_longer_rentable_and_comes_back(ada, network):
    assert counts(ada) == {"eu-west": (1, 1, 0, 0), "us-east": (1, 1, 0, 0)}
    job = job_file(network.folder, "held", "run: echo up; until [ -e go ]; do sleep 0.1; done\n")
    assert ada.cli("launch", "--yes", "--detach", job).returncode == 0
    until(
        lambda: sum(each[2] for each in counts(ada).values()) == 1,
        what="a lease",
        note=network.logs,
    )
    live = network.rows("SELECT sum(devices) AS n FROM lease WHERE state <> 'closed'")[0]["n"]
    assert live == sum(leased for _, _, leased, _ in counts(ada).values())
    ada.client.jobs.cancel("held")
    until(
        lambda: counts(ada) == {"eu-west": (1, 1, 0, 0), "us-east": (1, 1, 0, 0)},
        what="it to be free",
    )


def test_a_watched_list_tells_a_new_price_and_ends_with_ctrl_c(ada, network):
    watch = network.run(
        "watch", [*GONDWANA, "offers", "machine=atlas", "--watch", "--json"], ada.token
    )
    until(lambda: "new" in watch.log, what="a first look", note=network.logs)
    assert network.people["olga"].cli("provider", "price", "atlas", "0.15").returncode == 0
    until(lambda: "changed" in watch.log, what="the new price", note=network.logs)
    assert watch.interrupt() == 0
    told = [json.loads(line) for line in watch.log.splitlines()]
    prices = [(each["change"], each["offer"]["price_micro_usd_per_device_hour"]) for each in told]
    assert prices == [("new", 100_000), ("changed", 150_000)]


def test_history_is_written_by_the_network_itself(ada, network):
    past = until(
        lambda: list(ada.client.prices.history("CPU", "eu-west")),
        90,
        what="a first price",
        note=network.logs,
    )
    assert past[0].devices == 1
    shown = ada.cli("prices", "--history", "region=eu-west")
    assert shown.returncode == 0
    assert shown.stdout.startswith("CPU in eu-west")
