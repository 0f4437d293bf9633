"""Opening, migrating, the event log, idempotency keys, settings, references to blobs."""

import sqlite3
from dataclasses import dataclass

import pytest

from gondwana.core.clock import Instant
from gondwana.core.errors import IdempotencyConflict, InvalidValue, WrongState
from gondwana.core.events import Event
from gondwana.db.blob_references import held_blobs, hold_blobs, release_blobs
from gondwana.db.database import Database
from gondwana.db.events import events_after, last_seq
from gondwana.db.idempotency import IdempotencyKey, idempotent
from gondwana.db.migrate import Migration, known_migrations, migrate
from gondwana.db.settings import read_setting, write_setting
from gondwana.db.sqlite import SqliteConnection, file_uri, open_for_writing, statements

NOW = Instant(1.0)


@pytest.fixture
def connection():
    raw = sqlite3.connect(":memory:", isolation_level=None)
    raw.row_factory = sqlite3.Row
    yield SqliteConnection(raw)
    raw.close()


def migration(number, sql):
    return Migration(number=number, name=f"{number:04d}_x.sql", sql=sql)


def test_what_was_written_is_there_after_reopening(tmp_path):
    with Database.open(tmp_path / "a.db") as database:
        database.writer.call(write_setting, "a", 1, at=NOW)
    with Database.open(tmp_path / "a.db") as database:
        assert read_setting(database.reader(), "a", int, default=0) == 1


def test_the_file_is_safe_against_power_loss_and_checks_references(tmp_path):
    with Database.open(tmp_path / "a b?#.db") as database:
        found = {
            name: database.writer.call(lambda tx, name=name: tx.one(f"PRAGMA {name}")[0])
            for name in (
                "journal_mode",
                "synchronous",
                "foreign_keys",
                "recursive_triggers",
                "temp_store",
            )
        }
    assert found == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "recursive_triggers": 1,
        "temp_store": 2,  # in memory: what a savepoint would undo reaches no file
    }
    assert (tmp_path / "a b?#.db").exists()


def test_two_databases_in_memory_are_two():
    with Database.in_memory() as one, Database.in_memory() as other:
        one.writer.call(write_setting, "a", 1, at=NOW)
        assert read_setting(other.reader(), "a", int, default=0) == 0


def test_all_tables_of_sqlite_are_strict(file_database):
    rows = file_database.reader().all(
        "SELECT name, strict FROM pragma_table_list WHERE schema = 'main'"
    )
    loose = [
        row["name"] for row in rows if not row["strict"] and not row["name"].startswith("sqlite_")
    ]
    assert loose == []
    assert len(rows) > 5


def test_migrations_are_applied_once_in_order(connection):
    first, second = migration(1, "CREATE TABLE a (x);"), migration(2, "INSERT INTO a VALUES (1);")
    assert migrate(connection, [first]) == ["0001_x.sql"]
    assert migrate(connection, [first, second]) == ["0002_x.sql"]
    assert migrate(connection, [first, second]) == []
    assert connection.one("SELECT count(*) FROM a")[0] == 1


def test_a_migration_that_fails_leaves_the_database_as_it_was(connection):
    broken = migration(2, "CREATE TABLE b (x);\nINSERT INTO nowhere VALUES (1);")
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, [migration(1, "CREATE TABLE a (x);"), broken])
    assert connection.one("SELECT count(*) FROM sqlite_master")[0] == 0


def test_a_database_of_a_newer_version_is_refused_with_what_to_do(connection):
    migrate(connection, [migration(1, "CREATE TABLE a (x);"), migration(2, "CREATE TABLE b (x);")])
    with pytest.raises(WrongState, match="newer Gondwana") as error:
        migrate(connection, [migration(1, "CREATE TABLE a (x);")])
    assert error.value.hint


def test_a_migration_that_was_edited_after_it_was_applied_is_noticed(connection):
    migrate(connection, [migration(1, "CREATE TABLE a (x);")])
    with pytest.raises(WrongState, match=r"0001_x\.sql differs"):
        migrate(connection, [migration(1, "CREATE TABLE a (x, y);")])


def test_a_file_of_the_first_version_is_brought_forward(tmp_path):
    first = open_for_writing(file_uri(tmp_path / "a.db"))
    migrate(first, [one for one in known_migrations() if one.number <= 41])
    first.execute("INSERT INTO setting (key, value, at) VALUES ('a', '1', 0)")
    first.close()
    with Database.open(tmp_path / "a.db") as database:
        assert read_setting(database.reader(), "a", int, default=0) == 1
        database.writer.call(write_setting, "a", 2, at=NOW)


def test_a_refused_file_is_left_closed_and_unchanged(tmp_path):
    with Database.open(tmp_path / "a.db"):
        pass
    other = sqlite3.connect(tmp_path / "a.db")
    with other:
        other.execute("INSERT INTO migration VALUES (9999, '9999_future.sql', 'x')")
    other.close()
    with pytest.raises(WrongState, match="9999_future"):
        Database.open(tmp_path / "a.db")


def test_statements_are_split_with_triggers_in_one_piece():
    trigger = "CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; SELECT 2; END;"
    found = [
        one.strip()
        for one in statements(f"-- Words.\nCREATE TABLE a (x);\n\n{trigger}\n-- The end.\n")
    ]
    assert found == ["-- Words.\nCREATE TABLE a (x);", trigger]
    with pytest.raises(AssertionError):
        list(statements("SELECT 1;\nSELECT 2"))


def test_our_migrations_have_rising_numbers():
    numbers = [one.number for one in known_migrations()]
    assert numbers == sorted(set(numbers))
    assert numbers[:3] == [1, 2, 3]


def test_events_are_read_by_number_and_by_job(database):
    for number in range(6):
        event = Event(at=Instant(number), kind="a.b", subject=f"s{number % 2}", job_id="j" if number > 3 else None,
                      data={"n": number})  # fmt: skip
        database.writer.call(lambda tx, event=event: tx.emit(event))
    reader = database.reader()
    assert [stored.seq for stored in events_after(reader, 2, limit=3)] == [3, 4, 5]
    assert [stored.event.data["n"] for stored in events_after(reader, 0, job_id="j")] == [4, 5]
    assert last_seq(reader) == 6
    assert events_after(reader, 0, limit=1)[0].event == Event(
        at=Instant(0), kind="a.b", subject="s0", data={"n": 0}
    )


def test_an_empty_log_ends_at_zero(database):
    assert last_seq(database.reader()) == 0


def key(body="h", name="k", principal="p"):
    return IdempotencyKey(principal=principal, key=name, body_hash=body)


def run_once(database, which, counted):
    def run(tx):
        counted.append(1)
        return f"answer {len(counted)}".encode()

    return database.writer.call(lambda tx: idempotent(tx, which, run, at=NOW))


def test_the_same_call_sent_twice_happens_once(database):
    counted = []
    assert run_once(database, key(), counted) == b"answer 1"
    assert run_once(database, key(), counted) == b"answer 1"
    assert (
        run_once(database, key(principal="q"), counted) == b"answer 2"
    )  # keys are each principal's own
    assert len(counted) == 2


def test_a_key_used_for_another_request_is_refused(database):
    run_once(database, key(), [])
    with pytest.raises(IdempotencyConflict):
        run_once(database, key(body="other"), [])


def test_a_call_that_failed_may_be_tried_again(database):
    def fails(tx):
        write_setting(tx, "a", 1, at=NOW)
        raise WrongState("no")

    with pytest.raises(WrongState):
        database.writer.call(lambda tx: idempotent(tx, key(), fails, at=NOW))
    assert run_once(database, key(), []) == b"answer 1"
    assert read_setting(database.reader(), "a", int, default=0) == 0


@pytest.mark.parametrize("name", ["", "x" * 201])
def test_a_key_has_a_length(database, name):
    with pytest.raises(InvalidValue):
        run_once(database, key(name=name), [])


def test_a_setting_is_a_value_of_its_type(database):
    @dataclass(frozen=True)
    class Limits:
        most: int
        names: tuple[str, ...]

    assert read_setting(database.reader(), "limits", Limits, default=None) is None
    for most in (1, 2):
        database.writer.call(write_setting, "limits", Limits(most, ("a",)), at=NOW)
        assert read_setting(database.reader(), "limits", Limits, default=None) == Limits(
            most, ("a",)
        )


def test_a_blob_is_held_until_its_last_holder_lets_go(database):
    a, b = "a" * 64, "b" * 64
    database.writer.call(hold_blobs, [a, b], holder="job_1", at=NOW)
    database.writer.call(hold_blobs, [a, a], holder="job_2", at=NOW)
    assert database.writer.call(release_blobs, holder="job_1") == 2
    assert held_blobs(database.reader()) == {a}
    database.writer.call(release_blobs, holder="job_2")
    assert held_blobs(database.reader()) == set()
