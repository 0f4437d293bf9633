"""What a run is told of its lease's end, and when: a whole file, and a last call."""

import asyncio
import json

import pytest

from gondwana.agent.notices import NOTICE_FILE, Notices, seconds_until_shown
from gondwana.jobs.rules.batch import was_stopped_by_notice
from gondwana.market.model import CloseReason, LeaseState
from gondwana.wire.agent import LAST_CALL_SECONDS, LEASE_ENDED, LeaseNotice

SOON = 0.05  # seconds


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "notices"


@pytest.fixture
def shown(folder):
    """What the run finds in its file; None while there is none."""

    def read():
        path = folder / NOTICE_FILE
        return json.loads(path.read_text()) if path.exists() else None

    return read


def ended(ends_at=5_000.0):
    """The notice of an agreed time."""
    return LeaseNotice(reason=LEASE_ENDED, ends_at=ends_at)


def reclaimed(ends_at=5_000.0):
    return LeaseNotice(reason="reclaimed", ends_at=ends_at)


def tell(folder, story):
    """Plays a story with the notices of one lease; no timer outlives it."""

    async def play():
        notices = Notices(folder)
        try:
            async with asyncio.timeout(20):
                await story(notices)
        finally:
            notices.close()

    asyncio.run(play())


# -- when


@pytest.mark.parametrize(
    ("seconds_left", "wait"),
    [
        (108_000.0, 108_000.0 - LAST_CALL_SECONDS),
        (LAST_CALL_SECONDS + 1, 1.0),
        (LAST_CALL_SECONDS, 0.0),
        (60.0, 0.0),  # all of the agreed time is shorter
        (0.0, 0.0),
    ],
)
def test_the_end_of_an_agreed_time_is_told_in_the_last_two_minutes(seconds_left, wait):
    assert seconds_until_shown(LEASE_ENDED, seconds_left) == wait


@pytest.mark.parametrize("reason", sorted({*CloseReason, "funds"} - {CloseReason.LEASE_ENDED}))
def test_any_other_end_is_told_as_soon_as_it_is_known(reason):
    assert seconds_until_shown(reason, 108_000.0) == 0.0


def test_the_end_that_agents_wait_for_is_called_as_the_market_calls_it():
    assert CloseReason.LEASE_ENDED == LEASE_ENDED


@pytest.mark.parametrize("reason", [CloseReason.LEASE_ENDED, CloseReason.RECLAIMED])
def test_whoever_ends_because_he_was_told_is_never_taken_for_one_that_failed(make, reason):
    for seconds_left in (0, 1, 60, 119, 120, 121, 150, 600, 108_000):
        lease = make.lease(ends_at=make.NOW + seconds_left)
        if reason is CloseReason.RECLAIMED:
            lease = make.lease(state=LeaseState.RECLAIMING, reclaim_at=lease.ends_at)
        if seconds_until_shown(reason, seconds_left) == 0:
            assert was_stopped_by_notice(lease, make.run(), 75, make.NOW)


# -- how


def test_a_notice_is_a_file_with_its_reason_and_is_gone_when_it_is_taken_back(folder, shown):
    async def story(notices):
        notices.tell(reclaimed(), 3_600.0)
        assert shown() == {"reason": "reclaimed", "ends_at": 5_000.0, "seconds_left": 3_600.0}
        assert not notices.last_call.is_set()  # there is an hour yet
        notices.tell(None, 0.0)
        assert list(folder.iterdir()) == []

    tell(folder, story)


def test_the_last_call_comes_at_once_where_there_is_no_more_time_than_saving_takes(folder, shown):
    async def story(notices):
        for notice in (reclaimed(1.0), ended(1.0)):
            notices.tell(None, 0.0)
            notices.tell(notice, LAST_CALL_SECONDS)
            assert shown()["reason"] == notice.reason
            await notices.last_call.wait()

    tell(folder, story)


def test_the_end_of_an_agreed_time_shows_by_itself_together_with_the_last_call(folder, shown):
    async def story(notices):
        notices.tell(ended(), LAST_CALL_SECONDS + SOON)
        assert shown() is None
        assert not notices.last_call.is_set()
        await notices.last_call.wait()  # and nobody said anything meanwhile
        assert shown() == {"reason": LEASE_ENDED, "ends_at": 5_000.0, "seconds_left": 120.0}

    tell(folder, story)


def test_a_lease_that_is_extended_before_its_last_call_shows_nothing_at_the_old_end(folder, shown):
    async def story(notices):
        old_end = asyncio.Event()
        notices.tell(ended(5_000.0), LAST_CALL_SECONDS + SOON)
        asyncio.get_running_loop().call_later(2 * SOON, old_end.set)
        notices.tell(ended(8_600.0), LAST_CALL_SECONDS + 3_600.0)
        await old_end.wait()
        assert shown() is None
        assert not notices.last_call.is_set()

    tell(folder, story)


def test_a_lease_that_is_extended_after_its_last_call_takes_it_back_and_calls_again(folder, shown):
    async def story(notices):
        notices.tell(ended(5_000.0), 60.0)
        await notices.last_call.wait()
        notices.tell(ended(8_600.0), LAST_CALL_SECONDS + SOON)
        assert shown() is None
        assert not notices.last_call.is_set()
        await notices.taken_back.wait()
        await notices.last_call.wait()
        assert not notices.taken_back.is_set()
        assert shown()["ends_at"] == 8_600.0

    tell(folder, story)


def test_an_owners_notice_is_shown_though_the_agreed_time_was_not_told_yet(folder, shown):
    async def story(notices):
        notices.tell(ended(), 7_200.0)
        assert shown() is None
        notices.tell(reclaimed(1_400.0), 3_600.0)
        assert shown()["reason"] == "reclaimed"
        assert not notices.last_call.is_set()

    tell(folder, story)
