import pytest

from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidValue
from gondwana.ledger.accounts import ext, provider_payable, stake, stake_unbonding
from gondwana.ledger.rules.stakes import (
    UNBONDING_SECONDS,
    may_release,
    release_stake,
    stake_from_payable,
    stake_from_rail,
    unbond,
)

NOW = Instant(1_800_000_000.0)


def moves(entry):
    return [(leg.debit, leg.credit, leg.amount_micro_usd) for leg in entry.legs]


def test_a_stake_is_earnings_or_money_from_outside():
    assert moves(stake_from_payable("p", 7, key="1")) == [(provider_payable("p"), stake("p"), 7)]
    paid = stake_from_rail("bank", "p", amount_micro_usd=7, key="1")
    assert moves(paid) == [(ext("bank"), stake("p"), 7)]


def test_a_stake_leaves_through_unbonding_to_what_can_be_paid_out():
    assert moves(unbond("p", 7, key="1")) == [(stake("p"), stake_unbonding("p"), 7)]
    assert moves(release_stake("p", 5, key="1")) == [
        (stake_unbonding("p"), provider_payable("p"), 5)
    ]


def test_each_step_of_each_key_is_an_event_of_its_own():
    made = [
        step("p", 7, key=key)
        for step in (stake_from_payable, unbond, release_stake)
        for key in ("1", "2")
    ]
    made += [stake_from_rail(rail, "p", amount_micro_usd=7, key="1") for rail in ("bank", "card")]
    assert len({entry.event_id for entry in made}) == len(made)


def test_the_statement_says_how_long_a_stake_takes_to_leave():
    assert unbond("p", 7, key="1").reason == "Stake on its way out, free in 336 h 00 min"


def test_a_stake_is_free_after_fourteen_days_and_not_a_second_before():
    assert UNBONDING_SECONDS == 14 * 24 * 3600
    assert not may_release(NOW, Instant(NOW + UNBONDING_SECONDS - 1))
    assert may_release(NOW, Instant(NOW + UNBONDING_SECONDS))


@pytest.mark.parametrize("step", [stake_from_payable, unbond, release_stake])
@pytest.mark.parametrize("amount", [0, -1])
def test_nothing_and_less_than_nothing_cannot_be_staked(step, amount):
    with pytest.raises(InvalidValue):
        step("p", amount, key="1")
