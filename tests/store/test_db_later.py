"""What is written without waiting for the database: whoever's is refused hears it, and nobody else does."""

import pytest
from writing import NOW, RENAME, are_as_stored, commit, happened, stored

from gondwana.core.errors import Unavailable, WrongState
from gondwana.db import postgres_few
from gondwana.db.conditional import change_all
from gondwana.db.database import Database
from gondwana.db.errors import Failed, Refused
from gondwana.db.postgres_talk import Talk
from gondwana.ledger import rules
from gondwana.ledger.chain import prove_chain
from gondwana.ledger.store import post

COPIED = 0  # at most so many values travel as JSON: all rows are copied

many_or_few = pytest.mark.parametrize("most", [COPIED, postgres_few.VALUES_MAX])


def storing(*keys, tells=1):
    def run(tx):
        tx.insert_rows("setting", ("key", "value", "at"), [(key, '"old"', NOW) for key in keys])
        tx.emit_many([happened(key) for key in keys for _ in range(tells)])

    return run


def moving(*keys, then=lambda tx: None):
    def run(tx):
        change_all(tx, RENAME, keys, "old", '"new"', '"old"')
        tx.emit(happened(f"moved {keys[0]}"))
        then(tx)

    return run


@many_or_few
@pytest.mark.parametrize("at", [0, 1, 2])
def test_what_is_refused_undoes_its_call_alone_wherever_it_stands(opened, monkeypatch, most, at):
    monkeypatch.setattr(postgres_few, "VALUES_MAX", most)
    commit(opened, storing("there"))
    runs = [storing("a"), storing("b")]
    runs.insert(at, storing("c", "there"))
    errors, told = commit(opened, *runs)
    assert [type(each) for each in errors if each] == [Refused]
    assert isinstance(errors[at], Refused)
    assert stored(opened) == dict.fromkeys(("a", "b", "there"), "old")
    assert [each.event.subject for each in told] == ["a", "b"]
    assert are_as_stored(opened, told)


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_row_that_stood_otherwise_undoes_the_call_that_changes_it(opened, at):
    commit(opened, storing("a", "b", "c"))
    runs = [moving("a"), moving("b")]
    runs.insert(at, moving("c", "missing"))
    errors, told = commit(opened, *runs)
    assert isinstance(errors[at], WrongState)
    assert "one of 2 (c, …) is no longer old" in str(errors[at])
    assert sum(each is None for each in errors) == 2
    assert stored(opened) == {"a": "new", "b": "new", "c": "old"}
    assert [each.event.subject for each in told] == ["moved a", "moved b"]


@many_or_few
def test_a_change_is_heard_though_rows_are_inserted_right_after_it(opened, monkeypatch, most):
    monkeypatch.setattr(postgres_few, "VALUES_MAX", most)
    commit(opened, storing("a", "b"))
    errors, told = commit(
        opened, moving("a", then=storing("c")), moving("b", "missing", then=storing("d", "e"))
    )
    assert (errors[0], type(errors[1])) == (None, WrongState)
    assert stored(opened) == {"a": "new", "b": "old", "c": "old"}
    assert are_as_stored(opened, told)


def test_nothing_is_committed_where_a_row_stood_otherwise_for_what_comes_before_the_commit(
    place, monkeypatch
):
    monkeypatch.setattr(Talk, "_go_on", lambda self: None)
    with Database.open(place, inline=True, before_commit=moving("missing")) as database:
        errors, told = commit(database, storing("a"))
        assert (isinstance(errors[0], WrongState), told, stored(database)) == (True, [], {})


def test_a_call_that_goes_on_hears_at_its_next_question_that_a_row_stood_otherwise(opened):
    heard = []

    def ask(tx):
        try:
            tx.one("SELECT 1 AS one")
        except WrongState as error:
            heard.append(error)
            raise

    commit(opened, storing("a"))
    at_once = moving("missing", then=ask)
    errors, told = commit(opened, at_once)
    assert (isinstance(errors[0], WrongState), told, stored(opened)) == (True, [], {"a": "old"})


def test_changes_and_rows_of_one_call_are_seen_in_their_order(opened):
    def run(tx):
        storing("a", "b")(tx)
        change_all(tx, RENAME, ["a"], "old", '"new"', '"old"')
        change_all(tx, RENAME, ["a"], "new", '"newest"', '"new"')
        storing("c")(tx)
        change_all(tx, RENAME, ["b", "c"], "old", '"new"', '"old"')

    errors, told = commit(opened, run)
    assert (errors, stored(opened)) == ([None], {"a": "newest", "b": "new", "c": "new"})
    assert are_as_stored(opened, told)


@many_or_few
def test_events_are_told_by_their_numbers_though_some_before_them_were_undone(
    opened, monkeypatch, most
):
    monkeypatch.setattr(postgres_few, "VALUES_MAX", most)

    def writes_and_fails(tx):
        storing("x", tells=3)(tx)
        tx.one("SELECT max(seq) AS seq FROM event")  # they are written by then
        raise ValueError

    def undoes_some(tx):
        tx.emit(happened("before"))
        with pytest.raises(ValueError), tx.savepoint():
            writes_and_fails(tx)
        tx.emit(happened("after"))

    errors, told = commit(
        opened, storing("a", tells=2), writes_and_fails, undoes_some, storing("b")
    )
    assert [type(each) for each in errors] == [type(None), ValueError, type(None), type(None)]
    assert [each.event.subject for each in told] == ["a", "a", "before", "after", "b"]
    assert are_as_stored(opened, told)
    again, more = commit(opened, storing("c"))
    assert (again, are_as_stored(opened, more)) == ([None], True)
    assert more[0].seq > told[-1].seq


def test_events_after_a_commit_that_failed_are_told_by_their_numbers(place):
    fails = [False]

    def sometimes(tx):
        if fails.pop():
            fails.append(False)
            raise Failed("the disk did not answer")
        fails.append(False)

    with Database.open(place, inline=True, before_commit=sometimes) as database:
        commit(database, storing("a", tells=2))
        fails[:] = [True]
        errors, told = commit(database, storing("b", tells=3))
        assert (isinstance(errors[0], Unavailable), told) == (True, [])
        errors, told = commit(database, storing("c"))
        assert (errors, stored(database)) == ([None], {"a": "old", "c": "old"})
        assert are_as_stored(database, told)


@many_or_few
def test_what_is_posted_is_sealed_though_the_last_call_is_refused(opened, monkeypatch, most):
    monkeypatch.setattr(postgres_few, "VALUES_MAX", most)
    commit(opened, storing("there"))

    def posts(tx, key, also=()):
        post(tx, rules.deposit("bank", "pri_somebody", 5_000_000, key=key), NOW)
        storing(*also)(tx)

    errors, _ = commit(opened, lambda tx: posts(tx, "one"), lambda tx: posts(tx, "two", ["there"]))
    assert [type(each) for each in errors] == [type(None), Refused]
    (batch,) = prove_chain(opened.reader()).batches
    assert (batch.number, batch.first, batch.last) == (1, 1, 1)
    errors, _ = commit(opened, lambda tx: posts(tx, "two"))
    assert errors == [None]
    assert [each.last for each in prove_chain(opened.reader()).batches] == [1, 2]
