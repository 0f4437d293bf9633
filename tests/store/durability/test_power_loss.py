"""Whenever the power goes, and whatever of the unsynced writes the disk kept: what was answered is there."""

import itertools
import os
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
from backends import sqlite_flaws
from disk import ANSWERS, Call, Disk, read_journal
from traffic import Books, open_books, traffic
from verdict import Tally, examine

from gondwana.core.errors import GondwanaError
from gondwana.core.values import replace

CUTS = 2_000 if os.environ.get("GONDWANA_NIGHTLY") else 80  # of each run
IN_FLIGHT = (1, 4, 16)  # a run for each
WAL_HEAD_BYTES = 32  # written only where the log begins
HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a client did to its folder, call by call."""

    folder: Path
    calls: list[Call]
    in_flight: int


@pytest.fixture(scope="module")
def layer(tmp_path_factory):
    """The library that keeps the journal, compiled."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("NO C COMPILER (cc) OR NO LINUX HERE: nobody tested what a power cut leaves")
    library = tmp_path_factory.mktemp("layer") / "droplayer.so"
    source = HERE / "droplayer.c"
    subprocess.run(
        [compiler, "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-pthread", "-o", library, source], check=True
    )  # fmt: skip
    return library


@pytest.fixture
def run(layer, tmp_path):
    """Runs a client until its end: `run(in_flight, …)`."""

    def run_client(in_flight: int, *level: str) -> Run:
        folder, journal = tmp_path / f"run-{in_flight}", tmp_path / f"journal-{in_flight}"
        folder.mkdir()
        layered = {
            "LD_PRELOAD": str(layer), "DROPLAYER_FOLDER": str(folder), "DROPLAYER_JOURNAL": str(journal),
        }  # fmt: skip
        command = [sys.executable, HERE / "doomed.py", folder, str(in_flight), str(in_flight), *level]  # fmt: skip
        subprocess.run(command, env=os.environ | layered, check=True)
        return Run(folder=folder, calls=list(read_journal(journal)), in_flight=in_flight)

    return run_client


def cut_points(calls, random):
    """Half of them right after an answer, when most is at stake, the rest anywhere."""
    answers = [number for number, call in enumerate(calls, 1) if is_answer(call)]
    after_answers = random.choices(answers, k=CUTS // 2)
    return sorted(after_answers + random.choices(range(len(calls) + 1), k=CUTS // 2))


def is_answer(call):
    return call.kind == "w" and call.data.endswith(b"\n") and b":" in call.data


def cut_the_power(run, folder, *, until=lambda tally: False):
    """Rebuild the disk after each of many cuts of a run, and judge what the database makes of it: the tally."""
    random, disk, tally = Random(run.in_flight), Disk(run.folder), Tally()
    done = 0
    for cut in cut_points(run.calls, random):
        for call in run.calls[done:cut]:
            disk.do(call)
        done = cut
        folder.mkdir()
        for name, content in disk.after_power_cut(random).items():
            (folder / name).write_bytes(content)
        judge(run, folder / "books.db", disk.answered, tally)
        shutil.rmtree(folder)
        if until(tally):
            break
    return tally


def judge(run, path, answered, tally):
    steps = itertools.islice(traffic(run.in_flight), len(answered) + run.in_flight)
    try:
        with open_books(path) as database:
            examine(database, list(steps), answered, Books(), tally)
            tally.wrong += sqlite_flaws(path)
    except (GondwanaError, sqlite3.Error) as error:
        tally.wrong.append(f"the database does not work: {error}")


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("in_flight", IN_FLIGHT)
def test_a_power_cut_at_any_moment_loses_nothing_that_was_answered(run, tmp_path, in_flight):
    tally = cut_the_power(run(in_flight), tmp_path / "rebuilt")
    print(tally)
    assert tally.crashes == CUTS
    assert tally.acknowledged > 10 * CUTS
    assert (tally.lost, tally.wrong) == ([], [])


@pytest.mark.parametrize("level", ["NORMAL", "OFF"])
def test_a_database_that_does_not_wait_for_the_disk_is_found_out(run, tmp_path, level):
    careless = run(4, level)
    assert cut_the_power(careless, tmp_path / "rebuilt", until=lambda tally: tally.lost).lost


def test_a_folder_that_was_never_synced_is_found_out(run, tmp_path):
    done, is_folder = run(4), {}
    kept = []
    for call in done.calls:
        if call.kind in "co":
            is_folder[call.file] = call.data.decode() == str(done.folder)
        if call.kind != "s" or not is_folder[call.file]:
            kept.append(call)
    assert len(kept) < len(done.calls)
    careless = replace(done, calls=kept)
    assert cut_the_power(careless, tmp_path / "rebuilt", until=lambda tally: tally.lost).lost


def test_the_journal_knows_all_that_the_files_hold(run):
    done = run(4)
    disk = Disk(done.folder)
    for call in done.calls:
        disk.do(call)
    files = {
        path.name: path.read_bytes() for path in done.folder.iterdir()
        if path.name != ANSWERS and not path.name.endswith("-shm")
    }  # fmt: skip
    assert {*files} == {"books.db", "books.db-wal"}
    assert disk.now() == files
    heads = [call for call in done.calls if call.offset == 0 and len(call.data) == WAL_HEAD_BYTES]
    assert len(heads) > 2, "the write-ahead log was never begun anew while the client ran"
