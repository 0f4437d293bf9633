"""Disks that fill up: the control plane's and an agent's. A clear word, nothing lost, and on it goes with room."""

import subprocess

import pytest
from network import job_file, training_job, until

from gondwana.core.errors import StorageFull
from gondwana.core.units import MIB

pytestmark = pytest.mark.sandbox
JOBS_MAX = 100  # of a quarter of a megabyte each: far more than the log of the database may keep


@pytest.fixture(scope="module")
def mount(tmp_path_factory):
    """Mounts small disks that go away with the module."""
    mounted = []

    def mount(folder, size_bytes):
        folder.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"NO SMALL DISK CAN BE MOUNTED HERE, its tests did not run: {done.stderr}")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder, *, leave_bytes=0):
    """Take all the room that is left; the file to remove."""
    path = folder / "junk"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(64 * 1024))
        except OSError:
            pass
        file.truncate(max(0, file.tell() - leave_bytes))
    return path


@pytest.fixture(scope="module")
def network(sandboxed, mount, make_network):
    network = make_network(prepare=lambda network: mount(network.data, 24 * MIB))
    network.person("ada", "tenant", usd=50)
    network.join("atlas")
    return network


def _launch_until_refused(network, person):
    """How many jobs were taken, and what was said of the next: there is room in the database's log for some."""
    padding = "x" * 250_000
    for number in range(JOBS_MAX):
        text = f"run: echo full\nenvs: {{PADDING: {padding}}}\n"
        path = job_file(network.folder, f"full-{number}", text)
        told = person.cli("launch", "--yes", "--detach", path)
        if told.returncode:
            return number, told
    raise AssertionError(f"{JOBS_MAX} jobs were taken without room for them")


def test_a_control_plane_without_room_says_so_and_goes_on_when_there_is_some(network):
    ada = network.people["ada"]
    junk = fill(network.data)
    with pytest.raises(StorageFull):
        ada.client.blobs.put(bytes(range(256)) * 4096)
    launched, told = _launch_until_refused(network, ada)
    assert told.returncode == 7, (told.returncode, told.stderr)
    assert "room" in told.stderr
    assert "Traceback" not in told.stderr
    assert len(list(ada.client.jobs.list())) == launched  # reading still works
    junk.unlink()
    done = ada.cli("launch", "--yes", job_file(network.folder, "room", "run: echo room again\n"))
    assert (done.returncode, done.stdout) == (0, "room again\n"), done.stderr
    assert network.plane.running
    network.audit()


@pytest.mark.torch
def test_a_training_waits_for_room_on_the_control_plane_and_then_ends_well(network):
    ada = network.people["ada"]
    path = training_job(network.folder, "waits", rounds=4, config={"pause_seconds": 0.02})
    job = ada.cli("launch", "--yes", "--detach", path).stdout.strip()
    until(lambda: _rounds(ada, job) >= 1, 60, what="a round", note=network.logs)
    before = len(network.plane.log)
    junk = fill(network.data)
    until(
        lambda: "room" in network.plane.log[before:],
        60, what="a word on the disk", note=network.logs,
    )  # fmt: skip
    junk.unlink()
    view = ada.job(job, seconds=150)
    assert view.state == "succeeded", (view.detail, network.logs())
    assert len(view.training.history) == 4
    network.audit()


@pytest.mark.parametrize("fetches", [True, False], ids=["files to fetch", "nothing to fetch"])
def test_a_machine_without_room_fails_no_job_it_goes_elsewhere(fetches, network, mount):
    ada = network.people["ada"]
    name = "cramped" if fetches else "tight"
    state = mount(network.folder / "agents" / name, 4 * MIB)
    agent = network.join(name, price="0.01")  # the cheapest: it is asked first
    junk = fill(state)
    job = job_file(network.folder, f"moved-from-{name}", "run: echo done\n")
    (job.parent / "code").mkdir(exist_ok=True)
    (job.parent / "code" / "file").write_text("something to fetch")
    if fetches:
        job.write_text(job.read_text() + "workdir: code\n")
    done = ada.cli("launch", "--yes", job, seconds=60)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr + network.logs()
    leases = {lease.machine: lease for lease in ada.client.jobs.get(job.stem).leases}
    assert set(leases) == {name, "atlas"}
    assert leases[name].reason == "run_failed"
    assert leases[name].earned_micro_usd == 0
    assert agent.running
    junk.unlink()
    network.await_machine(name)
    assert agent.interrupt() == 0


def _rounds(person, job):
    view = person.client.jobs.get(job)
    return len(view.training.history) if view.training else 0
