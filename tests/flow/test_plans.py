"""A plan is made, one is launched and bound, and what it took stands beside it."""

import pytest
from network import GONDWANA, job_file, training_job, until

pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def network(sandboxed, make_network):
    network = make_network()
    network.person("ada", "tenant", usd=50)
    network.join("atlas", "--region", "eu", price="0.10")
    network.join("birch", "--region", "eu", owner="bert", price="0.50")
    return network


@pytest.fixture
def ada(network):
    return network.people["ada"]


def test_plan_launch_and_what_it_took_side_by_side(ada, network):
    job = job_file(network.folder, "short", "run: sleep 3\ngondwana:\n  max_duration: 10m\n")
    plan = ada.json("plan", job)
    assert plan["fits"]
    assert plan["basis"] == "limit"
    assert plan["default"]["machines"] == ["atlas"]
    assert plan["no_comparison"].startswith("no comparison: CPU")
    cheapest = ada.json("plan", "--cheapest", job)
    assert cheapest["cost_micro_usd"] == min(each["cost_micro_usd"] for each in plan["front"])
    done = ada.cli("launch", "--yes", "--cheapest", job)
    assert done.returncode == 0, done.stderr + network.logs()
    view = until(
        lambda: (found := ada.client.jobs.get("short")).predicted.actual_seconds and found,
        what="the comparison",
        note=network.logs,
    )
    told = view.predicted
    assert told.basis == "limit"
    assert 2 < told.actual_seconds < 120
    assert told.actual_machines == 1
    assert told.actual_cost_micro_usd == view.paid_micro_usd
    shown = ada.cli("jobs", "show", "short").stdout
    assert "predicted" in shown
    assert "× the time" in shown
    (accuracy,) = ada.json("plan", "--accuracy")
    assert (accuracy["bucket"], accuracy["jobs"]) == ("CPU", 1)
    again = ada.json("plan", job)
    assert again["basis"] == "measured"
    assert again["default"]["seconds"] < 120


def test_where_nothing_fits_the_plan_says_what_would(ada, network):
    cap = "run: echo\ngondwana:\n  price_cap_usd_per_gpu_hour: 0.05\n"
    job = job_file(network.folder, "poor", cap)
    refused = ada.cli("plan", job)
    assert refused.returncode == 6
    assert "raise the price cap from $0.05 to $0.10 per device-hour" in refused.stdout


@pytest.mark.torch
def test_a_training_that_ran_tells_the_plan_of_the_next_one_how_fast_it_is(sandboxed, make_network):
    network = make_network()
    ada = network.person("ada", "tenant", usd=20)
    names = ("cedar", "drift")
    agents = [
        network.join(name, owner=name, price="20", program=GONDWANA, wait=False) for name in names
    ]
    for name, agent in zip(names, agents, strict=True):
        network.await_machine(name, agent=agent)
    job = training_job(network.folder, "words", rounds=6, islands={"min": 2, "max": 2})
    assert ada.json("plan", job)["basis"] == "window"
    done = ada.cli("launch", "--yes", job, seconds=240)
    assert done.returncode == 0, done.stderr + network.logs()
    told = until(
        lambda: (now := ada.client.jobs.get("words").predicted).actual_seconds and now,
        what="the comparison",
        note=network.logs,
    )
    assert told.actual_step_seconds > 0
    plan = ada.json("plan", job)
    assert plan["basis"] == "measured"
    assert plan["default"]["seconds"] == pytest.approx(told.actual_seconds, rel=1.0)
    assert plan["default"]["step_seconds"] == pytest.approx(told.actual_step_seconds, rel=2.0)
    assert plan["default"]["loss_gap"] is not None
