"""What the sandbox costs: starting `python -c pass`, and a unit's arithmetic, plain against sandboxed.

Run: make bench NAME=sandbox, or python benchmarks/sandbox.py [--json] [--rounds N]. Runs alternate, so what else the
machine does meets both alike; times are medians over rounds. Processor time says what starting costs where the clock
on the wall also counts waiting for neighbours; the control group counts it. Needs bubblewrap; the arithmetic PyTorch.
"""

import argparse
import asyncio
import importlib.util
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gondwana.engines.base import Task
from gondwana.engines.collect import run_task
from gondwana.engines.detect import detect

START_RATIO_MAX = 3.0
COMPUTE_RATIO_MAX = 1.03
LABELS = {
    "start": "python -c pass, ms",
    "start_cpu": "  of the processor, ms",
    "compute": "40 products of 512, ms",
}
START = "pass"
COMPUTE = """
import time, torch
torch.set_num_threads(1)
left, right = torch.randn(512, 512), torch.randn(512, 512)
def block():
    began = time.process_time()
    for _ in range(40): left @ right
    return time.process_time() - began
block()
print(min(block() for _ in range(30)))  # the best block, in processor time: without the other work of the machine
"""


class Runs:
    """The two ways to run Python code."""

    def __init__(self, engine, folder):
        self._engine, self._folder = engine, folder
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "OMP_NUM_THREADS": "1",
        }

    async def plain(self, code):
        before, began = processor_seconds(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=self._environment,
            cwd=self._folder,
            capture_output=True,
            check=True,
        )
        spent = processor_seconds(resource.RUSAGE_CHILDREN) - before
        return time.perf_counter() - began, done.stdout, spent

    async def sandboxed(self, code):
        task = Task(name="benchmark", command=(sys.executable, "-c", code), work=self._folder / "work",
                    environment={"OMP_NUM_THREADS": "1"})  # fmt: skip
        before, began = processor_seconds(resource.RUSAGE_SELF), time.perf_counter()
        done = await run_task(self._engine, task)
        assert done.end.succeeded, done
        ours = processor_seconds(resource.RUSAGE_SELF) - before
        return time.perf_counter() - began, done.stdout, ours + done.end.usage.cpu_seconds


def processor_seconds(who):
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


async def alternate(runs, code, rounds):
    """Per way, per round: seconds from start to end, what was printed, and processor seconds."""
    kept = {"plain": [], "sandboxed": []}
    for index in range(rounds + 1):
        for name in ("plain", "sandboxed") if index % 2 else ("sandboxed", "plain"):
            result = await getattr(runs, name)(code)
            if index:  # the first round warms the disk's cache
                kept[name].append(result)
    return kept


async def measure(rounds):
    report = detect(owner="benchmark")
    with tempfile.TemporaryDirectory() as folder:
        runs = Runs(report.sandbox(), Path(folder))
        starts = await alternate(runs, START, rounds)
        plain, boxed = (
            statistics.median(one[0] for one in starts[name]) for name in ("plain", "sandboxed")
        )
        cpu_plain, cpu_boxed = (
            statistics.median(one[2] for one in starts[name]) for name in ("plain", "sandboxed")
        )
        found = {
            "start_plain_ms": round(plain * 1000, 1),
            "start_sandbox_ms": round(boxed * 1000, 1),
            "start_ratio": round(boxed / plain, 2),
            "start_cpu_plain_ms": round(cpu_plain * 1000, 1),
            "start_cpu_sandbox_ms": round(cpu_boxed * 1000, 1),
            "start_cpu_ratio": round(cpu_boxed / cpu_plain, 2),
            "load": round(os.getloadavg()[0], 1),
            "isolation": str(report.isolation),
            "control_groups": str(report.cgroups.flavour),
        }
        if importlib.util.find_spec("torch"):
            blocks = await alternate(runs, COMPUTE, max(3, rounds // 6))
            best = {
                name: statistics.median(float(one[1]) for one in blocks[name]) for name in blocks
            }
            found |= {
                "compute_plain_ms": round(best["plain"] * 1000, 2),
                "compute_sandbox_ms": round(best["sandboxed"] * 1000, 2),
                "compute_ratio": round(best["sandboxed"] / best["plain"], 3),
            }
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--rounds", type=int, default=30)
    arguments = parser.parse_args()
    found = asyncio.run(measure(arguments.rounds))
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, "
          f"{arguments.rounds} rounds, {found['isolation']}, control groups {found['control_groups']}")  # fmt: skip
    print(f"{'':24}{'plain':>10}{'sandboxed':>12}{'ratio':>8}{'limit':>8}")
    for name, limit in (
        ("start", START_RATIO_MAX),
        ("start_cpu", START_RATIO_MAX),
        ("compute", COMPUTE_RATIO_MAX),
    ):
        if f"{name}_ratio" in found:
            label = LABELS[name]
            print(f"{label:24}{found[f'{name}_plain_ms']:>10}{found[f'{name}_sandbox_ms']:>12}"
                  f"{found[f'{name}_ratio']:>8}{limit:>8}")  # fmt: skip
    if arguments.json:
        print(
            json.dumps(
                found | {"start_ratio_max": START_RATIO_MAX, "compute_ratio_max": COMPUTE_RATIO_MAX}
            )
        )


if __name__ == "__main__":
    main()
