import pytest
from hypothesis import given
from hypothesis import strategies as st

from gondwana.core.errors import InvalidValue
from gondwana.ledger import rules
from gondwana.ledger.model import Balance
from gondwana.ledger.rules.holdback import HOLDBACK_SECONDS

DAY = 86_400
earnings = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 1_000)), max_size=12)


def credited(history, until_day):
    return sum(amount for day, amount in history if day <= until_day)


def mature_on(history, days, *, slashes=()):
    """The holdback and what was paid, when it matured on these days and each slash took what it found."""
    debits, paid, seen = 0, 0, set()
    for day in sorted({*days, *(day for day, _ in slashes)}):
        now = credited(history, day)
        for _, slash in (each for each in slashes if each[0] == day):
            debits += min(slash, now - debits)
        if day not in days:
            continue
        balance = Balance(credits_posted=now, debits_posted=debits)
        before = credited(history, day - HOLDBACK_SECONDS // DAY)
        entry = rules.mature("p", credited_before_window=before, holdback=balance)
        amount = entry.total_micro_usd()
        assert 0 <= amount <= balance.available_micro_usd
        assert amount == 0 or entry.event_id not in seen
        seen.add(entry.event_id)
        debits, paid = debits + amount, paid + amount
    return debits, paid


@given(history=earnings, days=st.sets(st.integers(0, 100)))
def test_what_matures_never_depends_on_how_often_it_is_run(history, days):
    assert mature_on(history, days | {100}) == mature_on(history, {100})


@given(history=earnings, days=st.sets(st.integers(0, 100)),
       slashes=st.lists(st.tuples(st.integers(0, 99), st.integers(1, 2_000)), max_size=4))  # fmt: skip
def test_each_micro_dollar_leaves_the_holdback_once_matured_or_slashed(history, days, slashes):
    debits, paid = mature_on(history, days | {100}, slashes=slashes)
    assert debits == credited(history, 100)
    assert 0 <= paid <= debits


def test_earnings_mature_after_the_window_and_not_a_day_before():
    assert mature_on([(0, 50)], {6}) == (0, 0)
    assert mature_on([(0, 50)], {7}) == (50, 50)


def test_a_repeat_posts_nothing():
    done = Balance(credits_posted=80, debits_posted=50)
    assert rules.mature("p", credited_before_window=50, holdback=done).legs == ()


def test_what_was_slashed_counts_as_the_oldest_earnings():
    slashed = Balance(credits_posted=150, debits_posted=60)
    entry = rules.mature("p", credited_before_window=100, holdback=slashed)
    assert entry.total_micro_usd() == 40


def test_what_is_held_for_a_slash_under_appeal_does_not_mature():
    held = Balance(credits_posted=100, debits_pending=60)
    first = rules.mature("p", credited_before_window=100, holdback=held)
    assert first.total_micro_usd() == 40
    released = Balance(credits_posted=100, debits_posted=40)
    rest = rules.mature("p", credited_before_window=100, holdback=released)
    assert rest.total_micro_usd() == 60
    assert rest.event_id != first.event_id


def test_more_than_was_ever_credited_cannot_have_been_credited_before_the_window():
    with pytest.raises(InvalidValue):
        rules.mature("p", credited_before_window=11, holdback=Balance(credits_posted=10))
