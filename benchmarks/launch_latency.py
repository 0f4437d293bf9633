"""How long a person waits for the first line: from an accepted launch to readable output of a sandboxed job.

    python benchmarks/launch_latency.py [--runs 20] [--json]

A real control plane and a real agent on this machine, over loopback; the agent has joined and is idle. Each run
launches `echo`, waits for its first line through the API, and lets the job end. The split comes from the times of the
job's events on the control plane's clock: stages, not a sum, since the control plane works on while it answers.
"""

import argparse
import json
import os
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

from gondwana.core.errors import GondwanaError
from gondwana.sdk import Client
from gondwana.wire.jobs import JobSpec

LATENCY_P50_SECONDS_MAX = 1.0
START_TRIES_MAX = 300
START_PAUSE_SECONDS = 0.2
WAIT_SECONDS_MAX = 30.0
STAGES = {
    "api": "request to answer",
    "match": "admitted to lease",
    "link": "lease to the agent's first word",
    "sandbox": "agent's first word to the command running",
    "log": "command running to its line readable",
}


@contextmanager
def process(*command: str, log: Path):
    with log.open("wb") as output:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        yield
    finally:
        child.send_signal(signal.SIGINT)
        try:
            child.wait(timeout=30)
        except subprocess.TimeoutExpired:
            child.kill()


def until(look, what: str):
    pause = threading.Event()
    for _ in range(START_TRIES_MAX):
        try:
            found = look()
        except GondwanaError:
            found = None
        if found:
            return found
        pause.wait(START_PAUSE_SECONDS)
    raise SystemExit(f"waited in vain for {what}")


@contextmanager
def network(folder: Path):
    """A client of a fresh control plane with one idle machine."""
    gondwana = shutil.which("gondwana", path=str(Path(sys.executable).parent)) or "gondwana"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    url, data = f"http://127.0.0.1:{port}", folder / "data"
    with process(gondwana, "serve", "--port", port, "--data", str(data), log=folder / "plane.log"):
        until(lambda: Client(url, retries_max=0).healthy() or True, "the control plane")
        token = (data / "founder.token").read_text().strip()
        client = Client(url, token)
        join = (
            gondwana, "provider", "join", url, "--token", token, "--price", "0", "--name", "bench",
            "--state", str(folder / "agent"), "--max-memory", "1GB",
        )  # fmt: skip
        with process(*join, log=folder / "agent.log"):
            until(lambda: client.machines.get("bench").state == "up", "the machine")
            yield client


def launch(client: Client, number: int) -> tuple[float, dict[str, float]]:
    """(seconds from the answer to the first line, the stages in seconds) of one run."""
    asked = time.monotonic()
    job = client.jobs.submit(JobSpec(name=f"echo-{number}", run=f"echo line {number}; sleep 0.2"))
    answered = time.monotonic()
    piece = client.jobs.read_log(job.id, wait_seconds=WAIT_SECONDS_MAX)
    readable, clock = time.monotonic(), time.time()
    assert piece.data == b"line %d\n" % number, piece.data
    ended = client.jobs.wait(job.id, seconds_max=WAIT_SECONDS_MAX)
    assert ended.state == "succeeded", ended
    at = {event.kind: event.at for event in client.jobs.events(job.id)}
    return readable - answered, {
        "api": answered - asked,
        "match": at["lease.active"] - at["job.admitted"],
        "link": at["run.preparing"] - at["lease.active"],
        "sandbox": at["run.running"] - at["run.preparing"],
        "log": clock - at["run.running"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, network(Path(folder)) as client:
        launch(client, 0)  # whatever is loaded once
        runs = [launch(client, number) for number in range(1, arguments.runs + 1)]
    taken = sorted(total for total, _ in runs)
    p50, p95 = statistics.median(taken), statistics.quantiles(taken, n=20)[-1]
    split = {name: statistics.median(stages[name] for _, stages in runs) * 1000 for name in STAGES}
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
          f"{arguments.runs} runs\n")  # fmt: skip
    print(f"{'accepted launch to first line readable':46}{'seconds':>9}{'target':>9}")
    print(f"{'p50':46}{p50:9.2f}{LATENCY_P50_SECONDS_MAX:9.1f}")
    print(f"{'p95':46}{p95:9.2f}")
    print(f"\n{'stage, p50':46}{'ms':>9}")
    for name, told in STAGES.items():
        print(f"{name + ': ' + told:46}{split[name]:9.0f}")
    if arguments.json:
        values = {"launch_latency_p50_s": round(p50, 3), "launch_latency_p95_s": round(p95, 3)}
        rounded = {name: round(value, 1) for name, value in split.items()}
        print(json.dumps({**values, "split_ms": rounded, "runs": arguments.runs}))
    if p50 > LATENCY_P50_SECONDS_MAX:
        raise SystemExit("over the limit")


if __name__ == "__main__":
    main()
