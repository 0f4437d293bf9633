"""Recipes that fail, hang, grow, pry and lie: each unit ends with a typed failure, the machine serves the next."""

import asyncio
import json
from pathlib import Path

import pytest
from network import HERE, job_file, training_job

from gondwana.agent.cache import BlobCache
from gondwana.agent.core import AgentCore, StartUnit
from gondwana.agent.runner import LeaseRunner, Machine
from gondwana.engines.archive import pack_folder
from gondwana.engines.base import Limits
from gondwana.wire.agent import Desired, LeaseDuty, UnitReport
from gondwana.wire.units import UnitKind, UnitSpec

pytestmark = [pytest.mark.sandbox, pytest.mark.torch]
LIMITS = Limits(memory_bytes_max=900 * 2**20, pids_max=64, work_bytes_max=64 * 2**20)
SECRET = "the owner's own words"
BAD = {
    "raises": 'raise ValueError("not today")',
    "exits": "sys.exit(0)",
    "opens a socket": 'socket.create_connection(("127.0.0.1", PORT), 2)',
    "reads the owner's files": "print(open(STATE + '/secret.txt').read())",
    "forks 10,000 times": "for _ in range(10_000):\n        os.fork() or time.sleep(60)",
    "points its output elsewhere": "os.rename('/job/out', '/job/in'); os.symlink('in', '/job/out')",
    "never ends": "while True: pass",
    "writes 10 GB": "open('/job/big', 'wb').writelines(bytes(2**20) for _ in range(10_000))",
    "takes all memory": "hoard = [bytearray(b'x') * 2**26 for _ in range(1000)]",
    "dies": "os._exit(3)",
    "leaves a pipe as its output": "os.mkfifo('/job/out/' + unit_id())",
    "forges replies": "for fd in range(3, 32):\n        with suppress(OSError): os.write(fd, FORGED)",
}
FAILURES = {
    "raises": "raised: RecipeError: bad.py:25: ValueError: not today",
    "exits": "raised: RecipeError: bad.py:25: SystemExit",
    "opens a socket": "raised: RecipeError: bad.py:25: ",
    "reads the owner's files": "raised: RecipeError: bad.py:25: FileNotFoundError",
    "forks 10,000 times": "raised: RecipeError: bad.py:26: BlockingIOError",
    "points its output elsewhere": "job: ",
    "never ends": "out_of_time: ",
    "writes 10 GB": "raised: RecipeError: bad.py:25: OSError: [Errno 27] File too large",
    "takes all memory": "out_of_memory: ",
    "dies": "died: exit code 3",
    "leaves a pipe as its output": "out_of_time: ",
    "forges replies": "bad_reply: ",
}
PREAMBLE = """
import json
import os
import socket
import sys
import time
from contextlib import suppress

from bigram import *

PORT, STATE = {port}, {state!r}
FORGED = b'{{"unit_id": "unit_other", "result": {{"steps": 1000000}}}}' + b"\\n"


def unit_id():
    frame = sys._getframe()
    while "request" not in frame.f_locals:
        frame = frame.f_back
    return frame.f_locals["request"].unit.id


# The one thing that this recipe does its own way:


def model(config):
    {body}
    return nn.Embedding(256, 8)
"""


class Bench:
    """One lease on one machine, given units by hand."""

    def __init__(self, network, sandboxed, folder):
        self.folder, self.port = folder, network.port
        self.reports = []
        self.core = AgentCore("mac_bench", lambda claim: b"signature")
        self.blobs = network.person("bench", "tenant").client.blobs
        self.machine = Machine(
            core=self.core, engine=sandboxed.sandbox(), own_engine=None, limits=LIMITS, devices=(),
            cache=BlobCache(folder / "cache"), blobs=self._blobs, send=self.reports.append,
        )  # fmt: skip
        (folder / "secret.txt").write_text(SECRET)

    async def _blobs(self):
        return self.blobs

    def code(self, name, body):
        place = self.folder / name
        place.mkdir()
        (place / "bigram.py").write_bytes((HERE / "recipes" / "bigram.py").read_bytes())
        text = PREAMBLE.format(port=self.port, state=str(self.folder), body=body).lstrip()
        (place / "bad.py").write_text(text)
        return self.blobs.put(pack_folder(place))

    def do(self, name, code, recipe, seconds_max=120.0):
        """What the agent reports of one unit."""
        spec = UnitSpec(
            id=f"unit_{name}", job_id="job_1", kind=UnitKind.INIT, round=0, code=code, recipe=recipe,
            seed=1, output_bytes_max=2**20, seconds_max=seconds_max,
        )  # fmt: skip
        duty = LeaseDuty(lease_id=f"lea_{name}", epoch=1, job_id="job_1", own=False, units=(spec,))
        return asyncio.run(self._do(duty, self.folder / f"lease-{name}"))

    async def _do(self, duty, folder):
        runner = LeaseRunner(self.machine, folder, duty)
        number = len(self.reports) + 1
        for action in self.core.desired(Desired(number=number, leases=(duty,))):
            if isinstance(action, StartUnit):
                runner.start_unit(action.unit)
        await asyncio.gather(*runner._tasks.values())
        await runner.stop()
        return self.reports[-1]


@pytest.fixture(scope="module")
def bench(sandboxed, make_network, tmp_path_factory):
    return Bench(make_network(), sandboxed, tmp_path_factory.mktemp("bench"))


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_recipe_ends_as_a_typed_failure_of_its_unit(kind, bench):
    name = "".join(letter if letter.isalnum() else "-" for letter in kind)
    seconds = 9.0 if FAILURES[kind].startswith("out_of_time") else 120.0
    report = bench.do(name, bench.code(name, BAD[kind]), "bad.py", seconds)
    assert isinstance(report, UnitReport)
    assert report.failure.startswith(FAILURES[kind]), report.failure
    assert report.output is None
    assert SECRET not in report.failure
    assert not (bench.folder / f"lease-{name}").exists()


def test_the_same_machine_does_an_honest_unit_afterwards(bench):
    report = bench.do("honest", bench.code("honest", "pass"), "bigram.py")
    assert report.failure == ""
    assert report.output is not None


@pytest.fixture(scope="module")
def network(sandboxed, make_network):
    network = make_network()
    network.person("ada", "tenant", usd=20)
    agents = [network.join(name, wait=False) for name in ("atlas", "birch")]
    for agent in agents:
        network.await_machine(agent.name, agent=agent)
    return network


@pytest.mark.parametrize(
    ("body", "told"), [('raise ValueError("no")', "ValueError: no"), ("os._exit(3)", "exit code 3")]
)
def test_a_job_whose_recipe_cannot_work_fails_and_says_where(body, told, network):
    ada = network.people["ada"]
    name = "raiser" if "raise" in body else "dier"
    path = training_job(network.folder, name, recipe="bigram.py")
    text = PREAMBLE.format(port=1, state="/", body=body).lstrip()
    (path.parent / "code" / "bad.py").write_text(text)
    path.write_text(path.read_text().replace('"bigram.py"', '"bad.py"'))
    done = ada.cli("launch", "--yes", path, seconds=200)
    assert done.returncode == 1, done.stderr + network.logs()
    view = ada.client.jobs.get(name)
    assert view.state == "failed"
    assert told in view.detail
    assert view.paid_micro_usd == 0
    assert ada.client.account.balance().escrow_micro_usd == 0
    network.audit()
    echo = job_file(network.folder, f"after-{name}", "num_nodes: 2\nrun: echo served\n")
    assert ada.cli("launch", "--yes", echo).returncode == 0  # both machines are well


def test_a_recipe_that_is_not_there_is_refused_before_anything_is_sent(network):
    path = training_job(network.folder, "absent")
    job = json.loads(path.read_text())
    job["gondwana"]["train"]["recipe"] = "absent.py"
    Path(path).write_text(json.dumps(job))
    done = network.people["ada"].cli("launch", "--yes", path)
    assert done.returncode == 2
    assert "absent.py" in done.stderr
