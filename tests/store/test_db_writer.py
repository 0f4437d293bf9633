"""Both writers keep the same promises; the batching one also under load, a full disk and at the end."""

import contextlib
import threading
from concurrent.futures import CancelledError, Future

import pytest
from msgspec import Struct

from gondwana.core.clock import Instant
from gondwana.core.errors import ShuttingDown, StorageFull, Unavailable, WrongState
from gondwana.core.events import Event
from gondwana.db import writer as writers
from gondwana.db.database import Database
from gondwana.db.dialect import Dialect
from gondwana.db.errors import Denied, Failed, Refused
from gondwana.db.events import events_after
from gondwana.db.settings import read_setting, write_setting

NOW = Instant(1.0)


@pytest.fixture(params=["sqlite", "postgres", "memory"])
def where(request, tmp_path):
    """Where a fresh database is; None is in memory."""
    if request.param == "postgres":
        return request.getfixturevalue("postgres_url")
    return tmp_path / "a.db" if request.param == "sqlite" else None


@pytest.fixture(params=["batching", "inline"])
def database(request, where):
    inline = request.param == "inline"
    opened = Database.open(where, inline=inline) if where else Database.in_memory(inline=inline)
    with opened:
        yield opened


@pytest.fixture
def batching(place):
    """A fresh database of either kind, written by a thread."""
    with Database.open(place) as opened:
        yield opened


def happened(subject, job_id=None, **data):
    return Event(at=NOW, kind="thing.changed", subject=subject, job_id=job_id, data=data)


def write(tx, key, value):
    write_setting(tx, key, value, at=NOW)
    tx.emit(happened(key))
    return value


def read(database, key):
    return read_setting(database.reader(), key, int, default=0)


def subjects(database):
    return [stored.event.subject for stored in events_after(database.reader(), 0)]


class Hold:
    """Keeps the writer's thread busy, so that what is submitted meanwhile becomes one batch."""

    def __init__(self, writer):
        self.started, self.go_on = threading.Event(), threading.Event()
        self.future = writer.submit(self._wait)
        assert self.started.wait(10)

    def _wait(self, tx):
        self.started.set()
        assert self.go_on.wait(10)

    def release(self):
        self.go_on.set()
        self.future.result(10)


def test_a_call_returns_what_it_returned_and_is_visible_to_readers(database):
    assert database.writer.call(write, "a", 7) == 7
    assert read(database, "a") == 7


def test_a_failing_call_undoes_itself_and_nothing_else(database):
    def fails(tx):
        write(tx, "b", 2)
        raise WrongState("no")

    told = []
    database.writer.listen(told.extend)
    first = database.writer.submit(write, "a", 1)
    second = database.writer.submit(fails)
    third = database.writer.submit(write, "c", 3)
    assert (first.result(10), third.result(10)) == (1, 3)
    with pytest.raises(WrongState):
        second.result(10)
    assert [read(database, key) for key in "abc"] == [1, 0, 3]
    assert subjects(database) == ["a", "c"]
    database.writer.close()
    assert [stored.event.subject for stored in told] == ["a", "c"]


def test_a_savepoint_undoes_its_part_and_the_call_goes_on(database):
    def fails(tx):
        with tx.savepoint():
            write(tx, "b", 2)
            raise WrongState("no")

    def run(tx):
        write(tx, "a", 1)
        with pytest.raises(WrongState):
            fails(tx)
        write(tx, "c", 3)

    heard = []
    database.writer.listen(heard.extend)
    database.writer.call(run)
    assert subjects(database) == ["a", "c"]
    database.writer.call(write, "d", 4)  # the listener has run before the next call does
    assert [stored.event.subject for stored in heard][:2] == ["a", "c"]


def test_a_statement_that_the_database_refuses_fails_its_call_alone(database):
    def refused(tx):
        tx.execute("INSERT INTO setting (key, value, at) VALUES ('a', NULL, 0)")

    with pytest.raises(Refused):
        database.writer.call(refused)
    assert database.writer.call(write, "a", 1) == 1


def refuse(tx):
    tx.execute("INSERT INTO setting (key, value, at) VALUES ('x', NULL, 0)")


def test_what_follows_a_refused_statement_is_refused_too_and_the_call_is_undone(database):
    def hides(tx):
        write(tx, "a", 1)
        with contextlib.suppress(Refused):
            refuse(tx)
        with pytest.raises(Refused):
            write(tx, "b", 2)

    def hides_and_ends(tx):
        write(tx, "a", 1)
        with contextlib.suppress(Refused):
            refuse(tx)

    for call in (hides, hides_and_ends):
        with pytest.raises(Refused):
            database.writer.call(call)
    assert subjects(database) == []


def test_what_is_refused_in_a_savepoint_leaves_the_rest_of_the_call(database):
    def fails(tx):
        with tx.savepoint():
            write(tx, "b", 2)
            with tx.savepoint():
                write(tx, "c", 3)
            refuse(tx)

    def goes_on(tx):
        write(tx, "a", 1)
        for _ in range(2):
            with pytest.raises(Refused):
                fails(tx)
        write(tx, "d", 4)

    database.writer.call(goes_on)
    assert subjects(database) == ["a", "d"]
    assert [read(database, key) for key in "abcd"] == [1, 0, 0, 4]


def test_a_number_beyond_64_bits_is_refused(database):
    for number in (2**63, -(2**63) - 1):
        with pytest.raises(Refused):
            database.writer.call(
                lambda tx, number=number: tx.execute(
                    "UPDATE leadership SET term = :n", {"n": number}
                )
            )


def test_many_rows_are_inserted_at_once_or_not_at_all(database):
    columns = ("principal", "key", "body_hash", "response", "at")
    rows = [("p", f"k{n}\t\n\\", "ä", bytes([n % 256, 0, 92]), n / 7) for n in range(1_000)]
    database.writer.call(lambda tx: tx.insert_rows("idempotency", columns, rows))
    found = database.reader().all("SELECT * FROM idempotency ORDER BY at")
    assert [tuple(row[column] for column in columns) for row in found] == rows
    database.writer.call(lambda tx: tx.insert_rows("idempotency", columns, []))
    more = [("q", "new", "h", b"", 0.0), rows[5]]
    with pytest.raises(Refused):
        database.writer.call(lambda tx: tx.insert_rows("idempotency", columns, more))
    count = database.reader().one("SELECT count(*) AS rows FROM idempotency")
    assert count["rows"] == 1_000
    for names in (("idempotency; DROP TABLE event", columns), ("idempotency", ("a, b",))):
        with pytest.raises(AssertionError):
            database.writer.call(lambda tx, names=names: tx.insert_rows(*names, rows))


@pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 1_000, 4_001])
def test_so_many_rows_arrive_in_their_order(database, count):
    told = [happened(f"s{number}") for number in range(count)]
    database.writer.call(lambda tx: tx.emit_many(told))
    found = events_after(database.reader(), 0, limit=count)
    assert [each.event.subject for each in found[:1_000]] == [each.subject for each in told[:1_000]]
    last = database.reader().one("SELECT max(seq) AS seq, count(*) AS events FROM event")
    assert (last["seq"], last["events"]) == (count, count)


def test_what_comes_before_a_commit_is_part_of_it(where):
    calls = []

    def seal(tx):
        calls.append(1)
        write(tx, "seal", len(calls))

    options = {"inline": True, "before_commit": seal}
    with Database.open(where, **options) if where else Database.in_memory(**options) as opened:
        heard = []
        opened.writer.listen(heard.extend)
        opened.writer.call(write, "a", 1)
        with pytest.raises(Refused):
            opened.writer.call(refuse)  # nothing succeeded, so there is nothing to seal
        assert (subjects(opened), len(calls), read(opened, "seal")) == (["a", "seal"], 1, 1)
        assert [stored.event.subject for stored in heard] == ["a", "seal"]


@pytest.mark.parametrize("fail", [refuse, lambda tx: 1 / 0])
def test_when_what_comes_before_a_commit_fails_nothing_is_committed(where, fail):
    options = {"inline": True, "before_commit": fail}
    with Database.open(where, **options) if where else Database.in_memory(**options) as opened:
        with pytest.raises(Unavailable):
            opened.writer.call(write, "a", 1)
        assert subjects(opened) == []


def test_a_writer_and_its_readers_say_which_database_it_is(database, where):
    expected = Dialect.POSTGRES if isinstance(where, str) else Dialect.SQLITE
    assert database.writer.call(lambda tx: tx.dialect) is expected
    assert database.reader().dialect is database.shared_reader().dialect is expected


class Subject(Struct, frozen=True, kw_only=True):
    kind: str
    subject: str


def test_the_reader_that_threads_share_answers_all_that_each_one_s_own_does(database):
    database.writer.call(write, "a", 1)
    own, shared = database.reader(), database.shared_reader()
    sql = "SELECT kind, subject FROM event"
    assert shared.values(Subject, sql) == own.values(Subject, sql) != []
    assert shared.tuples(sql) == own.tuples(sql) != []
    assert [dict(row) for row in shared.all(sql)] == [dict(row) for row in own.all(sql)]
    assert dict(shared.one(sql)) == dict(own.one(sql))
    with shared.snapshot():
        assert shared.tuples(sql) == own.tuples(sql)
    assert {"one", "all", "tuples", "values", "snapshot"}.isdisjoint(vars(type(shared)))


def test_events_are_numbered_in_commit_order_and_told_once_per_commit(database):
    batches = []
    database.writer.listen(lambda events: batches.append([stored.seq for stored in events]))
    for number in range(5):
        database.writer.call(write, f"k{number}", number)
    database.writer.call(lambda tx: None)  # a commit without events tells nobody
    assert [seq for batch in batches for seq in batch][:5] == [1, 2, 3, 4, 5]
    assert subjects(database) == [f"k{number}" for number in range(5)]
    assert all(batches)


def test_a_transaction_sees_its_own_writes_and_is_useless_afterwards(database):
    kept = []

    def run(tx):
        kept.append(tx)
        write(tx, "a", 5)
        return read_setting(tx, "a", int, default=0)

    assert database.writer.call(run) == 5
    with pytest.raises(AssertionError):
        kept[0].execute("DELETE FROM setting")


@pytest.mark.parametrize(
    "sql",
    ["INSERT OR IGNORE INTO setting VALUES ('a', '1', 0)", "insert  or\nreplace into setting VALUES ('a', '1', 0)",
     "REPLACE INTO setting VALUES ('a', '1', 0)", "UPDATE OR IGNORE setting SET key = 'a'"],
)  # fmt: skip
def test_conflict_clauses_that_override_triggers_are_refused(database, sql):
    for method, *given in (("execute",), ("one",), ("all",), ("execute_later", (), print)):
        with pytest.raises(ValueError, match="ON CONFLICT"):
            database.writer.call(
                lambda tx, method=method, given=given: getattr(tx, method)(sql, *given)
            )


HISTORY = ["UPDATE event SET at = 0", "DELETE FROM event", "DELETE FROM idempotency", "UPDATE idempotency SET at = 0",
           "DELETE FROM protected", "UPDATE migration SET number = 9", "DROP TABLE setting",
           "ALTER TABLE setting RENAME TO other"]  # fmt: skip
HISTORY_OF_SQLITE = ["CREATE TABLE x (a) STRICT",
     "CREATE TRIGGER x AFTER INSERT ON setting BEGIN SELECT 1; END",
     "ATTACH 'x' AS y", "PRAGMA writable_schema = 1", "PRAGMA foreign_keys = 0", "PRAGMA recursive_triggers = 0",
     "CREATE TEMP TRIGGER x AFTER INSERT ON setting BEGIN SELECT 1; END",
     "DROP TRIGGER ledger_entry_is_fixed"]  # fmt: skip
HISTORY_OF_POSTGRES = ["CREATE TABLE x (a BIGINT)", "TRUNCATE event", "DROP TRIGGER ledger_is_fixed ON ledger_entry",
     "ALTER TABLE ledger_account DISABLE TRIGGER ALL", "CREATE SCHEMA x",
     "RESET ROLE", "SET ROLE NONE", "SELECT 1; SET ROLE postgres", "DISCARD ALL", "DO $$ BEGIN RESET ROLE; END $$",
    "SELECT set_config('role', 'none', false)"]  # fmt: skip


def is_denied(opened, sql):
    opened.writer.call(write, "a", 1)
    with pytest.raises(Denied):
        opened.writer.call(lambda tx: tx.execute(sql))
    return read(opened, "a") == 1


@pytest.mark.parametrize("sql", HISTORY)
def test_history_cannot_be_changed_through_the_writer(database, sql):
    assert is_denied(database, sql)


@pytest.mark.parametrize("sql", HISTORY_OF_SQLITE)
def test_the_schema_cannot_be_changed_through_the_writer_of_sqlite(tmp_path, sql):
    with Database.open(tmp_path / "a.db") as opened:
        assert is_denied(opened, sql)


@pytest.mark.parametrize("sql", HISTORY_OF_POSTGRES)
def test_neither_schema_nor_role_can_be_changed_through_the_writer_of_postgres(postgres_url, sql):
    with Database.open(postgres_url) as opened:
        assert is_denied(opened, sql)


def test_a_reader_cannot_write(database):
    with pytest.raises(Denied):
        database.reader().all("DELETE FROM setting RETURNING key")


def test_a_reader_in_a_snapshot_sees_one_state(batching):
    batching.writer.call(write, "a", 1)
    reader = batching.reader()
    with reader.snapshot():
        assert read(batching, "a") == 1
        batching.writer.call(write, "a", 2)
        assert read(batching, "a") == 1
    assert read(batching, "a") == 2


def test_what_waits_shares_one_commit(batching, monkeypatch):
    monkeypatch.setattr(writers, "BATCH_SECONDS_MAX", 60)
    commits = []
    batching.writer.listen(lambda events: commits.append(len(events)))
    hold = Hold(batching.writer)
    futures = [batching.writer.submit(write, f"k{n}", n) for n in range(100)]
    hold.release()
    assert [future.result(10) for future in futures] == list(range(100))
    batching.close()
    assert sum(commits) == 100
    assert len(commits) <= 3


def test_a_batch_is_bounded(batching, monkeypatch):
    monkeypatch.setattr(writers, "BATCH_CALLS_MAX", 10)
    commits = []
    batching.writer.listen(lambda events: commits.append(len(events)))
    hold = Hold(batching.writer)
    futures = [batching.writer.submit(write, f"k{n}", n) for n in range(35)]
    hold.release()
    for future in futures:
        future.result(10)
    batching.close()
    assert max(commits) <= 10
    assert sum(commits) == 35


def test_a_batch_that_takes_long_is_committed_before_it_is_complete(batching, monkeypatch):
    monkeypatch.setattr(writers, "BATCH_SECONDS_MAX", 0.0)
    commits = []
    batching.writer.listen(lambda events: commits.append(len(events)))
    hold = Hold(batching.writer)
    futures = [batching.writer.submit(write, f"k{n}", n) for n in range(5)]
    hold.release()
    assert [future.result(10) for future in futures] == list(range(5))
    batching.close()
    assert commits == [1] * 5


def test_results_come_after_the_commit(batching):
    seen = []
    done = threading.Event()

    def look(future: Future):
        seen.append(read(batching, "a"))  # on the writer's thread, through a reader's connection
        done.set()

    batching.writer.submit(write, "a", 1).add_done_callback(look)
    assert done.wait(10)
    assert seen == [1]


def test_who_gives_way_waits_while_a_call_runs_that_it_would_slow(batching, monkeypatch):
    monkeypatch.setattr(writers, "GIVE_WAY_SECONDS_MAX", 60.0)
    begun, may_end, gave_way = threading.Event(), threading.Event(), threading.Event()

    def run(tx):
        write(tx, "a", 1)
        begun.set()
        assert may_end.wait(60)

    def give_way():
        batching.writer.give_way()
        gave_way.set()

    done = batching.writer.submit(run)
    assert begun.wait(60)
    thread = threading.Thread(target=give_way)
    thread.start()
    if batching.reader().dialect is Dialect.SQLITE:
        assert not gave_way.wait(0.2)  # a server's connection keeps no lock of the interpreter
    may_end.set()
    assert gave_way.wait(60)
    done.result()
    thread.join()
    batching.writer.give_way()  # nothing runs


def test_nobody_gives_way_for_ever(batching, monkeypatch):
    monkeypatch.setattr(writers, "GIVE_WAY_SECONDS_MAX", 0.01)
    batching.writer.call(lambda tx: batching.writer.give_way())


def test_too_many_waiting_calls_are_told_to_come_back(place, monkeypatch):
    monkeypatch.setattr(writers, "QUEUE_CALLS_MAX", 3)
    with Database.open(place) as opened:
        hold = Hold(opened.writer)
        waiting = [opened.writer.submit(lambda tx: 1) for _ in range(3)]
        with pytest.raises(Unavailable):
            opened.writer.submit(lambda tx: 1)
        hold.release()
        assert [future.result(10) for future in waiting] == [1, 1, 1]


def test_closing_finishes_what_was_submitted_and_takes_nothing_more(batching):
    hold = Hold(batching.writer)
    futures = [batching.writer.submit(write, f"k{n}", n) for n in range(20)]
    closing = threading.Thread(target=batching.writer.close)
    closing.start()
    hold.release()
    closing.join(10)
    assert [future.result(0) for future in futures] == list(range(20))
    with pytest.raises(ShuttingDown):
        batching.writer.submit(write, "a", 1)
    batching.writer.close()  # again, harmlessly


def test_a_call_that_was_cancelled_while_it_waited_does_not_run(batching):
    hold = Hold(batching.writer)
    cancelled, kept = (batching.writer.submit(write, key, 1) for key in "ab")
    assert cancelled.cancel()
    hold.release()
    assert kept.result(10) == 1
    with pytest.raises(CancelledError):
        cancelled.result(10)
    assert subjects(batching) == ["b"]


def test_a_listener_that_fails_does_not_stop_the_writes(batching):
    def broken(events):
        raise RuntimeError("broken")

    heard = []
    batching.writer.listen(broken)
    batching.writer.listen(heard.extend)
    batching.writer.call(write, "a", 1)
    assert batching.writer.call(write, "b", 2) == 2
    batching.close()
    assert len(heard) == 2


def test_a_transaction_cannot_submit_another_to_its_own_writer():
    with Database.in_memory() as database, pytest.raises(AssertionError):
        database.writer.call(lambda tx: database.writer.call(write, "a", 1))


def test_a_listener_may_write_again_through_the_inline_writer():
    with Database.in_memory() as database:

        def follow(events):
            if events[0].event.subject == "a":
                database.writer.call(write, "b", 2)

        database.writer.listen(follow)
        database.writer.call(write, "a", 1)
        assert subjects(database) == ["a", "b"]


def fill(tx, key, size):
    tx.emit(happened(key, filling="x" * size))
    return key


def test_a_full_disk_undoes_the_whole_batch_and_writing_goes_on_when_there_is_room(tmp_path):
    with Database.open(tmp_path / "a.db", bytes_max=1_000_000) as database:
        database.writer.call(fill, "first", 100)
        told = []
        database.writer.listen(told.extend)
        hold = Hold(database.writer)
        futures = [database.writer.submit(fill, f"k{n}", 400_000) for n in range(4)]
        hold.release()
        for future in futures:
            with pytest.raises(StorageFull):
                future.result(10)
        assert subjects(database) == ["first"]
        assert database.writer.call(fill, "small", 100) == "small"
        check = database.reader().one("PRAGMA integrity_check")
        assert check is not None
        assert check[0] == "ok"
        database.writer.close()
        assert [stored.event.subject for stored in told] == ["small"]
    with Database.open(tmp_path / "a.db", bytes_max=4_000_000) as database:
        assert database.writer.call(fill, "large", 400_000) == "large"
        assert subjects(database) == ["first", "small", "large"]


def test_a_call_that_hides_a_full_disk_is_told_all_the_same(tmp_path):
    def hides(tx):
        with contextlib.suppress(Failed):
            fill(tx, "k", 2_000_000)
        return fill(tx, "after", 10)

    with Database.open(tmp_path / "a.db", bytes_max=1_000_000) as database:
        with pytest.raises((StorageFull, Unavailable)):
            database.writer.call(hides)
        assert subjects(database) == []
        assert database.writer.call(fill, "small", 10) == "small"


def test_many_threads_write_and_nothing_is_lost(batching):
    def count_up(tx):
        value = read_setting(tx, "n", int, default=0)
        write_setting(tx, "n", value + 1, at=NOW)

    threads = [
        threading.Thread(target=lambda: [batching.writer.call(count_up) for _ in range(50)])
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read(batching, "n") == 400


def test_each_thread_reads_through_a_connection_of_its_own(batching):
    readers = [batching.reader()]
    thread = threading.Thread(target=lambda: readers.append(batching.reader()))
    thread.start()
    thread.join()
    assert readers[0] is batching.reader()
    assert readers[0] is not readers[1]
