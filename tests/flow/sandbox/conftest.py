"""Real sandboxes: with the kernel's control groups where this machine gives any, and with rlimits alone."""

import asyncio
import os
import sys

import pytest

from gondwana.core.values import replace
from gondwana.engines.base import Limits, Task
from gondwana.engines.cgroups import NO_CGROUPS
from gondwana.engines.collect import run_task
from gondwana.engines.detect import detect
from gondwana.engines.sandbox import Sandbox

QUICK = Limits(memory_bytes_max=512 * 1024**2, pids_max=64, seconds_max=30, tmp_bytes_max=4 * 1024**2,
               shared_memory_bytes_max=4 * 1024**2, work_bytes_max=64 * 1024**2)  # fmt: skip


@pytest.fixture(scope="session")
def report(worker_id):
    found = detect(owner=f"test-{worker_id}-{os.getpid()}")
    if not found.available:
        pytest.skip(
            f"NO SANDBOX ON THIS MACHINE, its tests did not run: {found.missing}; {found.hint}"
        )
    return found


@pytest.fixture(params=["control groups", "rlimits only"])
def engine(request, report):
    if request.param == "rlimits only":
        return Sandbox(replace(report.host, memory_held=False), NO_CGROUPS)
    if not report.cgroups.holds:
        pytest.skip(f"no control groups here: {report.cgroups.why_not}")
    return report.sandbox()


@pytest.fixture
def run(engine, tmp_path):
    def run(code, *, name="task", command=None, **changes):
        task = Task(
            name=name, command=command or (sys.executable, "-c", code), work=tmp_path / "work",
            limits=replace(QUICK, **changes),
        )  # fmt: skip
        return asyncio.run(run_task(engine, task))

    return run
