"""No device is promised twice: the calendar's rules against a calendar that is counted second by second."""

from itertools import pairwise
from math import inf

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gondwana.core.clock import Instant
from gondwana.core.values import replace
from gondwana.market.calendar import rules
from gondwana.market.calendar.model import Booking, BookingKind, BookingState, Standing
from gondwana.market.calendar.rules import Promise
from gondwana.market.model import CloseReason, Mechanism
from gondwana.wire.calendar import Discount

NOW = Instant(1_000_000.0)
HOUR = 3_600
DAY = 24 * HOUR


def booking(name="a", *, start=DAY, hours=2, devices=1, **changes):
    given = {
        "id": f"rsv_{name}", "kind": BookingKind.RESERVATION, "state": BookingState.BOOKED, "machine_id": "mac_kauri",
        "order_id": f"ord_{name}", "job_id": f"job_{name}", "devices": devices, "starts_at": Instant(NOW + start),
        "ends_at": Instant(NOW + start + hours * HOUR), "created_at": NOW,
        "price_micro_usd_per_device_hour": 1_000_000,
    }  # fmt: skip
    made = Booking(**{**given, **changes})
    return replace(made, deposit_micro_usd=rules.deposit_micro_usd(made))


def standing(name="a", *, notice=0, agreed=None, latest=None, noticed=None, spot=False, at=0.0, devices=1):  # fmt: skip
    return Standing(
        lease_id=f"lea_{name}", machine_id="mac_kauri", devices=devices, reserved_at=Instant(NOW + at),
        notice_seconds=notice, is_spot=spot, agreed_end=None if agreed is None else Instant(NOW + agreed),
        noticed_end=None if noticed is None else Instant(NOW + noticed),
        latest_end=None if latest is None else NOW + latest,
    )  # fmt: skip


PROMISES = st.lists(
    st.builds(
        lambda devices, start, length: Promise(
            devices=devices, starts_at=start, ends_at=start + length
        ),
        st.integers(1, 4), st.integers(0, 20), st.integers(1, 20),
    ),
    max_size=12,
)  # fmt: skip


def promised_at(promises, second):
    return sum(each.devices for each in promises if each.starts_at <= second < each.ends_at)


@given(PROMISES, st.integers(0, 10))
def test_what_is_taken_when_adds_up_to_what_is_promised_in_each_second_from_now_on(promises, now):
    found = rules.taken(4, promises, Instant(now))
    for before, after in pairwise(found):
        assert before.ends_at <= after.starts_at
        assert (before.ends_at, before.devices) != (after.starts_at, after.devices)
    for second in range(now, 45):
        assert promised_at(found, second) == min(4, promised_at(promises, second))


@given(PROMISES, st.integers(0, 20), st.integers(1, 20))
def test_room_is_what_a_calendar_of_seconds_has_left_at_its_fullest(promises, start, length):
    fullest = max(promised_at(promises, second) for second in range(start, start + length))
    assert rules.room(8, promises, start, start + length) == 8 - fullest


@given(st.integers(1, 4), PROMISES)
def test_whoever_is_given_what_there_is_room_for_never_shares_a_device_in_any_second(devices, asked):  # fmt: skip
    """Requests come one after the other, each for a window of its own; taken only where there is room."""
    taken = []
    for each in asked:
        if rules.room(devices, taken, each.starts_at, each.ends_at) >= each.devices:
            taken.append(each)
        else:
            fullest = max(promised_at(taken, s) for s in range(each.starts_at, each.ends_at))
            assert fullest + each.devices > devices  # and it is refused only where it must be
    assert all(promised_at(taken, second) <= devices for second in range(45))


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "lease", "wait"]),
        st.integers(1, 3),  # devices
        st.integers(1, 20),  # start, or how long to wait, in quarters of an hour
        st.integers(1, 16),  # length, the same
        st.sampled_from([0, HOUR, 4 * HOUR]),  # notice
        st.booleans(),  # agreed for a time
    ),
    max_size=25,
)  # fmt: skip


@example(  # the older lease goes: the newer one agreed no notice
    steps=[
        ("reserve", 1, 8, 1, 0, False), ("lease", 1, 1, 1, HOUR, False),
        ("lease", 2, 1, 1, 0, False), ("wait", 1, 8, 1, 0, False),
    ]
)  # fmt: skip
@example(  # the older lease goes: it is too late for the newer one's notice
    steps=[
        ("reserve", 1, 8, 1, 0, False), ("lease", 1, 1, 1, HOUR, False),
        ("lease", 2, 1, 1, 4 * HOUR, False), ("wait", 1, 8, 1, 0, False),
    ]
)  # fmt: skip
@given(STEPS)
def test_reserving_leasing_and_making_way_by_these_rules_never_gives_a_device_twice(make, steps):
    """A machine of three devices lives through a story; a look each minute counts who has what."""
    machine = _Machine(make)
    for what, devices, start, length, notice, timed in steps:
        if what == "reserve":
            machine.reserve(devices, machine.now + start * 900, length * 900, notice)
        elif what == "lease":
            machine.lease(devices, length * 900 if timed else None, notice)
        else:
            for _ in range(15 * start):
                machine.pass_time(rules.LOOK_SECONDS)


class _Machine:
    """A machine of three devices, as loops and transactions would treat it."""

    def __init__(self, make):
        self.make, self.now, self.leases, self.bookings = make, NOW, [], []

    def reserve(self, devices, start, length, notice):
        order = self.make.order(
            f"r{len(self.bookings)}", devices=devices, starts_at=Instant(start), lease_seconds=length
        )  # fmt: skip
        listing = self.make.listing(devices=3, reserve_seconds_max=30 * DAY, notice_seconds=notice)
        if rules.may_reserve(listing, order, self.bookings, self.leases, self.now):
            self.bookings.append(
                booking(str(len(self.bookings)), devices=devices, starts_at=order.starts_at,
                        ends_at=rules.window_end(order), created_at=self.now)
            )  # fmt: skip

    def lease(self, devices, length, notice):
        order = self.make.order("l", devices=devices, lease_seconds=length)
        agreed = None if length is None else Instant(self.now + length)
        end = rules.end_if_made(order, notice, agreed, self.now)
        promises = [*rules.booked(self.bookings), *(rules.held(one, self.now) for one in self.leases)]  # fmt: skip
        if (
            devices <= 3 - sum(each.devices for each in self.leases) - self.begun()
            and rules.room(3, promises, self.now, end) >= devices
        ):
            name = f"{len(self.leases)}-{self.now}"
            self.leases.append(
                replace(standing(name, notice=notice, devices=devices), reserved_at=self.now, agreed_end=agreed)
            )  # fmt: skip

    def begun(self):
        return sum(
            each.devices for each in self.bookings if each.starts_at <= self.now < each.ends_at
        )

    def pass_time(self, seconds):
        self.now = Instant(self.now + seconds)
        told = {each.lease_id: each for each in rules.leaving(3, self.bookings, self.leases, self.now)}  # fmt: skip
        self.leases = [
            replace(each, noticed_end=told[each.lease_id].at) if each.lease_id in told else each
            for each in self.leases
        ]
        for each in told.values():  # nor is anybody told later than was agreed
            lease = next(one for one in self.leases if one.lease_id == each.lease_id)
            assert lease.notice_seconds, "who has no notice is not sent away"
            assert lease.agreed_end is None, "who agreed a time has it"
            assert each.at >= self.now + lease.notice_seconds
        ends = [(each.agreed_end or inf, each.noticed_end or inf) for each in self.leases]
        self.leases = [
            each for each, end in zip(self.leases, ends, strict=True) if min(end) > self.now
        ]
        assert sum(each.devices for each in self.leases) + self.begun() <= 3


def test_a_lease_that_nobody_may_send_away_bars_the_machine_for_ever(make):
    order = make.order(starts_at=Instant(NOW + DAY), lease_seconds=HOUR)
    listing = make.listing(reserve_seconds_max=30 * DAY)
    assert rules.may_reserve(listing, order, [], [], NOW)
    assert not rules.may_reserve(listing, order, [], [standing()], NOW)
    assert rules.may_reserve(listing, order, [], [standing(notice=DAY - 60)], NOW)
    assert not rules.may_reserve(listing, order, [], [standing(notice=DAY - 59)], NOW)
    assert rules.may_reserve(listing, order, [], [standing(agreed=DAY)], NOW)
    assert not rules.may_reserve(listing, order, [], [standing(agreed=DAY + 1, notice=HOUR)], NOW)
    assert rules.may_reserve(listing, order, [], [standing(spot=True, agreed=3 * DAY)], NOW)


def test_nobody_reserves_what_its_owner_does_not_offer_or_not_so_far_ahead(make):
    order = make.order(starts_at=Instant(NOW + DAY), lease_seconds=HOUR)
    for ahead, expected in ((0, False), (DAY, False), (DAY + HOUR - 1, False), (DAY + HOUR, True)):
        listing = make.listing(reserve_seconds_max=ahead)
        assert rules.may_reserve(listing, order, [], [], NOW) is expected


def test_a_lease_is_made_before_a_booking_only_if_it_ends_or_can_be_sent_away_in_time(make):
    day_off = [*rules.booked([booking()])]

    def fits(notice=0, agreed=None, **changes):
        order = make.order(**changes)
        end = rules.end_if_made(order, notice, None if agreed is None else Instant(NOW + agreed), NOW)  # fmt: skip
        return rules.room(1, day_off, NOW, end) >= 1

    assert fits(agreed=DAY)
    assert not fits(agreed=DAY + 1)
    assert not fits()
    assert fits(seconds_max=HOUR)
    assert not fits(seconds_max=DAY)  # a run may end a little late
    assert fits(notice=HOUR)
    assert not fits(notice=DAY)  # it would have its notice at once
    assert fits(mechanism=Mechanism.SPOT)


def test_only_the_newest_leases_go_and_only_as_many_as_must():
    leases = [standing("old", notice=HOUR, at=0), standing("new", notice=HOUR, at=1)]
    at = Instant(NOW + DAY - HOUR)
    (told,) = rules.leaving(2, [booking()], leases, at)
    assert (told.lease_id, told.at, told.reason) == ("lea_new", NOW + DAY, CloseReason.RECLAIMED)
    assert rules.leaving(3, [booking()], leases, at) == []
    early = at - rules.LOOK_SECONDS
    assert rules.leaving(2, [booking()], leases, Instant(early - 1)) == []
    assert len(rules.leaving(2, [booking()], leases, Instant(early))) == 1
    assert rules.leaving(2, [booking()], [leases[0], replace(leases[1], noticed_end=NOW + DAY)], at) == []  # fmt: skip


def test_maintenance_that_was_announced_in_time_is_nobodys_fault_and_else_it_is_the_owners():
    window = booking(kind=BookingKind.MAINTENANCE, order_id=None, devices=1)
    at = Instant(NOW + DAY - 120)

    def reason(lease, announced=0.0):
        (told,) = rules.leaving(1, [replace(window, created_at=Instant(NOW + announced))], [lease], at)  # fmt: skip
        return told.reason

    assert reason(standing(notice=HOUR, at=-1)) is CloseReason.MAINTENANCE
    assert reason(standing(notice=HOUR, at=-1), announced=DAY - HOUR) is CloseReason.MAINTENANCE
    assert reason(standing(notice=HOUR, at=-1), announced=DAY - HOUR + 1) is CloseReason.OWNER_LEFT
    assert reason(standing(at=-1)) is CloseReason.OWNER_LEFT  # it had agreed no notice
    assert reason(standing(at=1)) is CloseReason.MAINTENANCE  # but knew of it when it was made


@pytest.mark.parametrize(
    ("hours_ahead", "part"), [(48, 0), (24, 0), (23.9, 0.5), (1, 0.5), (0.9, 1), (0, 0), (-1, 0)]
)
def test_cancelling_late_costs_a_part_of_the_deposit(hours_ahead, part):
    made = booking()
    now = Instant(made.starts_at - hours_ahead * HOUR)
    assert rules.cancelling_micro_usd(made, now) == 1_000_000 * part


def test_a_deposit_is_an_hour_or_all_of_it_if_that_is_less():
    assert booking(hours=5, devices=2).deposit_micro_usd == 2_000_000
    assert booking(hours=0.5).deposit_micro_usd == 500_000


def test_a_longer_lease_costs_less_rounded_in_its_owners_favour(make):
    from gondwana.market.rules import discounted

    ladder = (Discount(seconds=DAY, basis_points=500), Discount(seconds=7 * DAY, basis_points=1_500))  # fmt: skip
    listing = make.listing(price=1_000_001, discounts=ladder)

    def price(seconds, mechanism=Mechanism.POSTED):
        order = make.order(lease_seconds=seconds, mechanism=mechanism)
        return discounted(order, listing).price_micro_usd_per_device_hour

    assert price(None) == price(DAY - 1) == 1_000_001
    assert price(DAY) == 950_001  # 950,000.95
    assert price(8 * DAY) == 850_001
    assert price(8 * DAY, Mechanism.AUCTION) == 1_000_001
