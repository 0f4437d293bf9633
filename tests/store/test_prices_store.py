"""Price history in a real database: one latest tick a bucket, whole hours after two days, nothing after ninety."""

import pytest

from gondwana.core.clock import Instant
from gondwana.core.values import replace
from gondwana.market import ticks
from gondwana.market.prices import Bucket, empty, to_tick

HOUR, DAY = 3_600, 86_400


@pytest.fixture
def begin(make):
    return Instant(make.NOW - make.NOW % HOUR)


def bucket(ask, model="H100", region="eu"):
    return Bucket(
        model=model, region=region, devices=4, rentable=1, leased=2, closed=1, ask_lowest=ask, ask_median=ask,
        ask_highest=ask,
    )  # fmt: skip


def record(database, at, *changed):
    return database.writer.call(ticks.record, [to_tick(each, Instant(at)) for each in changed])


def history(database, since=0.0, *, after=None, limit=100, region="eu"):
    given = {"since": Instant(since), "after": after, "limit": limit}
    found = ticks.history(database.reader(), "H100", region, **given)
    return [(tick.at, tick.ask_lowest) for tick in found]


def test_the_latest_of_each_bucket_is_what_was_recorded_last(database, begin):
    assert record(database, begin, bucket(1), bucket(5, region="us"), bucket(9, model="A100")) == 3
    assert record(database, begin + 60, bucket(2), empty("A100", "eu")) == 2
    found = {(t.model, t.region): t.ask_lowest for t in ticks.latest(database.reader())}
    assert found == {("A100", "eu"): None, ("H100", "eu"): 2, ("H100", "us"): 5}
    kept = list(ticks.latest(database.reader()))
    assert kept == [replace(tick, is_latest=True, is_fine=True) for tick in kept]


def test_more_buckets_than_a_page_are_all_read(database, begin, monkeypatch):
    monkeypatch.setattr(ticks, "ROWS_MAX", 2)
    names = [("A", "x"), ("A", "y"), ("B", "w"), ("B", "x"), ("C", "a")]
    record(database, begin, *(bucket(1, *name) for name in names))
    assert [(t.model, t.region) for t in ticks.latest(database.reader())] == names


def test_a_clock_that_went_back_changes_nothing(database, begin):
    record(database, begin, bucket(1))
    assert record(database, begin, bucket(2)) == record(database, begin - 60, bucket(2)) == 0
    assert history(database) == [(begin, 1)]


def test_a_history_begins_with_what_held_then_and_goes_on_page_by_page(database, begin):
    for n in range(5):
        record(database, begin + 60 * n, bucket(n))
    assert history(database, begin + 90) == [(begin + 60 * n, n) for n in range(1, 5)]
    assert history(database, begin + 90, limit=2) == [(begin + 60, 1), (begin + 120, 2)]
    rest = history(database, begin + 90, after=Instant(begin + 120))
    assert rest == [(begin + 180, 3), (begin + 240, 4)]
    assert history(database, begin - 1) == [(begin + 60 * n, n) for n in range(5)]
    assert history(database, region="us") == []


def test_of_an_hour_of_long_ago_the_last_tick_is_left(database, begin):
    for n in range(4):
        record(database, begin + 1_200 * n, bucket(n), bucket(n, region="us"))
    now = Instant(begin + HOUR + ticks.FINE_SECONDS)
    reader = database.reader()
    assert not ticks.has_old(reader, Instant(now - 1))
    assert ticks.has_old(reader, now)
    database.writer.call(ticks.forget, now)
    assert not ticks.has_old(reader, now)
    left = [(begin + 2_400, 2), (begin + 3_600, 3)]
    assert history(database) == history(database, region="us") == left


def test_after_ninety_days_only_what_still_holds_is_left(database, begin):
    record(database, begin, bucket(1), bucket(1, region="us"))
    record(database, begin + HOUR, bucket(2), empty("H100", "us"))
    now = Instant(begin + HOUR + ticks.KEPT_SECONDS + 1)
    database.writer.call(ticks.forget, now)
    assert history(database) == [(begin + HOUR, 2)]
    assert history(database, region="us") == []
    assert not ticks.has_old(database.reader(), now)
