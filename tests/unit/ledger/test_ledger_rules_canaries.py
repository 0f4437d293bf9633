import pytest

from gondwana.core.errors import WrongState
from gondwana.ledger.accounts import fund_verification, task_escrow
from gondwana.ledger.model import Balance, Shares, TaskTerms
from gondwana.ledger.rules.canaries import close_canary, fund_canary

TERMS = TaskTerms(job_id="j", tenant_id="t", shares=Shares())


def moves(entry):
    return [(leg.debit, leg.credit, leg.amount_micro_usd) for leg in entry.legs]


def test_a_planted_unit_is_paid_by_the_verification_fund():
    entry = fund_canary(TERMS, 9, key="1")
    assert moves(entry) == [(fund_verification(), task_escrow("j"), 9)]
    assert entry.job_id == "j"


def test_what_a_planted_unit_left_goes_back_to_the_fund():
    escrow = Balance(credits_posted=9, debits_posted=4)
    assert moves(close_canary(TERMS, escrow)) == [(task_escrow("j"), fund_verification(), 5)]


def test_a_planted_job_that_used_up_its_money_closes_without_a_transfer():
    assert close_canary(TERMS, Balance(credits_posted=9, debits_posted=9)).legs == ()


def test_a_planted_job_does_not_close_while_a_unit_is_in_work():
    with pytest.raises(WrongState):
        close_canary(TERMS, Balance(credits_posted=9, debits_pending=1))


def test_a_planted_job_can_be_funded_more_than_once():
    made = [fund_canary(TERMS, 9, key=key) for key in ("1", "2")]
    assert len({entry.event_id for entry in made}) == 2
