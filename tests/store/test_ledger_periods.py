"""What a person reads of his accounts: periods, pages over several accounts, exported entries, maturing earnings."""

import itertools
from datetime import UTC, datetime

import pytest
from bookkeeping import LEASE, TASK, UNIT, fund, has, put
from hypothesis import given, settings
from hypothesis import strategies as st

from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidValue
from gondwana.core.values import replace
from gondwana.db.database import Database
from gondwana.ledger import earnings, export, periods, rules
from gondwana.ledger.accounts import lease_escrow, provider_holdback
from gondwana.ledger.chain import seal
from gondwana.ledger.store import balance, credited_before

DAY = 86_400
START = Instant(datetime(2026, 11, 1, tzinfo=UTC).timestamp())
NUMBERS = itertools.count()


@pytest.fixture
def database(make_database):
    return make_database(before_commit=seal)


def earn(database, amount, at):
    """One unit that an owner is paid for."""
    unit = replace(UNIT, unit_id=f"u{next(NUMBERS)}", price_micro_usd=amount)
    put(database, rules.assign_unit(TASK, unit), at=at)
    put(database, rules.accept_unit(TASK, unit), at=at)


def mature(database, at):
    reader, account = database.reader(), provider_holdback("p")
    before = credited_before(reader, account, Instant(at - rules.HOLDBACK_SECONDS))
    entry = rules.mature("p", credited_before_window=before, holdback=balance(reader, account))
    put(database, entry, at=at)


def test_months_and_days_are_cut_in_utc():
    november = periods.month_period("2026-11")
    assert (november.since, november.until) == (START, START + 30 * DAY)
    assert periods.month_period("2026-12").until == periods.month_period("2027-01").since
    assert periods.month_of(START) == "2026-11"
    assert periods.month_of(Instant(START - 0.001)) == "2026-10"
    days = periods.parse_period(month=None, since="2026-11-01", until="2026-11-02T12:00:00+02:00")
    assert (days.since, days.until) == (START, START + DAY + 10 * 3_600)
    assert periods.parse_period(month=None, since=None, until=None) == periods.Period()


@pytest.mark.parametrize(
    "month",
    ["", "2026", "2026-1", "2026-13", "2026-00", "0000-01", "9999-12", "2026-11-01", "٢٠٢٦-11"],
)
def test_a_month_that_is_none_is_named_with_how_to_write_one(month):
    with pytest.raises(InvalidValue) as refused:
        periods.parse_period(month=month, since=None, until=None)
    assert refused.value.fields["field"] == "month"
    assert "2026-11" in refused.value.hint


def test_days_in_the_wrong_order_or_beside_a_month_are_refused():
    for asked in (
        {"since": "2026-11-02", "until": "2026-11-02"},
        {"since": "x"},
        {"until": "2026-02-30"},
    ):
        with pytest.raises(InvalidValue):
            periods.parse_period(month=None, **{"since": None, "until": None, **asked})
    with pytest.raises(InvalidValue, match="2026-11"):
        periods.parse_period(month="2026-11", since="2026-11-01", until=None)
    with pytest.raises(InvalidValue) as refused:
        periods.personal("p", "savings")
    assert "holdback" in refused.value.hint


def pages(reader, accounts, limit, since=None):
    """All lines by page, with the balances after them."""
    cursor = periods.cursor_before(periods.span_of(reader, periods.Period()).end, accounts)
    while cursor is not None:
        lines, cursor = periods.lines_of(reader, accounts, since, cursor=cursor, limit=limit)
        yield from ((line.seq, name, line.available_micro_usd) for name, line in lines)


def test_pages_over_all_accounts_hold_each_line_once_also_of_a_transfer_between_two(database):
    fund(database)
    put(database, rules.open_task(TASK, 9_000_000))
    for number in range(4):
        earn(database, 1_000 + number, START)
    mature(database, Instant(START + 8 * DAY))  # holdback → payable: a line in both
    accounts, reader = periods.personal("p"), database.reader()
    whole = list(pages(reader, accounts, 200))
    assert [name for _, name, _ in whole[:2]] == ["holdback", "payable"]
    assert whole[0][0] == whole[1][0]
    assert len(whole) == len(set(whole)) == 10
    for limit in (1, 2, 3, 7):
        assert list(pages(reader, accounts, limit)) == whole
    for wrong in ("x", "1", "1.savings", ".holdback", "-1.holdback", "9" * 30 + ".holdback"):
        with pytest.raises(InvalidValue, match="cursor"):
            periods.lines_of(reader, accounts, None, cursor=wrong, limit=5)


@settings(max_examples=20, deadline=None)
@given(steps=st.lists(st.tuples(st.integers(1, 5_000), st.integers(0, 3)), min_size=1, max_size=8),
       cut=st.integers(0, 12))  # fmt: skip
def test_opening_and_changes_come_to_closing_wherever_a_period_is_cut(steps, cut):
    with Database.in_memory(before_commit=seal) as database:
        fund(database)
        put(database, rules.open_task(TASK, 9_000_000), at=START)
        at = START
        for amount, days in steps:
            at = Instant(at + days * DAY)
            earn(database, amount, at)
        mature(database, Instant(at + 5 * DAY))
        reader = database.reader()
        since = Instant(START + cut * DAY)
        span = periods.span_of(reader, periods.Period(since=since))
        for name, account in periods.personal("p").items():
            opening = periods.available_before(reader, account, span.first)
            closing = periods.available_before(reader, account, span.end)
            if opening is None:
                continue
            cursor = periods.cursor_before(span.end, {name: account})
            lines, _ = periods.lines_of(reader, {name: account}, since, cursor=cursor, limit=200)
            assert opening + sum(line.change_micro_usd for _, line in lines) == closing
            assert closing == has(database, account)


def test_an_owner_is_told_what_becomes_payable_on_which_day_first_in_first_out(database):
    fund(database, 90_000_000)
    put(database, rules.open_task(TASK, 50_000_000))
    for day, amount in ((0, 1_000_000), (0, 500_000), (2, 2_000_000), (3, 4_000_000)):
        earn(database, amount, Instant(START + day * DAY + 60))
    now = Instant(START + 4 * DAY)
    found = [
        (each.day, each.amount_micro_usd) for each in earnings.maturing(database.reader(), "p", now)
    ]
    assert found == [
        ("2026-11-08", 1_455_000),
        ("2026-11-10", 1_940_000),
        ("2026-11-11", 3_880_000),
    ]
    assert sum(amount for _, amount in found) == has(database, provider_holdback("p"))
    late = Instant(START + 8 * DAY)
    found = [
        (each.day, each.amount_micro_usd)
        for each in earnings.maturing(database.reader(), "p", late)
    ]
    assert found[0] == ("2026-11-09", 1_455_000)  # due already: today
    mature(database, late)
    found = [
        (each.day, each.amount_micro_usd)
        for each in earnings.maturing(database.reader(), "p", late)
    ]
    assert found == [("2026-11-10", 1_940_000), ("2026-11-11", 3_880_000)]
    assert earnings.maturing(database.reader(), "nobody", now) == []
    assert earnings.paid_out_micro_usd(database.reader(), "p") == 0
    assert earnings.paid_out_micro_usd(database.reader(), "nobody") == 0


def test_entries_are_exported_whole_in_order_and_go_on_after_any_number(database):
    fund(database)
    fund(database, 5_000_000, "other")
    put(database, rules.open_lease(LEASE, 2_490_000))
    put(database, rules.meter(LEASE, 100, balance(database.reader(), lease_escrow("l"))))
    reader = database.reader()
    whole = export.all_entries(reader, after=0, limit=10)
    assert [entry.kind for entry in whole] == ["deposit", "deposit", "lease.open", "lease.meter"]
    assert [leg.seq for entry in whole for leg in entry.legs] == list(
        range(1, len(whole[-1].legs) + 4)
    )
    assert whole[3].text == "Lease l: 1 min 40 s proven so far, at $2.49 an hour"
    for entry in whole:
        rest = export.all_entries(reader, after=entry.seq, limit=10)
        assert rest == [each for each in whole if each.seq > entry.seq]
    assert export.all_entries(reader, after=0, limit=2) == whole[:2]


def test_everybody_reads_the_entries_that_touch_their_accounts_and_escrows_and_no_others(
    database, monkeypatch
):
    fund(database)
    fund(database, 5_000_000, "other")
    put(database, rules.open_lease(LEASE, 2_490_000))
    put(database, rules.meter(LEASE, 100, balance(database.reader(), lease_escrow("l"))))
    reader = database.reader()
    whole = export.all_entries(reader, after=0, limit=10)
    mine = export.entries_of(reader, "t", after=0, limit=10)
    assert mine == [whole[0], whole[2], whole[3]]
    assert export.entries_of(reader, "p", after=0, limit=10) == [whole[3]]
    assert export.entries_of(reader, "other", after=0, limit=10) == [whole[1]]
    assert export.entries_of(reader, "nobody", after=0, limit=10) == []
    for window in (1, 2, 3):
        monkeypatch.setattr(export, "WINDOW_TRANSFERS", window)
        assert export.entries_of(reader, "t", after=0, limit=10) == mine
        assert export.entries_of(reader, "t", after=whole[0].seq, limit=1) == [whole[2]]
        assert export.entries_of(reader, "t", after=whole[2].seq, limit=9) == [whole[3]]
    for entry in whole:
        for leg in entry.legs:
            assert export.touches(reader, "t", leg.seq) == (entry in mine)
            assert export.touches(reader, "other", leg.seq) == (entry is whole[1])
    assert not export.touches(reader, "t", 0)
