"""Types are learnt by one thread at a time, whoever meets them first."""

import subprocess
import sys

import msgspec
import pytest

from gondwana.core.decoding import convert, from_json, learnt

RACE = """
import dataclasses, enum, sys, threading
import msgspec
from gondwana.core import decoding

def fresh(number):
    kinds = [enum.Enum(f"E{place}", {f"m{each}": f"v{each}" for each in range(8)}) for place in range(6)]
    fields = [(f"f{place}", kind) for place, kind in enumerate(kinds)]
    inner = msgspec.defstruct("S", fields) if number % 2 else dataclasses.make_dataclass("D", fields)
    return inner, msgspec.defstruct("Outer", [("inner", inner)])

sys.setswitchinterval(1e-6)
call = decoding.convert if sys.argv[1] == "ours" else msgspec.convert
row = {f"f{place}": "v1" for place in range(6)}
for number in range(int(sys.argv[2])):
    inner, outer = fresh(number)
    asked = [(row, inner), ({"inner": row}, outer), (row, inner)]
    start = threading.Barrier(len(asked))

    def run(value, kind):
        start.wait()
        assert call(value, kind)

    threads = [threading.Thread(target=run, args=each) for each in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
print("all alive")
"""


class Point(msgspec.Struct):
    x: int


def race(whose, rounds):
    command = [sys.executable, "-c", RACE, whose, str(rounds)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_threads_that_meet_a_type_at_once_all_get_their_values():
    done = race("ours", 300)
    assert (done.returncode, done.stdout, done.stderr) == (0, "all alive\n", "")


def test_msgspec_alone_still_crashes_so_that_the_lock_is_worth_its_keep():
    assert race("msgspec", 5_000).returncode < 0, "msgspec is safe now: core.decoding may go"


def test_values_and_json_become_what_is_expected_or_say_why_not():
    assert convert({"x": 1}, Point) == from_json('{"x":1}', Point) == Point(1)
    assert from_json(b"[1]", tuple[int, ...]) == (1,)
    assert learnt(Point | None) == Point | None
    with pytest.raises(msgspec.ValidationError, match="x"):
        convert({"x": "1"}, Point)
    with pytest.raises(msgspec.DecodeError):
        from_json("{", Point)
