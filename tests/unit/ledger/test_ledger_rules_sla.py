import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gondwana.core.errors import InvalidValue
from gondwana.ledger import rules
from gondwana.ledger.model import Balance, LeaseTerms, Shares
from gondwana.ledger.rules.sla import GRACE_MS
from gondwana.ledger.service import (
    UNSERVED_MS_MAX,
    Service,
    SlaClass,
    availability_ppm,
    availability_words,
    promised_ms,
)

MONTH_MS = 30 * 86_400_000
TERMS = LeaseTerms(
    lease_id="l", tenant_id="t", provider_id="p", price_micro_usd_per_hour=1, shares=Shares()
)
classes = st.sampled_from(SlaClass)
money = st.integers(0, 10**12)


def service(*, missing=0, charged=1_000_000, credited=0, promised=MONTH_MS):
    return Service(lease_id="l", month="2026-11", promised_ms=promised, proven_ms=promised - missing,
                   charged_micro_usd=charged, credited_micro_usd=credited)  # fmt: skip


def cover(*, holdback=0, stake=0, insurance=0, stake_cap=10**18, fund_cap=10**18, haircut=0):
    return rules.Cover(
        holdback=Balance(credits_posted=holdback), stake=Balance(credits_posted=stake),
        insurance=Balance(credits_posted=insurance), stake_cap_micro_usd=stake_cap, fund_cap_micro_usd=fund_cap,
        haircut_ppm=haircut,
    )  # fmt: skip


def credit(facts, covered, *, sla_class=SlaClass.DATACENTRE):
    return rules.sla_credit(TERMS, facts, sla_class=sla_class, cover=covered, machine="kauri")


def paid(entry):
    assert {leg.credit for leg in entry.legs} <= {"tenant:t:available"}
    return {leg.debit: leg.amount_micro_usd for leg in entry.legs}


@pytest.mark.parametrize("sla_class, missing_ppm, part_ppm", [
    (SlaClass.DATACENTRE, 5_000, 0), (SlaClass.DATACENTRE, 5_001, 100_000), (SlaClass.DATACENTRE, 10_000, 100_000),
    (SlaClass.DATACENTRE, 10_001, 300_000), (SlaClass.DATACENTRE, 50_000, 300_000),
    (SlaClass.DATACENTRE, 50_001, 1_000_000), (SlaClass.MIXED, 10_000, 0), (SlaClass.MIXED, 10_001, 100_000),
    (SlaClass.MIXED, 50_000, 100_000), (SlaClass.MIXED, 50_001, 300_000), (SlaClass.HOME, 123_456, 123_456),
])  # fmt: skip
def test_each_class_credits_its_part_of_the_charge_below_its_thresholds(sla_class, missing_ppm, part_ppm):  # fmt: skip
    facts = service(missing=MONTH_MS * missing_ppm // 1_000_000)
    assert rules.credit_due_micro_usd(sla_class, facts) == part_ppm


@pytest.mark.parametrize("sla_class", SlaClass)
def test_two_lost_heartbeats_are_noise_and_no_breach(sla_class):
    short = service(missing=GRACE_MS - 1, promised=60_000)
    assert rules.credit_due_micro_usd(sla_class, short) == 0
    breach = service(missing=GRACE_MS, promised=60_000)
    assert rules.credit_due_micro_usd(sla_class, breach) > 0


@given(
    sla_class=classes,
    promised=st.integers(0, MONTH_MS),
    proven=st.integers(0, 2 * MONTH_MS),
    charged=money,
)
def test_a_credit_is_never_below_zero_and_never_above_the_charge(sla_class, promised, proven, charged):  # fmt: skip
    facts = Service(
        lease_id="l",
        month="2026-11",
        promised_ms=promised,
        proven_ms=proven,
        charged_micro_usd=charged,
    )
    assert 0 <= rules.credit_due_micro_usd(sla_class, facts) <= charged


@given(
    sla_class=classes,
    missing=st.integers(0, MONTH_MS),
    more=st.integers(0, MONTH_MS),
    charged=money,
)
def test_a_longer_outage_never_credits_less(sla_class, missing, more, charged):
    longer = min(MONTH_MS, missing + more)
    due = [
        rules.credit_due_micro_usd(sla_class, service(missing=m, charged=charged))
        for m in (missing, longer)
    ]
    assert due[0] <= due[1]


def test_what_was_credited_is_not_taken_back_when_the_month_turns_out_well():
    facts = service(missing=MONTH_MS // 1_000, credited=500)
    assert rules.credit_due_micro_usd(SlaClass.DATACENTRE, facts) == 500
    assert credit(facts, cover(holdback=10**6)).legs == ()


def test_a_refund_of_time_is_rounded_up_for_the_tenant():
    assert rules.credit_due_micro_usd(SlaClass.HOME, service(missing=MONTH_MS // 3, charged=100)) == 34  # fmt: skip


@given(missing=st.integers(GRACE_MS, MONTH_MS), charged=money, holdback=money, stake=money, fund=money,
       stake_cap=money, fund_cap=money, haircut=st.integers(0, 1_000_000))  # fmt: skip
def test_a_credit_takes_no_more_than_is_there_from_anybody_and_no_more_than_is_due(
    missing, charged, holdback, stake, fund, stake_cap, fund_cap, haircut
):
    covered = cover(holdback=holdback, stake=stake, insurance=fund, stake_cap=stake_cap, fund_cap=fund_cap,
                    haircut=haircut)  # fmt: skip
    facts = service(missing=missing, charged=charged)
    got = paid(credit(facts, covered))
    due = rules.credit_due_micro_usd(SlaClass.DATACENTRE, facts)
    assert sum(got.values()) <= due <= charged
    assert got.get("provider:p:holdback", 0) == min(due, holdback)
    assert got.get("stake:p", 0) <= min(stake, stake_cap)
    assert got.get("fund:insurance", 0) <= min(fund, fund_cap)
    if haircut == 0 and min(fund, fund_cap) >= due:
        assert sum(got.values()) == due


def test_the_holdback_pays_first_then_the_stake_up_to_its_cap_then_the_fund():
    facts = service(missing=MONTH_MS // 2)
    got = paid(credit(facts, cover(holdback=300_000, stake=900_000, stake_cap=200_000, insurance=10**9)))  # fmt: skip
    assert got == {"provider:p:holdback": 300_000, "stake:p": 200_000, "fund:insurance": 500_000}


@given(outages=st.lists(st.integers(0, MONTH_MS), min_size=1, max_size=6), cut=st.integers(0, 6))
def test_the_sum_never_depends_on_how_often_it_is_credited(outages, cut):
    def run(moments):
        credited, seen = 0, set()
        for missing in moments:
            entry = credit(service(missing=missing, credited=credited), cover(holdback=10**9))
            assert not entry.legs or entry.event_id not in seen
            seen.add(entry.event_id)
            credited += sum(paid(entry).values())
        return credited

    outages = sorted(outages)
    assert run([*outages, outages[-1]]) == run(outages[cut:] or outages[-1:])


def test_what_nobody_could_pay_stays_due_and_is_paid_later():
    first = credit(service(missing=MONTH_MS // 2), cover(insurance=400_000))
    assert first.total_micro_usd() == 400_000
    second = credit(service(missing=MONTH_MS // 2, credited=400_000), cover(insurance=10**9))
    assert second.total_micro_usd() == 600_000
    assert first.event_id == "sla.credit:l:2026-11:400000"
    assert second.event_id == "sla.credit:l:2026-11:1000000"


@given(claims=st.lists(st.integers(1, 10**9), min_size=1, max_size=20), fund=st.integers(0, 10**9))
def test_claims_that_exceed_the_fund_are_cut_alike_and_leave_it_at_zero_or_above(claims, fund):
    cut = rules.haircut_ppm(fund, sum(claims))
    covered = [cover(insurance=fund, haircut=cut) for _ in claims]
    got = [
        credit(service(missing=MONTH_MS // 2, charged=claim), each).total_micro_usd()
        for claim, each in zip(claims, covered, strict=True)
    ]
    assert sum(got) <= fund
    if cut == 0:
        assert got == claims


def test_the_fund_is_asked_for_what_the_owner_cannot_pay_up_to_his_cover():
    assert rules.claim_on_fund_micro_usd(100, cover(holdback=30, stake=50, stake_cap=20)) == 50
    assert rules.claim_on_fund_micro_usd(100, cover(fund_cap=7)) == 7
    assert rules.claim_on_fund_micro_usd(100, cover(holdback=500)) == 0


def test_the_entry_says_in_words_what_was_missing():
    entry = credit(service(missing=MONTH_MS * 59 // 10_000), cover(holdback=10**9))
    assert entry.reason == "Credit: kauri was available 99.41 % in 2026-11"


def test_an_availability_just_below_a_threshold_does_not_read_as_the_threshold():
    assert availability_words(service(missing=MONTH_MS * 5_001 // 1_000_000)) == "99.49 %"
    assert availability_words(service()) == "100.00 %"


def test_anybody_can_compute_the_hash_of_the_evidence_again():
    facts = service(missing=MONTH_MS // 2)
    proof = rules.evidence(facts, sla_class=SlaClass.MIXED)
    text = json.dumps(proof, sort_keys=True, separators=(",", ":")).encode()
    expected = hashlib.blake2b(text, digest_size=32).hexdigest()
    assert credit(facts, cover(holdback=10**9), sla_class=SlaClass.MIXED).facts[3] == expected
    assert proof["due_micro_usd"] == 300_000


def test_a_lease_that_promised_nothing_was_always_available():
    assert availability_ppm(service(promised=0)) == 1_000_000


def test_heartbeats_that_prove_more_than_was_promised_are_full_availability():
    facts = Service(
        lease_id="l", month="2026-11", promised_ms=10, proven_ms=12, charged_micro_usd=1
    )
    assert (availability_ppm(facts), facts.outage_ms) == (1_000_000, 0)


def test_an_outage_after_an_end_without_notice_counts_for_at_most_a_day():
    assert promised_ms(1_000, unserved_ms=500) == 1_500
    assert promised_ms(1_000, unserved_ms=10 * UNSERVED_MS_MAX) == 1_000 + UNSERVED_MS_MAX


@pytest.mark.parametrize("month", ["2026-13", "2026", "", "2026-11-01"])
def test_service_of_a_month_that_is_none_is_refused(month):
    with pytest.raises(InvalidValue):
        Service(lease_id="l", month=month, promised_ms=1, proven_ms=1, charged_micro_usd=1)


@given(money, money, st.integers(0, 1_000_000))
def test_what_promotional_credit_paid_comes_back_as_promotional_credit(charged, holdback, promo_ppm):  # fmt: skip
    facts = service(missing=MONTH_MS, charged=charged)
    covered = cover(holdback=holdback, insurance=charged)
    entry = rules.sla_credit(TERMS, facts, sla_class=SlaClass.DATACENTRE, cover=covered, machine="kauri",
                             promo_ppm=promo_ppm)  # fmt: skip
    promo = sum(leg.amount_micro_usd for leg in entry.legs if leg.credit == "tenant:t:promo")
    assert entry.total_micro_usd() == charged
    assert promo == -(-charged * promo_ppm // 1_000_000)
