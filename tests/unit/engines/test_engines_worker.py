import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gondwana.engines.base import End, EndKind, Usage
from gondwana.engines.worker import (
    REPLY_BYTES_MAX,
    FailureReason,
    UnitFailure,
    failure_of,
    read_reply,
)
from gondwana.wire.units import UnitResult, WorkerReply


def test_a_result_is_read():
    reply = WorkerReply(unit_id="unit_1", result=UnitResult(tokens=5))
    assert read_reply(msgspec.json.encode(reply), "unit_1") == UnitResult(tokens=5)


@given(line=st.binary(max_size=200))
def test_whatever_a_worker_says_nothing_raises(line):
    assert isinstance(read_reply(line, "unit_1"), UnitFailure)


def test_an_answer_longer_than_any_honest_one_is_bad():
    assert read_reply(b" " * (REPLY_BYTES_MAX + 1), "unit_1").reason is FailureReason.BAD_REPLY


@pytest.mark.parametrize(
    "end, reason",
    [
        (End(kind=EndKind.OUT_OF_MEMORY), FailureReason.OUT_OF_MEMORY),
        (End(kind=EndKind.OUT_OF_DISK), FailureReason.OUT_OF_DISK),
        (End(kind=EndKind.OUT_OF_TIME), FailureReason.OUT_OF_TIME),
        (End(kind=EndKind.EXITED, exit_code=1), FailureReason.DIED),
        (End(kind=EndKind.KILLED, exit_code=137), FailureReason.DIED),
        (
            End(kind=EndKind.EXITED, exit_code=1, usage=Usage(forks_refused=2)),
            FailureReason.TOO_MANY_PROCESSES,
        ),
    ],
)
def test_every_end_of_a_worker_has_a_reason(end, reason):
    assert failure_of(end).reason is reason
