"""What somebody may have meant who wrote a word that is not known."""

from gondwana.core.meant import did_you_mean

KNOWN = ("price", "notice")


def test_a_word_that_is_near_a_known_one_is_told_with_its_path():
    assert did_you_mean("prise", KNOWN, at="market.") == "did you mean market.price?"


def test_a_word_near_none_is_told_all_that_are_known():
    assert did_you_mean("zzz", KNOWN) == "one of: price, notice"


def test_a_foreign_word_may_be_meant_but_is_not_offered_to_who_meant_nothing():
    assert did_you_mean("clowd", KNOWN, foreign=("cloud",)) == "did you mean cloud?"
    assert did_you_mean("zzz", KNOWN, foreign=("cloud",)) == "one of: price, notice"


def test_a_word_of_a_megabyte_is_near_none():
    assert did_you_mean("price" * 200_000, KNOWN) == "one of: price, notice"
