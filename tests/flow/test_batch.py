"""People run batch jobs on other people's machines."""

import json
import tarfile

import psutil
import pytest
import urllib3
from network import GONDWANA, job_file, until

from gondwana.core.errors import Exhausted

pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def network(sandboxed, make_network):
    network = make_network()
    network.person("ada", "tenant", usd=50)
    prices = {"atlas": "0.10", "birch": "0.20"}
    for agent in [network.join(name, price=price, wait=False) for name, price in prices.items()]:
        network.await_machine(agent.name, agent=agent)
    return network


@pytest.fixture
def ada(network):
    yield network.people["ada"]
    network.audit()
    network.await_free("atlas", "birch")


def test_a_job_prints_on_the_terminal_and_succeeds(ada, network):
    path = job_file(network.folder, "echo", "run: echo hello; echo oops >&2\n")
    done = ada.cli("launch", "--yes", path)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split()) == ["hello", "oops"]
    view = ada.client.jobs.get("echo")
    assert (view.state, view.exit_code) == ("succeeded", 0)
    assert [lease.machine for lease in view.leases] == ["atlas"]  # the cheaper one


def test_a_failing_job_ends_every_command_with_its_own_code(ada, network):
    path = job_file(network.folder, "fails", "run: echo before; exit 42\n")
    assert ada.cli("launch", "--yes", path).returncode == 42
    assert ada.cli("jobs", "wait", "fails").returncode == 42
    followed = ada.cli("jobs", "logs", "-f", "fails")
    assert (followed.returncode, followed.stdout) == (42, "before\n")
    assert ada.client.jobs.get("fails").reason == "exit_code"


def test_a_failing_set_up_ends_the_job_with_its_code_before_the_command(ada, network):
    path = job_file(network.folder, "setup-fails", "setup: exit 9\nrun: echo never\n")
    done = ada.cli("launch", "--yes", path)
    assert (done.returncode, done.stdout) == (9, "")


def test_output_comes_while_the_job_runs_and_cancel_stops_it(ada, network):
    before = ada.client.account.balance()
    path = job_file(network.folder, "long", "run: echo started; sleep 3600\n")
    assert ada.cli("launch", "--yes", "--detach", path).returncode == 0
    until(lambda: ada.client.jobs.read_log("long").data == b"started\n", 30, note=network.logs)
    assert ada.client.jobs.get("long").state == "running"
    assert ada.cli("jobs", "cancel", "long").returncode == 0
    view = ada.client.jobs.get("long")
    assert (view.state, view.reason) == ("cancelled", "cancelled")
    assert ada.cli("jobs", "wait", "long").returncode == 130
    after = ada.client.account.balance()
    assert after.escrow_micro_usd == before.escrow_micro_usd
    assert before.available_micro_usd - after.available_micro_usd == view.paid_micro_usd
    assert ada.cli("jobs", "cancel", "long").returncode == 0  # again: changes nothing
    assert ada.client.jobs.get("long").ended_at == view.ended_at


def test_ctrl_c_stops_following_and_leaves_the_job_running(ada, network):
    path = job_file(network.folder, "left-alone", "run: echo up; sleep 3600\n")
    command = [*GONDWANA, "launch", "--yes", str(path)]
    following = network.run("following", command, ada.token)
    until(lambda: "up\n" in following.log, 30, what="its first line", note=network.logs)
    assert following.interrupt() == 130
    assert "the job goes on" in following.log
    assert ada.client.jobs.get("left-alone").state == "running"
    ada.client.jobs.cancel("left-alone")


def test_a_cancelled_job_leaves_no_process_behind(ada, network):
    path = job_file(network.folder, "sleeper", "run: echo up; sleep 31459\n")
    ada.cli("launch", "--yes", "--detach", path)
    until(lambda: ada.client.jobs.read_log("sleeper").data, 30, note=network.logs)
    assert _processes("31459")
    ada.client.jobs.cancel("sleeper")
    until(lambda: not _processes("31459"), 20, what="the sleeper's end", note=network.logs)


def test_files_variables_and_set_up_reach_the_job_and_outputs_come_back(ada, network, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "table.csv").write_text("1,2\n")
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "main.sh").write_text(
        "cat ~/tables/table.csv; cat made\necho $COLOUR > $GONDWANA_OUTPUT/colour.txt\n"
    )
    path = tmp_path / "files.yaml"
    path.write_text(
        "name: files\nworkdir: code\nenvs: {COLOUR: 'blue $HOME \"x\"'}\n"
        "file_mounts: {~/tables: data}\nsetup: echo set-up-$COLOUR > made\nrun: bash main.sh\n"
    )
    done = ada.cli("launch", "--yes", path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == '1,2\nset-up-blue $HOME "x"\n'
    assert ada.cli("jobs", "download", "files", "--to", tmp_path / "out").returncode == 0
    (archive,) = (tmp_path / "out").iterdir()
    with tarfile.open(archive) as tar:
        (member,) = [each for each in tar if each.isfile()]
        assert tar.extractfile(member).read() == b'blue $HOME "x"\n'
    again = ada.cli("jobs", "download", "files", "--to", tmp_path / "out")
    assert again.returncode == 5  # nothing is overwritten unasked


def test_a_gang_gets_its_ranks_and_addresses(ada, network):
    text = (
        'num_nodes: 2\nrun: echo "$SKYPILOT_NODE_RANK of $SKYPILOT_NUM_NODES:" $SKYPILOT_NODE_IPS\n'
    )
    done = ada.cli("launch", "--yes", job_file(network.folder, "gang", text))
    assert done.returncode == 0, done.stderr
    printed = [ada.cli("jobs", "logs", "gang", "--rank", rank).stdout for rank in ("0", "1")]
    assert printed == [f"{rank} of 2: 127.0.0.1 127.0.0.1\n" for rank in (0, 1)]
    assert {lease.machine for lease in ada.client.jobs.get("gang").leases} == {"atlas", "birch"}


def test_one_failing_node_ends_the_whole_gang(ada, network):
    text = "num_nodes: 2\nrun: if [ $SKYPILOT_NODE_RANK = 1 ]; then exit 6; fi; sleep 3600\n"
    done = ada.cli("launch", "--yes", job_file(network.folder, "half", text))
    assert done.returncode == 6


def test_a_gang_that_is_too_large_is_refused_and_told_why(ada, network):
    path = job_file(network.folder, "three", "num_nodes: 3\nrun: echo never\n")
    done = ada.cli("launch", "--yes", path)
    assert done.returncode == 6
    assert "needs 3 machines at once, 2 fit" in done.stderr
    assert "three" not in {job.name for job in ada.client.jobs.list()}


def test_a_price_cap_below_the_cheapest_is_refused_and_names_the_cheapest(ada, network):
    text = "run: echo never\ngondwana: {price_cap_usd_per_gpu_hour: 0.05}\n"
    path = job_file(network.folder, "cheap", text)
    done = ada.cli("launch", "--yes", path)
    assert done.returncode == 6
    assert "price at most $0.05" in done.stderr
    assert "$0.10" in done.stderr
    planned = ada.cli("plan", path, "--json")
    assert planned.returncode == 6
    assert not json.loads(planned.stdout)["fits"]


def test_a_job_waits_for_a_machine_that_is_taken(ada, network):
    text = "run: sleep 3600\ngondwana: {price_cap_usd_per_gpu_hour: 0.15}\n"
    ada.cli("launch", "--yes", "--detach", job_file(network.folder, "first", text))
    ada.job("first", state="running")
    text = "run: echo mine\ngondwana: {price_cap_usd_per_gpu_hour: 0.15}\n"
    path = job_file(network.folder, "second", text)
    refused = ada.cli("launch", "--yes", "--now", path)
    assert refused.returncode == 6
    assert "taken" in refused.stderr
    planned = ada.cli("plan", path)
    assert planned.returncode == 6
    assert "not now: launched, it waits" in planned.stdout
    waits = ada.cli("launch", "--yes", "--detach", path)
    assert waits.returncode == 0, waits.stderr
    assert ada.client.jobs.get("second").state == "admitted"
    ada.client.jobs.cancel("first")
    assert ada.job("second").state == "succeeded"


def test_the_same_submission_sent_twice_is_one_job(ada, network):
    body = json.dumps({"name": "once", "run": "echo once"}).encode()
    headers = {"Authorization": f"Bearer {ada.token}", "Idempotency-Key": "once-and-only",
               "Content-Type": "application/json"}  # fmt: skip
    pool = urllib3.PoolManager()
    answers = [
        pool.request("POST", f"{network.url}/v1/jobs", body=body, headers=headers) for _ in range(2)
    ]
    assert [answer.status for answer in answers] == [200, 200]
    assert answers[0].data == answers[1].data
    other = pool.request("POST", f"{network.url}/v1/jobs", body=body + b" ", headers=headers)
    assert (other.status, json.loads(other.data)["code"]) == (409, "idempotency_conflict")
    pool.clear()
    assert [job.name for job in ada.client.jobs.list()].count("once") == 1
    ada.job("once")


def test_a_job_over_its_time_is_stopped_and_says_so(ada, network):
    text = "run: sleep 3600\ngondwana: {max_duration: 1s}\n"
    done = ada.cli("launch", "--yes", job_file(network.folder, "slow", text))
    assert done.returncode != 0
    view = ada.client.jobs.get("slow")
    assert (view.reason, "out of time" in view.detail) == ("limit_broken", True)


def test_a_job_stops_when_its_budget_is_used_up_and_costs_no_more(ada, network):
    network.join("dear", price="72", owner="rich")  # $0.02 a second
    text = "num_nodes: 3\nrun: sleep 3600\ngondwana: {budget_usd: 0.5}\n"
    done = ada.cli("launch", "--yes", job_file(network.folder, "spender", text))
    assert done.returncode == 1
    view = ada.client.jobs.get("spender")
    assert (view.state, view.reason) == ("failed", "funds_gone")
    assert 0 < view.paid_micro_usd <= 500_000
    account = ada.client.account.balance()
    assert account.escrow_micro_usd == 0
    network.people["rich"].cli("provider", "pause", "dear")


def test_an_empty_account_launches_nothing(ada, network):
    poor = network.person("poor", "tenant")
    done = poor.cli("launch", "--yes", job_file(network.folder, "poor", "run: echo never\n"))
    assert done.returncode == 6
    assert "set aside" in done.stderr
    assert list(poor.client.jobs.list()) == []
    with pytest.raises(Exhausted):
        poor.client.jobs.submit(_spec(poor, job_file(network.folder, "poor", "run: echo no\n")))


def _spec(person, path):
    from gondwana.cli.prepare import prepare
    from gondwana.sdk.jobfile import read_job_file

    prepared = prepare(read_job_file(path))
    for data in prepared.blobs.values():
        person.client.blobs.put(data)
    return prepared.spec


def _processes(word):
    return [
        each for each in psutil.process_iter(["cmdline"]) if word in (each.info["cmdline"] or ())
    ]
