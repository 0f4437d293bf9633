import pytest
from hypothesis import given
from hypothesis import strategies as st

from gondwana.core.errors import InvalidValue, WrongState
from gondwana.core.money import MICRO_USD_MAX
from gondwana.ledger import rules
from gondwana.ledger.accounts import (
    budget_left,
    income_fees,
    provider_holdback,
    tenant_available,
)
from gondwana.ledger.model import (
    Assignment,
    Balance,
    Entry,
    Evaluation,
    LeaseTerms,
    Leg,
    Shares,
    TaskTerms,
    TransferKind,
    leg_id,
)


@st.composite
def shares(draw):
    cuts = sorted(draw(st.lists(st.integers(0, 10_000), min_size=4, max_size=4)))
    return Shares(fee_bps=cuts[0], insurance_bps=cuts[1] - cuts[0], verification_bps=cuts[2] - cuts[1],
                  tax_bps=cuts[3] - cuts[2])  # fmt: skip


def lease(price=2_490_000, part=None):
    return LeaseTerms(lease_id="l", tenant_id="t", provider_id="p", price_micro_usd_per_hour=price,
                      shares=part or Shares())  # fmt: skip


def task(part=None):
    return TaskTerms(job_id="j", tenant_id="t", shares=part or Shares())


def unit(price=1_000_001, attempt=1):
    return Assignment(unit_id="u", provider_id="p", price_micro_usd=price, attempt=attempt)


def amounts(entry):
    return {leg.credit: leg.amount_micro_usd for leg in entry.legs}


def settle(terms, escrow_micro_usd, moments):
    """What each account got when the lease was metered at these numbers of proven seconds."""
    escrow, got = Balance(credits_posted=escrow_micro_usd), {}
    for seconds in moments:
        entry = rules.meter(terms, seconds, escrow)
        for account, amount in amounts(entry).items():
            got[account] = got.get(account, 0) + amount
        escrow = Balance(
            credits_posted=escrow_micro_usd,
            debits_posted=escrow.debits_posted + entry.total_micro_usd(),
        )
    return got


@given(
    price=st.integers(0, 10**9), part=shares(), escrow=st.integers(0, 10**9),
    moments=st.lists(st.integers(0, 10**6), min_size=1, max_size=12),
)  # fmt: skip
def test_the_sum_does_not_depend_on_how_often_one_settles(price, part, escrow, moments):
    terms, moments = lease(price, part), sorted(moments)
    often = settle(
        terms, escrow, [*moments, *moments[-1:]]
    )  # the last one twice: a repeated tick posts nothing
    once = settle(terms, escrow, moments[-1:])
    assert often == once
    assert sum(once.values()) == min(escrow, price * moments[-1] // 3600)


@given(price=st.integers(1, 5_000), part=shares())
def test_settling_each_second_of_a_cheap_lease_pays_the_same_as_settling_once(price, part):
    terms = lease(price, part)
    assert settle(terms, 10**6, range(200)) == settle(terms, 10**6, [199])


def test_a_late_tick_takes_nothing_back():
    escrow = Balance(credits_posted=1_000_000, debits_posted=500_000)
    assert rules.meter(lease(), 10, escrow).legs == ()


@given(total=st.integers(0, 2**62), more=st.integers(0, 10**6), part=shares())
def test_every_share_grows_with_the_total_and_they_sum_to_it(total, more, part):
    provider = provider_holdback("p")
    before = rules.split(total, task(part), provider=provider)
    after = rules.split(total + more, task(part), provider=provider)
    assert sum(amount for _, amount in before) == total
    assert all(new >= old >= 0 for (_, new), (_, old) in zip(after, before, strict=True))
    assert dict(before)[provider] >= total * (10_000 - part.fee_bps - part.insurance_bps - part.verification_bps
                                              - part.tax_bps) // 10_000  # fmt: skip


@given(total=st.integers(0, 10**12), part=shares())
def test_every_share_is_within_four_micro_units_of_its_exact_part(total, part):
    bps = (part.fee_bps, part.insurance_bps, part.verification_bps, part.tax_bps)
    got = rules.split(total, task(part), provider=provider_holdback("p"))
    for (_, amount), points in zip(got, bps, strict=False):
        assert abs(amount - total * points / 10_000) < 4


def test_the_usual_shares_of_a_dollar():
    got = amounts(rules.assign_unit(task(), unit(1_000_000)))
    assert got == {
        "income:fees": 20_000,
        "fund:verification": 10_000,
        "provider:p:holdback": 970_000,
    }


def test_shares_of_nothing_make_no_transfers():
    nothing = Shares(fee_bps=0, verification_bps=0)
    assert amounts(rules.assign_unit(task(nothing), unit(5))) == {"provider:p:holdback": 5}
    assert rules.assign_unit(task(), unit(0)).legs == ()


@pytest.mark.parametrize(
    "bad",
    [{"fee_bps": -1}, {"fee_bps": 10_001}, {"fee_bps": 6_000, "tax_bps": 5_000}, {"fee_bps": 1.5}],
)
def test_shares_that_cannot_be_are_refused(bad):
    with pytest.raises(InvalidValue):
        Shares(**bad)


def test_closing_a_lease_meters_the_rest_and_returns_what_is_left():
    escrow = Balance(credits_posted=2_490_000, debits_posted=1_000)
    entry = rules.close_lease(lease(), 1_800, escrow)
    assert entry.total_micro_usd() == 2_489_000
    assert amounts(entry)[tenant_available("t")] == 1_245_000


def test_an_escrow_that_ran_dry_pays_what_it_has_and_returns_nothing():
    entry = rules.close_lease(lease(), 10_000, Balance(credits_posted=2_490_000))
    assert entry.total_micro_usd() == 2_490_000
    assert tenant_available("t") not in amounts(entry)


def test_what_a_dry_escrow_owed_is_paid_after_a_top_up():
    dry = Balance(credits_posted=100, debits_posted=100)
    assert rules.meter(lease(), 3_600, dry).legs == ()
    filled = Balance(credits_posted=3_000_000, debits_posted=100)
    assert rules.meter(lease(), 3_600, filled).total_micro_usd() == 2_490_000 - 100


@pytest.mark.parametrize("seconds", [-1, 1.5, True])
def test_only_whole_proven_seconds_are_paid(seconds):
    with pytest.raises(InvalidValue):
        rules.meter(lease(), seconds, Balance(credits_posted=10))


def test_at_least_an_hour_is_set_aside_unless_the_budget_is_smaller():
    assert rules.escrow_to_open(3_600, 60, budget_micro_usd=10**9) == 3_600
    assert rules.escrow_to_open(3_600, 7_200, budget_micro_usd=10**9) == 7_200
    assert (
        rules.escrow_to_open(1, 3_601, budget_micro_usd=10**9) == 2
    )  # rounded up, so that it lasts
    assert rules.escrow_to_open(3_600, 7_200, budget_micro_usd=500) == 500


@given(price=st.integers(1, 10**9), escrow=st.integers(0, 10**12), proven=st.integers(0, 10**6))
def test_the_escrow_pays_for_every_second_of_its_runway(price, escrow, proven):
    held = Balance(credits_posted=escrow)
    runway = rules.runway_seconds(lease(price), proven, held)
    if runway:
        assert price * (proven + runway) // 3600 <= escrow
    assert price * (proven + runway + 1) // 3600 >= min(escrow, price * (proven + runway) // 3600)


def test_a_lease_that_costs_nothing_runs_for_ever():
    assert rules.runway_seconds(lease(0), 10, Balance()) == rules.RUNWAY_SECONDS_MAX


def test_accepting_and_rejecting_resolve_every_hold_of_the_assignment():
    hold = rules.assign_unit(task(), unit())
    for entry, kind in (
        (rules.accept_unit(task(), unit()), TransferKind.POST_PENDING),
        (rules.reject_unit(task(), unit(), reason="too large"), TransferKind.VOID_PENDING),
        (rules.expire_unit(task(), unit()), TransferKind.VOID_PENDING),
    ):
        assert [leg.pending_id for leg in entry.legs] == [
            leg_id(hold.event_id, n) for n in range(len(hold.legs))
        ]
        assert {leg.kind for leg in entry.legs} == {kind}
        assert amounts(entry) == amounts(hold)


def test_a_unit_given_out_again_is_another_hold():
    assert (
        rules.assign_unit(task(), unit()).event_id
        != rules.assign_unit(task(), unit(attempt=2)).event_id
    )


def test_an_evaluation_of_rejected_work_is_paid_by_the_fund():
    done = {"unit_id": "e", "verifier_id": "v", "price_micro_usd": 5}
    assert rules.pay_evaluator(task(), Evaluation(**done)).legs[0].debit == "task:j:escrow"
    assert (
        rules.pay_evaluator(task(), Evaluation(**done, from_fund=True)).legs[0].debit
        == "fund:verification"
    )


def test_a_job_with_units_in_work_cannot_be_closed():
    with pytest.raises(WrongState):
        rules.close_task(task(), Balance(credits_posted=10, debits_pending=1))
    closed = rules.close_task(task(), Balance(credits_posted=10, debits_posted=4))
    assert amounts(closed) == {"tenant:t:available": 6}


def test_a_deposit_is_named_by_its_key_and_its_tenant():
    assert (
        rules.deposit("manual", "t", 5, key="k").event_id
        == rules.deposit("manual", "t", 5, key="k").event_id
    )
    assert (
        rules.deposit("manual", "t", 5, key="k").event_id
        != rules.deposit("manual", "u", 5, key="k").event_id
    )


@pytest.mark.parametrize("amount", [0, -1, 1.0, 1.5, True, "1", None, MICRO_USD_MAX + 1, 2**63])
def test_an_amount_is_a_whole_number_above_zero(amount):
    with pytest.raises(InvalidValue):
        Leg(debit=tenant_available("t"), credit=income_fees(), amount_micro_usd=amount)


def test_money_does_not_move_from_an_account_to_itself():
    with pytest.raises(InvalidValue):
        Leg(debit=income_fees(), credit=income_fees(), amount_micro_usd=1)


def test_an_unknown_account_is_refused():
    with pytest.raises(InvalidValue):
        Leg(debit=tenant_available("t"), credit="income:mine", amount_micro_usd=1)


@pytest.mark.parametrize(
    ("kind", "pending_id"),
    [("post", "e#0"), ("pending", "e#0"), ("post_pending", None), ("void_pending", None)],
)
def test_only_what_resolves_a_hold_names_one(kind, pending_id):
    with pytest.raises(InvalidValue):
        Leg(
            debit=tenant_available("t"),
            credit=income_fees(),
            amount_micro_usd=1,
            kind=kind,
            pending_id=pending_id,
        )


def test_an_entry_has_a_name_and_not_too_many_legs():
    leg = Leg(debit=tenant_available("t"), credit=income_fees(), amount_micro_usd=1)
    good = {"event_id": "x", "kind": "correction", "subject": "s", "legs": (leg,)}
    assert Entry(**good, facts=("a", "b")).reason == "Correction of a: b"
    for wrong in ({"event_id": ""}, {"event_id": "x" * 201}, {"legs": (leg,) * 65}, {"kind": "gift"}, {"subject": ""},
                  {"facts": ("x" * 201,)}):  # fmt: skip
        with pytest.raises(InvalidValue):
            Entry(**{**good, **wrong})


def test_a_budget_does_not_turn_into_money():
    budget, money = budget_left("bud_1", "2026-11"), tenant_available("t")
    for debit, credit in ((budget, money), (money, budget)):
        with pytest.raises(InvalidValue, match="asset"):
            Leg(debit=debit, credit=credit, amount_micro_usd=1)
