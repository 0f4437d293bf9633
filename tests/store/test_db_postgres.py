"""What PostgreSQL alone has: its texts, its roles, its sessions that end, and what becomes of a commit then."""

import threading
from pathlib import Path

import psycopg
import pytest

import gondwana
from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidValue, NotLeader, Unavailable, WrongState
from gondwana.db import postgres_place
from gondwana.db.database import Database
from gondwana.db.dialect import Dialect
from gondwana.db.errors import Denied, Refused
from gondwana.db.many import change_keys, read_keys
from gondwana.db.migrate import known_migrations
from gondwana.db.queries import load_queries
from gondwana.db.settings import read_setting, write_setting

SOURCE = Path(gondwana.__file__).parent
QUERY_FILES = sorted(
    path.relative_to(SOURCE) for path in SOURCE.rglob("*.sql") if path.parent.name != "migrations"
)
NOW = Instant(1.0)


@pytest.fixture
def database(postgres_url):
    with Database.open(postgres_url, inline=True) as opened:
        yield opened


def write(database, key, value):
    database.writer.call(write_setting, key, value, at=NOW)


def read(database, key):
    return read_setting(database.reader(), key, int, default=0)


class Anything(dict):
    def __missing__(self, key):
        return None


@pytest.mark.parametrize("file", QUERY_FILES, ids=str)
def test_every_query_is_sql_for_the_tables_of_postgres(postgres_url, file):
    queries = load_queries(f"gondwana.{'.'.join(file.parent.parts)}", file.name)
    with psycopg.connect(postgres_url, cursor_factory=psycopg.ClientCursor) as connection:
        connection.execute("SET search_path = gondwana")
        for name in queries.names():
            text = getattr(queries, name).postgres
            text = text.replace("%(keys)s", "NULL")  # a list, written at each call
            values = (None,) * text.count("%s") if "%s" in text else Anything()
            connection.execute(f"EXPLAIN {text}".encode(), values)


# -- values


def test_numbers_bytes_and_nothing_come_back_as_they_were(database):
    def run(tx):
        return tx.one(
            "SELECT :number AS number, :ratio AS ratio, :raw AS raw, :nothing AS nothing, "
            "(SELECT sum(x) FROM (VALUES (:number), (1)) AS v (x)) AS sum, 3 / 2 AS half, '%' AS percent",
            {"number": 2**62, "ratio": 0.1, "raw": b"\0\xff", "nothing": None, "more": 1},
        )

    row = database.writer.call(run)
    assert row["number"] == 2**62
    assert (row["sum"], type(row["sum"])) == (2**62 + 1, int)
    assert (row["raw"], row["nothing"], row["half"], row["percent"]) == (b"\0\xff", None, 1, "%")
    assert float(row["ratio"]) == 0.1


def test_text_sorts_by_bytes_as_in_sqlite(database):
    for key in ("b", "B", "a", "ä", "_", "-"):
        write(database, key, 1)
    rows = database.reader().all("SELECT key FROM setting ORDER BY key")
    assert [row["key"] for row in rows] == ["-", "B", "_", "a", "b", "ä"]


# -- the place


def test_a_password_is_in_no_error_and_no_text():
    url = "postgresql://ann:s3cret@[broken/x"
    with pytest.raises(InvalidValue) as error:
        Database.open(url)
    assert "s3cret" not in repr(error.value.__dict__) + str(error.value)
    assert error.value.__cause__ is None
    assert "s3cret" not in repr(postgres_place.Place.of("postgresql://ann:s3cret@h/x"))
    with pytest.raises(Unavailable) as error:
        Database.open("postgresql://ann:s3cret@/x?host=/nowhere")
    assert "s3cret" not in str(error.value)


def test_another_schema_is_chosen_by_the_search_path(cluster):
    url = cluster.create("other_schema") + "&options=-csearch_path%3Dmoana"
    with Database.open(url, inline=True) as database:
        write(database, "a", 1)
        assert read(database, "a") == 1
    assert cluster.sql("SELECT value FROM moana.setting", "other_schema") == [("1",)]
    cluster.drop("other_schema")


def test_a_database_that_is_not_utf8_is_refused(cluster):
    cluster.sql("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1'")
    with pytest.raises(WrongState, match="LATIN1"):
        Database.open(cluster.url("latin"))
    cluster.drop("latin")


def test_two_that_migrate_the_same_database_at_once_do_it_once(cluster):
    url, opened, told = cluster.create("twice"), [], []

    def open_it():
        database = Database.open(url, inline=True, standing_by=lambda: told.append(1))
        opened.append(database)
        database.close()

    threads = [threading.Thread(target=open_it) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(opened) == 3
    numbers = cluster.sql("SELECT number FROM gondwana.migration ORDER BY number", "twice")
    assert [number for (number,) in numbers] == [
        one.number for one in known_migrations(Dialect.POSTGRES)
    ]
    cluster.drop("twice")


# -- roles


@pytest.fixture
def roles(cluster):
    """The roles that these tests make, gone afterwards."""
    names = ("moana_owner", "moana_server", "moana_stranger")
    for name in names:
        cluster.sql(f"DROP ROLE IF EXISTS {name}")
        cluster.sql(f"CREATE ROLE {name} LOGIN")
    yield names
    for name in names:
        cluster.sql(f"DROP ROLE IF EXISTS {name}")


def test_a_role_without_ownership_serves_what_the_owner_set_up(cluster, roles):
    owner, server, stranger = roles
    cluster.create("roles")
    cluster.sql(f"ALTER DATABASE roles OWNER TO {owner}")
    cluster.sql(f"GRANT gondwana_app TO {owner}")
    cluster.sql(f"GRANT gondwana_app TO {server}")
    with pytest.raises(WrongState) as error:
        Database.open(cluster.url("roles", server))
    assert "OWNER_URL" in (error.value.hint or "")
    Database.open(cluster.url("roles", owner), inline=True).close()
    with Database.open(cluster.url("roles", server), inline=True) as database:
        write(database, "a", 1)
        assert read(database, "a") == 1
        with pytest.raises(Denied):
            database.writer.call(lambda tx: tx.execute("ALTER TABLE setting ADD COLUMN x BIGINT"))
    with pytest.raises(WrongState, match="gondwana_app"):
        Database.open(cluster.url("roles", stranger))
    cluster.sql("DELETE FROM gondwana.migration WHERE number = 41", "roles")
    with pytest.raises(WrongState, match="0041") as error:
        Database.open(cluster.url("roles", server))
    assert "OWNER_URL" in (error.value.hint or "")
    cluster.drop("roles")


def test_an_owner_without_the_right_to_make_roles_is_told_what_to_do(cluster, roles):
    owner = roles[0]
    cluster.create("roles")
    cluster.sql(f"ALTER DATABASE roles OWNER TO {owner}")
    with pytest.raises(WrongState) as error:
        Database.open(cluster.url("roles", owner))
    assert error.value.hint
    cluster.drop("roles")


PROTECTED = [
    "UPDATE ledger_account SET credits_posted = credits_posted + 1000",
    "UPDATE ledger_transfer SET amount = 1", "DELETE FROM ledger_transfer", "DELETE FROM ledger_account",
    "DELETE FROM ledger_entry", "UPDATE ledger_entry SET kind = 1", "UPDATE event SET at = 0",
    "TRUNCATE ledger_transfer",
    "INSERT INTO protected (table_name) VALUES ('x')", "DELETE FROM migration",
]  # fmt: skip


@pytest.mark.parametrize("sql", PROTECTED)
def test_the_books_cannot_be_edited_by_whoever_serves(database, sql):
    with pytest.raises(Denied, match="permission denied"):
        database.writer.call(lambda tx: tx.execute(sql))


def test_grants_follow_the_table_of_protected_tables(cluster):
    url = cluster.create("grants")
    Database.open(url, inline=True).close()
    for statement in ("CREATE TABLE gondwana.plain (x BIGINT)", "CREATE TABLE gondwana.kept (x BIGINT)",
                      "INSERT INTO gondwana.protected (table_name) VALUES ('kept')"):  # fmt: skip
        cluster.sql(statement, "grants")
    with Database.open(url, inline=True) as database:
        for table in ("plain", "kept"):
            database.writer.call(
                lambda tx, table=table: tx.insert_rows(table, ("x",), [(1,), (2,)])
            )
        assert database.writer.call(lambda tx: tx.execute("UPDATE plain SET x = 3")) == 2
        with pytest.raises(Denied):
            database.writer.call(lambda tx: tx.execute("UPDATE kept SET x = 3"))
    cluster.drop("grants")


# -- sessions that end


def end_sessions(cluster, database):
    cluster.sql(
        f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{database}'"
    )


def name_of(url):
    return url.split("?")[0].rsplit("/", 1)[1]


def test_a_writer_and_a_reader_whose_sessions_ended_go_on(cluster, postgres_url, database):
    write(database, "a", 1)
    assert read(database, "a") == 1
    end_sessions(cluster, name_of(postgres_url))
    write(database, "a", 2)
    assert read(database, "a") == 2
    assert not database.writer.lost.is_set()


def test_what_a_session_had_planned_is_planned_again_in_the_next(cluster, postgres_url, database):
    write(database, "a", 1)
    reader, sql = database.reader(), "SELECT key FROM setting WHERE key IN (:keys)"
    change = "UPDATE setting SET value = ? WHERE key IN (:keys)"
    for value in ("2", "3"):
        assert [row["key"] for row in read_keys(reader, sql, ["a"])] == ["a"]
        told: list[int] = []
        database.writer.call(change_keys, change, ["a"], value, told=told.append)
        assert told == [1]
        end_sessions(cluster, name_of(postgres_url))
    assert read(database, "a") == 3


def test_a_session_that_ends_in_a_call_undoes_it_and_says_so(cluster, postgres_url, database):
    def run(tx):
        write_setting(tx, "a", 1, at=NOW)
        end_sessions(cluster, name_of(postgres_url))
        write_setting(tx, "b", 1, at=NOW)

    with pytest.raises(Unavailable):
        database.writer.call(run)
    assert read(database, "a") == 0
    write(database, "a", 2)
    assert read(database, "a") == 2


def test_a_call_that_hides_the_end_of_its_session_is_told_all_the_same(
    cluster, postgres_url, database
):
    def run(tx):
        end_sessions(cluster, name_of(postgres_url))
        try:
            write_setting(tx, "b", 1, at=NOW)
        except Exception as error:
            return str(error)
        return "written"

    with pytest.raises(Unavailable):
        database.writer.call(run)


def test_a_commit_whose_outcome_nobody_saw_is_told_as_such(cluster, postgres_url):
    def cut(tx):
        if tx.one("SELECT 1 AS one FROM setting WHERE key = 'cut'"):
            end_sessions(cluster, name_of(postgres_url))

    with Database.open(postgres_url, inline=True, before_commit=cut) as database:
        with pytest.raises(Unavailable, match="or not") as error:
            write(database, "cut", 1)
        assert "idempotency" in (error.value.hint or "")


def test_while_the_server_is_down_calls_are_unavailable_and_then_go_on(
    cluster, postgres_url, database
):
    write(database, "a", 1)
    assert read(database, "a") == 1
    cluster.kill()
    for _ in range(2):
        with pytest.raises(Unavailable):
            write(database, "a", 2)
        with pytest.raises(Unavailable):
            read(database, "a")
    cluster.start()
    assert read(database, "a") == 1
    write(database, "a", 3)
    assert read(database, "a") == 3


# -- mistakes


def test_a_statement_that_cannot_be_parsed_leaves_the_other_calls_of_its_batch_alone_or_undoes_them(
    postgres_url,
):
    with Database.open(postgres_url) as database:
        started, go_on = threading.Event(), threading.Event()

        def hold(tx):
            started.set()
            assert go_on.wait(10)

        futures = [database.writer.submit(hold)]
        assert started.wait(10)
        futures.append(database.writer.submit(write_setting, "a", 1, at=NOW))
        wrong = database.writer.submit(lambda tx: tx.execute("SELEC 1"))
        futures.append(database.writer.submit(write_setting, "b", 1, at=NOW))
        go_on.set()
        with pytest.raises((psycopg.Error, Unavailable)):
            wrong.result(10)
        outcomes = [future.exception(10) for future in futures[1:]]
        assert all(error is None or isinstance(error, Unavailable) for error in outcomes)
        for key, error in zip("ab", outcomes, strict=True):
            assert read(database, key) == (1 if error is None else 0)


def test_text_that_postgres_cannot_hold_is_refused(database):
    with pytest.raises(Refused):
        database.writer.call(write_setting, "a\0b", 1, at=NOW)
    write(database, "a", 1)


def test_a_constraint_is_named_in_its_refusal(database):
    def twice(tx):
        for _ in range(2):
            tx.execute("INSERT INTO idempotency VALUES ('p', 'k', 'h', ?, 0)", (b"",))

    with pytest.raises(Refused, match="idempotency_pkey"):
        database.writer.call(twice)


def test_a_second_that_does_not_stand_by_is_told_that_another_leads(postgres_url, database):
    with pytest.raises(NotLeader):
        Database.open(postgres_url)
    write(database, "a", 1)
