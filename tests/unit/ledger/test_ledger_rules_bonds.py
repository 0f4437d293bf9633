import pytest
from hypothesis import given
from hypothesis import strategies as st

from gondwana.core.errors import InvalidValue
from gondwana.ledger.accounts import (
    bond,
    fund_verification,
    income_fees,
    provider_holdback,
    provider_payable,
    reporter_payable,
    tenant_available,
)
from gondwana.ledger.rules.bonds import forfeit_bond, post_bond, return_bond

PAYERS = [provider_payable("p"), tenant_available("t")]


def moves(entry):
    return [(leg.debit, leg.credit, leg.amount_micro_usd) for leg in entry.legs]


@pytest.mark.parametrize("payer", PAYERS)
def test_a_bond_goes_back_to_who_put_it_down_when_he_was_right(payer):
    assert moves(post_bond("c", payer, amount_micro_usd=9)) == [(payer, bond("c"), 9)]
    assert moves(return_bond("c", payer, amount_micro_usd=9)) == [(bond("c"), payer, 9)]


@given(amount=st.integers(1, 10**15))
def test_a_lost_bond_goes_to_the_accused_by_half_and_the_rest_to_the_checks(amount):
    entry = forfeit_bond("c", "p", amount_micro_usd=amount)
    got = {leg.credit: leg.amount_micro_usd for leg in entry.legs}
    assert got.get(provider_payable("p"), 0) == amount // 2
    assert got[fund_verification()] == amount - amount // 2
    assert {leg.debit for leg in entry.legs} == {bond("c")}


@given(amount=st.integers(1, 10**15))
def test_accusing_oneself_loses_half_of_the_bond(amount):
    entry = forfeit_bond("c", "p", amount_micro_usd=amount)
    back = sum(leg.amount_micro_usd for leg in entry.legs if leg.credit == provider_payable("p"))
    assert back * 2 <= amount


@pytest.mark.parametrize(
    "payer", [provider_holdback("p"), reporter_payable("r"), fund_verification(), income_fees()]
)
def test_a_bond_is_never_paid_from_elsewhere(payer):
    with pytest.raises(InvalidValue):
        post_bond("c", payer, amount_micro_usd=9)
    with pytest.raises(InvalidValue):
        return_bond("c", payer, amount_micro_usd=9)


def test_each_step_of_a_case_is_an_event_of_its_own_and_says_what_it_was():
    made = [
        post_bond("c", PAYERS[0], amount_micro_usd=9),
        return_bond("c", PAYERS[0], amount_micro_usd=9),
        forfeit_bond("c", "p", amount_micro_usd=9),
    ]
    assert [entry.event_id for entry in made] == ["bond:c", "bond.return:c", "bond.forfeit:c"]
    assert [entry.reason for entry in made] == [
        "Bond for case c",
        "Bond for case c returned: upheld",
        "Bond for case c lost: refused",
    ]
