"""What follows around a slash: who waits, who is paid when it is over, what is left of a stake on its way out."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidValue
from gondwana.core.values import replace
from gondwana.ledger.accounts import fund_insurance, reporter_payable, tenant_available
from gondwana.ledger.cases import (
    SlashState,
    SlashTerms,
    StakeSettings,
    check_text,
    evidence_hash,
    evidence_text,
)
from gondwana.ledger.model import Balance
from gondwana.ledger.rules import (
    DECIDE_SECONDS,
    UNBONDING_SECONDS,
    RiskSettings,
    Unbonding,
    cover_slash,
    more_stake_micro_usd,
    next_slash_state,
    pay_bounty,
    releasable,
    slash,
    unverified_work_max_micro_usd,
)

NOW = Instant(1_800_000_000.0)
AMOUNTS = st.one_of(st.integers(0, 50), st.integers(0, 10**12))


def has(amount, held=0):
    return Balance(credits_posted=amount + held, debits_pending=held)


def covered(made_whole, collected, fund):
    terms = SlashTerms(case_id="c", provider_id="p", amount_micro_usd=10**13, reason="no", tenant_id="t",
                       made_whole_micro_usd=made_whole)  # fmt: skip
    hold = slash(terms, holdback=has(collected), stake=has(0), unbonding=has(0))
    return cover_slash(terms, hold, fund=has(fund))


# -- what the insurance fund adds


@given(made_whole=AMOUNTS, collected=AMOUNTS, fund=AMOUNTS)
def test_the_fund_adds_what_is_missing_as_far_as_it_goes(made_whole, collected, fund):
    entry = covered(made_whole, collected, fund)
    assert entry.total_micro_usd() == min(max(0, made_whole - collected), fund)
    assert {(leg.debit, leg.credit) for leg in entry.legs} <= {
        (fund_insurance(), tenant_available("t"))
    }


def test_the_fund_pays_once_per_case_and_only_where_somebody_lost_something():
    assert covered(7, 3, 100).event_id == "slash.cover:c"
    terms = SlashTerms(case_id="c", provider_id="p", amount_micro_usd=5, reason="no")
    hold = slash(terms, holdback=has(0), stake=has(0), unbonding=has(0))
    assert cover_slash(terms, hold, fund=has(100)).legs == ()


def test_a_bounty_goes_on_to_where_the_bond_came_from():
    entry = pay_bounty("rep_1", tenant_available("t"), amount_micro_usd=9)
    assert [(leg.debit, leg.credit) for leg in entry.legs] == [
        (reporter_payable("rep_1"), tenant_available("t"))
    ]
    with pytest.raises(InvalidValue):
        pay_bounty("rep_1", fund_insurance(), amount_micro_usd=9)


# -- silence


def test_an_appeal_that_nobody_judges_ends_for_the_accused_after_thirty_days_and_not_before():
    def state(after):
        now = Instant(NOW + after)
        return next_slash_state(SlashState.APPEALED, NOW, now=now, appealed_at=NOW)

    assert DECIDE_SECONDS == 30 * 86_400
    assert state(DECIDE_SECONDS - 1) is SlashState.APPEALED
    assert state(DECIDE_SECONDS) is SlashState.REVERSED


def test_a_late_verdict_counts_while_nobody_has_closed_the_case():
    late = Instant(NOW + 2 * DECIDE_SECONDS)
    after = next_slash_state(
        SlashState.APPEALED, NOW, now=late, verdict=SlashState.UPHELD, appealed_at=NOW
    )
    assert after is SlashState.UPHELD


@pytest.mark.parametrize("state", [SlashState.UPHELD, SlashState.REVERSED, SlashState.CORRECTED])
def test_what_is_over_stays_over_however_long_one_waits(state):
    late = Instant(NOW + 2 * DECIDE_SECONDS)
    assert next_slash_state(state, NOW, now=late, appealed_at=NOW) is state


# -- stakes on their way out


def parts(*amounts, ages=None):
    ages = ages or [UNBONDING_SECONDS + len(amounts) - n for n in range(len(amounts))]
    return [
        Unbonding(id=f"unb_{n}", provider_id="p", amount_micro_usd=amount, unbonded_at=Instant(NOW - age))
        for n, (amount, age) in enumerate(zip(amounts, ages, strict=True))
    ]  # fmt: skip


def left(found):
    return [(part.id, amount) for part, amount in found]


def test_what_no_slash_touches_is_free_whole_when_its_time_is_over():
    made = parts(5, 6, ages=[UNBONDING_SECONDS, UNBONDING_SECONDS - 1])
    assert left(releasable(made, has(11), now=NOW)) == [("unb_0", 5)]


def test_what_was_slashed_is_missing_from_the_oldest_parts():
    assert left(releasable(parts(5, 6), has(4), now=NOW)) == [("unb_0", 0), ("unb_1", 4)]


def test_only_the_parts_wait_that_a_slash_holds_something_of():
    assert left(releasable(parts(5, 6), has(8, held=3), now=NOW)) == [("unb_1", 6)]
    assert left(releasable(parts(5, 6), has(2, held=9), now=NOW)) == []
    assert left(releasable(parts(5, 6), has(3, held=3), now=NOW)) == [("unb_0", 0)], "5 are gone"


@given(
    amounts=st.lists(st.integers(1, 100), max_size=6),
    slashed=st.integers(0, 300),
    held=st.integers(0, 300),
)
def test_nothing_is_released_that_a_slash_holds_and_in_the_end_all_that_is_left_is(
    amounts, slashed, held
):
    whole = sum(amounts)
    slashed = min(slashed, whole)
    held = min(held, whole - slashed)
    account = Balance(credits_posted=whole, debits_posted=slashed, debits_pending=held)
    found = releasable(parts(*amounts), account, now=NOW)
    assert sum(amount for _, amount in found) <= account.available_micro_usd
    settled = replace(account, debits_pending=0)
    free = releasable(parts(*amounts), settled, now=NOW)
    assert [part.id for part, _ in free] == [part.id for part in parts(*amounts)]
    assert sum(amount for _, amount in free) == whole - slashed


# -- how much more stake


@given(work=AMOUNTS, at_stake=AMOUNTS, check_ppm=st.integers(1_000, 900_000))
def test_the_stake_that_is_asked_for_is_enough_and_not_a_unit_more(work, at_stake, check_ppm):
    given_settings = RiskSettings(check_ppm=check_ppm)
    more = more_stake_micro_usd(work, given_settings, at_stake_micro_usd=at_stake)
    assert unverified_work_max_micro_usd(at_stake + more, given_settings) >= work
    if more:
        assert unverified_work_max_micro_usd(at_stake + more - 1, given_settings) < work


def test_a_stranger_begins_without_a_stake_up_to_the_price_of_an_hour_of_a_large_node():
    settings = RiskSettings()
    assert unverified_work_max_micro_usd(0, settings) == 25_000_000
    assert more_stake_micro_usd(25_000_000, settings, at_stake_micro_usd=0) == 0
    assert more_stake_micro_usd(26_000_000, settings, at_stake_micro_usd=0) > 0


# -- words and evidence


def test_evidence_has_one_form_and_its_hash_is_that_of_the_text():
    text = evidence_text({"b": [1, None], "a": "\ud800é"})
    assert text == '{"a":"\\ud800\\u00e9","b":[1,null]}'
    assert evidence_hash(text) == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("wrong", [{"n": float("nan")}, {"x": object()}, {"x": "y" * 70_000}])
def test_what_is_no_json_or_too_much_is_no_evidence(wrong):
    with pytest.raises(InvalidValue):
        evidence_text(wrong)


@pytest.mark.parametrize("wrong", ["", "  ", "x" * 201, "a\0b"])
def test_a_reason_says_something_and_fits_a_line(wrong):
    with pytest.raises(InvalidValue):
        check_text("why", wrong)
    assert check_text("why", " because ") == "because"


@pytest.mark.parametrize("wrong", [
    {"bond_micro_usd_min": 0}, {"bond_micro_usd_min": 1.5}, {"slash_micro_usd_per_rejection": -1},
])  # fmt: skip
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(InvalidValue):
        StakeSettings(**wrong)
