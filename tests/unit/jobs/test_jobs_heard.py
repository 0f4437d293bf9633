"""What a pass looks at: all at first and now and then, between that only what was heard of."""

from gondwana.core.clock import Instant
from gondwana.core.events import Event
from gondwana.db.events import StoredEvent
from gondwana.jobs.heard import LOOK_SECONDS, Heard

NOW = Instant(1_000.0)


def event(kind, job_id):
    return StoredEvent(seq=1, event=Event(at=NOW, kind=kind, subject="x", job_id=job_id))


def test_all_is_looked_at_as_long_as_nothing_is_heard():
    heard = Heard("run.lost")
    assert heard.take(NOW) is None
    assert heard.take(NOW) is None


def test_after_a_look_at_all_only_what_was_heard_of_is_looked_at_once():
    heard = Heard("run.lost", "run.exited")
    heard.follow([event("run.lost", "job_1")])
    assert heard.take(NOW) is None
    heard.follow(
        [event("run.exited", "job_2"), event("run.running", "job_3"), event("run.lost", "job_2")]
    )
    assert heard.take(NOW) == ["job_2"]
    assert heard.take(NOW) == []


def test_what_is_kept_is_looked_at_again():
    heard = Heard("training.begun")
    heard.follow([event("training.begun", "job_1")])
    heard.take(NOW)
    heard.follow([event("training.begun", "job_2")])
    heard.keep(["job_1"])
    assert heard.take(NOW) == ["job_1", "job_2"]


def test_all_is_looked_at_again_after_a_while_and_when_the_clock_goes_back():
    heard = Heard("run.lost")
    heard.follow([])
    heard.take(NOW)
    assert heard.take(Instant(NOW + LOOK_SECONDS - 0.1)) == []
    assert heard.take(Instant(NOW + LOOK_SECONDS)) is None
    assert heard.take(NOW) is None
