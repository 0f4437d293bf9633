"""Machines reserved some seconds ahead: others are kept off, the job starts by itself, a lost machine is replaced."""

import time
from datetime import UTC, datetime

import pytest
from network import job_file, until

pytestmark = pytest.mark.sandbox

LATER = """
num_nodes: {nodes}
run: echo began; sleep 1
gondwana: {{starts_at: "{start}", lease_hours: 1, price_cap_usd_per_gpu_hour: 0.25}}
"""


def later(seconds, *, nodes=1):
    """A job that starts so many seconds from now, and when that is."""
    start = time.time() + seconds
    written = datetime.fromtimestamp(start, UTC).isoformat(timespec="milliseconds")
    return LATER.format(start=written, nodes=nodes), start


@pytest.fixture(scope="module")
def network(sandboxed, make_network):
    network = make_network(down_after_seconds=3.0)
    network.person("ada", "tenant", usd=50)
    network.person("ben", "tenant", usd=50)
    agents = [
        network.join(name, price=price, owner=owner, wait=False)
        for name, price, owner in (("atlas", "0.10", "olga"), ("birch", "0.20", "bert"))
    ]
    for agent in agents:
        network.await_machine(agent.name, agent=agent)
    for owner, name in (("olga", "atlas"), ("bert", "birch")):
        person = network.people[owner]
        view = person.json("provider", "price", name, "--reserve", "2h", "--discount", "1h=10%")
        assert view["reserve_seconds_max"] == 7_200
        assert view["discounts"] == [{"seconds": 3_600, "basis_points": 1_000}]
    return network


@pytest.fixture
def ada(network):
    yield network.people["ada"]
    for person in (network.people["ada"], network.people["ben"]):
        for job in person.client.jobs.list():
            person.client.jobs.cancel(job.id)
    network.audit()


def test_a_reserved_machine_is_kept_and_the_job_starts_by_itself(ada, network):
    text, start = later(6)
    path = job_file(network.folder, "later", text)
    plan = ada.cli("plan", path)
    assert "reserved from" in plan.stdout, plan.stdout + plan.stderr
    assert "$0.09" in plan.stdout  # ten percent off for an hour
    done = ada.cli("launch", "--yes", "--detach", path)
    assert done.returncode == 0, done.stderr
    assert "UTC on 1 machine: atlas" in done.stderr
    assert "UTC on 1 machine: atlas" in ada.cli("jobs", "list").stdout
    shown = ada.job("later", state=("admitted",))
    assert [(each.machine, each.state) for each in shown.reserved] == [("atlas", "booked")]
    ben = network.people["ben"]
    clash = ben.cli("launch", "--yes", job_file(network.folder, "clash", later(5, nodes=2)[0]))
    assert clash.returncode == 6
    assert "free for all of that time: 1 of 2 machines" in clash.stderr
    day = job_file(network.folder, "day", "run: echo on $HOSTNAME\ngondwana: {max_duration: 1d}\n")
    assert ben.cli("launch", "--yes", "--detach", day).returncode == 0
    assert [each.machine for each in ben.job("day").leases] == ["birch"]  # the dearer one
    view = ada.job("later", seconds=60)
    assert view.state == "succeeded", network.logs()
    (lease,) = view.leases
    assert (lease.machine, lease.price_micro_usd_per_device_hour) == ("atlas", 90_000)
    assert view.reserved[0].state == "used"
    begun = network.rows("SELECT active_at FROM lease WHERE id = ?", lease.id)[0]["active_at"]
    assert start <= begun < start + 10


def test_a_machine_that_is_switched_off_before_the_start_is_replaced_and_costs_nothing(ada, network):  # fmt: skip
    text, _ = later(6)
    done = ada.cli("launch", "--yes", "--detach", job_file(network.folder, "replaced", text))
    assert done.returncode == 0, done.stderr
    atlas = next(each for each in network.programs if each.name == "atlas")
    atlas.kill()
    view = ada.job("replaced", seconds=60)
    assert view.state == "succeeded", network.logs()
    assert [each.machine for each in view.leases] == ["birch"]
    assert [(each.state, each.kept_micro_usd) for each in view.reserved] == [("broken", 0)]


def test_cancelling_just_before_the_start_pays_the_owner_who_kept_his_machine(ada, network):
    text, _ = later(60)
    before = ada.client.account.balance().available_micro_usd
    done = ada.cli("launch", "--yes", "--detach", job_file(network.folder, "dropped", text))
    assert done.returncode == 0, done.stderr
    assert ada.client.account.balance().available_micro_usd == before - 180_000
    ada.cli("jobs", "cancel", "dropped")
    view = ada.client.jobs.get("dropped")
    assert view.paid_micro_usd == 180_000
    assert ada.client.account.balance().available_micro_usd == before - 180_000
    bert = network.people["bert"]
    until(lambda: bert.client.account.earnings().holdback_micro_usd > 150_000, 10, what="earnings")


def test_an_owner_announces_maintenance_and_the_machine_sells_again_by_itself(ada, network):
    bert = network.people["bert"]
    start, end = (
        datetime.fromtimestamp(time.time() + ahead, UTC).isoformat(timespec="milliseconds")
        for ahead in (0, 8)
    )
    window = bert.json("provider", "maintenance", "birch", "--from", start, "--until", end)
    assert window["state"] == "booked"
    booked = bert.json("provider", "maintenance", "birch")["bookings"]
    assert [each["id"] for each in booked] == [window["id"]]
    clash = bert.cli("provider", "maintenance", "birch", "--from", start, "--until", end)
    assert clash.returncode == 5
    assert window["id"] in clash.stderr
    name = "after-maintenance"
    path = job_file(
        network.folder,
        name,
        "run: echo on\ngondwana: {standing: true, price_cap_usd_per_gpu_hour: 0.25}\n",
    )
    assert ada.cli("launch", "--yes", "--detach", path).returncode == 0
    view = ada.job(name, seconds=60)
    assert view.state == "succeeded", network.logs()
    (lease,) = view.leases
    begun = network.rows("SELECT active_at FROM lease WHERE id = ?", lease.id)[0]["active_at"]
    assert begun >= window["ends_at"]
    soon, later = (
        datetime.fromtimestamp(time.time() + ahead, UTC).isoformat() for ahead in (600, 1_200)
    )
    window = bert.json("provider", "maintenance", "birch", "--from", soon, "--until", later)
    ended = bert.json("provider", "maintenance", "birch", "--cancel", window["id"])
    assert ended["state"] == "cancelled"
    assert bert.cli("provider", "maintenance", "birch", "--from", soon).returncode == 2
