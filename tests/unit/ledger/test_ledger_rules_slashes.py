from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidValue, WrongState
from gondwana.ledger.accounts import (
    fund_insurance,
    fund_verification,
    provider_holdback,
    reporter_payable,
    stake,
    stake_unbonding,
    tenant_available,
)
from gondwana.ledger.cases import (
    BOUNTY_BPS_MAX,
    REPORTERS_MAX,
    SLASH_TRANSITIONS,
    SlashState,
    SlashTerms,
)
from gondwana.ledger.model import LEGS_MAX, Balance, TransferKind, leg_id
from gondwana.ledger.rules.slashes import (
    APPEAL_SECONDS,
    bounty_shares,
    may_appeal,
    next_slash_state,
    reverse_slash,
    slash,
    uphold_slash,
)

NOW = Instant(1_800_000_000.0)
SOURCES = [provider_holdback("p"), stake("p"), stake_unbonding("p")]
AMOUNTS = st.one_of(st.integers(0, 50), st.integers(0, 10**12))


def terms(**given):
    return SlashTerms(**{"case_id": "c", "provider_id": "p", "amount_micro_usd": 1_000,
                         "reason": "wrong result", "tenant_id": "t"} | given)  # fmt: skip


def has(amount, held=0):
    return Balance(credits_posted=amount + held, debits_pending=held)


def taken(terms, holdback=0, stake=0, unbonding=0):
    return slash(terms, holdback=has(holdback), stake=has(stake), unbonding=has(unbonding))


def sums(entry, side):
    found = {}
    for leg in entry.legs:
        account = getattr(leg, side)
        found[account] = found.get(account, 0) + leg.amount_micro_usd
    return found


@st.composite
def slashes(draw):
    """Terms, what the owner has in each place, and the entry."""
    with_tenant = draw(st.booleans())
    given_terms = terms(
        amount_micro_usd=draw(AMOUNTS),
        tenant_id="t" if with_tenant else None,
        made_whole_micro_usd=draw(AMOUNTS) if with_tenant else 0,
        reporters=tuple(f"r{n}" for n in range(draw(st.integers(0, REPORTERS_MAX)))),
        bounty_bps=draw(st.integers(0, BOUNTY_BPS_MAX)),
        verification_cost_micro_usd=draw(AMOUNTS),
    )
    has_each = [draw(AMOUNTS) for _ in SOURCES]
    return given_terms, has_each, taken(given_terms, *has_each)


@given(slashes())
def test_a_slash_takes_what_it_says_or_all_there_is_and_never_more(case):
    given_terms, has_each, entry = case
    collected = min(given_terms.amount_micro_usd, sum(has_each))
    assert entry.total_micro_usd() == collected == sum(sums(entry, "credit").values())
    debited = sums(entry, "debit")
    assert set(debited) <= set(SOURCES)
    assert all(debited.get(s, 0) <= has for s, has in zip(SOURCES, has_each, strict=True))
    assert len(entry.legs) <= LEGS_MAX


@given(slashes())
def test_a_slash_touches_the_stake_only_when_the_holdback_is_used_up(case):
    _, has_each, entry = case
    debited = sums(entry, "debit")
    used = [debited.get(source, 0) for source in SOURCES]
    for before in range(2):
        assert used[before] == has_each[before] or not any(used[before + 1 :])
    order = [SOURCES.index(leg.debit) for leg in entry.legs]
    assert order == sorted(order)


@given(slashes())
def test_a_slash_never_reaches_the_operators_income_nor_goes_back_to_the_accused(case):
    given_terms, _, entry = case
    payees = {tenant_available("t"), fund_verification(), fund_insurance()}
    payees |= {reporter_payable(reporter) for reporter in given_terms.reporters}
    assert set(sums(entry, "credit")) <= payees


@given(slashes())
def test_the_tenant_is_made_whole_before_anybody_else_gets_anything(case):
    given_terms, _, entry = case
    got, collected = sums(entry, "credit"), entry.total_micro_usd()
    tenant = got.get(tenant_available("t"), 0)
    assert tenant == min(given_terms.made_whole_micro_usd, collected)
    if tenant < given_terms.made_whole_micro_usd:
        assert set(got) <= {tenant_available("t")}


@given(slashes())
def test_reporting_oneself_never_pays(case):
    given_terms, _, entry = case
    bounty = sum(
        amount for name, amount in sums(entry, "credit").items() if name.startswith("reporter:")
    )
    assert bounty * 10_000 <= entry.total_micro_usd() * given_terms.bounty_bps
    assert bounty * 4 <= entry.total_micro_usd()


def test_a_cheat_who_is_his_own_tenant_and_reporter_gets_back_what_he_paid_and_loses_the_rest():
    got = sums(taken(terms(made_whole_micro_usd=100, reporters=("r",)), stake=1_000), "credit")
    assert got[tenant_available("t")] + got[reporter_payable("r")] == 100 + 250
    assert got[fund_insurance()] == 650


@given(slashes())
def test_the_checks_are_paid_before_the_insurance_fund_gets_the_rest(case):
    given_terms, _, entry = case
    got, cost = sums(entry, "credit"), given_terms.verification_cost_micro_usd
    assert got.get(fund_verification(), 0) <= cost
    if fund_insurance() in got:
        assert got.get(fund_verification(), 0) == cost


def test_a_slash_in_numbers():
    entry = taken(
        terms(made_whole_micro_usd=300, reporters=("a", "b"), verification_cost_micro_usd=100),
        holdback=400, stake=500, unbonding=200,
    )  # fmt: skip
    moves = [(leg.debit, leg.credit, leg.amount_micro_usd) for leg in entry.legs]
    assert moves == [
        (provider_holdback("p"), tenant_available("t"), 300),
        (provider_holdback("p"), reporter_payable("a"), 100),
        (stake("p"), reporter_payable("a"), 67),
        (stake("p"), reporter_payable("b"), 83),
        (stake("p"), fund_verification(), 100),
        (stake("p"), fund_insurance(), 250),
        (stake_unbonding("p"), fund_insurance(), 100),
    ]
    assert entry.reason == "Slash c: wrong result"


def test_what_another_slash_holds_is_not_taken_twice():
    entry = slash(
        terms(), holdback=has(10, held=500), stake=has(0, held=500), unbonding=has(0)
    )  # fmt: skip
    assert entry.total_micro_usd() == 10


def test_a_slash_of_who_has_nothing_posts_nothing():
    assert taken(terms(made_whole_micro_usd=1, reporters=("r",))).legs == ()


@given(slashes())
def test_a_slash_holds_and_its_end_pays_or_releases_every_hold(case):
    _, _, hold = case
    assert all(leg.kind is TransferKind.PENDING for leg in hold.legs)
    ends = {
        TransferKind.POST_PENDING: uphold_slash(hold),
        TransferKind.VOID_PENDING: reverse_slash(hold, reason="the check was wrong"),
    }
    for how, entry in ends.items():
        assert [leg.pending_id for leg in entry.legs] == [
            leg_id(hold.event_id, n) for n in range(len(hold.legs))
        ]
        assert all(leg.kind is how for leg in entry.legs)
        assert (sums(entry, "debit"), sums(entry, "credit")) == (
            sums(hold, "debit"),
            sums(hold, "credit"),
        )


def test_the_end_of_a_slash_says_what_it_was():
    hold = taken(terms(), stake=1_000)
    assert uphold_slash(hold).event_id == "slash.uphold:c"
    assert uphold_slash(hold).reason == "Slash c upheld"
    reversed_ = reverse_slash(hold, reason="the check was wrong")
    assert reversed_.event_id == "slash.reverse:c"
    assert reversed_.reason == "Slash c reversed: the check was wrong"


@pytest.mark.parametrize("given", [
    {"bounty_bps": BOUNTY_BPS_MAX + 1},
    {"amount_micro_usd": -1},
    {"amount_micro_usd": 1.5},
    {"made_whole_micro_usd": 1, "tenant_id": None},
    {"reporters": ("r", "r")},
    {"reporters": tuple(f"r{n}" for n in range(REPORTERS_MAX + 1))},
])  # fmt: skip
def test_terms_that_make_no_sense_are_refused(given):
    with pytest.raises(InvalidValue):
        terms(**given)


@given(bounty=AMOUNTS, reporters=st.integers(1, REPORTERS_MAX))
def test_the_bounty_is_fixed_however_many_report_and_falls_by_half_each(bounty, reporters):
    shares = bounty_shares(bounty, reporters)
    assert sum(shares) == bounty
    assert len(shares) == reporters
    assert all(abs(a - 2 * b) <= 2 for a, b in pairwise(shares))


@given(bounty=AMOUNTS, names=st.integers(1, REPORTERS_MAX))
def test_alone_one_gains_nothing_by_reporting_under_many_names(bounty, names):
    assert sum(bounty_shares(bounty, names)) == sum(bounty_shares(bounty, 1))


@given(bounty=AMOUNTS, others=st.integers(0, 7), names=st.integers(1, 8))
def test_names_after_the_first_reporter_never_press_him_below_half(bounty, others, names):
    assert bounty_shares(bounty, 1 + others + names)[0] >= bounty // 2


@given(bounty=AMOUNTS, before=st.integers(0, 5), names=st.integers(2, 6), after=st.integers(0, 5))
def test_among_others_further_names_gain_at_most_half_of_the_bounty(bounty, before, names, after):
    honest = bounty_shares(bounty, before + 1 + after)[before]
    sybil = sum(bounty_shares(bounty, before + names + after)[before : before + names])
    assert sybil - honest <= bounty // 2 + 1
    assert sybil <= bounty // 2**before + names  # who comes later has less to gain


def test_what_a_sybil_gains_in_numbers():
    assert bounty_shares(900, 2) == [600, 300]
    assert (
        sum(bounty_shares(900, 3)[:2]) == 771
    )  # the first, under two names: 171 of the second's 300
    assert (
        sum(bounty_shares(900, 3)[1:]) == 386
    )  # the second, under two names: 86 of the first's 600


def test_a_slash_may_be_appealed_for_three_days_and_not_a_second_longer():
    last = Instant(NOW + APPEAL_SECONDS - 1)
    assert APPEAL_SECONDS == 3 * 24 * 3600
    assert may_appeal(SlashState.PROPOSED, NOW, now=last)
    assert not may_appeal(SlashState.PROPOSED, NOW, now=Instant(NOW + APPEAL_SECONDS))
    assert not any(may_appeal(s, NOW, now=NOW) for s in SlashState if s is not SlashState.PROPOSED)


def test_silence_upholds_a_slash_when_the_time_to_appeal_is_over():
    def state(after):
        return next_slash_state(SlashState.PROPOSED, NOW, now=Instant(NOW + after))

    assert state(APPEAL_SECONDS - 1) is SlashState.PROPOSED
    assert state(APPEAL_SECONDS) is SlashState.UPHELD


@pytest.mark.parametrize("verdict", [SlashState.UPHELD, SlashState.REVERSED])
def test_an_appealed_slash_waits_for_its_verdict(verdict):
    late = Instant(NOW + 10 * APPEAL_SECONDS)
    assert next_slash_state(SlashState.APPEALED, NOW, now=late) is SlashState.APPEALED
    assert next_slash_state(SlashState.APPEALED, NOW, now=late, verdict=verdict) is verdict


@pytest.mark.parametrize("state", list(SlashState))
@pytest.mark.parametrize("verdict", [None, *SlashState])
def test_a_slash_only_moves_as_its_table_says_and_never_once_it_is_over(state, verdict):
    try:
        after = next_slash_state(state, NOW, now=Instant(NOW + APPEAL_SECONDS), verdict=verdict)
    except WrongState:
        after = state
    assert after is state or after in SLASH_TRANSITIONS[state]
    if verdict is not None and state is not SlashState.APPEALED:
        assert after is state
