"""Machines die, freeze, have wrong clocks; the control plane is killed: work goes on, nobody pays for nothing."""

import signal
import time

import pytest
from network import HERE, QUICK_AGENT, job_file, training_job, until

pytestmark = [pytest.mark.sandbox, pytest.mark.torch]
MACHINES = {"atlas": "10", "birch": "20", "cedar": "30"}
DOWN_AFTER_SECONDS = 3.0


@pytest.fixture(scope="module")
def network(sandboxed, make_network):
    network = make_network(heartbeat_seconds=0.5, down_after_seconds=DOWN_AFTER_SECONDS)
    network.person("ada", "tenant", usd=500)
    agents = [network.join(name, price=price, wait=False) for name, price in MACHINES.items()]
    for agent in agents:
        network.await_machine(agent.name, agent=agent)
    return network


@pytest.fixture
def ada(network):
    for name in MACHINES:
        network.await_machine(name)
    network.await_free(*MACHINES)
    return network.people["ada"]


def launch(person, path):
    done = person.cli("launch", "--yes", "--detach", path)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def slow_training(network, name, **train):
    """A training whose units take about a second."""
    settings = {"config": {"pause_seconds": 0.05}, "islands": {"min": 2, "max": 2}, **train}
    return training_job(network.folder, name, **settings)


def check_payments(network, job_id):
    """Every accepted unit was paid once, by its price, and no other was paid; the books balance."""
    network.audit()
    for unit in network.units(job_id):
        entries = network.rows(
            "SELECT kind.name AS kind, sum(transfer.amount) AS amount FROM ledger_entry AS entry"
            " JOIN ledger_transfer AS transfer ON transfer.seq - transfer.leg = entry.seq"
            " JOIN ledger_name AS kind ON kind.id = entry.kind"
            " JOIN ledger_name AS subject ON subject.id = entry.subject"
            " WHERE subject.name = ? AND transfer.kind IN (0, 2) GROUP BY entry.seq, kind.name",
            unit["id"],
        )
        paid = [entry["amount"] for entry in entries]
        wanted = [unit["price_micro_usd"]] if unit["state"] == "accepted" else []
        assert paid == wanted, (unit["kind"], unit["state"], entries)


def at_work(network, job_id, machine=None, kind="train", *, round_least=1):
    """A unit that a machine works on right now."""
    for unit in network.units(job_id):
        busy = unit["state"] == "assigned" and unit["kind"] == kind and unit["round"] >= round_least
        if busy and machine in (None, unit["machine"]):
            return unit
    return None


def test_a_machine_killed_in_the_middle_of_a_unit_is_not_paid_for_it_and_can_come_back(
    ada, network
):
    agents = {program.name: program for program in network.programs}
    job_id = launch(ada, slow_training(network, "killed", rounds=5))
    unit = until(lambda: at_work(network, job_id), 60, what="a unit in round 1", note=network.logs)
    agents[unit["machine"]].kill()
    view = ada.job(job_id, seconds=120)
    assert view.state == "succeeded", network.logs()
    lost = next(each for each in network.units(job_id) if each["id"] == unit["id"])
    assert lost["state"] == "expired"
    (lease,) = [lease for lease in view.leases if lease.machine == unit["machine"]]
    assert lease.reason == "machine_lost"
    assert len(view.leases) == 3  # the third machine took its place
    check_payments(network, job_id)
    network.join(unit["machine"], price=MACHINES[unit["machine"]])
    done = ada.cli("launch", "--yes", job_file(network.folder, "all", "num_nodes: 3\nrun: echo up\n"))  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_frozen_machine_loses_its_lease_and_its_late_words_count_for_nothing(ada, network):
    text = "run: echo from $GONDWANA_RUN_ID; for i in 1 2 3 4; do sleep 0.5; done; echo end\n"
    agents = {program.name: program for program in network.programs}
    job_id = launch(ada, job_file(network.folder, "frozen", text))
    until(lambda: b"from" in ada.client.jobs.read_log(job_id).data, 30, note=network.logs)
    started = time.monotonic()
    (lease,) = ada.client.jobs.get(job_id).leases
    agents[lease.machine].signal(signal.SIGSTOP)
    served = time.monotonic() - started
    network.await_machine(lease.machine, "down")
    view = ada.job(job_id)
    assert view.state == "succeeded", network.logs()
    agents[lease.machine].signal(signal.SIGCONT)
    network.await_machine(lease.machine)
    network.await_free(*MACHINES)
    after = ada.client.jobs.get(job_id)
    assert (after.ended_at, after.paid_micro_usd) == (view.ended_at, view.paid_micro_usd)
    old, new = sorted(after.leases, key=lambda each: each.machine != lease.machine)
    assert (old.reason, old.run_state) == ("machine_lost", "lost")
    assert old.seconds_proven <= served + 2  # silence is not paid
    assert (new.run_state, new.exit_code) == ("exited", 0)
    printed = ada.cli("jobs", "logs", job_id).stdout.split("\n")
    assert printed.count("end") == 1
    network.audit()
    text = "num_nodes: 3\nrun: echo up\n"
    assert ada.cli("launch", "--yes", job_file(network.folder, "thawed", text)).returncode == 0


def test_a_batch_job_goes_on_through_a_long_absence_of_the_control_plane(ada, network):
    text = "run: for i in 1 2 3 4 5 6 7 8 9 10; do echo $i; sleep 0.6; done\n"
    job_id = launch(ada, job_file(network.folder, "counter", text))
    until(lambda: b"2\n" in ada.client.jobs.read_log(job_id).data, 30, note=network.logs)
    network.plane.kill()
    killed_at = time.monotonic()
    until(
        lambda: time.monotonic() - killed_at > DOWN_AFTER_SECONDS + 1
    )  # longer than silence lasts
    network.start()
    assert ada.job(job_id).state == "succeeded"
    (lease,) = ada.client.jobs.get(job_id).leases  # nobody took the restart for the machines' death
    assert lease.run_state == "exited"
    assert ada.cli("jobs", "logs", job_id).stdout.split() == [str(n + 1) for n in range(10)]
    network.audit()


def test_a_control_plane_killed_again_and_again_finishes_the_job_and_pays_nothing_twice(
    ada, network
):
    job_id = launch(ada, slow_training(network, "survivor", rounds=4))
    for kind, least in (("init", 0), ("train", 1), ("evaluate", 1), ("train", 2)):
        until(
            lambda kind=kind, least=least: (
                at_work(network, job_id, kind=kind, round_least=least)
                or _round(network, job_id) > least
            ),
            60, what=f"a unit of {kind}", note=network.logs,
        )  # fmt: skip
        network.plane.kill()
        network.start()
    view = ada.job(job_id, seconds=120)
    assert view.state == "succeeded", network.logs()
    assert view.training is not None
    assert len(view.training.history) == 4
    check_payments(network, job_id)
    accepted = [unit for unit in network.units(job_id) if unit["state"] == "accepted"]
    assert view.paid_micro_usd == sum(unit["price_micro_usd"] for unit in accepted)


def test_a_control_plane_that_a_library_crashes_says_where_and_starts_again(make_network):
    network = make_network()
    network.plane.signal(signal.SIGSEGV)
    assert network.plane.process.wait(10) == -signal.SIGSEGV
    assert "Fatal Python error: Segmentation fault" in network.plane.log
    assert "in serve_news" in network.plane.log  # each thread tells where it was
    assert f"plane, ended with {-signal.SIGSEGV}" in network.logs()
    network.start()
    assert network.operator.client.healthy()


def test_a_gang_that_lost_a_machine_gets_just_that_one_replaced(ada, network):
    agents = {program.name: program for program in network.programs}
    text = (
        "num_nodes: 2\nrun: echo node $SKYPILOT_NODE_RANK;"
        " for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 0.5; done; echo end\n"
    )
    job_id = launch(ada, job_file(network.folder, "lossy", text))
    until(lambda: ada.client.jobs.read_log(job_id, rank=1).data, 30, note=network.logs)
    (lost,) = [lease for lease in ada.client.jobs.get(job_id).leases if lease.rank == 1]
    agents[lost.machine].kill()
    view = ada.job(job_id)
    assert view.state == "succeeded", network.logs()
    assert sorted((lease.rank, lease.run_state) for lease in view.leases) == [
        (0, "exited"), (1, "exited"), (1, "lost"),
    ]  # fmt: skip
    assert len({lease.machine for lease in view.leases}) == 3
    assert ada.cli("jobs", "logs", job_id).stdout == "node 0\nend\n"
    network.audit()
    network.join(lost.machine, price=MACHINES[lost.machine])


def test_an_agent_that_is_killed_and_back_at_once_does_its_job_anew(ada, network):
    agents = {program.name: program for program in network.programs}
    text = "run: echo begin; for i in 1 2 3 4; do sleep 0.5; done; echo end\n"
    job_id = launch(ada, job_file(network.folder, "again", text))
    until(lambda: ada.client.jobs.read_log(job_id).data, 30, note=network.logs)
    (lease,) = ada.client.jobs.get(job_id).leases
    agents[lease.machine].kill()
    network.join(lease.machine, price=MACHINES[lease.machine], wait=False)
    view = ada.job(job_id)
    assert view.state == "succeeded", network.logs()
    assert [each.run_state for each in view.leases].count("exited") == 1
    assert ada.cli("jobs", "logs", job_id).stdout.endswith("begin\nend\n")
    network.audit()


def test_a_machine_whose_clock_is_a_day_off_earns_what_others_earn(ada, network):
    wrong = network.join("yesterday", owner="otto", price="1", program=QUICK_AGENT,
                         PYTHONPATH=str(HERE / "programs" / "wrong_clock"))  # fmt: skip
    assert "wrong by" in wrong.log
    text = "run: sleep 3\ngondwana: {price_cap_usd_per_gpu_hour: 1}\n"
    began = time.monotonic()
    done = ada.cli("launch", "--yes", job_file(network.folder, "clock", text))
    took = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    view = ada.client.jobs.get("clock")
    (lease,) = view.leases
    assert lease.machine == "yesterday"
    assert 1 <= lease.seconds_proven <= took
    assert view.paid_micro_usd == lease.seconds_proven * 1_000_000 // 3600
    assert abs(network.machine("yesterday").proven_at - time.time()) < 60
    network.audit()
    assert wrong.interrupt() == 0


def _round(network, job_id):
    found = network.rows("SELECT round FROM training WHERE job_id = ?", job_id)
    return found[0]["round"] if found else 0
