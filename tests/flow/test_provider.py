"""Owners of machines: pause, price, drain, stop, leave; two agents on one machine do not disturb each other."""

import pytest
from network import QUICK_AGENT, job_file, until

pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def network(sandboxed, make_network):
    network = make_network(down_after_seconds=3.0)
    network.person("ada", "tenant", usd=50)
    network.person("olga", "provider")
    return network


@pytest.fixture
def ada(network):
    ada = network.people["ada"]
    yield ada
    for job in ada.client.jobs.list():
        ada.client.jobs.cancel(job.id)  # what ended stays as it is
    network.audit()


@pytest.fixture
def olga(network):
    return network.people["olga"]


@pytest.fixture
def gpu(network):
    """A machine of olga's, gone after the test."""
    agent = network.join("gpu")
    yield agent
    agent.end()
    network.await_machine("gpu", "down")


def launch(person, network, name, text):
    done = person.cli("launch", "--yes", "--detach", job_file(network.folder, name, text))
    assert done.returncode == 0, done.stderr
    until(lambda: person.client.jobs.read_log(name).data, 30, what="a first line", note=network.logs)  # fmt: skip


def offered(person):
    return {offer.machine for offer in person.client.offers.list()}


def test_a_paused_machine_sells_nothing_and_finishes_what_it_runs(ada, olga, gpu, network):
    launch(ada, network, "running", "run: echo up; until [ -e go ]; do sleep 0.1; done; sleep 1\n")
    assert olga.json("provider", "pause", "gpu")["state"] == "paused"
    assert "gpu" not in offered(ada)
    refused = ada.cli("launch", "--yes", job_file(network.folder, "refused", "run: echo no\n"))
    assert refused.returncode == 6
    assert ada.client.jobs.get("running").state == "running"
    assert olga.cli("provider", "pause", "gpu").returncode == 0  # again: nothing new
    assert olga.json("provider", "resume", "gpu")["state"] == "up"
    assert olga.cli("provider", "resume", "gpu").returncode == 5
    assert "gpu" in offered(ada)
    assert olga.cli("provider", "leave", "gpu").returncode == 5  # it still serves somebody
    ada.cli("jobs", "cancel", "running")


def test_a_new_price_counts_from_the_next_lease_on(ada, olga, gpu, network):
    launch(ada, network, "old-price", "run: echo up; sleep 3600\n")
    done = olga.cli("provider", "price", "gpu", "0.33")
    assert done.returncode == 0, done.stderr
    (lease,) = ada.client.jobs.get("old-price").leases
    assert lease.price_micro_usd_per_device_hour == 100_000
    ada.cli("jobs", "cancel", "old-price")
    assert ada.cli("launch", "--yes", job_file(network.folder, "new-price", "run: echo\n")).returncode == 0  # fmt: skip
    (lease,) = ada.client.jobs.get("new-price").leases
    assert lease.price_micro_usd_per_device_hour == 330_000
    assert olga.cli("provider", "price", "gpu", "-1").returncode == 2
    assert olga.cli("provider", "price", "gpu", "1e9").returncode == 2


def test_show_list_and_earnings_tell_the_same(ada, olga, gpu, network):
    text = "run: echo up; sleep 2\n"
    assert ada.cli("launch", "--yes", job_file(network.folder, "earner", text)).returncode == 0
    shown = olga.json("provider", "show", "gpu")
    listed = {machine["name"]: machine for machine in olga.json("provider", "list")}
    earnings = {each["machine"]: each for each in olga.json("provider", "earnings")["machines"]}
    assert shown["id"] == listed["gpu"]["id"]
    assert shown["earned_micro_usd"] == earnings["gpu"]["earned_micro_usd"] > 0
    for words in (("list",), ("show", "gpu"), ("earnings",)):
        done = olga.cli("provider", *words)
        assert done.returncode == 0, done.stderr
        assert "gpu" in done.stdout
    assert olga.cli("provider", "show", "nobodys").returncode == 4


def test_nobody_else_may_touch_a_machine(gpu, network):
    mallory = network.person("mallory", "provider", "tenant")
    machine = network.machine("gpu")
    for words in (("pause", "gpu"), ("pause", machine.id), ("drain", machine.id), ("leave", machine.id),
                  ("price", machine.id, "0.01"), ("show", machine.id)):  # fmt: skip
        assert mallory.cli("provider", *words).returncode == 4, words
    assert mallory.cli("provider", "list", "--all").returncode == 3
    assert network.machine("gpu").state == "up"


def test_a_drained_machine_finishes_its_job_takes_no_other_and_leaves_for_good(ada, olga, network):
    agent = network.join("drained")
    launch(ada, network, "last", "run: echo up; sleep 1.5; echo end\n")
    assert olga.json("provider", "drain", "drained")["state"] == "draining"
    assert "drained" not in offered(ada)
    assert ada.job("last").state == "succeeded"
    network.await_machine("drained", "left")
    assert olga.cli("provider", "resume", "drained").returncode == 5
    assert agent.interrupt() == 0
    again = network.join("drained", wait=False)
    assert again.process.wait(30) == 5  # left is for good
    assert "left for good" in again.log


def test_a_machine_that_serves_nobody_may_leave_at_once(olga, network):
    agent = network.join("leaver")
    assert olga.json("provider", "leave", "leaver")["state"] == "left"
    assert "leaver" not in offered(network.people["ada"])
    assert olga.cli("provider", "leave", "leaver").returncode == 0  # said twice is said once
    assert olga.cli("provider", "drain", "leaver").returncode == 5
    agent.end()


def test_ctrl_c_finishes_the_running_job_takes_nothing_new_and_ends_well(ada, network):
    agent = network.join("stopped")
    launch(ada, network, "finishing", "run: echo up; sleep 2; echo end\n")
    agent.signal(2)
    network.await_machine("stopped", "draining")
    assert agent.running
    refused = ada.cli("launch", "--yes", job_file(network.folder, "too-late", "run: echo no\n"))
    assert refused.returncode == 6
    assert agent.process.wait(30) == 0, agent.log
    view = ada.job("finishing")
    assert (view.state, ada.cli("jobs", "logs", "finishing").stdout) == ("succeeded", "up\nend\n")
    network.await_machine("stopped", "down")
    network.join("stopped")  # an owner who stops an agent may start it again
    assert ada.cli("launch", "--yes", job_file(network.folder, "back", "run: echo\n")).returncode == 0  # fmt: skip
    network.programs[-1].end()


def test_a_second_ctrl_c_stops_at_once_and_the_job_goes_on_elsewhere(ada, network):
    agent = network.join("hasty")
    launch(ada, network, "moved", "run: echo up; sleep 2; echo end\n")
    agent.signal(2)
    network.await_machine("hasty", "draining")
    agent.signal(2)
    assert agent.process.wait(20) == 0
    other = network.join("other")
    assert ada.job("moved").state == "succeeded"
    assert ada.client.jobs.get("moved").leases[-1].machine == "other"
    other.end()


def test_two_agents_with_one_folder_refuse_each_other(gpu, network):
    second = network.join("second", "--state", network.folder / "agents" / "gpu", wait=False)
    assert second.process.wait(30) == 5
    assert "another agent uses" in second.log
    assert gpu.running


def test_agents_with_folders_of_their_own_share_nothing(ada, gpu, network):
    launch(ada, network, "undisturbed", "run: echo up; sleep 4; echo end\n")
    network.join("gpu-2", price="5")  # a name that begins like the other's
    stranger = network.join("gpu", "--state", network.folder / "agents" / "third", owner="otto")
    key = (network.folder / "agents" / "gpu" / "machine.key").read_bytes()
    assert key != (network.folder / "agents" / "gpu-2" / "machine.key").read_bytes()
    assert ada.job("undisturbed").state == "succeeded"
    (lease,) = ada.client.jobs.get("undisturbed").leases
    assert lease.machine == "gpu"
    stranger.end()
    for program in network.programs:
        if program.name == "gpu-2":
            assert program.interrupt() == 0


def test_a_name_or_key_that_is_taken_is_refused(gpu, network):
    taken = network.join("gpu", "--state", network.folder / "agents" / "fourth", wait=False)
    assert taken.process.wait(30) == 5
    assert "another machine named" in taken.log


def test_joining_needs_a_provider_token_and_a_sane_price(network):
    ada = network.people["ada"]
    command = [*QUICK_AGENT, "provider", "join", network.url, "--name", "never"]
    state = ["--state", str(network.folder / "agents" / "never")]
    unscoped = network.run("unscoped", [*command, *state, "--price", "0.1"], ada.token)
    assert unscoped.process.wait(30) == 3
    tokenless = network.run("tokenless", [*command, *state, "--price", "0.1"])
    assert tokenless.process.wait(30) == 3
    priceless = network.run("priceless", [*command, *state, "--price", "-3"], network.people["olga"].token)  # fmt: skip
    assert priceless.process.wait(30) == 2
    assert network.machine("never") is None
