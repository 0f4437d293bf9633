"""What decides about money in and out: codes, destinations, what is left of a promotion."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidValue
from gondwana.core.random import SeededRandom
from gondwana.ledger import accounts, treasury
from gondwana.ledger.deposit_codes import codes_in, new_code, shown
from gondwana.ledger.payments import (
    HoldbackSettings,
    PayoutSettings,
    PromoGrant,
    check_destination,
    mask,
    promo_to_expire,
)

NOW = Instant(1_800_000_000.0)
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
seeds = st.integers(0, 2**32)


@given(seeds, st.integers(0, 9), st.sampled_from(ALPHABET))
def test_a_code_with_one_wrong_character_is_no_code(seed, place, char):
    code = new_code(SeededRandom(seed))
    wrong = code[:place] + char + code[place + 1 :]
    assert codes_in(shown(wrong)) == ([code] if wrong == code else [])


@given(seeds, st.integers(0, 8))
def test_a_code_with_two_neighbours_swapped_is_no_code(seed, place):
    code = new_code(SeededRandom(seed))
    wrong = code[:place] + code[place + 1] + code[place] + code[place + 2 :]
    assert codes_in(shown(wrong)) == ([code] if wrong == code else [])


@given(seeds)
def test_a_code_is_found_however_a_person_writes_it(seed):
    code = new_code(SeededRandom(seed))
    misread = shown(code).replace("1", "l").replace("0", "o")
    for text in (shown(code), f"invoice 7: {shown(code).lower()} thanks", f"gw {code}", misread):
        assert code in codes_in(text)
    assert codes_in(f"{shown(code)} and {shown(code)}") == [code]
    assert codes_in("") == codes_in("GW") == codes_in("rent november") == []


def test_a_code_that_ends_as_codes_begin_makes_no_second_one_with_the_words_after_it():
    code = new_code(SeededRandom(67827515))
    assert code.endswith("GWY")
    assert codes_in(f"{shown(code)} and {shown(code)}") == [code]
    assert codes_in(f"{shown(code)} and\0{shown(code)}") == [code]


@given(seeds, seeds)
def test_two_codes_are_two_however_they_are_written(first, second):
    codes = list(dict.fromkeys(new_code(SeededRandom(each)) for each in (first, second)))
    run_together = "".join(f"gw{code.lower()}" for code in codes)
    assert set(codes) <= set(codes_in(run_together))
    assert codes_in(" / ".join(shown(code) for code in codes)) == codes


def test_a_destination_is_masked_to_what_its_owner_recognises():
    assert mask("DE89370400440532013000") == "…3000"
    assert mask("12345678") == "…"


WRONG = ["", "abc", "=1+1", "+49170", "-x1234", "@ann12", "a\nbcd", "x" * 101, "dé1234"]


@pytest.mark.parametrize("destination", WRONG)
def test_a_wrong_destination_is_refused_without_being_repeated(destination):
    with pytest.raises(InvalidValue) as caught:
        check_destination(destination, "Ann")
    told = f"{caught.value.message} {caught.value.fields}"
    assert len(destination) < 3 or destination not in told


@pytest.mark.parametrize(
    "holder", ["", "A", "=cmd()", "+A B", "A\nB", "A\u2028B", "A\x7fB", "x" * 71]
)
def test_a_holder_that_a_spreadsheet_would_run_or_a_bank_refuse_is_refused(holder):
    with pytest.raises(InvalidValue):
        check_destination("DE89370400440532013000", holder)


def test_destinations_and_holders_lose_the_blanks_around_them():
    assert check_destination(" DE89 3704 ", " Zoë O'Neill-Ørsted ") == ("DE89 3704", "Zoë O'Neill-Ørsted")  # fmt: skip


@pytest.mark.parametrize("settings", [{"micro_usd_min": 0}, {"micro_usd_min": -1}, {"rails": ("Bank 1",)}])  # fmt: skip
def test_payout_settings_out_of_range_are_refused(settings):
    with pytest.raises(InvalidValue):
        PayoutSettings(**settings)


@pytest.mark.parametrize("seconds", [-1, 367 * 86_400])
def test_a_holdback_out_of_range_is_refused(seconds):
    with pytest.raises(InvalidValue):
        HoldbackSettings(seconds=seconds)


def grant(amount, expires_in=None):
    return PromoGrant(
        id="pro_1", tenant_id="pri_1", amount_micro_usd=amount, why="welcome", granted_at=NOW,
        expires_at=None if expires_in is None else Instant(NOW + expires_in),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("available", "grants", "expires"),
    [
        (10, [grant(10, -1)], 10),  # nothing was spent
        (4, [grant(10, -1)], 4),  # six were spent
        (0, [grant(10, -1)], 0),
        (10, [grant(10, 1)], 0),  # not yet
        (10, [grant(10, 0)], 10),  # at this very moment
        (10, [grant(10)], 0),  # never
        (15, [grant(10, -1), grant(10)], 5),  # spent was what expires first
        (10, [grant(10, -1), grant(10)], 0),
        (13, [grant(10, -2), grant(10, -1)], 13),
        (50, [grant(10, -1)], 10),  # what was not granted with a date stays
        (50, [], 0),
    ],
)
def test_what_is_left_of_an_expired_promotion_is_what_nothing_valid_explains(
    available, grants, expires
):
    assert promo_to_expire(available, grants, NOW) == expires


def test_the_look_at_the_treasury_knows_every_line_of_the_chart():
    money = {kind.code for kind in accounts.CHART if kind.code < 9000}
    assert money == {1000, 1090, *treasury.OWED, *treasury.OPERATOR_CODES}
