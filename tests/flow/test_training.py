"""People train one model on machines of owners who do not know each other; one of them lies."""

import subprocess
import sys

import pytest
from network import GONDWANA, LIAR, training_job

pytestmark = [pytest.mark.sandbox, pytest.mark.torch]
HONEST = ("atlas", "birch", "cedar")


@pytest.fixture(scope="module")
def network(sandboxed, make_network):
    network = make_network()
    network.person("ada", "tenant", usd=20)
    agents = [network.join("atlas", owner="olga", price="30", program=GONDWANA, wait=False)]
    agents += [network.join(name, owner=name, price="20", wait=False) for name in HONEST[1:]]
    agents.append(network.join("mirage", owner="mallory", price="5", program=LIAR, wait=False))
    for agent in agents:
        network.await_machine(agent.name, agent=agent)
    return network


@pytest.fixture(scope="module")
def job(network):
    """A training that went through with the liar among its machines."""
    ada = network.people["ada"]
    path = training_job(network.folder, "words", rounds=6, islands={"min": 4, "max": 4},
                        gates={"evaluate_per_round": 2})  # fmt: skip
    done = ada.cli("launch", "--yes", path, seconds=240)
    assert done.returncode == 0, done.stderr + network.logs()
    assert "it writes:" in done.stdout
    return ada.client.jobs.get("words")


def test_the_model_learns(job):
    losses = [done.heldout_loss for done in job.training.history]
    assert job.training.heldout_loss < losses[0] - 0.5
    assert len(losses) == 6
    assert len(job.training.sample) == 20


def test_the_liar_is_rejected_and_suspended_and_no_honest_machine_ever_is(job, network):
    rejected = {lease.machine: lease.units_rejected for lease in job.leases}
    assert rejected.pop("mirage") >= 3
    assert set(rejected.values()) == {0}, [
        (unit["machine"], unit["round"], unit["verdict"], unit["norm"])
        for unit in network.units(job.id)
        if unit["state"] == "rejected"
    ]
    assert network.machine("mirage").state == "suspended"
    assert {network.machine(name).state for name in HONEST} == {"up"}


def test_a_suspended_machine_comes_back_only_by_the_operators_word(job, network):
    mallory = network.people["mallory"]
    assert mallory.cli("provider", "resume", "mirage").returncode == 5
    assert mallory.cli("provider", "reinstate", "mirage").returncode == 3
    machine = network.machine("mirage")
    assert network.operator.cli("provider", "reinstate", machine.id).returncode == 0
    network.await_machine("mirage")
    mallory.cli("provider", "pause", "mirage")


def test_the_downloaded_model_is_valid_safetensors(job, network, tmp_path):
    ada = network.people["ada"]
    assert ada.cli("jobs", "download", "words", "--to", tmp_path).returncode == 0
    (model,) = tmp_path.glob("*.safetensors")
    look = (
        "import sys; from safetensors.numpy import load_file; t = load_file(sys.argv[1]); import numpy as np\n"
        "assert all(np.isfinite(v).all() for v in t.values()); print(sorted((k, v.shape) for k, v in t.items()))"
    )
    done = subprocess.run([sys.executable, "-c", look, model], capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stdout.strip() == "[('0.weight', (256, 16)), ('1.weight', (256, 16))]"


def test_what_the_tenant_paid_is_what_owners_and_network_got(job, network):
    network.audit()
    ada = network.people["ada"]
    assert ada.cli("ledger", "audit").returncode == 0
    account = ada.client.account.balance()
    assert account.escrow_micro_usd == 0
    paid = 20_000_000 - account.available_micro_usd
    assert paid == job.paid_micro_usd == sum(lease.earned_micro_usd for lease in job.leases)
    earned = 0
    for owner in ("olga", "birch", "cedar", "mallory"):
        earnings = network.people[owner].json("provider", "earnings")
        parts = ("holdback", "payable", "evaluations")
        earned += sum(earnings[f"{part}_micro_usd"] for part in parts)
    assert 0.95 * paid < earned < paid  # the rest: fee and verification


def test_the_rounds_are_told_again_later(job, network):
    done = network.people["ada"].cli("jobs", "logs", "words")
    assert "training" in done.stdout
    assert done.returncode == 0
    followed = network.people["ada"].cli("jobs", "logs", "-f", "words")
    assert (followed.returncode, "it writes:" in followed.stdout) == (0, True)
