"""A warm worker that is a stranger's: it answers, lies, breaks and is replaced."""

import asyncio
import sys

import pytest

from gondwana.core.values import replace
from gondwana.engines.base import Limits, Task
from gondwana.engines.worker import FailureReason, UnitFailure, Worker
from gondwana.wire.units import UnitKind, UnitResult, UnitSpec, WorkerRequest

pytestmark = pytest.mark.sandbox
MIB = 1024**2
LOOP = """
import json, os, sys, time
served = 0
for line in sys.stdin:
    unit = json.loads(line)["unit"]["id"]
    served += 1
    def answer(**what): print(json.dumps({"unit_id": unit, **what}), flush=True)
    CODE
"""


def request(unit_id="unit_1"):
    unit = UnitSpec(
        id=unit_id, job_id="job", kind=UnitKind.TRAIN, round=0, code="", recipe="", seed=0
    )
    return WorkerRequest(unit=unit, inputs="/inputs", output="/job/out")


@pytest.fixture
def ask(engine, tmp_path):
    """Ask a worker that runs `code` for each of `unit_ids`; the answers and what was logged."""

    def ask(code, *unit_ids, seconds_max=20.0, **limits):
        lines = []
        task = Task(name="worker", command=(sys.executable, "-c", LOOP.replace("CODE", code)), work=tmp_path / "work",
                    limits=replace(Limits(memory_bytes_max=256 * MIB, pids_max=32), **limits))  # fmt: skip

        async def main():
            worker = Worker(engine, task, lines.append)
            try:
                return [
                    await worker.run(request(one), seconds_max=seconds_max)
                    for one in unit_ids or ("unit_1",)
                ]
            finally:
                await worker.close()

        return asyncio.run(main()), lines

    return ask


def test_one_worker_does_many_units(ask):
    answers, _ = ask('answer(result={"tokens": served})', "unit_1", "unit_2", "unit_3")
    assert [answer.tokens for answer in answers] == [1, 2, 3]


def test_what_the_unit_raised_comes_back_and_the_worker_stays(ask):
    code = 'answer(error="ValueError: no") if served == 1 else answer(result={"tokens": served})'
    answers, _ = ask(code, "unit_1", "unit_2")
    assert answers[0] == UnitFailure(reason=FailureReason.RAISED, detail="ValueError: no")
    assert answers[1] == UnitResult(tokens=2)


@pytest.mark.parametrize(
    "code, reason",
    [
        ("print('nonsense', flush=True)", FailureReason.BAD_REPLY),
        ("print(flush=True)", FailureReason.BAD_REPLY),
        ("print('{}', flush=True)", FailureReason.BAD_REPLY),
        ("print('[' * 100_000, flush=True)", FailureReason.BAD_REPLY),
        ("answer()", FailureReason.BAD_REPLY),
        ("answer(result={'tokens': 'many'})", FailureReason.BAD_REPLY),
        ("unit = 'another'; answer(result={})", FailureReason.BAD_REPLY),
        ("sys.stdout.buffer.write(b'\\xff\\xfe\\n'); sys.stdout.flush()", FailureReason.BAD_REPLY),
        ("sys.stdout.write('x' * (9 << 20)); sys.stdout.flush()", FailureReason.BAD_REPLY),
        ("sys.exit(3)", FailureReason.DIED),
        ("print('half', end='', flush=True); os._exit(0)", FailureReason.DIED),
        ("os.kill(os.getpid(), 11)", FailureReason.DIED),
        ("os.close(1); os.close(0); time.sleep(1)", FailureReason.DIED),
        ("answer(error='MemoryError: ')", FailureReason.OUT_OF_MEMORY),
        ("kept = [bytearray(1 << 20) for index in range(100_000)]", FailureReason.OUT_OF_MEMORY),
    ],
)
def test_a_worker_that_breaks_is_named_and_the_next_unit_gets_a_fresh_one(ask, code, reason):
    code = f"if unit == 'bad': {code}\n    else: answer(result={{'tokens': served}})"
    answers, _ = ask(code, "good", "bad", "next")
    assert answers[0] == UnitResult(tokens=1)
    assert answers[1].reason is reason
    assert answers[2].tokens in (1, 3)  # a fresh worker counts from one


def test_a_unit_that_never_answers_is_out_of_time(ask):
    answers, _ = ask("time.sleep(600) if served == 1 else 0", seconds_max=0.5)
    assert answers[0].reason is FailureReason.OUT_OF_TIME


def test_a_unit_that_fills_the_disk_is_out_of_disk(ask):
    code = "[open(f'part{index}', 'wb').write(bytes(1 << 20)) for index in range(10_000)]"
    answers, _ = ask(code, work_bytes_max=16 * MIB)
    assert answers[0].reason is FailureReason.OUT_OF_DISK


def test_logs_are_passed_on_up_to_a_limit(ask):
    code = "[print('line', index, file=sys.stderr) for index in range(100_000)]; answer(result={})"
    _, lines = ask(code)
    assert lines[:2] == ["line 0", "line 1"]
    assert "the rest is dropped" in lines[-1]
    assert sum(map(len, lines)) < 300 * 1024


def test_a_cancelled_unit_stops_its_worker(engine, tmp_path):
    task = Task(
        name="cancelled",
        command=(sys.executable, "-c", "import time; time.sleep(600)"),
        work=tmp_path,
    )

    async def main():
        worker = Worker(engine, task, print)
        await worker.warm()
        asking = asyncio.create_task(worker.run(request(), seconds_max=60))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        left = worker.pid
        await worker.close()
        return left

    assert asyncio.run(main()) is None


def test_closing_in_the_middle_of_a_unit_ends_it(engine, tmp_path):
    task = Task(
        name="closed", command=(sys.executable, "-c", "import time; time.sleep(600)"), work=tmp_path
    )

    async def main():
        worker = Worker(engine, task, print)
        await worker.warm()
        asking = asyncio.create_task(worker.run(request(), seconds_max=60))
        await asyncio.sleep(0)
        await worker.close()
        return await asking

    assert asyncio.run(main()).reason is FailureReason.DIED
