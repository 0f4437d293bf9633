"""A gang is auctioned between three owners: who asks least gets it, and is paid what the dearest asked."""

import pytest
from network import job_file

pytestmark = pytest.mark.sandbox

JOB = """
num_nodes: 2
run: echo node $SKYPILOT_NODE_RANK
gondwana:
  mechanism: auction
  price_cap_usd_per_gpu_hour: 1.00
"""
ASKS = {"rimu": ("ada", "0.10"), "kauri": ("bob", "0.20"), "totara": ("cleo", "0.30")}


@pytest.fixture(scope="module")
def network(sandboxed, make_network):
    network = make_network()
    network.person("tina", "tenant", usd=50)
    for machine, (owner, _) in ASKS.items():
        network.join(machine, owner=owner, price="0.50")
    return network


def test_the_two_cheapest_of_three_bidders_run_a_gang_at_what_the_third_asked(network):
    tina = network.people["tina"]
    launched = tina.cli("launch", "--yes", "--detach", job_file(network.folder, "gang", JOB))
    assert launched.returncode == 0, launched.stderr
    (auction,) = tina.json("orders", "--mine")
    for machine, (owner, ask) in ASKS.items():
        person = network.people[owner]
        (seen,) = person.json("orders")
        assert (seen["id"], seen["fits"], seen["job"]) == (auction["id"], [machine], "")
        bid = person.json("provider", "bid", seen["id"], "--machine", machine, "--price", ask)
        assert bid["state"] == "open"
        assert network.machine(machine).devices_free == 0  # held while the bid stands
    assert tina.client.auctions.get(auction["id"]).bids == 3
    again = ("provider", "bid", auction["id"], "--machine", "rimu", "--price", "0.05")
    refused = network.people["ada"].cli(*again)
    assert refused.returncode == 5  # it bids already
    assert tina.job("gang").state == "succeeded"
    (done,) = tina.json("orders", "--mine")
    prices = {
        row["name"]: row["price"]
        for row in network.rows(
            "SELECT machine.name, price_micro_usd_per_device_hour AS price FROM lease"
            " JOIN machine ON machine.id = lease.machine_id"
        )
    }
    assert prices == {"rimu": 300_000, "kauri": 300_000}
    assert done["state"] in ("matched", "closed")
    ended = {owner: network.people[owner].json("provider", "bids")[0] for owner, _ in ASKS.values()}
    states = {owner: bid["state"] for owner, bid in ended.items()}
    assert states == {"ada": "won", "bob": "won", "cleo": "lost"}
    assert ended["ada"]["price_micro_usd_per_device_hour"] == 300_000
    network.await_free("totara")
    network.audit()
