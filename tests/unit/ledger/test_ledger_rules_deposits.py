import pytest
from hypothesis import given
from hypothesis import strategies as st

from gondwana.core.errors import InvalidValue
from gondwana.ledger import rules
from gondwana.ledger.model import Balance


def moved(entry):
    return [(leg.debit, leg.credit, leg.amount_micro_usd) for leg in entry.legs]


def test_a_payment_nobody_knows_waits_in_suspense():
    entry = rules.unclear_deposit("bank", 5, reference="INV 7", key="k")
    assert moved(entry) == [("ext:bank", "suspense:bank", 5)]
    assert entry.reason == "Payment of $0.000005 by bank, reference 'INV 7': whose is it?"


def test_a_payment_that_found_its_owner_leaves_suspense_empty():
    cleared = rules.clear_deposit("bank", "t", 5, key="k")
    assert moved(cleared) == [("suspense:bank", "tenant:t:available", 5)]
    assert cleared.subject == "t"


def test_a_payment_that_nobody_owns_goes_back():
    assert moved(rules.return_deposit("bank", 5, key="k")) == [("suspense:bank", "ext:bank", 5)]


def test_a_payment_is_cleared_to_one_tenant_or_returned_and_never_twice():
    ends = [
        rules.clear_deposit("bank", "t", 5, key="k"),
        rules.clear_deposit("bank", "other", 5, key="k"),
        rules.return_deposit("bank", 5, key="k"),
    ]
    assert len({entry.event_id for entry in ends}) == 1
    assert len(set(ends)) == 3  # so the store refuses the second as a conflict


@given(amount=st.integers(1, 10**12), credited=st.integers(0, 10**12), held=st.integers(0, 10**12))
def test_a_chargeback_takes_what_is_there_and_the_operator_bears_the_rest(amount, credited, held):
    held = min(held, credited)
    balance = Balance(credits_posted=credited, debits_pending=held)
    entry = rules.chargeback("card", "t", amount, balance, key="k", reason="fraud")
    taken = {leg.debit: leg.amount_micro_usd for leg in entry.legs}
    shortfall = rules.chargeback_shortfall(amount, balance)
    assert sum(taken.values()) == amount
    assert taken.get("tenant:t:available", 0) == min(amount, credited - held)
    assert taken.get("expense:chargeback", 0) == shortfall >= 0
    assert {leg.credit for leg in entry.legs} == {"ext:card"}


def test_a_chargeback_says_what_was_charged_back_and_why():
    entry = rules.chargeback("card", "t", 5_000_000, Balance(), key="k", reason="stolen card")
    assert entry.reason == "Deposit of $5.00 charged back: stolen card"


def test_a_chargeback_of_less_than_nothing_is_refused():
    with pytest.raises(InvalidValue):
        rules.chargeback("card", "t", -1, Balance(credits_posted=5), key="k", reason="x")
