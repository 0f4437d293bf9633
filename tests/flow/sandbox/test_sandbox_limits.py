"""A stranger's code takes all it can; the machine stays whole, and the end is named."""

import asyncio
import subprocess
import sys

import psutil
import pytest

from gondwana.engines.base import EndKind, Limits, Task
from gondwana.engines.plain import Plain
from gondwana.engines.trees import remove_tree

pytestmark = pytest.mark.sandbox
MIB = 1024**2


def test_a_memory_hog_is_out_of_memory(run):
    done = run("kept = []\nwhile True: kept.append(bytearray(1 << 20))", memory_bytes_max=128 * MIB)
    assert done.end.kind is EndKind.OUT_OF_MEMORY
    assert done.end.usage.memory_bytes_peak > 100 * MIB


def test_a_child_that_hogs_memory_ends_the_task_too(run):
    code = (
        "import os\n"
        "if os.fork() == 0:\n"
        "    kept = []\n"
        "    while True: kept.append(bytearray(1 << 20))\n"
        "import signal\nsignal.pause()"
    )
    assert run(code, memory_bytes_max=128 * MIB).end.kind is EndKind.OUT_OF_MEMORY


def test_a_task_that_never_ends_is_out_of_time(run):
    done = run("while True: pass", seconds_max=0.5)
    assert done.end.kind is EndKind.OUT_OF_TIME
    assert 0.5 <= done.end.usage.seconds < 5


def test_ten_gigabytes_are_out_of_disk(run, tmp_path):
    code = (
        "for index in range(10_000):\n"
        "    with open(f'part{index}', 'wb') as file: file.write(bytes(1 << 20))"
    )
    done = run(code, work_bytes_max=32 * MIB)
    assert done.end.kind is EndKind.OUT_OF_DISK
    remove_tree(tmp_path / "work")


def test_one_huge_file_is_out_of_disk(run):
    code = "file = open('huge', 'wb', buffering=0)\nwhile True: file.write(bytes(1 << 20))"
    assert run(code, work_bytes_max=32 * MIB).end.kind is EndKind.OUT_OF_DISK


def test_deleted_files_that_are_kept_open_are_out_of_disk(run):
    code = (
        "import os, signal\nkept = []\n"
        "for index in range(40):\n"
        "    kept.append(open('part', 'wb', buffering=0))\n"
        "    kept[-1].write(bytes(1 << 20))\n"
        "    os.unlink('part')\n"
        "signal.pause()"
    )
    assert run(code, work_bytes_max=32 * MIB).end.kind is EndKind.OUT_OF_DISK


def test_a_sparse_file_costs_only_what_it_holds(run):
    code = "for index in range(5): open(f'sparse{index}', 'wb').truncate(10 << 20)"
    assert run(code, work_bytes_max=16 * MIB).end.succeeded


def test_a_million_files_are_out_of_disk(run, tmp_path):
    done = run(
        "for index in range(10**6): open(f'file{index}', 'w').close()", work_entries_max=2000
    )
    assert done.end.kind is EndKind.OUT_OF_DISK
    remove_tree(tmp_path / "work")


def test_bytes_cannot_hide_in_folders_too_deep_to_look_into(run, tmp_path):
    code = (
        "import os, signal\n"
        "for index in range(500): os.mkdir('d'); os.chdir('d')\n"
        "open('hidden', 'wb').write(bytes(1 << 20))\n"
        "signal.pause()"
    )
    assert run(code, work_bytes_max=16 * MIB).end.kind is EndKind.OUT_OF_DISK
    remove_tree(tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_a_fork_bomb_of_ten_thousand_stops_at_its_limit_and_leaves_nothing(run):
    code = (
        "import os, time\nmade = 0\n"
        "for index in range(10_000):\n"
        "    try: child = os.fork()\n"
        "    except OSError: break\n"
        "    if child == 0: time.sleep(600)\n"
        "    made += 1\n"
        "print(made)"
    )
    before = len(psutil.pids())
    done = run(code, pids_max=64)
    assert 32 <= int(done.stdout) < 64
    assert len(psutil.pids()) < before + 50
    assert (
        subprocess.run(["true"], check=True).returncode == 0
    )  # the machine can still start things


def test_what_a_task_left_running_ends_with_it(run):
    code = "import os\nif os.fork() == 0:\n    os.setsid()\n    while True: pass"
    done = run(code, name="leaves")
    assert done.end.succeeded
    spinning = [
        one
        for one in psutil.process_iter(["cmdline"])
        if one.info["cmdline"] and code in one.info["cmdline"]
    ]
    assert psutil.wait_procs(spinning, timeout=5)[1] == []


def test_half_a_processor_is_half_a_processor(report, tmp_path):
    if "cpu" not in report.cgroups.holds:
        pytest.skip("no control group holds processor time here")
    task = Task(name="half", command=(sys.executable, "-c", "while True: pass"), work=tmp_path,
                limits=Limits(cpus=0.5, seconds_max=2))  # fmt: skip

    async def measure():
        process = await report.sandbox().start(task)
        return await process.wait()

    end = asyncio.run(measure())
    assert end.usage.cpu_seconds / end.usage.seconds < 0.65


def test_the_exit_code_and_the_output_come_back(run):
    done = run("import sys; print('out'); print('err', file=sys.stderr); sys.exit(7)")
    assert (done.end.kind, done.end.exit_code) == (EndKind.EXITED, 7)
    assert (done.stdout, done.stderr) == (b"out\n", b"err\n")


def test_more_output_than_is_kept_does_not_stop_the_task(run):
    done = run("import sys\nfor index in range(3000): sys.stdout.write('x' * 1000)")
    assert done.end.succeeded
    assert len(done.stdout) == 256 * 1024


def test_killing_a_task_ends_all_of_it(engine, tmp_path):
    async def kill():
        code = "import os\nos.fork()\nprint(1, flush=True)\nwhile True: pass"
        process = await engine.start(
            Task(name="killed", command=(sys.executable, "-c", code), work=tmp_path)
        )
        await process.stdout.readexactly(4)
        inside = psutil.Process(process.pid).children(recursive=True)
        end = await process.kill()
        return end, psutil.wait_procs(inside, timeout=5)[1]

    end, alive = asyncio.run(kill())
    assert end.kind is EndKind.KILLED
    assert alive == []


def test_a_group_of_the_kernels_is_gone_after_the_task(report, tmp_path):
    async def run_one():
        sandbox = report.sandbox()
        process = await sandbox.start(Task(name="brief", command=("true",), work=tmp_path))
        await process.wait()
        return sandbox.cgroups.group("brief")

    assert not any(folder.exists() for folder in asyncio.run(run_one()).folders.values())


def test_a_plain_process_is_for_the_owners_own_work_and_takes_its_daemons_along(tmp_path):
    code = (
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        print(os.getpid(), flush=True)\n"
        "        time.sleep(600)\n"
        "    os._exit(0)\n"
        "os.wait(); time.sleep(600)"
    )

    async def run_one():
        task = Task(
            name="own",
            command=(sys.executable, "-c", code),
            work=tmp_path,
            limits=Limits(seconds_max=30),
        )
        process = await Plain(trusted=True).start(task)
        daemon = psutil.Process(int(await process.stdout.readline()))
        end = await process.kill()
        return end, psutil.wait_procs([daemon], timeout=5)[1]

    end, alive = asyncio.run(run_one())
    assert end.kind is EndKind.KILLED
    assert alive == []
