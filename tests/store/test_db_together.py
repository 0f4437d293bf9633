"""Questions asked at once, and rows that travel with what comes next: the same answers, in fewer round trips."""

from math import inf, isnan, nan

import pytest
from msgspec import Struct

from gondwana.core.clock import Instant
from gondwana.core.events import Event
from gondwana.db import postgres_few
from gondwana.db.conditional import change_all
from gondwana.db.connection import Read
from gondwana.db.database import Database
from gondwana.db.errors import Refused
from gondwana.db.events import events_after
from gondwana.db.many import KEYS_AT_ONCE, of_keys, read_keys
from gondwana.db.postgres import READS_MAX
from gondwana.db.postgres_talk import Talk
from gondwana.db.together import both, of_row, together

NOW = Instant(1.0)
SETTING = ("key", "value", "at")
KEYS = "SELECT key, at FROM setting WHERE key IN (:keys) ORDER BY key"
ODD = [
    "", 'say "x"', "back\\slash", "it's", "{a,b}", "NULL", "ünï \u2028", "%s", ":keys", "?", "$1", "two\nlines\ttab",
]  # fmt: skip


class Setting(Struct, frozen=True, kw_only=True):
    key: str
    at: Instant


def store(tx, *keys):
    tx.insert_rows("setting", SETTING, [(key, "1", NOW) for key in keys])


def stored(database):
    return [row["key"] for row in database.reader().all("SELECT key FROM setting ORDER BY key")]


def raises(tx, *keys):
    store(tx, *keys)
    raise ValueError


# -- questions


def test_each_question_has_its_own_answer_whatever_its_rows_become(database):
    database.writer.call(store, "a", "b", "c")

    def check(reader):
        rows, tuples, values, none = together(
            reader,
            of_keys(dict, KEYS, ["b", "a"]),
            of_keys(tuple, KEYS, ["c"]),
            of_keys(Setting, KEYS, ["a", "missing"]),
            of_keys(tuple, KEYS, []),
        )
        assert [row["key"] for row in rows] == ["a", "b"]
        assert (tuples, none) == ([("c", 1.0)], [])
        assert values == [Setting(key="a", at=NOW)]

    for _ in range(2):  # planned the first time, known the second
        check(database.reader())
        database.writer.call(check)


def test_what_is_made_of_an_answer_is_made_of_its_own_rows(database):
    database.writer.call(store, "a", "b", "c")
    first, second = of_keys(tuple, KEYS, ["a"]), of_keys(tuple, KEYS, ["b", "c"])
    counts = both(first.then(len), second.then(len), lambda one, two: (one, two))
    of_one, of_all = together(
        database.reader(), of_row("SELECT count(*) AS n FROM setting"), counts.then(sum)
    )
    assert (of_one["n"], of_all) == (3, 3)
    assert of_row("SELECT key FROM setting WHERE key = 'none'").of(database.reader()) is None


def test_more_keys_and_more_questions_than_are_asked_at_once_are_all_answered(database):
    many = [f"{n:06d}" for n in range(KEYS_AT_ONCE[database.reader().dialect] + 7)]
    database.writer.call(store, *many)
    found, another = together(
        database.reader(), of_keys(tuple, KEYS, many), of_keys(tuple, KEYS, many[:1])
    )
    assert (sorted(key for key, _ in found), another) == (many, [(many[0], 1.0)])
    reads = [Read(tuple, "SELECT ?", [str(n)]) for n in range(3 * READS_MAX + 1)]
    answers = database.reader().together(reads)
    assert answers == [[(str(n),)] for n in range(len(reads))]


def test_postgres_is_waited_for_once_however_much_is_asked_or_written(postgres_url, monkeypatch):
    with Database.open(postgres_url, inline=True) as database:
        database.writer.call(store, "first")
        database.reader().one("SELECT 1")  # it has its role now
        trips, ask = [], Talk.ask

        def counted(self, text, *given):
            trips.append(text)
            return ask(self, text, *given)

        monkeypatch.setattr(Talk, "ask", counted)
        asked = (of_keys(tuple, KEYS, ["a"]), of_keys(dict, KEYS, ["b"]), of_row("SELECT 1 AS one"))
        together(database.reader(), *asked)
        assert len(trips) == 1
        trips.clear()

        def run(tx):
            store(tx, "a", "b")
            change_all(
                tx, "UPDATE setting SET at = ? WHERE key IN (:keys)", ["a", "b"], "there", 2.0
            )
            tx.emit_many([Event(at=NOW, kind="thing.changed", subject="a", data={})])

        database.writer.call(run)
        (commit,) = trips
        assert "hold_term" in commit  # who leads is looked at with it
    with Database.open(postgres_url, inline=True) as database:
        assert stored(database) == ["a", "b", "first"]


def test_a_question_that_is_refused_is_told_to_who_asked(database):
    with pytest.raises(Exception, match="nowhere"):
        together(database.reader(), of_row("SELECT 1 AS one"), of_row("SELECT * FROM nowhere"))
    assert of_row("SELECT 1 AS one").of(database.reader())["one"] == 1


# -- few rows


@pytest.mark.parametrize("most", [0, postgres_few.VALUES_MAX])
def test_few_rows_come_back_as_many_do(database, monkeypatch, most):
    monkeypatch.setattr(postgres_few, "VALUES_MAX", most)
    raw = [bytes([n]) * (n % 7) + b'\\x"' for n in range(40)]
    given = [(f"p{n}", f"key{n}", "h", each, n / 7) for n, each in enumerate(raw)]
    columns = ("principal", "key", "body_hash", "response", "at")
    texts = [(text, f'"{len(text)}"', 1e300 if n else 5e-324) for n, text in enumerate(ODD)]

    def run(tx):
        tx.insert_rows("idempotency", columns, given)
        tx.insert_rows("setting", SETTING, texts)
        tx.insert_rows("setting", SETTING, [("up", "1", inf), ("down", "1", -inf)])

    database.writer.call(run)
    reader = database.reader()
    rows = reader.tuples(f"SELECT {', '.join(columns)} FROM idempotency ORDER BY at")
    assert [(*row[:3], bytes(row[3]), row[4]) for row in rows] == given
    found = {row[0]: row for row in reader.tuples("SELECT key, value, at FROM setting")}
    assert [found[text] for text, *_ in texts] == texts
    assert (found["up"][2], found["down"][2]) == (inf, -inf)


@pytest.mark.parametrize("most", [0, postgres_few.VALUES_MAX])
def test_what_is_no_number_stays_that_on_postgres(postgres_url, monkeypatch, most):
    monkeypatch.setattr(postgres_few, "VALUES_MAX", most)
    with Database.open(postgres_url, inline=True) as database:
        database.writer.call(lambda tx: tx.insert_rows("setting", SETTING, [("a", "1", nan)]))
        assert isnan(database.reader().tuples("SELECT at FROM setting")[0][0])


@pytest.mark.parametrize("count", [1, 1_000])
def test_rows_are_there_for_the_call_that_inserted_them(database, count):
    keys = [f"{n:04d}" for n in range(count)]

    def run(tx):
        store(tx, *keys)
        return [row["key"] for row in read_keys(tx, KEYS, keys)]

    assert database.writer.call(run) == keys


@pytest.mark.parametrize("tells", [False, True])
def test_rows_that_are_refused_undo_their_call_and_no_other_of_its_commit(place, tells):
    def run(tx, *keys):
        store(tx, *keys)
        if tells:
            tx.emit_many([Event(at=NOW, kind="thing.changed", subject=keys[0], data={})])

    with Database.open(place) as database:
        database.writer.call(run, "there")
        calls = [
            database.writer.submit(run, *keys)
            for keys in (("a",), ("b", "there"), ("c", "d"), ("there",), ("e",))
        ]
        refused = [isinstance(each.exception(), Refused) for each in calls]
        assert refused == [False, True, False, True, False]
        assert stored(database) == ["a", "c", "d", "e", "there"]
        told = [each.event.subject for each in events_after(database.reader(), 0)]
        assert told == (["there", "a", "c", "e"] if tells else [])


def test_rows_that_are_refused_in_a_savepoint_undo_that_alone(database):
    def twice(tx):
        with tx.savepoint():
            store(tx, "b")
            store(tx, "b", "c")

    def run(tx):
        store(tx, "a")
        with pytest.raises(Refused):
            twice(tx)
        store(tx, "d")

    database.writer.call(run)
    assert stored(database) == ["a", "d"]


def test_rows_that_are_refused_before_a_savepoint_undo_the_call(database):
    def run(tx):
        store(tx, "a", "a")
        with tx.savepoint():
            store(tx, "b")

    with pytest.raises(Refused):
        database.writer.call(run)
    database.writer.call(store, "c")
    assert stored(database) == ["c"]


def test_rows_of_a_call_that_failed_later_are_not_there(place):
    with Database.open(place) as database:
        calls = [
            database.writer.submit(*each)
            for each in ((store, "a"), (raises, "b"), (store, "c"), (raises, "d", "d"))
        ]
        failed = [each.exception() is not None for each in calls]
        assert failed == [False, True, False, True]
        assert stored(database) == ["a", "c"]


def test_rows_of_what_a_savepoint_undid_are_not_there(database):
    def run(tx):
        with pytest.raises(ValueError), tx.savepoint():
            raises(tx, "a")
        with tx.savepoint():
            store(tx, "b")
            with pytest.raises((ValueError, Refused)), tx.savepoint():
                raises(tx, "c", "c")
            store(tx, "d")

    database.writer.call(run)
    assert stored(database) == ["b", "d"]
