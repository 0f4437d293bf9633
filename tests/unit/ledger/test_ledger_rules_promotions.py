import pytest

from gondwana.core.errors import InvalidValue
from gondwana.ledger import rules


def moved(entry):
    return [(leg.debit, leg.credit, leg.amount_micro_usd) for leg in entry.legs]


def test_promotional_credit_comes_from_the_operators_money_and_says_why():
    entry = rules.grant_promo("t", 5, key="welcome", why="welcome")
    assert moved(entry) == [("fund:treasury", "tenant:t:promo", 5)]
    assert entry.reason == "Promotional credit: welcome"


def test_promotional_credit_without_a_reason_is_refused():
    with pytest.raises(InvalidValue):
        rules.grant_promo("t", 5, key="welcome", why="")


def test_promotional_credit_that_expired_goes_back_to_the_operator():
    entry = rules.expire_promo("t", 5, key="welcome")
    assert moved(entry) == [("tenant:t:promo", "fund:treasury", 5)]
    assert entry.reason == "Promotional credit expired"


def test_promotional_credit_is_never_paid_out():
    with pytest.raises(InvalidValue):
        rules.payout("bank", rules.grant_promo("t", 5, key="k", why="w").legs[0].credit, 5, key="1")
