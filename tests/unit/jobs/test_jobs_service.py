"""What a lease owed and what was proven, month by month; and when the network itself heard nobody."""

import pytest

from gondwana.core.clock import Instant
from gondwana.core.values import replace
from gondwana.jobs.rules import presence, service
from gondwana.jobs.rules.presence import Heard, Hearing
from gondwana.jobs.rules.service import Course, Gap, Start
from gondwana.market.model import CloseReason, LeaseState

NOV = service.month_begins("2026-11")
DEC = service.month_begins("2026-12")


def course(make, *, until, lived=NOV, proven_at=None, **known):
    fields = {
        key: known.pop(key) for key in ("closed_at", "reason", "state", "proven_ms") if key in known
    }
    lease = make.lease(lived_at=lived, proven_at=proven_at or until, **fields)
    return Course(lease=lease, known_until=Instant(until), **known)


def lost(make, *, at, until, **known):
    fields = {
        "closed_at": Instant(at),
        "reason": CloseReason.MACHINE_LOST,
        "state": LeaseState.CLOSED,
    }
    return course(make, until=until, proven_at=Instant(at - 15), **fields, **known)


def test_months_follow_each_other_over_the_new_year():
    assert service.month_of(Instant(DEC - 0.001)) == "2026-11"
    following = {"2026-01": "2026-02", "2026-12": "2027-01", "2028-02": "2028-03"}
    assert {month: service.next_month(month) for month in following} == following


def test_a_month_owes_only_what_lies_in_it(make):
    found = course(make, lived=Instant(DEC - 100), until=DEC + 50)
    assert service.months(found) == ["2026-11", "2026-12"]
    assert service.measure(found, "2026-11", ()).live_ms == 100_000
    assert service.measure(found, "2026-12", ()).live_ms == 50_000


@pytest.mark.parametrize(("silence", "owed"), [(5, 100), (12, 100), (13, 113)])
def test_a_tail_that_the_next_proof_can_still_prove_is_not_owed_yet(make, silence, owed):
    found = course(make, proven_at=Instant(NOV + 100), until=NOV + 100 + silence)
    assert service.measure(found, "2026-11", ()).live_ms == owed * 1000


def test_what_is_not_known_yet_is_not_judged(make):
    found = lost(make, at=NOV + 500, until=NOV + 490)
    assert service.measure(found, "2026-11", ()).live_ms == 490_000
    assert service.unserved(found) == (NOV + 500, NOV + 500)
    assert not service.is_over(found)


@pytest.mark.parametrize(
    ("known", "seconds"),
    [
        ({}, 1000),
        ({"served_again_at": Instant(NOV + 700)}, 200),
        ({"job_ended_at": Instant(NOV + 600), "served_again_at": Instant(NOV + 700)}, 100),
    ],
)
def test_it_is_unserved_until_somebody_serves_or_nobody_needs_it(make, known, seconds):
    found = lost(make, at=NOV + 500, until=NOV + 1500, **known)
    assert service.measure(found, "2026-11", ()).unserved_ms == seconds * 1000
    assert service.is_over(found) is bool(known)


def test_it_is_unserved_for_a_day_at_most(make):
    found = lost(make, at=NOV + 500, until=NOV + 500 + 5 * 86_400)
    assert service.measure(found, "2026-11", ()).unserved_ms == 86_400_000
    assert service.is_over(found)


@pytest.mark.parametrize("reason", sorted(set(CloseReason) - service.PROVIDER_ENDS))
def test_an_end_that_is_not_the_owners_leaves_nothing_unserved(make, reason):
    ended = replace(make.lease(), state=LeaseState.CLOSED, closed_at=Instant(NOV), reason=reason)
    assert service.unserved(Course(lease=ended, known_until=DEC)) is None


def test_gaps_that_overlap_excuse_each_moment_once():
    gaps = [Gap(since=Instant(10), until=Instant(20)), Gap(since=Instant(15), until=Instant(30))]
    assert service.excused_ms((Instant(0), Instant(25)), gaps) == 15_000
    assert service.excused_ms(None, gaps) == 0


def test_proven_time_around_midnight_counts_for_the_new_month_as_far_as_it_fits(make):
    lease = make.lease(proven_ms=1_000_000, proven_at=Instant(DEC + 40))
    assert service.proven_before(lease, Start(), "2026-12", ()) == 960_000
    away = [Gap(since=Instant(DEC - 100), until=Instant(DEC + 30))]
    assert service.proven_before(lease, Start(), "2026-12", away) == 990_000


# -- presence


def look(before, **changes):
    given = {
        "now": Instant(100),
        "listening_since": Instant(0),
        "heard": Heard(at=Instant(98), owners=2),
    }
    return presence.look(before, **{**given, **changes})


def test_with_several_owners_no_more_is_known_than_what_was_heard():
    assert look(Hearing(until=Instant(93))) == (Hearing(until=Instant(98)), None)


def test_a_first_look_knows_nothing_of_the_time_before():
    assert look(None) == (Hearing(until=Instant(98)), None)


def test_a_silence_of_everybody_is_a_gap_once_it_ends():
    deaf, gap = look(Hearing(until=Instant(80)), heard=Heard(at=Instant(82), owners=2))
    assert (deaf, gap) == (Hearing(until=Instant(82), is_deaf=True), None)
    back, gap = look(deaf)
    assert (back, gap) == (Hearing(until=Instant(98)), Gap(since=Instant(82), until=Instant(158)))


def test_one_owners_silence_is_no_gap():
    alone = Heard(at=Instant(40), owners=1)
    assert look(Hearing(until=Instant(95)), heard=alone) == (Hearing(until=Instant(100)), None)


def test_a_restart_is_a_gap_however_short():
    _, gap = look(Hearing(until=Instant(96)), listening_since=Instant(97))
    assert gap == Gap(since=Instant(96), until=Instant(158))


def test_a_control_plane_that_stood_still_for_a_while_was_away():
    alone = Heard(at=Instant(99), owners=1)
    _, gap = look(Hearing(until=Instant(60)), heard=alone)
    assert gap == Gap(since=Instant(60), until=Instant(160))


GAP = Gap(since=Instant(200), until=Instant(300))


@pytest.mark.parametrize(
    ("until", "since", "at", "hears"),
    [
        (500, 400, 401, 400),
        (500, 299, 350, 300),  # who is late after a gap is excused until everybody may be back
        (500, 300, 350, 300),
        (500, 150, 250, 300),  # it began meanwhile
        (390, 400, 401, 400),  # what is known is a look old
        (380, 400, 401, None),  # it hears nobody now
    ],
)
def test_nobody_is_blamed_for_what_the_network_could_not_hear(until, since, at, hears):
    told = presence.hears_since(Instant(until), (GAP,), since=Instant(since), at=Instant(at))
    assert told == hears
