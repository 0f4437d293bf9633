import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidValue
from gondwana.core.values import replace
from gondwana.ledger import rules
from gondwana.ledger.model import Balance

EPOCH_MS = 86_400_000
FLOOR = 60_000  # micro-USD an hour
DAY_AT_FLOOR = FLOOR * 24
STAKE = 50_000_000
SHARES = {"fees": 20, "insurance": 5, "verification": 10}  # per mille of what a tenant pays


def device_class(name="RTX4090", **changes):
    given = {"floor_micro_usd_per_hour": FLOOR, "electricity_micro_usd_per_hour": 60_000,
             "market_price_micro_usd_per_hour": 350_000, "devices_target": 100}  # fmt: skip
    return rules.DeviceClass(name=name, **{**given, **changes})


def program(**changes):
    given = {"id": "seed", "budget_micro_usd": 10**9, "stake_micro_usd_min": STAKE,
             "classes": (device_class(), device_class("H100", devices_target=40))}  # fmt: skip
    return rules.SubsidyProgram(**{**given, **changes})


def machine(name="m", *, owner="p", ms=EPOCH_MS, earned=0, staked=10**12, kind="RTX4090", devices=1):  # fmt: skip
    return rules.VerifiedCapacity(provider_id=owner, machine_id=name, device_class=kind, verified_ms=ms,
                                  earned_micro_usd=earned, staked_micro_usd=staked, devices=devices)  # fmt: skip


def given_to(owner, facts, *, budget=10**9, settings=None):
    awards = rules.award(settings or program(), facts, budget_micro_usd=budget)
    return sum(each.micro_usd for each in awards if each.provider_id == owner)


@st.composite
def fleets(draw):
    count = draw(st.integers(1, 8))
    return [
        machine(
            f"m{n}",
            owner=draw(st.sampled_from(["dealer", "b", "c"])),
            ms=draw(st.integers(0, EPOCH_MS)),
            earned=draw(st.integers(0, 2 * DAY_AT_FLOOR)),
            kind=draw(st.sampled_from(["RTX4090", "H100", "T4"])),
            devices=draw(st.integers(1, 4)),
            staked=draw(st.sampled_from([0, STAKE, 10**12])),
        )
        for n in range(count)
    ]


@pytest.mark.parametrize("changes", [{"floor_micro_usd_per_hour": 72_001}, {"market_price_micro_usd_per_hour": 119_999},
                                     {"floor_micro_usd_per_hour": -1}, {"devices_target": -1}])  # fmt: skip
def test_a_floor_above_the_electricity_or_half_the_market_price_is_refused(changes):
    with pytest.raises(InvalidValue):
        device_class(**changes)


@pytest.mark.parametrize("changes", [{"alpha_ppm": 1_000_001}, {"decay_ppm": -1}, {"vest_now_ppm": 1_000_001},
                                     {"epoch_seconds": 0}, {"budget_micro_usd": -1},
                                     {"classes": (device_class(), device_class())}])  # fmt: skip
def test_settings_that_cannot_be_are_refused(changes):
    with pytest.raises(InvalidValue):
        program(**changes)


def test_a_budget_shrinks_by_its_decay_each_epoch():
    decaying = program(budget_micro_usd=1_000_000, decay_ppm=100_000)
    assert [rules.epoch_budget(decaying, epoch) for epoch in range(4)] == [
        1_000_000,
        900_000,
        810_000,
        729_000,
    ]
    assert rules.epoch_budget(decaying, 36_500) == 0


def test_a_budget_may_be_capped_by_the_last_epochs_fees():
    capped = program(budget_micro_usd=1_000, alpha_ppm=500_000)
    assert rules.epoch_budget(capped, 3, fees_last_epoch_micro_usd=600) == 300
    assert rules.epoch_budget(capped, 3, fees_last_epoch_micro_usd=10**9) == 1_000
    assert rules.epoch_budget(capped, 3) == 0


@pytest.mark.parametrize("target, active, scarce", [(100, 0, 1_000_000), (100, 25, 750_000), (100, 100, 0),
                                                    (100, 500, 0), (0, 0, 0)])  # fmt: skip
def test_a_class_is_scarce_by_what_is_missing_of_its_target(target, active, scarce):
    assert rules.scarcity_ppm(target, active) == scarce


def test_an_idle_proven_day_is_topped_up_to_the_floor():
    assert given_to("p", [machine()]) == DAY_AT_FLOOR
    assert given_to("p", [machine(earned=1_000_000)]) == DAY_AT_FLOOR - 1_000_000
    assert given_to("p", [machine(earned=DAY_AT_FLOOR)]) == 0
    assert given_to("p", [machine(devices=4)]) == 4 * DAY_AT_FLOOR


@pytest.mark.parametrize("claim", [machine(ms=0), machine(staked=STAKE - 1), machine(kind="unheard-of"),
                                   machine(devices=2, staked=2 * STAKE - 1)])  # fmt: skip
def test_presence_without_proof_a_stake_or_a_program_for_it_pays_nothing(claim):
    assert given_to("p", [claim]) == 0


def test_a_class_that_reached_its_target_is_given_nothing():
    assert given_to("p", [machine(f"m{n}") for n in range(100)]) == 0
    assert given_to("p", [machine(f"m{n}") for n in range(99)]) == 99 * DAY_AT_FLOOR


def test_the_machines_of_an_owner_share_his_stake():
    facts = [machine(f"m{n}", staked=3 * STAKE) for n in range(9)]
    assert given_to("p", facts) == 3 * DAY_AT_FLOOR


def test_a_machine_that_appears_twice_is_refused():
    with pytest.raises(InvalidValue):
        rules.award(program(), [machine(), machine()], budget_micro_usd=1)


def test_more_time_than_an_epoch_has_does_not_count():
    assert given_to("p", [machine(ms=5 * EPOCH_MS)]) == DAY_AT_FLOOR


@given(facts=fleets(), budget=st.integers(0, 30_000_000))
def test_awards_are_never_above_the_need_nor_the_budget_and_use_it_up(facts, budget):
    awards = rules.award(program(), facts, budget_micro_usd=budget)
    needs = rules.needs(program(), facts)
    assert all(need >= 0 for need in needs)
    total = sum(each.micro_usd for each in awards)
    assert total == min(budget, sum(needs))  # no class of these small fleets reaches its target
    for each in awards:
        own = sum(n for n, fact in zip(needs, facts, strict=True) if fact.provider_id == each.provider_id)  # fmt: skip
        assert 0 < each.micro_usd <= own


@given(facts=fleets(), seed=st.integers(0, 99), budget=st.integers(0, 30_000_000))
def test_awards_do_not_depend_on_the_order_of_the_facts(facts, seed, budget):
    mixed = random.Random(seed).sample(facts, len(facts))
    assert rules.award(program(), mixed, budget_micro_usd=budget) == rules.award(
        program(), facts, budget_micro_usd=budget
    )


@given(facts=fleets(), spends=st.lists(st.integers(0, 5 * DAY_AT_FLOOR), min_size=8, max_size=8),
       budget=st.integers(0, 30_000_000))  # fmt: skip
def test_buying_ones_own_offers_never_gains_whatever_one_spends(facts, spends, budget):
    """What the dealer pays himself comes back less the shares; his subsidy only falls, so he loses the shares."""
    lost, dealt = 0, []
    for fact, spend in zip(facts, spends, strict=False):
        spend = spend if fact.provider_id == "dealer" else 0
        shares = sum(spend * share // 1_000 for share in SHARES.values())
        lost += shares
        dealt.append(replace(fact, earned_micro_usd=fact.earned_micro_usd + spend - shares))
    before = given_to("dealer", facts, budget=budget)
    after = given_to("dealer", dealt, budget=budget)
    rounding = len(facts)  # micro-units: a largest remainder may fall to another machine
    assert -lost + after - before <= -lost + rounding


@given(facts=fleets(), fees=st.integers(0, 30_000_000), spend=st.integers(0, 10**9))
def test_paying_fees_to_lift_the_next_budget_never_gains(facts, fees, spend):
    """With alpha at its most, each fee paid lifts the budget by itself, and others share the lift."""
    settings = program(alpha_ppm=1_000_000)
    paid = spend * SHARES["fees"] // 1_000
    budgets = [
        rules.epoch_budget(settings, 1, fees_last_epoch_micro_usd=each)
        for each in (fees, fees + paid)
    ]
    before, after = (given_to("dealer", facts, budget=budget) for budget in budgets)
    assert after - before <= paid + len(facts)


def fakes(count, *, seed, owner="p", staked):
    """Machines that share one real card. All are challenged at once, each minute: the card answers for one of them."""
    rng = random.Random(seed)
    answered = [0] * count
    for _ in range(24 * 60):
        answered[rng.randrange(count)] += 1
    return [
        machine(f"f{n:04}", owner=owner, ms=minutes * 60_000, staked=staked)
        for n, minutes in enumerate(answered)
    ]


def test_a_thousand_fakes_that_share_one_card_prove_one_cards_time_and_are_given_no_more():
    facts = fakes(1_000, seed=1, staked=10**18)
    assert sum(fact.verified_ms for fact in facts) == EPOCH_MS
    assert rules.active_devices(program(), "RTX4090", facts) == 1
    assert given_to("p", facts) <= given_to("p", [machine()]) == DAY_AT_FLOOR


def test_a_thousand_fakes_lose_money_once_one_answer_each_is_missed():
    """Each needs its own stake before its first hour, and each that failed a challenge it claimed to pass loses it."""
    facts = fakes(1_000, seed=1, staked=1_000 * STAKE)
    failed = [fact for fact in facts if fact.verified_ms < EPOCH_MS]
    assert len(failed) >= 999
    profit_of_90_days = 90 * given_to("p", facts) - len(failed) * STAKE
    assert profit_of_90_days < 0


@given(staked=st.integers(0, 1_000))
def test_fakes_with_too_little_at_stake_are_given_less_than_one_honest_card(staked):
    facts = fakes(50, seed=2, staked=staked * STAKE // 50)
    assert given_to("p", facts) <= DAY_AT_FLOOR
    if staked < 50:
        assert given_to("p", facts) == 0


def test_what_a_scarce_class_does_not_need_goes_to_the_others():
    settings = program(
        classes=(device_class(devices_target=2), device_class("H100", devices_target=10**6))
    )
    facts = [
        machine("a", owner="a"),
        machine("b", owner="b", kind="H100", earned=DAY_AT_FLOOR - 10),
    ]
    awards = rules.award(settings, facts, budget_micro_usd=100_010)
    assert [(each.provider_id, each.micro_usd) for each in awards] == [("a", 100_009), ("b", 1)]
    plenty = rules.award(settings, facts, budget_micro_usd=10**9)
    assert [each.micro_usd for each in plenty] == [DAY_AT_FLOOR, 10]


def test_an_epochs_fund_is_filled_awarded_and_returned():
    filled = rules.fund_subsidy(program(), 3, 1_000)
    assert [(leg.debit, leg.credit, leg.amount_micro_usd) for leg in filled.legs] == [
        ("fund:treasury", "fund:subsidy:seed:3", 1_000)
    ]
    awarded = rules.award_subsidy(program(), 3, rules.Award(provider_id="p", micro_usd=999))
    assert {leg.credit: leg.amount_micro_usd for leg in awarded.legs} == {
        "subsidy:p:vesting": 750,
        "provider:p:payable": 249,
    }
    back = rules.return_subsidy(program(), 3, 1)
    assert (back.legs[0].debit, back.legs[0].credit) == ("fund:subsidy:seed:3", "fund:treasury")
    assert filled.reason == awarded.reason == "Subsidy program seed, epoch 3"


@given(amount=st.integers(0, 10**15))
def test_an_award_is_split_without_loss(amount):
    now, later = rules.vest_parts(program(), amount)
    assert now + later == amount
    assert now == amount // 4


def vest_at(awards, moments):
    """What was paid in all when it was vested at these moments, with all awards made at their times."""
    paid, seen = 0, set()
    for now in sorted(moments):
        made = [each for each in awards if each.awarded_at <= now]
        vesting = Balance(credits_posted=sum(each.micro_usd for each in made), debits_posted=paid)
        still = [each for each in made if each.awarded_at + each.vest_seconds > now]
        entry = rules.vest("p", still, now=Instant(now), vesting=vesting)
        amount = entry.total_micro_usd()
        assert 0 <= amount <= vesting.available_micro_usd
        assert not amount or entry.event_id not in seen
        seen.add(entry.event_id)
        paid += amount
    return paid


vestings = st.lists(
    st.builds(
        rules.Vesting,
        awarded_at=st.floats(0, 1_000).map(Instant),
        micro_usd=st.integers(1, 10**12),
        vest_seconds=st.integers(1, 1_000),
    ),
    max_size=6,
)


@given(awards=vestings, moments=st.lists(st.floats(0, 3_000), max_size=8), last=st.floats(0, 3_000))  # fmt: skip
def test_what_vested_never_depends_on_how_often_it_is_run(awards, moments, last):
    assert vest_at(awards, [*[each for each in moments if each <= last], last, last]) == vest_at(
        awards, [last]
    )


@given(awards=vestings)
def test_everything_has_vested_in_the_end(awards):
    assert vest_at(awards, [2_000.0]) == sum(each.micro_usd for each in awards)


def test_an_award_vests_in_a_straight_line():
    half = [rules.Vesting(awarded_at=Instant(0.0), micro_usd=1_000, vest_seconds=100)]
    assert [vest_at(half, [at]) for at in (0.0, 1.0, 50.0, 99.5, 100.0)] == [0, 10, 500, 990, 1_000]


def test_a_part_of_a_micro_unit_has_not_vested():
    one = [rules.Vesting(awarded_at=Instant(0.0), micro_usd=1, vest_seconds=3)]
    assert [vest_at(one, [at]) for at in (1.0, 2.9, 3.0)] == [0, 0, 1]


@pytest.mark.parametrize("changes", [{"ms": -1}, {"earned": -1}, {"staked": -1}, {"devices": -1}])
def test_facts_below_zero_are_refused(changes):
    with pytest.raises(InvalidValue):
        machine(**changes)


def test_what_was_taken_back_no_longer_vests():
    awards = [rules.Vesting(awarded_at=Instant(0.0), micro_usd=1_000, vest_seconds=100)]
    taken = Balance(credits_posted=1_000, debits_posted=600)  # all 600 clawed back at once
    assert rules.vest("p", awards, now=Instant(50.0), vesting=taken).legs == ()
    assert rules.vest("p", [], now=Instant(100.0), vesting=taken).total_micro_usd() == 400


def test_a_clawback_takes_from_what_vests_and_says_why():
    entry = rules.clawback("p", 5, key="case_1", reason="one card sold as ten")
    assert (entry.legs[0].debit, entry.legs[0].credit) == ("subsidy:p:vesting", "fund:treasury")
    assert entry.reason == "Subsidy taken back: one card sold as ten"
    with pytest.raises(InvalidValue):
        rules.clawback("p", 5, key="case_1", reason="")
