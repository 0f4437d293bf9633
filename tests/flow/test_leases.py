"""A machine is taken back in the middle of a job: it goes on elsewhere from what it saved, under its price cap."""

import json

import pytest
from network import job_file, until

pytestmark = pytest.mark.sandbox

COUNT = """
run: |
  saved=$GONDWANA_CHECKPOINT/count
  n=$(cat $saved 2>/dev/null || echo 0)
  echo from $n
  {prepare}
  while [ $n -lt 400 ] && ! {told}; do
    n=$((n + 1)); echo $n > $saved.new; mv $saved.new $saved; echo $n
    sleep 0.02
    if [ -e enough ] || [ $n -ge $LAST ]; then echo done; exit 0; fi
  done
  echo saved $n; exit 75
envs: {{LAST: "{last}"}}
gondwana: {{price_cap_usd_per_gpu_hour: 0.25, notice_hours_min: {notice}{more}}}
"""


def counting(*, by_signal=False, last=400, notice=0, more=""):
    """A job that counts to a number, and stops on notice: told by SIGTERM, or by the file."""
    prepare, told = (
        ("stop=0; trap 'stop=1' TERM", "[ $stop = 1 ]")
        if by_signal
        else ("true", "[ -e $GONDWANA_NOTICE ]")
    )
    return COUNT.format(prepare=prepare, told=told, last=last, notice=notice, more=more)


@pytest.fixture(scope="module")
def network(sandboxed, make_network):
    network = make_network(down_after_seconds=3.0)
    network.person("ada", "tenant", usd=50)
    agents = [
        network.join(name, price=price, owner=owner, wait=False)
        for name, price, owner in (
            ("atlas", "0.10", "olga"), ("birch", "0.20", "bert"), ("cedar", "0.30", "carl"),
        )
    ]  # fmt: skip
    for agent in agents:
        network.await_machine(agent.name, agent=agent)
    return network


@pytest.fixture
def ada(network):
    ada = network.people["ada"]
    yield ada
    for job in ada.client.jobs.list():
        ada.client.jobs.cancel(job.id)
    network.audit()


def launch(ada, network, name, text):
    done = ada.cli("launch", "--yes", "--detach", job_file(network.folder, name, text))
    assert done.returncode == 0, done.stderr


def words(ada, name):
    return ada.cli("jobs", "logs", name).stdout.split()


def await_count(ada, network, name, least):
    def counted():
        return any(word.isdecimal() and int(word) >= least for word in words(ada, name))

    until(counted, 60, what=f"{name} to count to {least}", note=network.logs)


def check_count(ada, name, last):
    """Every number once and in order, over all attempts; it ended by itself at the last."""
    found = words(ada, name)
    counted = [int(word) for word, before in zip(found[1:], found, strict=False)
               if word.isdecimal() and before not in ("from", "saved")]  # fmt: skip
    assert counted == list(range(1, last + 1))
    assert found[-1] == "done"


def test_a_job_goes_on_at_another_owners_machine_from_where_sigterm_stopped_it(ada, network):
    launch(ada, network, "by-signal", counting(by_signal=True, last=120))
    await_count(ada, network, "by-signal", 20)
    olga = network.people["olga"]
    (noticed,) = olga.json("provider", "reclaim", "atlas")["leases"]
    assert (noticed["state"], noticed["notice_seconds"]) == ("reclaiming", 0)
    view = ada.job("by-signal", seconds=120)
    assert view.state == "succeeded", network.logs()
    first, second = view.leases
    assert (first.machine, first.reason) == ("atlas", "owner_left")  # no notice was agreed
    assert (second.machine, second.price_micro_usd_per_device_hour) == ("birch", 200_000)
    check_count(ada, "by-signal", 120)
    assert olga.json("provider", "show", "atlas")["state"] == "paused"  # it sells nothing new
    olga.json("provider", "resume", "atlas")


def test_an_agreed_notice_is_read_from_its_file_and_the_end_is_nobodys_fault(ada, network):
    olga, bert = network.people["olga"], network.people["bert"]
    assert olga.json("provider", "price", "atlas", "--notice", "1h")["notice_seconds"] == 3_600
    refused = ada.cli("launch", "--yes", job_file(network.folder, "picky", counting(notice=2)))
    assert refused.returncode == 6
    assert "2 h 00 min of notice" in refused.stderr
    assert bert.json("provider", "price", "birch", "0.20", "--notice", "2h")["notice_seconds"]
    launch(ada, network, "by-file", counting(last=120, notice=1))
    await_count(ada, network, "by-file", 20)
    (lease,) = olga.json("provider", "leases", "atlas")["leases"]
    assert lease["notice_seconds"] == 3_600
    noticed = olga.json("provider", "reclaim", lease["id"])
    assert noticed["reclaim_at"] > lease["active_at"] + 3_500
    again = olga.json("provider", "reclaim", lease["id"])
    assert again["reclaim_at"] == noticed["reclaim_at"]
    view = ada.job("by-file", seconds=120)
    assert view.state == "succeeded", network.logs()
    assert [(each.machine, each.reason) for each in view.leases] == [
        ("atlas", "reclaimed"), ("birch", "job_done"),
    ]  # fmt: skip
    check_count(ada, "by-file", 120)
    olga.json("provider", "resume", "atlas")


def test_a_machine_that_is_lost_costs_no_more_than_what_was_not_saved_yet(ada, network):
    launch(ada, network, "lost", counting(last=400))
    await_count(ada, network, "lost", 100)
    agent = next(each for each in network.programs if each.name == "atlas")
    rows = "SELECT checkpoint FROM run WHERE checkpoint IS NOT NULL AND job_id = ?"
    job = ada.client.jobs.get("lost")
    until(lambda: network.rows(rows, job.id), 30, what="a checkpoint", note=network.logs)
    agent.kill()
    view = ada.job("lost", seconds=120)
    assert view.state == "succeeded", network.logs()
    assert [each.machine for each in view.leases] == ["atlas", "birch"]
    found = words(ada, "lost")
    starts = [int(word) for word, before in zip(found[1:], found, strict=False) if before == "from"]
    assert starts[0] == 0
    assert starts[1] > 0  # not from the beginning


def test_only_the_owner_may_take_a_machine_back(ada, network):
    bert = network.people["bert"]
    atlas = network.machine("atlas")
    for what in ("atlas", atlas.id):
        assert bert.cli("provider", "reclaim", what).returncode == 4
        assert bert.cli("provider", "leases", what).returncode == 4
    assert bert.cli("provider", "reclaim", "lea_none").returncode == 4
    assert bert.cli("provider", "price", "birch", "--notice", "10m").returncode == 2
    assert bert.cli("provider", "price", "birch").returncode == 2


def test_a_job_of_an_agreed_time_works_on_and_hears_nothing_of_its_end_at_its_start(ada, network):
    launch(ada, network, "agreed", counting(last=60, more=", lease_hours: 30"))
    view = ada.job("agreed", seconds=60)
    assert view.state == "succeeded", network.logs()
    (lease,) = view.leases
    assert lease.ends_at == pytest.approx(view.created_at + 30 * 3_600, abs=60)
    check_count(ada, "agreed", 60)


TOLD = """
run: |
  calls=0; trap 'calls=$((calls + 1))' TERM
  until [ -e $GONDWANA_NOTICE ]; do sleep 0.05; done
  cat $GONDWANA_NOTICE; echo; echo told
  while [ -e $GONDWANA_NOTICE ]; do sleep 0.05; done
  echo extended; before=$calls
  until [ $calls -gt $before ]; do sleep 0.05; done
  cat $GONDWANA_NOTICE && echo && echo called
gondwana: {lease_hours: 0.02, price_cap_usd_per_gpu_hour: 0.35}
"""


def test_a_job_that_is_extended_in_its_last_two_minutes_is_called_again_before_its_new_end(
    ada, network
):
    launch(ada, network, "short", TOLD)
    until(lambda: "told" in words(ada, "short"), 30, what="its notice", note=network.logs)
    extended = ada.cli("jobs", "extend", "short", "--hours", "0.025")
    assert extended.returncode == 0, extended.stderr
    view = ada.job("short", seconds=90)  # 162 s in all: it is called again after 42
    assert view.state == "succeeded", network.logs()
    lines = ada.cli("jobs", "logs", "short").stdout.splitlines()
    first, second = (json.loads(line) for line in lines if line.startswith("{"))
    assert [line for line in lines if not line.startswith("{")] == ["told", "extended", "called"]
    assert first["reason"] == second["reason"] == "lease_ended"
    assert first["seconds_left"] < 72.1
    assert second["ends_at"] == pytest.approx(first["ends_at"] + 90)
    assert second["seconds_left"] == 120


TIMED = """
run: |
  n=0
  while [ $n -lt 600 ]; do n=$((n + 1)); echo $n; sleep 0.05; done
gondwana: {lease_hours: 0.02, price_cap_usd_per_gpu_hour: 0.35}
"""
WORKER = """
num_nodes: 1
run: |
  echo rank $SKYPILOT_NODE_RANK of $SKYPILOT_NUM_NODES
  while true; do sleep 0.1; done
gondwana: {elastic: true, price_cap_usd_per_gpu_hour: 0.35}
"""


def live(ada, name):
    """The machines that serve a job now, by rank."""
    found = ada.client.jobs.get(name).leases
    return {each.rank: each.machine for each in found if each.state == "active"}


def test_a_job_that_is_extended_keeps_its_machine_for_longer_at_the_same_price(ada, network):
    launch(ada, network, "timed", TIMED)
    ada.job("timed", state=("running",))
    (before,) = ada.client.jobs.get("timed").leases
    extended = ada.cli("jobs", "extend", "timed", "--hours", "0.5")
    assert extended.returncode == 0, extended.stderr
    assert "0.5 hours more" in extended.stdout
    (after,) = ada.client.jobs.get("timed").leases
    assert after.ends_at == pytest.approx(before.ends_at + 1_800)
    assert after.price_micro_usd_per_device_hour == before.price_micro_usd_per_device_hour
    assert ada.cli("jobs", "extend", "timed", "--hours", "0").returncode == 2
    assert ada.cli("jobs", "extend", "none", "--hours", "1").returncode == 4
    ada.cli("jobs", "cancel", "timed")
    assert ada.cli("jobs", "extend", "timed", "--hours", "1").returncode == 5  # it has ended


def test_an_elastic_job_is_made_larger_and_smaller_while_it_runs(ada, network):
    for name in ("birch", "cedar"):
        network.await_machine(name)
    launch(ada, network, "elastic", WORKER)
    until(lambda: len(live(ada, "elastic")) == 1, 30, what="a first node", note=network.logs)
    grown = ada.cli("jobs", "resize", "elastic", "--nodes", "2")
    assert grown.returncode == 0, grown.stderr
    assert "wants 2 machines" in grown.stdout
    until(lambda: len(live(ada, "elastic")) == 2, 30, what="a second node", note=network.logs)
    until(lambda: "rank 1 of 2" in ada.cli("jobs", "logs", "elastic", "--rank", "1").stdout, 30,
          what="the second node to run", note=network.logs)  # fmt: skip
    first = live(ada, "elastic")[0]
    shrunk = ada.json("jobs", "resize", "elastic", "--nodes", "1")
    assert sorted(each["reason"] for each in shrunk["leases"]) == ["", "resized"]
    assert live(ada, "elastic") == {0: first}  # the highest number went
    assert ada.client.jobs.get("elastic").state == "running"
    ada.cli("jobs", "cancel", "elastic")


def test_a_gang_whose_nodes_count_on_each_other_keeps_its_size(ada, network):
    launch(ada, network, "rigid", WORKER.replace("elastic: true, ", ""))
    refused = ada.cli("jobs", "resize", "rigid", "--nodes", "2")
    assert refused.returncode == 5
    assert "elastic: true" in refused.stderr
    ada.cli("jobs", "cancel", "rigid")
