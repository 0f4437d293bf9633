import re

import pytest

from gondwana.core.errors import Unavailable
from gondwana.wire.jobs import JobSpec

JOB = {"id": "job_1", "name": "hello", "kind": "batch", "state": "running", "created_at": 1.0}
EVENT = {
    "seq": 4,
    "at": 1.0,
    "kind": "job.running",
    "subject": "job_1",
    "job_id": "job_1",
    "data": {},
}


def test_a_job_is_watched_from_event_to_event_until_it_has_ended(plane, client):
    plane.reply(JOB | {"state": "submitted"})
    plane.reply({"items": [EVENT], "cursor": None})
    plane.reply(JOB)
    plane.reply({"items": [], "cursor": None})
    plane.reply(JOB | {"state": "succeeded", "exit_code": 0})
    assert [view.state for view in client.jobs.watch("hello")] == [
        "submitted",
        "running",
        "succeeded",
    ]
    asked = [request.path for request in plane.requests if "/events" in request.path]
    assert [re.search(r"after=(\d+)", path).group(1) for path in asked] == ["0", "4"]


def test_waiting_ends_with_the_job_or_with_the_patience(plane, client):
    plane.reply(JOB | {"state": "failed", "exit_code": 3})
    assert client.jobs.wait("hello").exit_code == 3
    plane.reply(JOB)
    with pytest.raises(Unavailable) as caught:
        client.jobs.wait("hello", seconds_max=-1)
    assert "goes on" in str(caught.value.hint)


def test_logs_are_followed_to_their_end_and_not_past_it(plane, client):
    plane.reply(body=b"one\n", X_Log_Next="4")
    plane.reply(body=b"", X_Log_Next="4")
    plane.reply(body=b"two\n", X_Log_Next="8", X_Log_End="1")
    assert b"".join(client.jobs.logs("hello", follow=True)) == b"one\ntwo\n"
    assert "offset=4" in plane.requests[2].path


def test_logs_without_follow_stop_at_what_there_is(plane, client):
    plane.reply(body=b"one\n", X_Log_Next="4")
    plane.reply(body=b"", X_Log_Next="4")
    assert b"".join(client.jobs.logs("hello")) == b"one\n"


def test_a_spec_is_sent_as_the_wire_names_it(plane, client):
    plane.reply(JOB)
    client.jobs.submit(JobSpec(name="hello", run="true"))
    assert b'"seconds_max":86400.0' in plane.requests[0].body
