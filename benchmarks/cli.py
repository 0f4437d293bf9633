"""How much processor time a command costs before it does anything: the price of every script and every prompt.

    python benchmarks/cli.py [--json]

Bare Python, `gondwana --help`, and `gondwana offers --json` against a real control plane that this benchmark starts.
Processor time of the process (user + system), median of 15 runs: on a busy machine the clock on the wall says little.
"""

import argparse
import json
import os
import platform
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

from gondwana.core.errors import GondwanaError
from gondwana.sdk import Client

RUNS = 15
HELP_CPU_MS_MAX = 200
OFFERS_CPU_MS_MAX = 350
START_TRIES_MAX = 100
START_PAUSE_SECONDS = 0.1


def cpu_ms(command: list[str], environment: dict[str, str]) -> float:
    """Median processor time of the command, in milliseconds."""
    taken = []
    for _ in range(RUNS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(taken) * 1000


@contextmanager
def control_plane(gondwana: str, folder: Path):
    """A control plane on a free port: (its address, a token)."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [gondwana, "serve", "--port", str(port), "--data", str(folder)]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"
        await_answer(url)
        yield url, (folder / "founder.token").read_text().strip()
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(timeout=30)


def await_answer(url: str) -> None:
    pause = threading.Event()
    for _ in range(START_TRIES_MAX):
        try:
            Client(url, retries_max=0).healthy()
        except GondwanaError:
            pause.wait(START_PAUSE_SECONDS)
        else:
            return
    raise SystemExit("the control plane did not start")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    arguments = parser.parse_args()
    gondwana = shutil.which("gondwana", path=str(Path(sys.executable).parent)) or shutil.which(
        "gondwana"
    )
    if gondwana is None:
        raise SystemExit("the command `gondwana` is not installed beside this Python")
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "XDG_CONFIG_HOME": folder}
        bare = cpu_ms([sys.executable, "-c", "pass"], environment)
        helped = cpu_ms([gondwana, "--help"], environment)
        with control_plane(gondwana, Path(folder, "data")) as (url, token):
            environment |= {"GONDWANA_URL": url, "GONDWANA_TOKEN": token}
            offers = cpu_ms([gondwana, "offers", "--json"], environment)
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; CPU ms, median of {RUNS}\n"
    )
    print(f"{'command':28}{'CPU ms':>8}{'× bare':>8}{'limit':>8}")
    rows = [("python -c pass", bare, None), ("gondwana --help", helped, HELP_CPU_MS_MAX),
            ("gondwana offers --json", offers, OFFERS_CPU_MS_MAX)]  # fmt: skip
    for name, measured, limit in rows:
        print(f"{name:28}{measured:8.0f}{measured / bare:8.1f}{limit or '':>8}")
    if arguments.json:
        values = {"help_cpu_ms": helped, "offers_cpu_ms": offers, "python_cpu_ms": bare}
        print(json.dumps({name: round(value, 1) for name, value in values.items()}))
    if helped > HELP_CPU_MS_MAX or offers > OFFERS_CPU_MS_MAX:
        raise SystemExit("over the limit")


if __name__ == "__main__":
    main()
