"""Whatever calls write, and in whichever order: what becomes of them is what a few lines of Python say."""

import contextlib
import itertools

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from writing import NOW, RENAME, are_as_stored, commit, happened, stored

from gondwana.db import postgres_few
from gondwana.db.conditional import change_all
from gondwana.ledger import rules
from gondwana.ledger.accounts import tenant_available
from gondwana.ledger.audit import audit
from gondwana.ledger.store import balance, post

THERE = dict.fromkeys("abcd", "old")  # moves of these from "old", and inserts of others, are right

PAID = 5_000_000
keys_of_payments = itertools.count()

keys = st.lists(st.sampled_from("abcdefghijkl"), min_size=1, max_size=2, unique=True)
moved = st.lists(st.sampled_from("abcde"), min_size=1, max_size=2, unique=True)
values = st.sampled_from(("old", "new"))
step = st.one_of(
    st.tuples(st.just("insert"), keys, values),
    st.tuples(st.just("move"), moved, values, values),
    st.tuples(st.just("move"), moved, st.just("old"), st.just("old")),
    st.tuples(st.just("ask"), st.sampled_from(("setting", "event"))),
    st.tuples(st.just("tell"), st.integers(1, 3)),
    st.tuples(st.just("pay")),
    st.tuples(st.just("fail")),
)
steps = st.lists(
    st.one_of(step, st.tuples(st.just("try"), st.lists(step, max_size=4))), min_size=1, max_size=6
)


class Wrong(Exception):
    """A call went wrong, by the few lines."""


def do(tx, todo):
    """These steps, in a transaction."""
    for name, *args in todo:
        if name == "insert":
            names, value = args
            tx.insert_rows(
                "setting", ("key", "value", "at"), [(each, f'"{value}"', NOW) for each in names]
            )
        elif name == "move":
            names, before, after = args
            change_all(tx, RENAME, names, before, f'"{after}"', f'"{before}"')
        elif name == "ask":
            tx.one(f"SELECT count(*) AS count FROM {args[0]}")
        elif name == "tell":
            tx.emit_many([happened(f"told {n}") for n in range(*args)])
        elif name == "pay":
            key = str(next(keys_of_payments))
            post(tx, rules.deposit("bank", "pri_somebody", PAID, key=key), NOW)
        elif name == "try":
            with contextlib.suppress(Exception), tx.savepoint():
                do(tx, *args)
        else:
            raise ValueError


def expect(todo, there, told):
    """The same: what is there and was told afterwards; raises Wrong."""
    for name, *args in todo:
        if name == "insert":
            names, value = args
            if there.keys() & set(names):
                raise Wrong
            there |= dict.fromkeys(names, value)
        elif name == "move":
            names, before, after = args
            if any(there.get(each) != before for each in names):
                raise Wrong
            there |= dict.fromkeys(names, after)
        elif name == "tell":
            told += [f"told {n}" for n in range(*args)]
        elif name == "pay":
            there["paid"] += 1
        elif name == "try":
            with contextlib.suppress(Wrong):
                inner, heard = dict(there), []
                expect(*args, inner, heard)
                there.clear()
                there |= inner
                told += heard
        elif name == "fail":
            raise Wrong


def paid(database):
    """How many payments the books have, in all."""
    return balance(database.reader(), tenant_available("pri_somebody")).credits_posted // PAID


def begin(tx):
    """Only what is there at first."""
    tx.execute("DELETE FROM setting")
    do(tx, [("insert", list(THERE), "old")])


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    batches=st.lists(st.lists(steps, min_size=1, max_size=4), min_size=1, max_size=3),
    is_copied=st.booleans(),
)
def test_a_call_is_done_wholly_or_not_at_all_whatever_it_writes(
    opened, monkeypatch, batches, is_copied
):
    monkeypatch.setattr(postgres_few, "VALUES_MAX", 0 if is_copied else 512)
    commit(opened, begin)
    there, before = THERE | {"paid": 0}, paid(opened)
    for calls in batches:
        told, went_wrong = [], []
        for todo in calls:
            after, heard = dict(there), []
            try:
                expect(todo, after, heard)
            except Wrong:
                went_wrong.append(True)
            else:
                went_wrong.append(False)
                there, told = after, told + heard
        errors, events = commit(opened, *[lambda tx, todo=todo: do(tx, todo) for todo in calls])
        assert [error is not None for error in errors] == went_wrong
        assert stored(opened) | {"paid": paid(opened) - before} == there
        changes = [each for each in events if each.event.kind == "thing.changed"]
        assert [each.event.subject for each in changes] == told
        assert not events or are_as_stored(opened, events)
    report = audit(opened.reader())
    assert report.ok, report.differences
