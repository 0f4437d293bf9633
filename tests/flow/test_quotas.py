"""A quota keeps a job waiting, everybody who asks is told why, and lifting it lets the job run."""

import pytest
from network import job_file, until

pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def network(sandboxed, make_network):
    network = make_network()
    network.person("tina", "tenant", usd=50)
    network.join("rimu", owner="ada")
    network.join("kauri", owner="ada")
    return network


def test_a_job_beyond_a_quota_says_so_until_the_quota_is_lifted(network):
    tina = network.people["tina"]
    path = job_file(network.folder, "waits", "run: echo done\n")
    set_to = tina.json("quota", "set", "--jobs-max", "1")
    assert (set_to["jobs_max"], set_to["set_by_operator"]) == (1, False)
    long = job_file(network.folder, "long", "run: sleep 600\n")
    assert tina.cli("launch", "--yes", "--detach", long).returncode == 0
    until(lambda: tina.client.jobs.get("long").state == "running", what="the first job runs")

    launched = tina.cli("launch", "--yes", "--detach", path)
    assert "it would wait: quota: this account runs 1 jobs at once" in launched.stderr
    until(lambda: tina.json("queue"), what="it waits")
    (waiting,) = tina.json("queue")
    assert (waiting["job"], waiting["place"]) == ("waits", 0)
    assert "runs 1 jobs at once" in waiting["why"]
    assert "runs 1 jobs at once" in tina.json("jobs", "show", "waits")["waits_for"]
    (held,) = tina.json("quota", "list")
    assert (held["jobs_held"], held["devices_held"]) == (1, 1)

    tina.json("quota", "remove")
    assert tina.job("waits").state == "succeeded"
    assert tina.json("queue") == []
    assert tina.json("quota", "list") == []
    tina.json("jobs", "cancel", "long")
    network.audit()


def test_an_operators_quota_stands_beside_the_tenants_and_refuses_what_could_never_run(network):
    tina = network.people["tina"]
    founder = network.operator
    founder.json("quota", "set", "--devices-max", "1", "--principal", "tina")
    path = job_file(network.folder, "pair", "num_nodes: 2\nrun: echo done\n")
    refused = tina.cli("launch", "--yes", path)
    assert refused.returncode == 6
    assert "the job needs 2 devices at once, the quota of this account allows 1" in refused.stderr
    (quota,) = tina.json("quota", "list")
    assert quota["set_by_operator"]
    assert tina.cli("quota", "remove").returncode == 4  # not his to lift
    assert founder.json("quota", "remove", "--principal", "tina")["devices_max"] == 1


def test_nobody_sets_anothers_quota_nor_sees_the_whole_queue_and_a_senseless_quota_is_refused(
    network,
):
    tina = network.people["tina"]
    assert tina.cli("quota", "set", "--jobs-max", "1", "--principal", "ada").returncode == 3
    assert tina.cli("queue", "--all").returncode == 3
    nothing = tina.cli("quota", "set")
    assert nothing.returncode == 2
    assert "--devices-max" in nothing.stderr
    below = tina.cli("quota", "set", "--devices-max", "-1")
    assert below.returncode == 2
    assert "devices_max" in below.stderr
    assert network.operator.json("queue", "--all") == []
