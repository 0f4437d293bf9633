"""A small training run to test with: a tiny byte GPT, data in shards, the coordinator's loop."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from blake3 import blake3

from gondwana.training.codecs import Upload
from gondwana.training.manifest import Group, Layout, Tensor
from gondwana.training.unit import Worker
from gondwana.wire.units import UnitKind, UnitSpec, WorkerReply, WorkerRequest

torch.set_num_threads(1)
ROOT = Path(__file__).parents[3]
TINY = {"width": 32, "layers": 1, "heads": 2, "time": 32, "batch": 4}


@pytest.fixture
def layout() -> Layout:
    """An odd number of parameters, both groups, a vector, a block that is not full."""
    return Layout(tensors=(
        Tensor(name="embed", shape=(17, 20)),
        Tensor(name="matrix", shape=(24, 40), group=Group.MUON),
        Tensor(name="gain", shape=(33,)),
    ))  # fmt: skip


@pytest.fixture
def make_upload(layout: Layout) -> Any:
    def make(seed: int, size: float = 1e-3) -> Upload:
        """Noise around a direction that all seeds share."""
        shared = np.random.default_rng(99).normal(size=layout.size)
        random = np.random.default_rng(seed)
        return Upload(
            delta=((random.normal(size=layout.size) + shared) * size).astype(np.float32),
            momentum=random.normal(size=layout.size).astype(np.float32),
            second=np.square(random.normal(size=layout.second_size)).astype(np.float32),
        )

    return make


@dataclass
class Inputs:
    """A folder with one file per blob, as an agent lays it out for its worker."""

    inputs: Path

    def blob(self, data: bytes) -> str:
        name = blake3(data).hexdigest()
        (self.inputs / name).write_bytes(data)
        return name


@dataclass
class WorkerHere(Inputs):
    """A worker in this process."""

    worker: Worker

    def ask(self, unit: UnitSpec, output: Path) -> WorkerReply:
        request = WorkerRequest(unit=unit, inputs=str(self.inputs), output=str(output))
        reply = msgspec.json.encode(self.worker.reply(request))
        return msgspec.json.decode(reply, type=WorkerReply)


@dataclass
class WorkerProcess(Inputs):
    """A worker as an agent runs it: requests in, replies out."""

    process: subprocess.Popen[bytes]
    log: Path

    def ask(self, unit: UnitSpec, output: Path) -> WorkerReply:
        request = WorkerRequest(unit=unit, inputs=str(self.inputs), output=str(output))
        return self.send(msgspec.json.encode(request))

    def send(self, line: bytes) -> WorkerReply:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()
        return msgspec.json.decode(self.process.stdout.readline(), type=WorkerReply)

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


def lay_out(folder: Path, recipe: str | None) -> Path:
    """The inputs folder of a job that has the example, and `recipe` beside it."""
    code = folder / "inputs" / "code"
    code.mkdir(parents=True)
    shutil.copy(ROOT / "examples" / "byte_gpt.py", code)
    if recipe is not None:
        (code / "recipe.py").write_text(recipe)
    return code.parent


@pytest.fixture
def worker_here(tmp_path: Path) -> Any:
    def make(recipe: str | None = None) -> WorkerHere:
        return WorkerHere(lay_out(tmp_path / "worker", recipe), Worker())

    return make


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[Any]:
    started: list[WorkerProcess] = []

    def start(name: str = "worker", recipe: str | None = None) -> WorkerProcess:
        inputs = lay_out(tmp_path / name, recipe)
        log = tmp_path / name / "log"
        with log.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "gondwana.training.unit"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr,
            )  # fmt: skip
        started.append(WorkerProcess(inputs, process, log))
        return started[-1]

    yield start
    for worker in started:
        worker.close()


@pytest.fixture
def unit_of() -> Any:
    def make(kind: UnitKind, **fields: Any) -> UnitSpec:
        base: dict[str, Any] = {
            "id": "unit_1", "job_id": "job_1", "round": 0, "code": "c" * 64, "recipe": "byte_gpt.py",
            "config": TINY, "seed": 7, "steps_total": 60,
        }  # fmt: skip
        return UnitSpec(kind=kind, **{**base, **fields})

    return make


@pytest.fixture(scope="session")
def text() -> bytes:
    """Real text with words to learn."""
    import pydoc_data.topics as topics

    return Path(topics.__file__).read_bytes()[:200_000]
