import pytest

from gondwana.db.migrate import known_migrations
from gondwana.db.queries import load_queries, parse_queries
from gondwana.db.sqlite import open_for_writing

DOMAINS = ("db", "ledger", "policy", "supply", "market", "jobs")


def test_a_query_is_the_text_below_its_name():
    found = parse_queries(
        "-- name: a\n-- What comes back.\nSELECT 1;\n\n-- name: b\nSELECT\n  2;\n", "x"
    )
    assert (found.a, found.b, found.names()) == ("SELECT 1", "SELECT\n  2", ["a", "b"])


def test_a_misspelt_name_is_told_with_its_file():
    with pytest.raises(AttributeError, match=r"'c' in x/queries\.sql"):
        _ = parse_queries("-- name: a\nSELECT 1;", "x/queries.sql").c


def test_a_query_has_the_other_databases_text_too():
    found = parse_queries("-- name: a\nSELECT :x;\n-- name: a (postgres)\nSELECT :x::BIGINT;", "x")
    assert (found.a, found.a.postgres) == ("SELECT :x", "SELECT %(x)s::BIGINT")
    assert found.names() == ["a"]
    assert parse_queries("-- name: a\nSELECT :x;", "x").a.postgres == "SELECT %(x)s"


@pytest.mark.parametrize(
    "text",
    [
        "-- name: a\nSELECT 1;\n-- name: a\nSELECT 2;",
        "-- name: a-b\nSELECT 1;",
        "-- name: _a\nSELECT 1;",
        "-- name: names\nSELECT 1;",
        "-- name: a\nSELECT 1",
        "-- name: a\n-- only words\n",
        "-- name: a (postgres)\nSELECT 1;",
        "-- name: a\nSELECT 1;\n-- name: a (oracle)\nSELECT 2;",
    ],
)
def test_a_file_with_a_mistake_is_refused(text):
    with pytest.raises(ValueError, match="x"):
        parse_queries(text, "x")


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_query_of_a_domain_is_sql_for_the_tables_we_have(domain):
    connection = open_for_writing(":memory:").raw
    for migration in known_migrations():
        connection.executescript(migration.sql)
    queries = load_queries(f"gondwana.{domain}")
    for name in queries.names():
        sql = getattr(queries, name)
        places = sql.count("?") + sql.count(":keys") if "?" in sql else 0  # a list has some more
        values = (None,) * places if places else _Anything()
        connection.execute(f"EXPLAIN {sql}", values)
    connection.close()


class _Anything(dict):
    def __missing__(self, key):
        return None
