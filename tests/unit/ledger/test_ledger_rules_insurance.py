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


HOURS, MONTHS = 720, 24
NODE_MONTH = 1_000_000_000  # micro-USD that a node takes in a month
STAKE_CAP = NODE_MONTH * 14 // 30 // 4  # a quarter of a stake of 14 days' revenue, per node


def outage_hours(rng, mtbf_hours, repair_hours):
    """The hours a part was away in a month: breaks at random, repairs of random length."""
    hours, at = 0.0, rng.expovariate(1 / mtbf_hours)
    while at < HOURS:
        hours += min(rng.expovariate(1 / repair_hours), HOURS - at)
        at += rng.expovariate(1 / mtbf_hours)
    return min(hours, HOURS)


def credits_of(rng, nodes):
    """What a provider's nodes are credited in a month; a site's outage takes all of them.

    Node MTBF 2,000 h, site MTBF 4,000 h (field notes on the ledger, §6). The notes do not give the repair times: these
    are the ones at which the credits come to the 1.83 % of revenue that the notes found.
    """
    site, total = outage_hours(rng, 4_000, 2.85), 0
    for _ in range(nodes):
        away = min(HOURS, site + outage_hours(rng, 2_000, 1.9))
        proven = HOURS * 3_600_000 - math.ceil(away * 3_600_000)
        month = Service(lease_id="l", month="2026-11", promised_ms=HOURS * 3_600_000, proven_ms=proven,
                        charged_micro_usd=NODE_MONTH)  # fmt: skip
        total += rules.credit_due_micro_usd(SlaClass.DATACENTRE, month)
    return total


def claim_of(due, nodes):
    """What is left for the fund in the worst case: the earnings were paid out, so the holdback is empty."""
    covered = rules.Cover(
        holdback=Balance(), stake=Balance(credits_posted=4 * nodes * STAKE_CAP), insurance=Balance(),
        stake_cap_micro_usd=nodes * STAKE_CAP, fund_cap_micro_usd=nodes * NODE_MONTH,
    )  # fmt: skip
    return rules.claim_on_fund_micro_usd(due, covered)


def years(seed):
    """Credits and claims as parts of the revenue of two years, and the least that the fund ever had over its need."""
    rng = random.Random(seed)
    fleet = [rng.randint(1, 16) for _ in range(100)]
    revenue, exposure = sum(fleet) * NODE_MONTH, max(fleet) * (NODE_MONTH - STAKE_CAP)
    fund = revenue * 15 // 1_000 + exposure
    credited, claimed, spare = 0, 0, fund
    for _ in range(MONTHS):
        dues = [credits_of(rng, nodes) for nodes in fleet]
        claims = sum(claim_of(due, nodes) for due, nodes in zip(dues, fleet, strict=True))
        assert rules.haircut_ppm(fund, claims) == 0
        fund += revenue * 5 // 1_000 - claims
        credited, claimed, spare = credited + sum(dues), claimed + claims, min(spare, fund - exposure)  # fmt: skip
    return credited / revenue / MONTHS, claimed / revenue / MONTHS, spare


def test_a_datacentre_fleet_at_half_a_percent_premium_stays_solvent():
    """Eight fleets of 100 owners with 1 to 16 nodes, two years each."""
    fleets = [years(seed) for seed in range(8)]
    credited, claimed = (sum(fleet[n] for fleet in fleets) / len(fleets) for n in (0, 1))
    assert 0.016 < credited < 0.021
    assert 0.002 < claimed < 0.005  # the notes found 0.39 %: below the premium
    assert all(
        spare > 0 for *_, spare in fleets
    )  # it could always have borne the largest owner's failure
