"""The API over a real socket: many at once, and who waits is woken."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from gondwana.core.errors import NoSuchThing
from gondwana.jobs import store as jobs
from gondwana.jobs.report import log_chunk
from gondwana.sdk import Client
from gondwana.wire import agent as wire

FOLLOWERS = 60  # more than a server has threads to wait in


def running(served):
    """A job that runs: (job, lease, run)."""
    world = served.world
    world.join()
    job = world.submit()
    world.reconcilers.run(world.now)
    (run,) = jobs.runs_of_job(world.reader, job.id)
    return job, run


def say(served, run, offset, data):
    chunk = wire.LogChunk(
        number=1, run_id=run.id, lease_id=run.lease_id, epoch=1, offset=offset, data=data
    )
    served.world.plane.output_came(served.world.write(log_chunk, "mac_kauri", chunk))


def test_many_callers_at_once_read_the_same_database_without_getting_in_each_others_way(served):
    client = served.client
    asks = [
        lambda: list(client.account.statement()),
        client.account.balance,
        lambda: list(client.jobs.list()),
    ] * 40
    with ThreadPoolExecutor(12) as callers:
        for answer in [callers.submit(ask) for ask in asks]:
            answer.result()


def test_two_requests_may_each_hold_a_snapshot_at_once(served):
    reader, both = served.world.database.shared_reader(), threading.Barrier(2, timeout=10)

    def look():
        with reader.snapshot():
            both.wait()
            return reader.one("SELECT count(*) AS n FROM principal")["n"]

    with ThreadPoolExecutor(2) as threads:
        assert [each.result() for each in [threads.submit(look), threads.submit(look)]] == [2, 2]


def test_who_waits_for_output_gets_it_as_soon_as_it_is_stored(served):
    job, run = running(served)
    with ThreadPoolExecutor(1) as waiting:
        told = waiting.submit(served.client.jobs.read_log, job.id, wait_seconds=30.0)
        served.world.until_followed(job.id)
        say(served, run, 0, b"hello\n")
        assert told.result(timeout=10).data == b"hello\n"


def test_who_waits_for_an_event_gets_it_as_soon_as_it_happens(served):
    job, _run = running(served)
    seen = max(event.seq for event in served.client.jobs.events(job.id))
    with ThreadPoolExecutor(2) as waiting:
        one = waiting.submit(served.client.jobs.events, job.id, after=seen, wait_seconds=30.0)
        every = waiting.submit(served.client.events, after=seen, wait_seconds=30.0)
        served.world.until_followed(job.id)
        served.world.until_followed(None)
        served.client.jobs.cancel(job.id)
        assert one.result(timeout=10)[0].kind == every.result(timeout=10)[0].kind == "job.cancelled"


def test_followers_of_many_jobs_do_not_keep_others_from_the_api(served):
    job, run = running(served)
    with ThreadPoolExecutor(FOLLOWERS) as waiting:
        told = [
            waiting.submit(
                Client(served.url, served.token).jobs.read_log, job.id, wait_seconds=30.0
            )
            for _ in range(FOLLOWERS)
        ]
        served.world.until_followed(job.id, by=FOLLOWERS)
        assert served.client.jobs.get(job.id).state == "provisioning"
        say(served, run, 0, b"all\n")
        assert {each.result(timeout=20).data for each in told} == {b"all\n"}


def test_waiting_ends_empty_when_nothing_comes_in_time(served):
    job, _ = running(served)
    piece = served.client.jobs.read_log(job.id, wait_seconds=0.05)
    assert (piece.data, piece.next_offset, piece.ended) == (b"", 0, False)


def test_an_ended_job_says_that_there_is_no_more(served):
    job, run = running(served)
    say(served, run, 0, b"one\n")
    served.client.jobs.cancel(job.id)
    piece = served.client.jobs.read_log(job.id, offset=2, wait_seconds=30.0)
    assert (piece.data, piece.next_offset, piece.ended) == (b"e\n", 4, True)


@pytest.mark.parametrize("read", ["read_log", "events", "get"])
def test_what_is_not_the_callers_is_not_found(served, read):
    with pytest.raises(NoSuchThing):
        getattr(served.client.jobs, read)("job_of_another")


def test_output_of_a_second_attempt_follows_all_of_the_first(served, make):
    job, run = running(served)
    pieces = jobs.LOG_PIECES_MAX + 6
    for number in range(pieces):
        say(served, run, 2 * number, b"a\n")
    second = make.run("second", job_id=job.id, lease_id=run.lease_id, at=1e9)
    served.world.write(jobs.save_run, served.world.now, second, machine_id="mac_kauri")
    say(served, second, 0, b"b\n")
    served.client.jobs.cancel(job.id)
    text = b"".join(served.client.jobs.logs(job.id))
    assert text == b"a\n" * pieces + b"b\n"


def test_no_follower_is_left_behind(served):
    job, _ = running(served)
    served.client.jobs.read_log(job.id, wait_seconds=0.01)
    assert served.world.plane.followers(job.id) == 0
    assert threading.active_count() < 100
