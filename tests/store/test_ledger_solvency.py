"""The insurance fund by the books, on both databases."""

import pytest
from bookkeeping import has, put

from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidValue
from gondwana.db.events import events_after
from gondwana.ledger import rules, solvency
from gondwana.ledger.accounts import fund_insurance, lease_escrow
from gondwana.ledger.model import LeaseTerms, Shares
from gondwana.ledger.rules import Cover
from gondwana.ledger.rules.insurance import RATIO_PPM_MAX
from gondwana.ledger.service import Service, SlaClass
from gondwana.ledger.store import balance

DAY = 86_400
START = Instant(400.0 * DAY)
TERMS = LeaseTerms(
    lease_id="l", tenant_id="t", provider_id="p", price_micro_usd_per_hour=3_600_000,
    shares=Shares(fee_bps=0, verification_bps=0, insurance_bps=1_000),
)  # fmt: skip


def insured(database, amount=1_000_000, at=START):
    put(database, rules.treasury_deposit("bank", amount, key="a"), at=at)
    put(database, rules.fund_deposit(fund_insurance(), amount, key="a"), at=at)


def premium(database, seconds, at):
    """Each 10 seconds of the lease pay a thousandth of a dollar into the fund, in all."""
    reader = database.reader()
    if not balance(reader, lease_escrow("l")).credits_posted:
        put(database, rules.deposit("bank", "t", 100_000_000, key="a"), at=at)
        put(database, rules.open_lease(TERMS, 50_000_000), at=at)
    put(database, rules.meter(TERMS, seconds, balance(reader, lease_escrow("l"))), at=at)


def claim(database, amount, at):
    """The fund pays so much for a failure."""
    reader = database.reader()
    nothing, charged = balance(reader, "stake:p"), Service(
        lease_id="l", month="2026-11", promised_ms=1_000_000, proven_ms=0, charged_micro_usd=amount
    )  # fmt: skip
    cover = Cover(
        holdback=nothing, stake=nothing, insurance=balance(reader, fund_insurance()), stake_cap_micro_usd=0,
        fund_cap_micro_usd=amount,
    )  # fmt: skip
    put(
        database,
        rules.sla_credit(TERMS, charged, sla_class=SlaClass.DATACENTRE, cover=cover, machine="k"),
        at=at,
    )


def report(database, now, exposures=None, claims=0):
    return solvency.report(
        database.reader(), Instant(now), exposures=exposures or {}, open_claims_micro_usd=claims
    )


def test_a_fund_that_nobody_uses_is_not_reported(database):
    made = report(database, START)
    assert made.state.ratio_ppm == RATIO_PPM_MAX
    assert database.writer.call(solvency.publish, made) is False
    assert solvency.published(database.reader()) is None


def test_claims_and_premiums_count_by_when_they_were_posted(database):
    insured(database)
    premium(database, 100, START)  # 10 000 micro-dollars
    database.writer.call(solvency.publish, report(database, START))
    claim(database, 30_000, START + 10 * DAY)
    premium(database, 150, START + 50 * DAY)
    claim(database, 7_000, START + 60 * DAY)
    made = report(database, START + 61 * DAY)
    assert made.claims_of_30_days_micro_usd == 7_000
    assert made.claims_of_90_days_micro_usd == 37_000
    assert made.premiums_of_30_days_micro_usd == 5_000
    assert made.state.expected_monthly_loss_micro_usd == -(-37_000 // 3)
    assert (
        made.state.fund_micro_usd == 1_000_000 + 15_000 - 37_000 == has(database, fund_insurance())
    )


def test_the_operators_own_money_is_no_premium(database):
    insured(database)
    assert solvency.premiums_micro_usd(database.reader()) == 0
    premium(database, 100, START)
    assert solvency.premiums_micro_usd(database.reader()) == 10_000


def test_a_day_is_published_once_and_kept_up_to_date(database):
    insured(database)
    assert database.writer.call(solvency.publish, report(database, START)) is True
    assert (
        database.writer.call(solvency.publish, report(database, START + 3_600, claims=5)) is False
    )
    assert solvency.published(database.reader()).state.open_claims_micro_usd == 5
    assert database.writer.call(solvency.publish, report(database, START + DAY)) is True
    told = [
        e.event for e in events_after(database.reader(), 0) if e.event.kind == "insurance.solvency"
    ]
    assert [event.data["day"] for event in told] == ["1971-02-05", "1971-02-06"]


def test_what_is_required_covers_the_largest_owner(database):
    insured(database)
    made = report(database, START, exposures={"a": 700_000, "b": 400_000})
    database.writer.call(solvency.publish, made)
    state = solvency.solvency(database.reader(), Instant(START + 60))
    assert state.required_micro_usd == 700_000
    assert rules.may_withdraw(state, 300_000)
    assert not rules.may_withdraw(state, 300_001)


@pytest.mark.parametrize(
    "fields",
    [{"stake_cover_ppm": -1}, {"stake_cover_ppm": 2_000_000}, {"trusted_micro_usd": {"a": -1}}],
)
def test_settings_that_make_no_sense_are_refused(fields):
    with pytest.raises(InvalidValue):
        solvency.InsuranceSettings(**fields)
