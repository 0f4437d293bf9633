"""What the control plane asks again and again looks at what lives, not at all that ever was."""

import re
from pathlib import Path

import gondwana
from gondwana.db.database import Database
from gondwana.db.queries import load_queries

SOURCE = Path(gondwana.__file__).parent
GROWING = {
    "bid", "booking", "event", "job", "job_prediction", "lease", "ledger_account", "ledger_entry", "ledger_name",
    "ledger_transfer", "machine", "market_order", "run", "run_log", "service_month", "sla_evidence", "training_round",
    "unit",
}  # fmt: skip
"""Tables from which nothing is ever deleted, or that have a row for each machine."""

ALLOWED = {
    "all_accounts": "the audit and the export read the whole books",
    "all_names": "the same",
    "counts": "the same",
    "totals": "once a day, for the day's root",
    "jobs": "by its newest rows: a page",
    "first_entry": "one row",
    "last_entry": "one row",
    "unsealed": "the same",
    "numbers_of_events": "the newest, as many as a commit has",
    "owner_heard": "until it has found one",
    "machines_named": "an operator's word to one machine",
    "machines_called": "the same",
}
"""Queries that may scan, and why."""


def scans(connection, sql):
    """The growing tables that a query reads from end to end; by an index of what lives is not that."""
    partial = {
        row[0]
        for row in connection.all(
            "SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE INDEX%WHERE%'"
        )
    }
    values = dict.fromkeys(re.findall(r":(\w+)", sql)) or (None,) * sql.count("?")
    for row in connection.tuples(f"EXPLAIN QUERY PLAN {sql}", values):
        found = re.match(r"SCAN (\w+)(?: USING (?:COVERING )?INDEX (\w+))?", row[3])
        if found and found[1] in GROWING and found[2] not in partial:
            yield found[1]


def test_no_query_reads_a_table_that_only_grows_from_end_to_end(tmp_path):
    found = {}
    with Database.open(tmp_path / "empty.db", inline=True) as database:
        connection = database.writer._batches.connection
        for file in sorted(SOURCE.rglob("*.sql")):
            if file.parent.name == "migrations":
                continue
            queries = load_queries(
                f"gondwana.{'.'.join(file.parent.relative_to(SOURCE).parts)}", file.name
            )
            for name in queries.names():
                sql = getattr(queries, name).replace(":keys", "?, ?")
                if sql.lstrip().startswith(("SELECT", "UPDATE", "DELETE")):
                    for table in scans(connection, sql):
                        found[name] = (file.name, table)
    assert {name: where for name, where in found.items() if name not in ALLOWED} == {}
    assert sorted(ALLOWED.keys() - found.keys()) == [], "it does not scan: take it from the list"
