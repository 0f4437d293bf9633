import pytest
from hypothesis import given
from hypothesis import strategies as st

from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidValue
from gondwana.ledger import rules
from gondwana.ledger.model import Balance

BUDGET = rules.budget_id(rules.BudgetKind.PROJECT, "prj_1")


def apply(left, entry):
    more = sum(leg.amount_micro_usd for leg in entry.legs if leg.debit == "budget:granted")
    less = sum(leg.amount_micro_usd for leg in entry.legs if leg.credit == "budget:granted")
    return Balance(credits_posted=left.credits_posted + more, debits_posted=left.debits_posted + less)  # fmt: skip


def set_to(limit, left, used):
    return rules.set_budget(BUDGET, "2026-11", limit, left=left, used_micro_usd=used)


def test_a_budget_is_granted_for_a_period_and_moves_no_money():
    entry = rules.grant_budget(BUDGET, "2026-11", 5, key="1")
    (leg,) = entry.legs
    assert (leg.debit, leg.credit) == ("budget:granted", "budget:project.prj_1.2026-11:left")
    assert entry.total_micro_usd() == 0
    assert entry.reason == "Budget project.prj_1 for 2026-11"


def test_the_period_is_the_calendar_month_in_utc():
    assert rules.period_of(Instant(1_796_083_199.9)) == "2026-11"
    assert rules.period_of(Instant(1_796_083_200.0)) == "2026-12"


@given(steps=st.lists(st.tuples(st.integers(0, 1_000), st.integers(-300, 300)), max_size=10))
def test_what_is_left_follows_the_limit_and_is_never_below_zero(steps):
    left, used, seen = Balance(), 0, set()
    for limit, spend in steps:
        if -used <= spend <= left.available_micro_usd:  # negative: an escrow gave back
            used += spend
            left = Balance(credits_posted=left.credits_posted + max(0, -spend),
                           debits_posted=left.debits_posted + max(0, spend))  # fmt: skip
        entry = set_to(limit, left, used)
        assert not entry.legs or entry.event_id not in seen
        seen.add(entry.event_id)
        left = apply(left, entry)
        assert left.available_micro_usd == max(0, limit - used)
        assert set_to(limit, left, used).legs == ()  # a repeat posts nothing


def test_raising_a_limit_grants_the_difference_and_lowering_it_revokes_what_is_left():
    left = Balance(credits_posted=100, debits_posted=70)
    assert set_to(150, left, 70).kind == "budget.grant"
    assert apply(left, set_to(150, left, 70)).available_micro_usd == 80
    lowered = set_to(50, left, 70)
    assert lowered.kind == "budget.revoke"
    assert lowered.legs[0].amount_micro_usd == 30


def test_a_limit_below_zero_is_refused():
    with pytest.raises(InvalidValue):
        set_to(-1, Balance(), 0)
