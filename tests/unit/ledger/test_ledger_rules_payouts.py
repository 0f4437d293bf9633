import pytest
from hypothesis import given
from hypothesis import strategies as st

from gondwana.core.errors import FundsTooLow, InvalidValue
from gondwana.ledger import accounts, rules
from gondwana.ledger.model import Balance, TransferKind, leg_id

PAYABLE = accounts.provider_payable("p")


def moved(entry):
    return [(leg.debit, leg.credit, leg.amount_micro_usd) for leg in entry.legs]


def test_a_payout_is_held_until_it_arrived():
    entry = rules.payout("bank", PAYABLE, 7, key="1")
    assert moved(entry) == [(PAYABLE, "ext:bank", 7)]
    assert entry.legs[0].kind is TransferKind.PENDING
    assert entry.subject == "p"
    assert entry.reason == "Payout of $0.000007 by bank"


def test_a_payout_that_arrived_pays_its_hold_and_one_that_failed_releases_it():
    hold = rules.payout("bank", PAYABLE, 7, key="1")
    arrived = rules.confirm_payout("bank", PAYABLE, 7, key="1")
    failed = rules.fail_payout("bank", PAYABLE, 7, key="1", reason="account closed")
    assert [leg.kind for leg in arrived.legs] == [TransferKind.POST_PENDING]
    assert [leg.kind for leg in failed.legs] == [TransferKind.VOID_PENDING]
    for entry in (arrived, failed):
        assert entry.legs[0].pending_id == leg_id(hold.event_id, 0)
        assert moved(entry) == moved(hold)
    assert len({hold.event_id, arrived.event_id, failed.event_id}) == 3
    assert failed.reason == "Payout of $0.000007 by bank failed: account closed"


@pytest.mark.parametrize("account", [accounts.provider_payable("x"), accounts.verifier_payable("x"),
                                     accounts.reporter_payable("x"), accounts.tenant_available("x")])  # fmt: skip
def test_owners_of_these_accounts_may_be_paid_out(account):
    assert rules.payout("bank", account, 1, key="1").subject == "x"


@pytest.mark.parametrize("account", [accounts.tenant_promo("x"), accounts.provider_holdback("x"), accounts.stake("x"),
                                     accounts.fund_insurance(), accounts.income_fees(), accounts.lease_escrow("x"),
                                     accounts.subsidy_vesting("x"), accounts.budget_left("x", "2026-11")])  # fmt: skip
def test_nothing_else_is_paid_out(account):
    with pytest.raises(InvalidValue):
        rules.payout("bank", account, 1, key="1")


@pytest.mark.parametrize("amount", [0, -1, 1.5])
def test_a_payout_of_nothing_is_refused(amount):
    with pytest.raises(InvalidValue):
        rules.payout("bank", PAYABLE, amount, key="1")


def test_accounts_of_different_owners_never_share_a_payout():
    ids = {
        rules.payout("bank", account, 1, key="1").event_id
        for account in (PAYABLE, accounts.verifier_payable("p"), accounts.tenant_available("p"))
    }
    assert len(ids) == 3


def test_the_operators_money_comes_in_and_goes_out_by_the_treasury():
    came = rules.treasury_deposit("bank", 5, key="1")
    went = rules.treasury_withdraw("bank", 5, key="1")
    assert moved(came) == [("ext:bank", "fund:treasury", 5)]
    assert moved(went) == [("fund:treasury", "ext:bank", 5)]
    assert came.reason == "Operator's money by bank"


@given(earned=st.integers(0, 10**9), back=st.integers(0, 10**9), amount=st.integers(1, 10**9))
def test_never_more_fees_are_swept_than_were_earned(earned, back, amount):
    income = Balance(credits_posted=earned, debits_posted=back)
    if amount > earned - back:
        with pytest.raises(FundsTooLow):
            rules.treasury_sweep(amount, income, key="1")
    else:
        entry = rules.treasury_sweep(amount, income, key="1")
        assert moved(entry) == [("income:fees", "fund:treasury", amount)]


def test_tax_goes_to_the_jurisdiction_it_is_owed_to():
    entry = rules.remit_tax("bank", "NZ", 5, key="2026-11")
    assert moved(entry) == [("tax:NZ", "ext:bank", 5)]
    assert entry.reason == "Tax remitted by bank"
