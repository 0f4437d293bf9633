"""How much of a GPU cluster is given away before nothing fits: Alibaba's trace under the protocol of the FGD paper.

    python benchmarks/openb.py [FOLDER] [--seeds 10] [--policy gondwana …] [--json]

Each pod list in the folder (`openb_pod_list_*.csv`) against its nodes (`openb_node_list_gpu_node.csv`): the list is
shuffled with the seed (42, 43, …), random pods of it follow until the GPUs asked for are 130 % of the cluster's, pods
are placed one by one, nobody leaves. The score is the GPUs allocated, in % of all. Beside it what Weng et al. (USENIX
ATC'23) publish, each the mean of 10 seeds. Seconds are processor time of one run, compiled code already loaded.
"""

import argparse
import csv
import io
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gondwana.core.errors import GondwanaError
from gondwana.market.packing import GPUS_MAX, MODELS_MAX, Node, Packer, Policy, Request

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data" / "openb"
SOURCE = "data/csv of github.com/hkust-adsl/kubernetes-scheduler-simulator (Apache-2.0)"
NODES = "openb_node_list_gpu_node.csv"
LISTS = "openb_pod_list_*.csv"
FIRST_SEED = 42
ARRIVALS_PERCENT = 130
SECONDS_MAX = 0.5
BYTES_MAX = 1 << 28  # of a file
ROWS_MAX = 200_000  # of a file, and of a run
DEFAULT = [Policy.GONDWANA, Policy.FIRST_FIT, Policy.BEST_FIT, Policy.FGD]

BASELINES = ["Random", "DotProd", "Clustering", "Packing", "BestFit", "FGD"]
PAPER = {
    "default": (87.47, 90.85, 91.88, 92.00, 93.08, 95.39),
    "cpu050": (91.24, 93.27, 93.79, 93.72, 93.79, 95.21),
    "cpu100": (89.11, 91.96, 92.64, 92.72, 93.44, 95.35),
    "cpu200": (None, None, None, None, None, 95.04),
    "cpu250": (80.41, 83.80, 87.99, 88.28, 91.45, 93.41),
    "gpushare40": (86.00, 89.56, 90.02, 90.03, 91.69, 94.15),
    "gpushare60": (None, None, None, None, None, 91.40),
    "gpushare80": (None, None, None, None, None, 89.30),
    "gpushare100": (79.44, 82.42, 82.65, 82.57, 85.01, 86.90),
    "gpuspec10": (87.43, 90.39, 92.18, 92.46, 93.31, 94.95),
    "gpuspec20": (None, None, None, None, None, 94.84),
    "gpuspec25": (None, None, None, None, None, 94.74),
    "gpuspec33": (86.46, 89.14, 92.12, 93.22, 93.09, 94.55),
    "multigpu20": (88.69, 92.06, 93.56, 93.71, 93.93, 95.65),
    "multigpu30": (None, None, None, None, None, 96.46),
    "multigpu40": (None, None, None, None, None, 96.99),
    "multigpu50": (90.28, 94.85, 95.81, 96.18, 95.74, 97.18),
}  # the published table; of some lists the field notes hold the last column only


class BadFile(Exception):
    """A file is not of the trace's format: where, and what is wrong."""


@dataclass(frozen=True)
class Row:
    """One line of a file, asked by column name."""

    path: Path
    line: int
    values: dict[str, str]

    def text(self, column: str) -> str:
        return self.values.get(column, "").strip()

    def number(self, column: str) -> int:
        """A whole number of zero or more."""
        text = self.text(column)
        if not text.isascii() or not text.isdecimal() or len(text) > 12:
            raise self.wrong(column, f"{text[:40]!r} is not a whole number of zero or more")
        return int(text)

    def wrong(self, column: str, what: str) -> BadFile:
        return BadFile(f"{self.path}, line {self.line}, column {column}: {what}")


def rows(path: Path, required: list[str]) -> Iterator[Row]:
    """The lines of a file below its header, which names at least the required columns."""
    try:
        if path.stat().st_size > BYTES_MAX:
            raise BadFile(f"{path}: larger than {BYTES_MAX >> 20} MiB")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadFile(f"{path}: {error}") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        for column in required:
            if header.count(column) != 1:
                has = ", ".join(header)[:200] or "nothing"
                raise BadFile(f"{path}, line 1, column {column}: needed once; there is {has}")
        for values in reader:
            if len(values) != len(header):
                if not values:
                    continue
                column = (
                    header[len(values)]
                    if len(values) < len(header)
                    else f"number {len(header) + 1}"
                )
                raise BadFile(f"{path}, line {reader.line_num}, column {column}: "
                              f"{len(values)} fields under {len(header)} names")  # fmt: skip
            if reader.line_num > ROWS_MAX:
                raise BadFile(f"{path}, line {reader.line_num}: more than {ROWS_MAX:,} lines")
            yield Row(path, reader.line_num, dict(zip(header, values, strict=True)))
    except csv.Error as error:
        raise BadFile(f"{path}, line {reader.line_num}: {error}") from error


def read_nodes(path: Path) -> list[Node]:
    """The machines, all idle."""
    nodes: list[Node] = []
    models: set[str] = set()
    for row in rows(path, ["cpu_milli", "memory_mib", "gpu", "model"]):
        count = row.number("gpu")
        models.add(row.text("model"))
        if count > GPUS_MAX:
            raise row.wrong("gpu", f"{count} GPUs are more than {GPUS_MAX}")
        if len(models) > MODELS_MAX:
            raise row.wrong("model", f"there are more than {MODELS_MAX} models")
        try:
            nodes.append(Node(cpu_milli=row.number("cpu_milli"), memory_mib=row.number("memory_mib"),
                              idle_milli=(1_000,) * count, model=row.text("model")))  # fmt: skip
        except GondwanaError as error:
            raise row.wrong("cpu_milli or memory_mib", error.message) from error
    if not any(node.idle_milli for node in nodes):
        raise BadFile(f"{path}: no node has a GPU")
    return nodes


def read_pods(path: Path) -> list[Request]:
    """What the pods ask; `gpu_milli` counts for a pod of one GPU, several are whole."""
    pods = []
    for row in rows(path, ["cpu_milli", "memory_mib", "num_gpu", "gpu_milli"]):
        gpus, milli = row.number("num_gpu"), row.number("gpu_milli")
        if gpus > GPUS_MAX:
            raise row.wrong("num_gpu", f"{gpus} GPUs are more than {GPUS_MAX}")
        if milli > 1_000 or (gpus == 1 and not milli) or (gpus > 1 and milli not in (0, 1_000)):
            raise row.wrong("gpu_milli", f"{milli} milli of {gpus} GPU(s) cannot be asked")
        models = frozenset(name.strip() for name in row.text("gpu_spec").split("|")) - {""}
        try:
            pods.append(Request(
                cpu_milli=row.number("cpu_milli"), memory_mib=row.number("memory_mib"), num_gpu=gpus,
                gpu_milli=(milli if gpus == 1 else 1_000) if gpus else 0, models=models if gpus else frozenset(),
            ))  # fmt: skip
        except GondwanaError as error:
            raise row.wrong("cpu_milli or memory_mib", error.message) from error
    if not any(pod.num_gpu for pod in pods):
        raise BadFile(f"{path}: no pod asks for a GPU")
    return pods


def arrivals(pods: list[Request], capacity_milli: int, seed: int) -> list[Request]:
    """The shuffled list and random pods of it, as many as ask for 130 % of the GPUs."""
    chance = np.random.default_rng(seed)
    order, asked = [], 0
    shuffled = iter(chance.permutation(len(pods)).tolist())
    while asked * 100 < capacity_milli * ARRIVALS_PERCENT:
        number = next(shuffled, None)
        pod = pods[int(chance.integers(len(pods))) if number is None else number]
        order.append(pod)
        asked += pod.total_milli
        if len(order) > ROWS_MAX:
            raise BadFile(f"more than {ROWS_MAX:,} pods do not ask for {ARRIVALS_PERCENT} % of the GPUs")  # fmt: skip
    return order


def run(nodes: list[Node], pods: list[Request], policy: Policy, seed: int) -> tuple[float, float]:
    """(% of the GPUs allocated, processor seconds) of one run."""
    chance = np.random.default_rng(seed) if policy is Policy.RANDOM else None
    capacity = 1_000 * sum(len(node.idle_milli) for node in nodes)
    order = arrivals(pods, capacity, seed)
    start = time.process_time()
    packer = Packer(nodes, pods, policy=policy, chance=chance)
    packer.place_all(order)
    return 100 * (1 - packer.idle_milli / capacity), time.process_time() - start


def measure(nodes: list[Node], pods: list[Request], policy: Policy, seeds: int) -> dict:
    """The figures of one list and policy."""
    runs = [run(nodes, pods, policy, FIRST_SEED + n) for n in range(seeds)]
    return {
        "mean": round(statistics.mean(score for score, _ in runs), 4),
        "by_seed": [round(score, 4) for score, _ in runs],
        "seconds": round(statistics.median(seconds for _, seconds in runs), 4),
    }


def warm_up(nodes: list[Node], policies: list[Policy]) -> None:
    """Load or compile the loops, so that no run pays for it."""
    pods = [Request(cpu_milli=1_000, num_gpu=1, gpu_milli=500)]
    for policy in policies:
        chance = np.random.default_rng(0) if policy is Policy.RANDOM else None
        Packer(nodes, pods, policy=policy, chance=chance).place_all(pods)


def table(found: dict[str, dict[str, dict]], policies: list[Policy]) -> str:
    """The figures as aligned text, the paper's beside them."""
    names = ["list", *(f"{name}*" for name in BASELINES), *policies, "over FGD*", "seconds"]
    lines = [names]
    for stem, figures in found.items():
        paper = PAPER.get(stem.removeprefix("openb_pod_list_"), (None,) * len(BASELINES))
        first = figures[policies[0]]
        over = "" if paper[-1] is None else f"{first['mean'] - paper[-1]:+.2f}"
        lines.append([
            stem.removeprefix("openb_pod_list_"), *("" if each is None else f"{each:.2f}" for each in paper),
            *(f"{figures[policy]['mean']:.2f}" for policy in policies), over, f"{first['seconds']:.2f}",
        ])  # fmt: skip
    widths = [max(len(line[n]) for line in lines) for n in range(len(names))]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *(map(str.rjust, line[1:], widths[1:]))])
        for line in lines
    )


def read_folder(folder: Path) -> tuple[list[Node], dict[str, list[Request]]]:
    """The nodes and the pod lists by file stem."""
    if not folder.is_dir():
        raise BadFile(f"{folder} is no folder: put {NODES} and {LISTS} there, from {SOURCE}")
    paths = sorted(folder.glob(LISTS))
    if not paths or not (folder / NODES).is_file():
        raise BadFile(f"{folder} lacks {NODES if paths else LISTS}: get it from {SOURCE}")
    return read_nodes(folder / NODES), {path.stem: read_pods(path) for path in paths}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER)
    parser.add_argument("--seeds", type=int, default=10, help="how many, from 42 on")
    parser.add_argument("--policy", type=Policy, choices=list(Policy), action="append")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    asked = parser.parse_args()
    if asked.seeds < 1:
        parser.error("--seeds is at least 1")
    policies = list(dict.fromkeys(asked.policy or DEFAULT))
    try:
        nodes, lists = read_folder(asked.folder)
        warm_up(nodes, policies)
        found = {
            stem: {policy.value: measure(nodes, pods, policy, asked.seeds) for policy in policies}
            for stem, pods in lists.items()
        }
    except BadFile as error:
        raise SystemExit(f"openb: {error}") from error
    loops = "numba" if "gondwana.market.packing_kernel" in sys.modules else "numpy only: slow"
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {loops}; "
          f"GPUs allocated in %, mean of {asked.seeds} seeds; * as published\n")  # fmt: skip
    print(table(found, policies))
    print(f"\nseconds: processor time of one run of {policies[0]}; target {SECONDS_MAX}")
    if asked.json:
        print(json.dumps({"lists": found}))


if __name__ == "__main__":
    main()
