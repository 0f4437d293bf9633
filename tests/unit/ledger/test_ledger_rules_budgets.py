import pytest
from hypothesis import given
from hypothesis import strategies as st

from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidValue
from gondwana.ledger import rules
from gondwana.ledger.model import Balance, Budget, BudgetPeriod


def budget(limit=100, period=BudgetPeriod.MONTH):
    return Budget(id="bud_1", tenant_id="t", project="", period=period, limit_micro_usd=limit, set_by="t",
                  is_operators=False, set_at=Instant(0.0))  # fmt: skip


def fit(limit, granted, left):
    return rules.fit_budget(budget(limit), "2026-11", granted_micro_usd=granted, left=left)


def apply(granted, left, entry):
    more = sum(leg.amount_micro_usd for leg in entry.legs if leg.debit == "budget:granted")
    less = sum(leg.amount_micro_usd for leg in entry.legs if leg.credit == "budget:granted")
    changed = Balance(credits_posted=left.credits_posted + more, debits_posted=left.debits_posted + less)  # fmt: skip
    return granted + more - less, changed


def test_a_budget_is_granted_for_a_period_and_moves_no_money():
    entry = fit(5, 0, Balance())
    (leg,) = entry.legs
    assert (leg.debit, leg.credit) == ("budget:granted", "budget:bud_1.2026-11:left")
    assert entry.total_micro_usd() == 0
    assert entry.reason == "Budget bud_1 for 2026-11"


def test_a_month_is_the_calendar_s_in_utc_and_ever_has_no_end():
    assert rules.period_of(budget(), Instant(1_796_083_199.9)) == "2026-11"
    assert rules.period_of(budget(), Instant(1_796_083_200.0)) == "2026-12"
    assert rules.period_of(budget(period=BudgetPeriod.EVER), Instant(1.0)) == "ever"


@given(steps=st.lists(st.tuples(st.integers(0, 1_000), st.integers(-300, 300)), max_size=10))
def test_what_is_left_follows_the_limit_and_is_never_below_zero(steps):
    granted, left, used, seen = 0, Balance(), 0, set()
    for limit, spend in steps:
        if -used <= spend <= left.available_micro_usd:  # negative: an escrow gave back
            used += spend
            left = Balance(credits_posted=left.credits_posted + max(0, -spend),
                           debits_posted=left.debits_posted + max(0, spend))  # fmt: skip
        assert rules.used_micro_usd(granted, left) == used
        entry = fit(limit, granted, left)
        assert not entry.legs or entry.event_id not in seen
        seen.add(entry.event_id)
        granted, left = apply(granted, left, entry)
        assert left.available_micro_usd == max(0, limit - used)
        assert fit(limit, granted, left).legs == ()  # a repeat posts nothing


def test_a_limit_lowered_below_what_is_used_takes_back_what_escrows_return():
    left = Balance(credits_posted=100, debits_posted=70)
    lowered = fit(50, 100, left)
    assert (lowered.kind, lowered.legs[0].amount_micro_usd) == ("budget.revoke", 30)
    granted, left = apply(100, left, lowered)
    returned = Balance(credits_posted=left.credits_posted + 30, debits_posted=left.debits_posted)
    assert fit(50, granted, returned).legs[0].amount_micro_usd == 20  # used are 40 of 50


def test_more_left_than_was_granted_cannot_be():
    with pytest.raises(InvalidValue):
        fit(10, 5, Balance(credits_posted=6))
