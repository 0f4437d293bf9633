"""Machines measure the way between them, and a gang goes where it is short: real agents on one host."""

import json

import pytest
from network import job_file, until

pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def network(sandboxed, make_network):
    network = make_network()
    network.person("ada", "tenant", usd=50)
    return network


def sites(network):
    return {row["name"]: row["site"] for row in network.rows("SELECT name, site FROM machine")}


def test_machines_of_one_owner_that_reach_each_other_are_a_site_and_a_gang_goes_there(network):
    # two strangers, cheaper than the two that stand together
    for name, owner, price in (("lone-a", "olga", "0.05"), ("lone-b", "oleg", "0.05")):
        network.join(name, owner=owner, price=price)
    for name in ("near-a", "near-b"):
        network.join(name, owner="nina", price="0.06")
    until(
        lambda: sites(network)["near-a"] and sites(network)["near-a"] == sites(network)["near-b"],
        what="a site", note=network.logs,
    )  # fmt: skip
    assert sites(network)["lone-a"] == sites(network)["lone-b"] == "", "strangers are not measured"
    (pair,) = network.rows("SELECT * FROM machine_pair")
    assert 0 < pair["round_trip_seconds"] < 0.5
    assert pair["up_bits_per_second"] > 1e8

    ada = network.people["ada"]
    file = job_file(network.folder, "gang", "num_nodes: 2\nrun: echo $SKYPILOT_NODE_RANK\n")
    done = ada.cli("launch", "--yes", file)
    assert done.returncode == 0, done.stderr + network.logs()
    names = {lease.machine for lease in ada.client.jobs.get("gang").leases}
    assert names == {"near-a", "near-b"}
    single = ada.cli("launch", "--yes", job_file(network.folder, "single", "run: echo hi\n"))
    assert single.returncode == 0, single.stderr
    (lease,) = ada.client.jobs.get("single").leases
    assert lease.machine in {"lone-a", "lone-b"}, "one machine has no neighbours: the cheapest"


def test_every_machine_is_measured_to_the_control_plane(network):
    def measured():
        rows = network.rows("SELECT network FROM machine")
        found = [json.loads(row["network"] or "{}") for row in rows]
        return all(
            each.get("up_bits_per_second") and each.get("round_trip_seconds") for each in found
        )

    until(measured, what="round trips and bandwidths", note=network.logs)
    (row,) = network.rows("SELECT network FROM machine WHERE name = 'near-a'")
    found = json.loads(row["network"])
    assert 0 < found["round_trip_seconds"] < 1
    assert min(found["up_bits_per_second"], found["down_bits_per_second"]) > 1e6


def test_an_owner_who_forbids_it_is_not_measured(network):
    for name in ("shy-a", "shy-b"):
        network.join(name, "--peers", "off", owner="sam", price="0.50")
    network.join("near-c", owner="nina", price="0.50")
    until(lambda: sites(network)["near-c"], what="the third of the site", note=network.logs)
    named = {row["id"] for row in network.rows("SELECT id FROM machine WHERE name LIKE 'shy-%'")}
    pairs = network.rows("SELECT low_id, high_id FROM machine_pair")
    assert not named & {each for pair in pairs for each in pair.values()}
    assert sites(network)["shy-a"] == ""
