"""A small network of real processes: one control plane, some agents, people with tokens; always cleaned up."""

import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from gondwana.core.errors import GondwanaError, Unavailable
from gondwana.sdk import Client

HERE = Path(__file__).parent
GONDWANA = (sys.executable, "-c", "from gondwana.cli.main import main; main()")
QUICK_AGENT = (sys.executable, str(HERE / "programs" / "quick_agent.py"))
LIAR = (sys.executable, str(HERE / "programs" / "liar.py"))
SERVE = """
import sys
from pathlib import Path
from gondwana.server.config import ServerConfig
from gondwana.server.serve import serve
port, data, beat, down = sys.argv[1:]
serve(ServerConfig(port=int(port), data=Path(data), heartbeat_seconds=float(beat), down_after_seconds=float(down)))
"""
START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 20.0
POLL_SECONDS = 0.05
ENDED = {"succeeded", "failed", "cancelled"}
_pause = threading.Event()  # never set: waiting on it passes time between two looks


def until(look, seconds=60.0, *, what=None, note=lambda: ""):
    """The first true value of `look()`; fails after `seconds` with what was awaited and what `note` says."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s in vain for {what or look}\n{note()}")
        _pause.wait(POLL_SECONDS)


def _hears_ctrl_c():
    """A shell that starts the tests in its background has what they start ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Program:
    """One running process; its output goes to a file."""

    def __init__(self, name, command, *, folder, environment):
        self.name = name
        self.log_path = folder / f"{name}.log"
        self._log_start = self.log_path.stat().st_size if self.log_path.exists() else 0
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
                start_new_session=True, preexec_fn=_hears_ctrl_c,
            )  # fmt: skip

    @property
    def log(self):
        """What it has printed since this start."""
        return self.log_path.read_bytes()[self._log_start :].decode(errors="replace")

    @property
    def running(self):
        return self.process.poll() is None

    @property
    def title(self):
        """Its name, and how it ended."""
        code = self.process.poll()
        return self.name if code is None else f"{self.name}, ended with {code}"

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """SIGKILL: no good-bye."""
        self.process.kill()
        return self.process.wait(STOP_SECONDS_MAX)

    def interrupt(self, seconds=STOP_SECONDS_MAX):
        """Ctrl-C; the exit code."""
        if self.running:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGINT)
        return self.process.wait(seconds)

    def end(self):
        """End it in any case."""
        try:
            self.interrupt(3)
        except subprocess.TimeoutExpired:
            self.kill()


@dataclass
class Person:
    """Somebody with a token: their client, and the command line as they would type it."""

    name: str
    token: str
    client: Client
    network: "Network"

    def cli(self, *words, cwd=None, input=None, seconds=120, **environment):
        options = {"cwd": cwd, "input": input, "seconds": seconds, **environment}
        return self.network.cli(*words, token=self.token, **options)

    def json(self, *words, **options):
        """What a command prints with --json; fails where it fails."""
        done = self.cli(*words, "--json", **options)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def job(self, name, *, seconds=60.0, state=ENDED):
        """The job once it is in one of these states."""
        states = {state} if isinstance(state, str) else state

        def look():
            view = self.client.jobs.get(name)
            return view if view.state in states else None

        return until(look, seconds, what=f"{name} to be {states}", note=self.network.logs)


class Network:
    """One control plane and what joins it, in one folder."""

    def __init__(self, folder, *, heartbeat_seconds=0.5, down_after_seconds=4.0, served=False):
        self.folder = folder
        self.data = folder / "data"
        self._beats = (str(heartbeat_seconds), str(down_after_seconds))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._served = served  # by `gondwana serve`, with its usual seconds
        self.programs: list[Program] = []
        self.plane: Program
        self.people: dict[str, Person] = {}

    def environment(self, token="", **more):
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        login = {"GONDWANA_URL": self.url, **({"GONDWANA_TOKEN": token} if token else {})}
        return {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", **login, **more}

    def run(self, name, command, token="", **more):
        program = Program(name, command, folder=self.folder, environment=self.environment(token, **more))  # fmt: skip
        self.programs.append(program)
        return program

    def start(self):
        """Start the control plane (again, on the same data) and wait until it answers."""
        told = (sys.executable, "-c", SERVE, str(self.port), str(self.data), *self._beats)
        if self._served:
            told = (*GONDWANA, "serve", "--port", str(self.port), "--data", str(self.data))
        self.plane = self.run("plane", told)
        until(self._answers, START_SECONDS_MAX, what="the control plane", note=self.logs)
        return self

    def _answers(self):
        assert self.plane.running, self.plane.log
        try:
            return Client(self.url, "", retries_max=0).healthy()
        except GondwanaError:
            return False

    @property
    def operator(self):
        token = (self.data / "founder.token").read_text().strip()
        return Person("founder", token, Client(self.url, token), self)

    def person(self, name, *scopes, usd=0):
        """A person with a token of these scopes and this much money."""
        if name not in self.people:
            client = self.operator.client
            token = client.tokens.create(name, scopes or ("tenant",)).token
            if usd:
                client.account.deposit(int(usd * 1e6), principal=name)
            self.people[name] = Person(name, token, Client(self.url, token), self)
        return self.people[name]

    def join(self, machine, *words, owner="olga", price="0.10", program=QUICK_AGENT, wait=True, **more):  # fmt: skip
        """Start an agent, and wait until its machine is up."""
        token = self.person(owner, "provider").token
        command = [*program, "provider", "join", self.url, "--price", price, "--name", machine]
        command += ["--state", str(self.folder / "agents" / machine), *words]
        agent = self.run(machine, command, token, **more)
        if wait:
            self.await_machine(machine, agent=agent)
        return agent

    def machine(self, name):
        """The machine as an operator sees it; None before it has joined."""
        found = [each for each in self.operator.client.machines.list(everyone=True) if each.name == name]  # fmt: skip
        return found[0] if found else None

    def await_machine(self, name, state="up", *, agent=None, seconds=START_SECONDS_MAX):
        states = (state,) if isinstance(state, str) else state

        def look():
            assert agent is None or agent.running, agent.log
            machine = self.machine(name)
            return machine if machine is not None and machine.state in states else None

        return until(look, seconds, what=f"{name} to be {state}", note=self.logs)

    def await_free(self, *names):
        """Wait until these machines serve nobody."""

        def look():
            return all(self.machine(name).devices_free == self.machine(name).devices for name in names)  # fmt: skip

        until(look, what=f"{names} to be free", note=self.logs)

    def cli(self, *words, token="", cwd=None, seconds=120, input=None, **environment):
        """Run one command line to its end."""
        return subprocess.run(
            [*GONDWANA, *map(str, words)], env=self.environment(token, **environment), cwd=cwd or self.folder,
            stdin=None if input is not None else subprocess.DEVNULL, input=input, capture_output=True, text=True,
            timeout=seconds, check=False,
        )  # fmt: skip

    def audit(self):
        """The books, recomputed; they must balance."""
        view = self.operator.client.ledger.audit()
        assert view.ok, view.differences
        return view

    def rows(self, sql, *values):
        """Rows of the control plane's own database, read beside it."""
        with closing(
            sqlite3.connect(f"file:{self.data}/gondwana.db?mode=ro", uri=True)
        ) as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute(sql, values)]

    def units(self, job_id):
        """Where each unit of a job stands, with its machine's name."""
        return self.rows(
            "SELECT unit.*, machine.name AS machine FROM unit JOIN machine ON machine.id = machine_id"
            " WHERE job_id = ? ORDER BY unit.id", job_id,
        )  # fmt: skip

    def logs(self):
        """The ends of all logs, and how those ended that run no more."""
        ends = {program.title: program.log[-2000:] for program in self.programs}
        return "\n".join(f"--- {title}\n{end}" for title, end in ends.items())

    def stop(self):
        """End everything, the control plane last."""
        for program in reversed(self.programs):
            if program.running:
                program.signal(signal.SIGCONT)
                program.signal(signal.SIGINT)
        for program in reversed(self.programs):
            program.end()


def reachable(client):
    """Whether the control plane answers at all."""
    try:
        return client.healthy()
    except Unavailable:
        return False


def job_file(folder, name, text):
    """A job file in a folder of its own."""
    place = folder / "jobs" / name
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"{name}.yaml"
    path.write_text(f"name: {name}\n{text}")
    return path


def training_job(folder, name, *, recipe="bigram.py", **train):
    """The job file of a short training on a text of its own."""
    path = job_file(folder, name, "")
    (path.parent / "code").mkdir(exist_ok=True)
    for source in (HERE / "recipes").glob("*.py"):
        (path.parent / "code" / source.name).write_bytes(source.read_bytes())
    words = "the quick brown fox jumps over a lazy dog while wizards mix old amber".split()  # noqa: SIM905
    text = " ".join(random.Random(7).choices(words, k=40_000))
    (path.parent / "text.txt").write_text(text)
    settings = {"recipe": recipe, "data": "text.txt", "rounds": 4, "warm_rounds": 1, "inner_steps": 20,
                "window_seconds": 1, "islands": {"min": 1, "max": 8}, "sample_chars": 20, **train}  # fmt: skip
    terms = {"budget_usd": 1.0, "train": settings}
    path.write_text(json.dumps({"name": name, "workdir": "code", "gondwana": terms}))
    return path
