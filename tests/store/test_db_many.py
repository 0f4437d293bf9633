"""Many keys in one query are as many queries of one key."""

import contextlib

import pytest
from msgspec import Struct

from gondwana.core.clock import Instant
from gondwana.db.database import Database
from gondwana.db.errors import Refused
from gondwana.db.many import KEYS_AT_ONCE, change_keys, read_keys, read_tuples, read_values

NOW = Instant(1.0)
ODD = [
    "",
    "a",
    'say "x"',
    "back\\slash",
    "it's",
    "{a,b}",
    "a,b",
    "NULL",
    "ünï",
    "%s",
    ":keys",
    "?",
    "two\nlines",
]


@pytest.fixture
def names(place):
    with Database.open(place, inline=True) as database:
        yield database


def store(database, keys):
    rows = [(key, f'"{key}"', NOW) for key in keys]
    database.writer.call(lambda tx: tx.insert_rows("setting", ("key", "value", "at"), rows))


def found(database, keys, *before):
    sql = "SELECT key FROM setting WHERE at >= ? AND key IN (:keys)"
    return sorted(row["key"] for row in read_keys(database.reader(), sql, keys, 0.0))


def changed(database, sql, keys, *before):
    told = []
    database.writer.call(change_keys, sql, keys, *before, told=told.append)
    return told[0]


def test_keys_of_any_spelling_are_found_and_no_others(names):
    store(names, ODD)
    assert found(names, ODD) == sorted(ODD)
    assert found(names, ["a", "a", "missing"]) == ["a"]
    for key in ODD:
        assert found(names, [key]) == [key]
    assert found(names, []) == []


def test_more_keys_than_one_query_takes_are_found_too(names):
    many = [f"key {number}" for number in range(2 * KEYS_AT_ONCE[names.reader().dialect] + 7)]
    store(names, many)
    assert found(names, many) == sorted(many)


class Setting(Struct, frozen=True, kw_only=True):
    key: str
    at: Instant
    value: dict[str, int]


def test_rows_are_read_as_tuples_and_as_values_too(names):
    rows = [(key, f'{{"n": {number}}}', NOW) for number, key in enumerate(ODD)]
    names.writer.call(lambda tx: tx.insert_rows("setting", ("key", "value", "at"), rows))
    sql = "SELECT value, at, 1 AS another, key FROM setting WHERE at >= ? AND key IN (:keys)"
    expected = {key: {"n": number} for number, key in enumerate(ODD)}

    def check(reader):
        for _ in range(2):  # planned the first time, known the second
            found = read_values(reader, Setting, sql, ODD, 0.0)
            assert {each.key: each.value for each in found} == expected
            assert all(type(each) is Setting and each.at == NOW for each in found)
            assert sorted(row[3] for row in read_tuples(reader, sql, ODD, 0.0)) == sorted(ODD)
        assert read_values(reader, Setting, sql, ["missing"], 0.0) == []
        assert read_values(reader, Setting, sql, [], 0.0) == []

    check(names.reader())
    names.writer.call(check)


def test_numbers_and_bytes_are_keys_too(names):
    def run(tx):
        return read_keys(tx, "SELECT key FROM setting WHERE length(key) IN (:keys)", [1, 3, 40_000])

    store(names, ["a", "bb", "ccc"])
    assert sorted(row["key"] for row in names.writer.call(run)) == ["a", "ccc"]
    sql = "SELECT number FROM ledger_batch WHERE hash IN (:keys)"
    assert read_keys(names.reader(), sql, [b"\x00\\", b'"']) == []


def test_a_key_with_a_zero_in_it_is_not_two_keys(names):
    store(names, ["a", "b"])
    with contextlib.suppress(Refused):  # PostgreSQL has no such text
        assert found(names, ["a\0b", "c"]) == []


def test_a_change_tells_how_many_rows_it_changed(names):
    store(names, ODD)
    sql = "UPDATE setting SET value = ? WHERE key IN (:keys)"
    assert changed(names, sql, [*ODD, "missing"], '"new"') == len(ODD)


def test_a_change_that_was_refused_at_first_is_done_the_next_time(names):
    store(names, ["a", "b"])
    sql = "UPDATE setting SET value = ?, at = ? WHERE key IN (:keys)"
    with pytest.raises(Refused):
        changed(names, sql, ["a", "b"], '"new"', None)
    assert changed(names, sql, ["a", "b"], '"new"', 2.0) == 2


def test_what_stands_in_quotes_is_no_parameter(names):
    store(names, ["a?", "b%"])
    sql = "SELECT key FROM setting WHERE key LIKE '%?' AND at >= ? AND key IN (:keys)"
    assert [row["key"] for row in read_keys(names.reader(), sql, ["a?", "b%"], 0.0)] == ["a?"]
