from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gondwana.core.errors import InvalidValue
from gondwana.core.values import replace
from gondwana.ledger.model import Balance
from gondwana.ledger.rules.risk import (
    PPM,
    UNLIMITED_MICRO_USD,
    RiskSettings,
    cheating_gain_micro_usd,
    collateral_micro_usd,
    honest_work_pays,
    least_stake_micro_usd,
    stake_max_micro_usd,
    unverified_work_max_micro_usd,
)

R = 1_000_000
AMOUNTS = st.one_of(st.integers(0, 50), st.integers(0, 10**12))
REWARDS = st.one_of(st.integers(1, 50), st.integers(1, 10**12))
NONE = st.just(0)
RATES = st.one_of(st.integers(1, PPM), st.sampled_from([1, 10_000, PPM]))


@st.composite
def settings(draw, allowance=NONE):
    return RiskSettings(
        cost_bps=draw(st.integers(0, 10_000)),
        check_ppm=draw(RATES),
        detection_ppm=draw(RATES),
        bounty_bps=draw(st.integers(0, 2_500)),
        false_positive_ppm=draw(st.integers(0, PPM)),
        future_value_micro_usd=draw(st.one_of(NONE, AMOUNTS)),
        allowance_micro_usd=draw(allowance),
    )


def gain(reward, stake, given):
    return cheating_gain_micro_usd(given, reward_micro_usd=reward, at_stake_micro_usd=stake)


def chance(check_percent, **changes):
    return replace(RiskSettings(allowance_micro_usd=0), check_ppm=check_percent * 10_000, **changes)


@pytest.mark.parametrize("check_percent, stakes", [(1, 111), (5, 21), (10, 10)])
def test_the_table_of_the_ledger_reference(check_percent, stakes):
    assert round(least_stake_micro_usd(R, chance(check_percent)) / R) == stakes


@pytest.mark.parametrize("cost_bps, row", [
    (6_000, [82.9, 40.8, 15.5, 7.1, 2.0]),
    (8_000, [110.9, 54.8, 21.1, 9.9, 3.2]),
    (9_500, [132.0, 65.3, 25.3, 12.0, 4.0]),
])  # fmt: skip
def test_the_table_of_the_field_notes(cost_bps, row):
    found = [least_stake_micro_usd(R, chance(p, cost_bps=cost_bps)) / R for p in (1, 2, 5, 10, 25)]
    assert [round(stakes, 1) for stakes in found] == row


@given(reward=AMOUNTS, given=settings())
def test_at_the_least_stake_cheating_loses_and_at_one_less_it_does_not(reward, given):
    stake = least_stake_micro_usd(reward, given)
    assert gain(reward, stake, given) < 0
    assert stake == 0 or gain(reward, stake - 1, given) >= 0


@given(stake=AMOUNTS, given=settings())
def test_on_the_most_unverified_work_cheating_loses_and_on_one_more_it_does_not(stake, given):
    work = unverified_work_max_micro_usd(stake, given)
    assert work == 0 or gain(work, stake, given) < 0
    assert work == UNLIMITED_MICRO_USD or gain(work + 1, stake, given) >= 0


def test_where_a_cheat_would_neither_gain_nor_lose_one_more_is_asked_for():
    even = chance(10, cost_bps=6_000, detection_ppm=PPM, bounty_bps=0)  # 0.6 R = 0.1 (R + 5 R)
    assert gain(R, 5 * R, even) == 0
    assert least_stake_micro_usd(R, even) == 5 * R + 1
    assert unverified_work_max_micro_usd(5 * R, even) == R - 1


def test_where_checks_alone_make_cheating_even_the_least_stake_bears_any_work():
    even = chance(50, cost_bps=5_000, detection_ppm=PPM)
    assert unverified_work_max_micro_usd(0, even) == 0
    assert unverified_work_max_micro_usd(1, even) == UNLIMITED_MICRO_USD
    assert least_stake_micro_usd(R, even) == 1


@given(reward=REWARDS, stake=AMOUNTS, given=settings())
def test_the_least_stake_and_the_most_work_are_each_others_inverse(reward, stake, given):
    enough = least_stake_micro_usd(reward, given) <= stake
    assert enough == (reward <= unverified_work_max_micro_usd(stake, given))


@given(amounts=st.tuples(AMOUNTS, AMOUNTS), given=settings())
def test_more_work_never_needs_less_stake_unless_checks_alone_deter(amounts, given):
    less, more = sorted(amounts)
    assert unverified_work_max_micro_usd(less, given) <= unverified_work_max_micro_usd(more, given)
    if unverified_work_max_micro_usd(10**12, given) < UNLIMITED_MICRO_USD:
        assert least_stake_micro_usd(less, given) <= least_stake_micro_usd(more, given)


@given(reward=REWARDS, given=settings(), other=RATES)
def test_more_checks_or_better_ones_never_need_more_stake(reward, given, other):
    for rate in ("check_ppm", "detection_ppm"):
        low, high = sorted([getattr(given, rate), other])
        assert least_stake_micro_usd(reward, replace(given, **{rate: high})) <= (
            least_stake_micro_usd(reward, replace(given, **{rate: low}))
        )


@given(reward=REWARDS, given=settings(), bounty=st.integers(0, 2_500))
def test_a_larger_bounty_never_needs_less_stake(reward, given, bounty):
    low, high = sorted([given.bounty_bps, bounty])
    assert least_stake_micro_usd(reward, replace(given, bounty_bps=low)) <= (
        least_stake_micro_usd(reward, replace(given, bounty_bps=high))
    )


@given(units=st.integers(1, 20), reward=REWARDS, stake=AMOUNTS, given=settings())
def test_cheating_in_many_units_loses_where_cheating_in_one_of_the_same_worth_does(
    units, reward, stake, given
):
    """Against one large unit: found out with 1-(1-pd)^n, the stake lost once, the rewards of what was found out."""
    total = units * reward
    assume(gain(total, stake, given) < 0)
    caught = Fraction(given.check_ppm * given.detection_ppm, PPM * PPM)
    once = 1 - (1 - caught) ** units
    kept = Fraction(10_000 - given.bounty_bps, 10_000)
    lost = units * caught * reward + once * (kept * stake + given.future_value_micro_usd)
    assert Fraction(given.cost_bps, 10_000) * total - lost < 0


@given(stake=AMOUNTS, given=settings(allowance=AMOUNTS))
def test_the_allowance_comes_on_top_of_what_the_stake_bears(stake, given):
    without = unverified_work_max_micro_usd(stake, replace(given, allowance_micro_usd=0))
    allowed = unverified_work_max_micro_usd(stake, given)
    assert allowed == min(without + given.allowance_micro_usd, UNLIMITED_MICRO_USD)


def test_a_newcomer_with_nothing_at_stake_holds_the_allowance_and_no_more():
    assert unverified_work_max_micro_usd(0, RiskSettings(allowance_micro_usd=7)) == 7
    assert unverified_work_max_micro_usd(0, RiskSettings(allowance_micro_usd=0)) == 0


def test_a_newcomer_whose_every_unit_is_checked_needs_no_stake():
    checked = chance(100)
    assert least_stake_micro_usd(R, checked) == 0
    assert unverified_work_max_micro_usd(0, checked) == UNLIMITED_MICRO_USD


def test_a_new_owner_bears_a_third_of_his_stake_and_a_proven_one_a_fiftieth():
    assert unverified_work_max_micro_usd(320 * R, chance(25)) // R == 101
    assert unverified_work_max_micro_usd(320 * R, chance(2)) // R == 5


@given(reward=REWARDS, given=settings())
def test_up_to_the_most_stake_honest_work_pays_and_beyond_it_does_not(reward, given):
    def pays(stake):
        return honest_work_pays(given, reward_micro_usd=reward, at_stake_micro_usd=stake)

    most = stake_max_micro_usd(reward, given)
    assert most == 0 or pays(most)
    assert most == UNLIMITED_MICRO_USD or not pays(most + 1)


@given(reward=REWARDS, stake=AMOUNTS, given=settings())
def test_honest_work_pays_where_false_accusations_cost_less_than_its_margin(reward, stake, given):
    false = Fraction(given.check_ppm * given.false_positive_ppm, PPM * PPM)
    margin = reward * Fraction(10_000 - given.cost_bps, 10_000)
    found = honest_work_pays(given, reward_micro_usd=reward, at_stake_micro_usd=stake)
    assert found == (false * (reward + stake) < margin)


def test_the_most_stake_of_the_field_notes():
    found = stake_max_micro_usd(R, chance(10, false_positive_ppm=1_000))
    assert found == 1_999 * R - 1  # margin 0.2 R over p·f = 0.0001, less R


def test_the_default_settings_deter_cheats_and_pay_honest_work():
    given = RiskSettings()
    assert least_stake_micro_usd(R, given) < stake_max_micro_usd(R, given)


def test_what_is_at_stake_is_what_can_be_taken_as_far_as_the_network_counts_it():
    has = {
        "holdback": Balance(credits_posted=110, debits_pending=9),
        "stake": Balance(credits_posted=50, debits_posted=10),
        "unbonding": Balance(credits_posted=30),
    }
    assert collateral_micro_usd(RiskSettings(), **has) == 101 + 40
    half = RiskSettings(holdback_counts_bps=5_000, unbonding_counts_bps=10_000)
    assert collateral_micro_usd(half, **has) == 50 + 40 + 30


@pytest.mark.parametrize("given", [
    {"check_ppm": 0}, {"detection_ppm": PPM + 1}, {"bounty_bps": 2_501}, {"cost_bps": -1},
    {"allowance_micro_usd": 1.0}, {"holdback_counts_bps": 10_001},
])  # fmt: skip
def test_settings_that_make_no_sense_are_refused(given):
    with pytest.raises(InvalidValue):
        RiskSettings(**given)
