import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gondwana.core.errors import InvalidValue, WrongState
from gondwana.ledger import rules
from gondwana.ledger.accounts import fund_insurance, fund_verification, income_fees
from gondwana.ledger.model import Balance
from gondwana.ledger.service import Service, SlaClass

money = st.integers(0, 10**12)


def facts(fund, *, month=0, quarter=0, premiums=0, exposures=(), open_claims=0):
    return rules.FundFacts(
        fund_micro_usd=fund, claims_of_30_days_micro_usd=month, claims_of_90_days_micro_usd=quarter,
        premiums_of_30_days_micro_usd=premiums, open_claims_micro_usd=open_claims,
        exposure_micro_usd_by_provider={f"p{n}": amount for n, amount in enumerate(exposures)},
    )  # fmt: skip


def test_the_fund_is_required_to_hold_the_expected_month_and_the_largest_owners_failure():
    state = rules.solvency(facts(300, month=60, quarter=150, premiums=40, exposures=(10, 90, 30)))
    assert state.expected_monthly_loss_micro_usd == 60
    assert state.largest_exposure_micro_usd == 90
    assert (state.required_micro_usd, state.ratio_ppm) == (150, 2_000_000)


def test_a_calm_month_after_bad_ones_is_not_what_to_expect():
    assert rules.solvency(facts(0, month=5, quarter=100)).expected_monthly_loss_micro_usd == 34


def test_a_young_fund_expects_to_pay_what_it_takes_in():
    assert rules.solvency(facts(0, premiums=40)).expected_monthly_loss_micro_usd == 40


def test_a_fund_that_needs_nothing_is_solvent():
    assert rules.solvency(facts(0)).ratio_ppm == 1_000_000_000


@given(fund=money, claims=money)
def test_what_is_paid_after_the_haircut_fits_the_fund(fund, claims):
    cut = rules.haircut_ppm(fund, claims)
    assert 0 <= cut <= 1_000_000
    assert (cut == 0) == (claims <= fund)
    assert claims * (1_000_000 - cut) // 1_000_000 <= max(fund, 0) or cut == 0


@given(fund=money, month=money, exposure=money, open_claims=money, amount=st.integers(-5, 10**12))
def test_a_withdrawal_leaves_what_is_required(fund, month, exposure, open_claims, amount):
    state = rules.solvency(facts(fund, month=month, exposures=(exposure,), open_claims=open_claims))
    left = fund - open_claims - amount
    assert rules.may_withdraw(state, amount) == (amount > 0 and left >= month + exposure)


def test_the_operator_fills_both_funds_and_takes_a_surplus_out():
    came = rules.fund_deposit(fund_insurance(), 5, key="1").legs[0]
    assert (came.debit, came.credit) == ("fund:treasury", "fund:insurance")
    went = rules.fund_withdraw(fund_verification(), 5, key="1").legs[0]
    assert (went.debit, went.credit) == ("fund:verification", "fund:treasury")
    state = rules.solvency(facts(100, month=50))
    assert rules.fund_withdraw(fund_insurance(), 50, key="1", state=state).total_micro_usd() == 50


@pytest.mark.parametrize("state", [None, rules.solvency(facts(100, month=51))])
def test_the_insurance_fund_is_not_drained_below_what_is_required(state):
    with pytest.raises(WrongState):
        rules.fund_withdraw(fund_insurance(), 50, key="1", state=state)


def test_no_other_account_is_a_fund():
    with pytest.raises(InvalidValue):
        rules.fund_deposit(income_fees(), 5, key="1")


@given(rents=st.lists(st.tuples(st.integers(1, 10**9), st.integers(0, 10**9)), max_size=12))
def test_who_rents_from_himself_never_draws_more_than_he_paid_in(rents):
    """He pays 2.5 % in fees and premiums, takes the earnings out after the window, fails, and asks the fund."""
    paid_in, drawn = 0, 0
    for spend, claim in rents:
        paid_in += spend * 25 // 1_000
        drawn += min(
            claim,
            rules.cover_left_micro_usd(paid_in_micro_usd=paid_in, drawn_micro_usd=drawn),
        )
        assert drawn <= paid_in


HOURS = 720
NODE_USD_PER_MONTH = 1_000_000_000  # micro-USD
STAKE_CAP = NODE_USD_PER_MONTH * 14 // 30 // 4  # a quarter of a stake of 14 days' revenue, per node


def outage_hours(rng, mtbf_hours, repair_hours):
    """The hours a part was away in a month: breaks at random, repairs of random length."""
    hours, at = 0.0, rng.expovariate(1 / mtbf_hours)
    while at < HOURS:
        hours += min(rng.expovariate(1 / repair_hours), HOURS - at)
        at += rng.expovariate(1 / mtbf_hours)
    return min(hours, HOURS)


def credits_of(rng, nodes):
    """What a provider's nodes are credited in a month; a site's outage takes all of them."""
    site = outage_hours(rng, 4_000, 3)
    total = 0
    for _ in range(nodes):
        away = min(HOURS, site + outage_hours(rng, 2_000, 2))
        missing = math.ceil(away * 3_600_000)
        month = Service(lease_id="l", month="2026-11", promised_ms=HOURS * 3_600_000,
                        proven_ms=HOURS * 3_600_000 - missing, charged_micro_usd=NODE_USD_PER_MONTH)  # fmt: skip
        total += rules.credit_due_micro_usd(SlaClass.DATACENTRE, month)
    return total


def test_a_datacentre_fleet_at_half_a_percent_premium_stays_solvent():
    """Node MTBF 2,000 h, site MTBF 4,000 h, 100 owners of 1 to 16 nodes (field notes on the ledger, §6)."""
    rng = random.Random(7)
    fleet = [rng.randint(1, 16) for _ in range(100)]
    revenue = sum(fleet) * NODE_USD_PER_MONTH
    exposure = max(fleet) * NODE_USD_PER_MONTH - max(fleet) * STAKE_CAP
    fund = revenue * 15 // 1_000 + exposure
    lowest, credited, claimed, months = fund, 0, 0, 24
    for _ in range(months):
        claims = 0
        for nodes in fleet:
            due = credits_of(rng, nodes)
            # the worst case: the earnings were paid out, so the holdback is empty
            covered = rules.Cover(holdback=Balance(), stake=Balance(credits_posted=nodes * STAKE_CAP * 4),
                                  insurance=Balance(), stake_cap_micro_usd=nodes * STAKE_CAP,
                                  fund_cap_micro_usd=exposure)  # fmt: skip
            claims += rules.claim_on_fund_micro_usd(due, covered)
            credited += due
        assert rules.haircut_ppm(fund, claims) == 0
        fund += revenue * 5 // 1_000 - claims
        claimed += claims
        lowest = min(lowest, fund)
    assert 0.01 < credited / (revenue * months) < 0.03  # the notes found 1.83 % of revenue
    assert claimed / (revenue * months) < 0.005  # and 0.39 % left for the fund: below the premium
    assert lowest > exposure  # it could always have borne the largest owner's failure
