"""Two people bid for one idle machine: who bids more gets it, whoever has to go is told first and goes on later."""

import pytest
from network import job_file, until

pytestmark = pytest.mark.sandbox
SPOT = "gondwana: {{mechanism: spot, price_cap_usd_per_gpu_hour: {cap}, budget_usd: 1}}\n"
PATIENT = r"""
resources: {use_spot: true}
gondwana: {price_cap_usd_per_gpu_hour: 0.10, budget_usd: 1}
run: |
  cd "$GONDWANA_CHECKPOINT"
  if [ -e saved ]; then echo went on from $(cat saved); exit 0; fi
  echo began
  until [ -e "$GONDWANA_NOTICE" ]; do sleep 0.1; done
  cat "$GONDWANA_NOTICE"
  echo 41 > saved
  sleep 600
"""


@pytest.fixture(scope="module")
def network(sandboxed, make_network):
    network = make_network()
    for name in ("ada", "ben"):
        network.person(name, "tenant", usd=5)
    quick = ["sides_min=1", "call_seconds=1", "run_seconds_min=2", "notice_seconds=4"]
    done = network.operator.cli("settings", "set", "spot", *quick)
    assert done.returncode == 0, done.stderr
    network.join("atlas", price="0.40")
    sold = network.people["olga"].json("provider", "price", "atlas", "--spot-floor", "0.05")
    assert sold["spot_floor_micro_usd_per_device_hour"] == 50_000
    return network


def test_a_higher_bid_evicts_with_notice_and_the_evicted_job_goes_on_from_what_it_saved(network):
    ada, ben = network.people["ada"], network.people["ben"]
    low = job_file(network.folder, "low", PATIENT)
    assert ada.cli("launch", "--yes", "--detach", low).returncode == 0
    ada.job("low", state="running")
    until(
        lambda: "began" in ada.cli("jobs", "logs", "low").stdout,
        what="low to begin",
        note=network.logs,
    )

    high = job_file(network.folder, "high", SPOT.format(cap=0.30) + "run: echo mine\n")
    done = ben.cli("launch", "--yes", high)
    assert (done.returncode, done.stdout) == (0, "mine\n"), done.stderr + network.logs()

    went_on = ada.job("low")
    assert went_on.state == "succeeded", network.logs()
    first, second = went_on.leases
    assert (first.reason, second.reason) == ("outbid", "job_done")
    log = ada.cli("jobs", "logs", "low").stdout
    assert "outbid" in log
    assert "went on from 41" in log
    caps = {"low": 100_000, "high": 300_000}
    for person, name in ((ada, "low"), (ben, "high")):
        prices = [
            each.price_micro_usd_per_device_hour for each in person.client.jobs.get(name).leases
        ]
        assert all(50_000 <= each <= caps[name] for each in prices)
    network.audit()

    calls = list(ada.client.prices.spot("CPU", network.machine("atlas").region))
    assert sum(call.evicted for call in calls) == 1
    assert all(50_000 <= call.price_micro_usd <= 300_000 for call in calls)
    told = ben.json("prices")
    assert told[0]["spot_micro_usd"] == calls[-1].price_micro_usd


def test_a_spot_job_that_waits_is_told_the_price_that_keeps_it_out(network):
    ada, ben = network.people["ada"], network.people["ben"]
    runs = job_file(network.folder, "runs", SPOT.format(cap=0.30) + "run: sleep 600\n")
    assert ben.cli("launch", "--yes", "--detach", runs).returncode == 0
    ben.job("runs", state="running")
    waits = job_file(network.folder, "waits", SPOT.format(cap=0.06) + "run: echo\n")
    assert ada.cli("launch", "--yes", "--detach", waits).returncode == 0

    def told():
        return ada.json("jobs", "show", "waits")["waits_for"]

    until(lambda: "its cap" in told(), what="a call that leaves it out", note=network.logs)
    assert told().startswith("a machine on spot: ")
    (queued,) = ada.json("queue")
    assert (queued["job"], queued["place"], queued["mechanism"]) == ("waits", 0, "spot")
    assert "its cap" in queued["why"]
    everybody = network.operator.cli("queue", "--all").stdout
    assert "spot" in everybody
    assert "its cap" in everybody
    for person, name in ((ada, "waits"), (ben, "runs")):
        person.json("jobs", "cancel", name)


def test_a_spot_job_without_a_cap_is_told_what_to_write(network):
    ada = network.people["ada"]
    done = ada.cli(
        "launch",
        "--yes",
        job_file(network.folder, "capless", "resources: {use_spot: true}\nrun: echo\n"),
    )
    assert done.returncode == 2
    assert "price_cap_usd_per_gpu_hour" in done.stderr
