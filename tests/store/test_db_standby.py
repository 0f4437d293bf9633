"""One writer at a time: a standby takes over from a leader that is killed, frozen or cut off, and writes alone."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import urllib.request
from pathlib import Path

import psycopg
import pytest

from gondwana.core.clock import Instant
from gondwana.core.errors import NotLeader, Unavailable
from gondwana.db import postgres_place
from gondwana.db.database import Database
from gondwana.db.events import events_after
from gondwana.db.settings import read_setting, write_setting

NOW = Instant(1.0)
SECONDS_MAX = 60
GONDWANA = (sys.executable, "-c", "from gondwana.cli.main import main; main()")

# Leads as soon as it may, and writes until it is told not to; says so after each COMMIT.
LEADER = """
    import itertools, sys
    from gondwana.core.errors import NotLeader, Unavailable
    from gondwana.core.events import Event
    from gondwana.db.database import Database
    def say(*words): print(" ".join(map(str, words)), flush=True)  # killed in between, it said nothing
    def write(tx, key):
        tx.emit(Event(at=1.0, kind="a.b", subject=key, job_id=None, data={}))
        return tx.one("SELECT term FROM leadership")["term"]
    database = Database.open(sys.argv[1], standing_by=lambda: say("stands by"))
    say("leads")
    for number in itertools.count():
        key = f"{sys.argv[2]}-{number}"
        try:
            say(key, database.writer.call(write, key))
        except NotLeader:
            sys.exit(7)
        except Unavailable:
            pass
"""


class Process:
    """A process whose lines are read as they come."""

    def __init__(self, *command, **options):
        self.lines = []
        self._more = threading.Condition()
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            with self._more:
                self.lines.append(line.strip())
                self._more.notify_all()

    def until(self, word, count=1):
        """Wait until so many lines begin with `word`."""
        with self._more:
            found = self._more.wait_for(
                lambda: sum(line.startswith(word) for line in self.lines) >= count, SECONDS_MAX
            )
        assert found, (word, self.lines[-10:])

    def end(self):
        """What it still said, once it has ended; its exit code."""
        code = self.process.wait(SECONDS_MAX)
        self._reader.join(SECONDS_MAX)
        self.process.stdout.close()
        return code


@pytest.fixture
def start():
    """Starts processes; none is left behind."""
    started = []

    def begin(*command, **options):
        started.append(Process(*command, **options))
        return started[-1]

    yield begin
    for one in started:
        one.process.send_signal(signal.SIGCONT)
        one.process.kill()
        one.end()


@pytest.fixture
def start_leader(start, postgres_url):
    script = textwrap.dedent(LEADER)
    return lambda name: start(sys.executable, "-c", script, postgres_url, name)


def name_of(url):
    return url.split("?")[0].rsplit("/", 1)[1]


def end_lead(cluster, url):
    """End the session that holds the lock, as an operator would who gives up on a leader."""
    cluster.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_database ON pg_database.oid = database"
        f" WHERE locktype = 'advisory' AND granted AND datname = '{name_of(url)}'"
    )


def written(url):
    """The subjects of all events in the database, in order."""
    found = []
    with Database.open(url, inline=True, standing_by=lambda: None) as database:  # killed just now
        while page := events_after(database.reader(), found[-1].seq if found else 0):
            found += page
    return [stored.event.subject for stored in found]


def check(found, first, second):
    """Nothing acknowledged is lost, and the second wrote only after the first."""
    said = [line.split() for one in (first, second) for line in one.lines if "-" in line]
    assert {key for key, _ in said} <= set(found)
    names = [key[0] for key in found]
    assert names == sorted(names)
    terms = {name: {int(term) for key, term in said if key[0] == name} for name in "ab"}
    assert max(terms["a"]) < min(terms["b"])


def test_a_standby_takes_over_from_a_leader_that_is_killed(start_leader, postgres_url):
    first = start_leader("a")
    first.until("a-", 20)
    second = start_leader("b")
    second.until("stands by")
    first.until("a-", 40)
    first.process.kill()
    first.end()
    second.until("b-", 20)
    second.process.kill()
    second.end()
    check(written(postgres_url), first, second)


def test_a_leader_that_wakes_up_after_another_took_over_is_refused(
    cluster, start_leader, postgres_url
):
    first = start_leader("a")
    first.until("a-", 20)
    second = start_leader("b")
    second.until("stands by")
    first.process.send_signal(signal.SIGSTOP)
    end_lead(cluster, postgres_url)
    second.until("b-", 20)
    first.process.send_signal(signal.SIGCONT)
    assert first.end() == 7
    second.until("b-", 40)
    second.process.kill()
    second.end()
    check(written(postgres_url), first, second)


def test_a_leader_that_is_cut_off_for_a_moment_goes_on_when_nobody_waits(
    cluster, start_leader, postgres_url
):
    first = start_leader("a")
    for count in (10, 30, 50):
        first.until("a-", count)
        end_lead(cluster, postgres_url)
    first.until("a-", 70)
    first.process.kill()
    first.end()
    assert {line.split()[1] for line in first.lines if line.startswith("a-")} == {
        first.lines[1].split()[1]
    }


def test_a_leader_with_nothing_to_write_notices_that_another_took_over(cluster, postgres_url):
    with Database.open(postgres_url) as first:
        taken = threading.Event()

        def take():
            with Database.open(postgres_url, inline=True, standing_by=lambda: None):
                taken.set()
                assert first.writer.lost.wait(SECONDS_MAX)

        other = threading.Thread(target=take)
        other.start()
        deadline = time.monotonic() + SECONDS_MAX
        while not taken.wait(0.2):  # the first may be quicker to come back than the other to ask
            assert time.monotonic() < deadline
            end_lead(cluster, postgres_url)
        assert first.writer.lost.wait(SECONDS_MAX)
        other.join()
        with pytest.raises(NotLeader):
            first.writer.call(write_setting, "a", 1, at=NOW)


def test_a_leader_that_says_nothing_for_long_is_let_go_by_the_server(postgres_url, monkeypatch):
    monkeypatch.setattr(postgres_place, "LEADER_SILENT_SECONDS_MAX", 1)
    with Database.open(postgres_url, inline=True) as first:  # inline: nobody speaks between calls
        first.writer.call(write_setting, "a", 1, at=NOW)
        with Database.open(postgres_url, inline=True, standing_by=lambda: None) as second:
            second.writer.call(write_setting, "a", 2, at=NOW)
            with pytest.raises(NotLeader):
                first.writer.call(write_setting, "a", 3, at=NOW)


def test_a_higher_term_refuses_the_leader_even_while_it_holds_the_lock(cluster, postgres_url):
    with Database.open(postgres_url, inline=True) as database:
        database.writer.call(write_setting, "a", 1, at=NOW)
        cluster.sql("UPDATE gondwana.leadership SET term = term + 1", name_of(postgres_url))
        for _ in range(2):
            with pytest.raises(NotLeader):
                database.writer.call(write_setting, "a", 2, at=NOW)
        assert database.writer.lost.is_set()
        assert read_setting(database.reader(), "a", int, default=0) == 1


def test_a_leader_that_loses_the_lead_within_a_transaction_commits_nothing_of_it(
    cluster, postgres_url
):
    with Database.open(postgres_url, inline=True) as database:
        database.writer.call(write_setting, "a", 1, at=NOW)

        def write_and_lose(tx):
            write_setting(tx, "a", 2, at=NOW)
            cluster.sql("UPDATE gondwana.leadership SET term = term + 1", name_of(postgres_url))

        with pytest.raises(NotLeader):
            database.writer.call(write_and_lose)
        assert database.writer.lost.is_set()
        assert read_setting(database.reader(), "a", int, default=0) == 1


def test_a_call_that_hides_what_cannot_even_be_read_writes_nothing(postgres_url):
    def hide(tx):
        with contextlib.suppress(Exception):
            tx.execute("SELEC 1")  # nothing of its message is done, BEGIN neither
        write_setting(tx, "a", 2, at=NOW)

    with Database.open(postgres_url, inline=True) as database:
        with pytest.raises((psycopg.Error, Unavailable)):
            database.writer.call(hide)
        assert read_setting(database.reader(), "a", int, default=0) == 0
        database.writer.call(write_setting, "a", 1, at=NOW)
        assert read_setting(database.reader(), "a", int, default=0) == 1


def test_whoever_opens_a_file_later_wins_and_the_earlier_writes_no_more(tmp_path):
    with Database.open(tmp_path / "a.db") as first:
        first.writer.call(write_setting, "a", 1, at=NOW)
        with Database.open(tmp_path / "a.db") as second:
            second.writer.call(write_setting, "a", 2, at=NOW)
            with pytest.raises(NotLeader):
                first.writer.call(write_setting, "a", 3, at=NOW)
            assert first.writer.lost.is_set()
            second.writer.call(write_setting, "b", 4, at=NOW)
            reader = first.reader()
            assert read_setting(reader, "a", int, default=0) == 2
            assert read_setting(reader, "b", int, default=0) == 4


def test_the_lead_is_free_as_soon_as_a_leader_has_closed(postgres_url):
    for number in range(1, 30):
        with Database.open(postgres_url, inline=True) as database:
            database.writer.call(write_setting, "a", number, at=NOW)


# -- whole control planes


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


@pytest.fixture
def serve(start, postgres_url, tmp_path):
    """Starts `gondwana serve` with the password, which nobody asks for, in the environment."""
    url = postgres_url.replace("postgres@", "postgres:s3cret@")
    environment = {**os.environ, "GONDWANA_DATABASE_URL": url, "HOME": str(tmp_path)}

    def begin(port):
        words = ("serve", "--port", str(port), "--data", str(tmp_path / "data"))
        return start(*GONDWANA, *words, env=environment)

    return begin


def test_a_second_control_plane_stands_by_and_serves_when_the_first_ends(
    cluster, serve, postgres_url, tmp_path
):
    ports = [free_port(), free_port()]
    first = serve(ports[0])
    first.until("Gondwana listens")
    second = serve(ports[1])
    second.until("standing by: another control plane leads")
    assert [answers(port) for port in ports] == [True, False]
    first.process.send_signal(signal.SIGSTOP)
    end_lead(cluster, postgres_url)
    second.until("Gondwana listens")
    assert answers(ports[1])
    first.process.send_signal(signal.SIGCONT)
    assert first.end() == 7
    second.process.send_signal(signal.SIGINT)
    second.end()
    assert "s3cret" not in "".join(first.lines + second.lines)
    assert (tmp_path / "data" / "founder.token").read_text().startswith("gwt_")


def test_a_data_folder_serves_one_database_only(serve, cluster, tmp_path):
    first = serve(free_port())
    first.until("Gondwana listens")
    first.process.send_signal(signal.SIGINT)
    first.end()
    data = str(tmp_path / "data")
    environment = {**os.environ, "HOME": str(tmp_path)}
    url = cluster.create("another")
    for words in ((), ("--database", url)):
        done = subprocess.run(
            [*GONDWANA, "serve", "--port", "0", "--data", data, *words],
            env=environment, capture_output=True, text=True, timeout=SECONDS_MAX,
        )  # fmt: skip
        assert done.returncode == 5, done.stderr
        assert "belongs to" in done.stderr
    cluster.drop("another")


@pytest.mark.parametrize(
    "url", ["postgresql://ann:s3cret@h/x", "postgres://h/x?password=s3cret", "mysql://h/x"]
)
def test_a_password_on_the_command_line_is_refused(url, tmp_path):
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(
        [*GONDWANA, "serve", "--database", url], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "s3cret" not in done.stdout + done.stderr
    assert not list(Path(tmp_path).glob("**/*.db"))
