"""The databases refuse to break the books by themselves, even to someone with a connection of his own.

One table of wrong rows, tried in every way there is: on SQLite under every conflict clause, on PostgreSQL as who serves
and as who owns the tables, with and without ON CONFLICT, and through our writer.
"""

import contextlib
import itertools
import sqlite3

import psycopg
import pytest
from bookkeeping import entry, leg, put
from psycopg.rows import tuple_row

from gondwana.core.clock import Instant
from gondwana.core.errors import GondwanaError
from gondwana.db.database import Database
from gondwana.db.errors import Denied, Refused
from gondwana.ledger import rules
from gondwana.ledger.accounts import AccountName, budget_granted
from gondwana.ledger.audit import audit
from gondwana.ledger.chain import publish_roots, seal
from gondwana.ledger.model import Assignment, Shares, TaskTerms

NOW = Instant(1.0)
TOMORROW = Instant(90_000.0)
TASK = TaskTerms(job_id="j", tenant_id="t", shares=Shares(fee_bps=0, verification_bps=0))
UNIT = Assignment(unit_id="u", provider_id="p", price_micro_usd=60)
# The first rows: a deposit of 100, a budget of 90, a hold of 60 in it, a limit of 5; a batch each, a root over them.
EXT, TENANT, ESCROW, HOLDBACK, GRANTED, LEFT = range(1, 7)
HOLD, LAST, NEXT = 3, 4, 5
NO_ROW = 99
BOOKS = ("ledger_account", "ledger_name", "ledger_entry", "ledger_transfer", "ledger_batch", "ledger_root")  # fmt: skip
REFUSALS = (sqlite3.IntegrityError, OverflowError, psycopg.Error, Denied, Refused, GondwanaError)


def make_books(database):
    left = AccountName("budget:b.2026-11:left")
    for each in (
        rules.deposit("manual", "t", 100, key="1"),
        rules.open_task(TASK, 90),
        rules.assign_unit(TASK, UNIT),
        entry("limit", leg(budget_granted(), left, 5)),
    ):
        put(database, each, at=NOW)
    database.writer.call(publish_roots, TOMORROW)


# Ways to write: each begins a transaction, runs SQL, and is undone in the end.


class SqliteWay:
    """A connection of one's own to the file: no authorizer, no settings of ours."""

    silent_clauses = ("OR IGNORE", "ON CONFLICT DO NOTHING")

    def __init__(self, path):
        self._raw = sqlite3.connect(path, isolation_level=None)
        self._raw.execute("PRAGMA foreign_keys = ON")
        self.begin()

    def begin(self):
        if not self._raw.in_transaction:
            self._raw.execute("BEGIN")

    def run(self, sql, params=()):
        return self._raw.execute(sql, params).fetchall()

    def undo(self):
        self._raw.rollback()
        self._raw.close()


class PostgresWay:
    """A connection of one's own to the server, as the owner of the tables or as the role that serves."""

    silent_clauses = ("ON CONFLICT DO NOTHING",)

    def __init__(self, url, role=None):
        self._raw = psycopg.connect(url, autocommit=True, row_factory=tuple_row)
        self._raw.execute("SET search_path = gondwana, pg_temp")
        if role:
            self._raw.execute(f"SET ROLE {role}")
        self._raw.execute("BEGIN")

    def run(self, sql, params=()):
        sql = sql.replace("zeroblob(16)", "decode(repeat('00', 16), 'hex')")
        sql = sql.replace("zeroblob(31)", "decode(repeat('00', 31), 'hex')")
        sql = sql.replace("zeroblob(32)", "decode(repeat('00', 32), 'hex')")
        named = {f":{name}": f"%({name})s" for name in params}
        for name, place in sorted(named.items(), reverse=True):
            sql = sql.replace(name, place)
        with self._raw.transaction():  # a savepoint: what fails spoils no more than itself
            cursor = self._raw.execute(sql, params or None)
            return cursor.fetchall() if cursor.description else []

    def undo(self):
        self._raw.close()


class WriterWay:
    """Code of ours that was made to do wrong: what one transaction can do; it is run again for each look."""

    silent_clauses = ("ON CONFLICT DO NOTHING",)

    def __init__(self, place):
        self._database = Database.open(place, inline=True)
        self._done = []

    def run(self, sql, params=()):
        def write(tx):
            for done in self._done:
                tx.execute(*done)
            if sql.startswith("SELECT"):
                raise Undone([tuple(dict(row).values()) for row in tx.all(sql, params)])
            tx.execute(sql, params)
            raise Undone([])

        error = self._database.writer.submit(write).exception()
        if not isinstance(error, Undone):
            raise error
        if not sql.startswith("SELECT"):
            self._done.append((sql, params))
        return error.rows

    def undo(self):
        self._database.close()


class Undone(Exception):
    def __init__(self, rows):
        self.rows = rows


@pytest.fixture(scope="module")
def sqlite_books(tmp_path_factory):
    path = tmp_path_factory.mktemp("traps") / "books.db"
    with Database.open(path, inline=True, before_commit=seal) as database:
        make_books(database)
    return path


@pytest.fixture(scope="module")
def postgres_books(cluster):
    url = cluster.create("traps", "gondwana_template")
    with Database.open(url, inline=True, before_commit=seal) as database:
        make_books(database)
    yield url
    cluster.drop("traps")


WAYS = {
    "sqlite": lambda get: SqliteWay(get("sqlite_books")),
    "sqlite through the writer": lambda get: WriterWay(get("sqlite_books")),
    "postgres as who serves": lambda get: PostgresWay(get("postgres_books"), "gondwana_app"),
    "postgres as the owner": lambda get: PostgresWay(get("postgres_books")),
    "postgres through the writer": lambda get: WriterWay(get("postgres_books")),
}
SQLITE_CLAUSES = ("OR IGNORE", "OR FAIL", "OR ABORT", "OR ROLLBACK", "OR REPLACE")
WAYS_AND_CLAUSES = [
    *((way, clause) for way in WAYS for clause in ("", "ON CONFLICT DO NOTHING")),
    *(("sqlite", clause) for clause in SQLITE_CLAUSES),
]
NUMBERS = itertools.count()


@pytest.fixture
def way(request):
    made = WAYS[request.param](request.getfixturevalue)
    before = books(made)
    yield made
    made.undo()
    again = WAYS[request.param](request.getfixturevalue)
    assert books(again) == before, "something stayed"
    again.undo()


def books(way):
    """All rows of the books."""
    return {table: way.run(f"SELECT * FROM {table} ORDER BY 1") for table in BOOKS}


def insert(way, table, clause, row):
    """Insert a row under a conflict clause."""
    before, after = ("", clause) if clause.startswith("ON") else (clause, "")
    values = ", ".join(f":{name}" for name in row)
    way.run(f"INSERT {before} INTO {table} ({', '.join(row)}) VALUES ({values}) {after}", row)


def wrong(way, table, clause, row):
    """The insert is refused; where a clause says so, silently; the books stay as they were."""
    before = books(way)
    try:
        insert(way, table, clause, row)
    except REFUSALS:
        pass
    else:
        assert clause in way.silent_clauses, "it was accepted"
    if clause != "OR ROLLBACK":
        assert books(way) == before


def new_entry(way, **columns):
    event = next(NUMBERS).to_bytes(16, "big")
    row = {"seq": NEXT, "event": event, "kind": 1, "subject": 1, "job": None, "legs": 2, "at_ms": 0, "facts": None,
           **columns}  # fmt: skip
    insert(way, "ledger_entry", "", row)


def transfer(**columns):
    row = {
        "seq": NEXT,
        "leg": 0,
        "debit": EXT,
        "credit": TENANT,
        "amount": 1,
        "kind": 0,
        "pending": None,
    }
    return {**row, **columns}


OF_THE_HOLD = {"kind": 2, "pending": HOLD, "debit": ESCROW, "credit": HOLDBACK, "amount": 60}
WRONG_TRANSFERS = {
    "an overdraft": {"debit": TENANT, "credit": HOLDBACK, "amount": 11},
    "an overdraft of what is held": {"debit": ESCROW, "credit": HOLDBACK, "amount": 31},
    "a hold of what is not there": {"debit": TENANT, "credit": HOLDBACK, "amount": 11, "kind": 1},
    "a spending of what is only expected": {"debit": HOLDBACK, "credit": TENANT},
    "a limit that is passed": {"debit": LEFT, "credit": GRANTED, "amount": 6},
    "more out than came in": {"debit": TENANT, "credit": EXT, "amount": 101},
    "the same account twice": {"debit": TENANT, "credit": TENANT},
    "an unknown payer": {"debit": NO_ROW},
    "an unknown payee": {"credit": NO_ROW},
    "no payer": {"debit": None},
    "money for limits": {"credit": LEFT},
    "limits for money": {"debit": GRANTED},
    "no amount": {"amount": 0},
    "a negative amount": {"amount": -5},
    "words": {"amount": "much"},
    "nothing": {"amount": None},
    "an amount above the limit": {"amount": 2**62 + 1},
    "an amount above what 64 bits hold": {"amount": 2**64},
    "a sum above the limit": {"amount": 2**62},
    "a kind that is none": {"kind": 4},
    "a kind below zero": {"kind": -1},
    "a kind in words": {"kind": "post"},
    "an existing row": {"seq": 1},
    "an existing row of this entry": {"seq": LAST, "leg": -1},
    "a leg of no entry": {"seq": NEXT + 1},
    "a leg beyond its entry's count": {"seq": NEXT + 2, "leg": 2},
    "a leg below zero": {"leg": -1},
    "a leg of an entry that is sealed": {"seq": NEXT, "leg": 1},
    "a hold that is none": {"kind": 2, "pending": 1},
    "a hold that does not exist": {"kind": 3, "pending": NO_ROW},
    "a hold that is this very transfer": {"kind": 2, "pending": NEXT},
    "a resolution without a hold": {"kind": 2, "debit": ESCROW, "credit": HOLDBACK},
    "a post that names a hold": {"pending": HOLD},
    "a hold that names a hold": {**OF_THE_HOLD, "kind": 1},
    "a hold paid above its amount": {**OF_THE_HOLD, "amount": 61},
    "a hold released in part": {**OF_THE_HOLD, "kind": 3, "amount": 59},
    "a hold released above its amount": {**OF_THE_HOLD, "kind": 3, "amount": 61},
    "a hold paid to another": {**OF_THE_HOLD, "credit": TENANT},
    "a hold paid by another": {**OF_THE_HOLD, "debit": TENANT},
    "a hold paid backwards": {**OF_THE_HOLD, "debit": HOLDBACK, "credit": ESCROW},
}  # fmt: skip


@pytest.mark.parametrize("way, clause", WAYS_AND_CLAUSES, indirect=["way"])
@pytest.mark.parametrize("name", WRONG_TRANSFERS)
def test_a_wrong_transfer_leaves_no_trace(way, clause, name):
    new_entry(way)
    wrong(way, "ledger_transfer", clause, transfer(**WRONG_TRANSFERS[name]))


@pytest.mark.parametrize("way", WAYS, indirect=True)
def test_no_fraction_of_a_micro_unit_gets_into_the_books(way):
    """PostgreSQL rounds it before any rule of ours sees it; what is stored and what is moved are the same."""
    new_entry(way)
    with contextlib.suppress(*REFUSALS):
        insert(way, "ledger_transfer", "", transfer(amount=1.5))
    moved = way.run("SELECT credits_posted - 100 FROM ledger_account WHERE id = 2")[0][0]
    stored = way.run(f"SELECT amount FROM ledger_transfer WHERE seq = {NEXT}")
    assert (moved, stored) in ((0, []), (2, [(2,)]))


OUR_WAYS = [pair for pair in WAYS_AND_CLAUSES if "writer" not in pair[0]]


@pytest.mark.parametrize("way, clause", OUR_WAYS, indirect=["way"])
def test_a_right_transfer_has_its_whole_effect_under_any_clause(way, clause):
    new_entry(way)
    insert(way, "ledger_transfer", clause, transfer(debit=TENANT, credit=HOLDBACK, amount=10))
    counters = "debits_posted, credits_posted, debits_pending, credits_pending"
    rows = way.run(f"SELECT name, {counters} FROM ledger_account ORDER BY id")
    found = {name: rest for name, *rest in rows}
    assert found["tenant:t:available"] == [100, 100, 0, 0]
    assert found["provider:p:holdback"] == [0, 10, 0, 60]


@pytest.mark.parametrize("way, clause", OUR_WAYS, indirect=["way"])
@pytest.mark.parametrize("first", [2, 3], ids=["paid", "released"])
@pytest.mark.parametrize("again", [2, 3], ids=["paid again", "released again"])
def test_a_hold_is_resolved_once_under_any_clause(way, clause, first, again):
    new_entry(way)
    insert(way, "ledger_transfer", "", transfer(**OF_THE_HOLD) | {"kind": first})
    second = transfer(**OF_THE_HOLD) | {"kind": again, "seq": NEXT + 1, "leg": 1}
    wrong(way, "ledger_transfer", clause, second)


EVENT = b"e" * 16
NEW_ENTRY = {"seq": NEXT, "event": EVENT, "kind": 1, "subject": 1, "legs": 1, "at_ms": 0}
NEW_BATCH = {"number": 5, "first": NEXT, "last": NEXT, "content": bytes(32), "hash": bytes(32), "at_ms": 0}  # fmt: skip
NEW_ROOT = {"day": "1970-01-02", "first_batch": 4, "last_batch": 4, "content": bytes(32), "totals": "{}",
            "hash": bytes(32), "at_ms": 0}  # fmt: skip
NEW_ACCOUNT = {"name": "tenant:m:available", "code": 2000, "limit_side": "D", "asset": "USD"}
WRONG_ROWS = [
    *(("ledger_entry", {**NEW_ENTRY, **columns}) for columns in (
        {"seq": 1}, {"seq": LAST}, {"seq": 0}, {"seq": -1},  # exists, or below what is sealed
        {"event": b"e" * 15}, {"event": b""}, {"event": None}, {"legs": 0}, {"legs": 65}, {"legs": -1},
        {"kind": NO_ROW}, {"subject": NO_ROW}, {"job": NO_ROW}, {"kind": None}, {"at_ms": None}, {"at_ms": "now"},
    )),
    *(("ledger_batch", {**NEW_BATCH, **columns}) for columns in (
        {"number": 4}, {"number": 6}, {"number": 0}, {"number": -1}, {"first": LAST}, {"first": NEXT + 1},
        {"first": 1}, {"last": LAST}, {"content": bytes(31)}, {"hash": bytes(31)}, {"hash": None},
    )),
    *(("ledger_root", {**NEW_ROOT, **columns}) for columns in (
        {"day": "1970-01-01"}, {"first_batch": NO_ROW}, {"last_batch": NO_ROW}, {"content": b""}, {"hash": bytes(33)},
        {"totals": None},
    )),
    *(("ledger_account", {**NEW_ACCOUNT, **columns}) for columns in (
        {"name": "tenant:t:available"}, {"id": TENANT}, {"limit_side": "X"}, {"limit_side": None}, {"code": None},
        {"credits_posted": 5}, {"debits_posted": 5}, {"credits_pending": 1}, {"debits_pending": 1},
        {"credits_posted": -5},
    )),
    *(("ledger_name", columns) for columns in ({"name": "deposit"}, {"id": 1, "name": "new"}, {"name": None})),
]  # fmt: skip


@pytest.mark.parametrize("way, clause", WAYS_AND_CLAUSES, indirect=["way"])
def test_a_wrong_row_of_any_table_leaves_no_trace(way, clause):
    for table, row in WRONG_ROWS:
        if clause == "OR ROLLBACK":
            way.begin()
        if clause == "OR REPLACE" and None in (row.get("limit_side", ""), row.get("name", "")):
            continue  # there a default would stand in for NULL; these have none
        wrong(way, table, clause, row)


@pytest.mark.parametrize("way, clause", [(way, "") for way in WAYS], indirect=["way"])
def test_an_event_that_was_posted_is_not_posted_again(way, clause):
    event = way.run("SELECT event FROM ledger_entry ORDER BY seq")[0][0]
    wrong(way, "ledger_entry", clause, {**NEW_ENTRY, "event": bytes(event)})


EDITS = [
    *(f"DELETE FROM {table}" for table in BOOKS),
    *(f"DELETE FROM {table} WHERE {key} = 1" for table, key in (
        ("ledger_account", "id"), ("ledger_name", "id"), ("ledger_entry", "seq"), ("ledger_transfer", "seq"),
        ("ledger_batch", "number"))),
    "UPDATE ledger_transfer SET amount = 1",
    "UPDATE ledger_transfer SET debit = 5 WHERE seq = 2",
    "UPDATE ledger_transfer SET pending = NULL, kind = 0 WHERE seq = 3",
    "UPDATE ledger_transfer SET seq = 50 WHERE seq = 4",
    "UPDATE ledger_entry SET facts = NULL",
    "UPDATE ledger_entry SET at_ms = 0",
    "UPDATE ledger_entry SET job = NULL",
    "UPDATE ledger_entry SET event = zeroblob(16) WHERE seq = 1",
    "UPDATE ledger_name SET name = 'gift' WHERE id = 1",
    "UPDATE ledger_batch SET at_ms = 0",
    "UPDATE ledger_batch SET hash = zeroblob(32) WHERE number = 4",
    "UPDATE ledger_batch SET last = 3 WHERE number = 4",
    "UPDATE ledger_root SET totals = '{}'",
    "UPDATE ledger_root SET day = '1970-01-03'",
    "UPDATE ledger_account SET name = 'tenant:me:available' WHERE id = 2",
    "UPDATE ledger_account SET limit_side = 'N' WHERE id = 2",
    "UPDATE ledger_account SET asset = 'BUDGET' WHERE id = 2",
    "UPDATE ledger_account SET code = 1 WHERE id = 2",
    "UPDATE ledger_account SET id = 50 WHERE id = 2",
    "UPDATE ledger_account SET credits_posted = credits_posted - 1 WHERE id = 2",
    "UPDATE ledger_account SET debits_posted = 10000 WHERE id = 2",
    "UPDATE ledger_account SET debits_posted = 0 WHERE id = 2",
    "UPDATE ledger_account SET debits_pending = -1 WHERE id = 2",
    "UPDATE ledger_account SET debits_posted = NULL WHERE id = 2",
    "UPDATE ledger_account SET credits_posted = 4611686018427387905 WHERE id = 2",
    "INSERT INTO ledger_account (name, code, limit_side) VALUES ('tenant:t:available', 2000, 'D')"
    " ON CONFLICT (name) DO UPDATE SET credits_posted = ledger_account.credits_posted - 1",
    "INSERT INTO ledger_name (name) VALUES ('deposit') ON CONFLICT (name) DO UPDATE SET name = 'gift'",
    "INSERT INTO ledger_root (day, first_batch, last_batch, content, totals, hash, at_ms)"
    " VALUES ('1970-01-01', 1, 1, zeroblob(32), '{}', zeroblob(32), 0)"
    " ON CONFLICT (day) DO UPDATE SET totals = excluded.totals",
    "INSERT INTO ledger_transfer (seq, amount, debit, credit, leg, kind) VALUES (1, 5, 1, 2, 0, 0)"
    " ON CONFLICT (seq) DO UPDATE SET amount = 5",
    "INSERT INTO ledger_batch (number, first, last, content, hash, at_ms)"
    " VALUES (4, 4, 4, zeroblob(32), zeroblob(32), 0) ON CONFLICT (number) DO UPDATE SET hash = excluded.hash",
]  # fmt: skip
SQLITE_EDITS = [
    "UPDATE OR IGNORE ledger_transfer SET amount = 1",
    "UPDATE OR REPLACE ledger_transfer SET seq = 1 WHERE seq = 2",
    "UPDATE OR IGNORE ledger_account SET debits_posted = 10000 WHERE id = 2",
    "UPDATE OR REPLACE ledger_account SET name = 'tenant:t:available' WHERE id = 1",
    "UPDATE OR REPLACE ledger_name SET name = 'deposit' WHERE id = 2",
    "INSERT OR REPLACE INTO ledger_account (id, name, code, limit_side) VALUES (2, 'tenant:m:available', 1, 'D')",
    "INSERT OR REPLACE INTO ledger_account (name, code, limit_side) VALUES ('tenant:t:available', 2000, 'N')",
    "REPLACE INTO ledger_entry (seq, event, kind, subject, legs, at_ms) VALUES (1, zeroblob(16), 1, 1, 1, 0)",
    "REPLACE INTO ledger_root (day, first_batch, last_batch, content, totals, hash, at_ms)"
    " VALUES ('1970-01-01', 1, 1, zeroblob(32), '{}', zeroblob(32), 0)",
]
RAISES = [
    "UPDATE ledger_account SET credits_posted = credits_posted + 1000 WHERE id = 2",
    "UPDATE ledger_account SET credits_pending = credits_pending + 1 WHERE id = 2",
    "UPDATE ledger_account SET debits_pending = 0 WHERE id = 3",
    "INSERT INTO ledger_account (id, name, code, limit_side) VALUES (2, 'x', 1, 'D')"
    " ON CONFLICT (id) DO UPDATE SET credits_posted = 1000",
]
POSTGRES_EDITS = [
    *(f"TRUNCATE {table} CASCADE" for table in BOOKS),
    "TRUNCATE ledger_account, ledger_name, ledger_entry, ledger_transfer, ledger_batch, ledger_root",
    "MERGE INTO ledger_account AS a USING (SELECT 2 AS id) AS b ON a.id = b.id"
    " WHEN MATCHED THEN UPDATE SET credits_posted = 1000",
    "WITH more AS (UPDATE ledger_account SET credits_posted = 1000 RETURNING id) SELECT count(*) FROM more",
]


def refuse_all(way, statements):
    before = books(way)
    accepted = []
    for sql in statements:
        try:
            way.run(sql)
            accepted.append(sql)
        except (*REFUSALS, ValueError):
            pass
        assert books(way) == before, sql
    assert accepted == []


@pytest.mark.parametrize("way", WAYS, indirect=True)
def test_history_cannot_be_edited_deleted_or_replaced(way):
    refuse_all(way, EDITS)


@pytest.mark.parametrize("way", ["sqlite", "sqlite through the writer"], indirect=True)
def test_no_conflict_clause_of_sqlite_s_gets_around_that(way):
    refuse_all(way, SQLITE_EDITS)


@pytest.mark.parametrize("way", [name for name in WAYS if name != "sqlite"], indirect=True)
def test_a_balance_cannot_be_raised_but_by_a_transfer(way):
    """In SQLite's file anybody can; there our writer cannot, and the audit finds it."""
    refuse_all(way, RAISES)


@pytest.mark.parametrize("way", [name for name in WAYS if "postgres" in name], indirect=True)
def test_postgres_truncates_and_merges_nothing_away(way):
    refuse_all(way, POSTGRES_EDITS)


@pytest.mark.parametrize("way", ["postgres as who serves"], indirect=True)
def test_who_serves_cannot_switch_the_guards_off(way):
    refuse_all(way, [
        "ALTER TABLE ledger_transfer DISABLE TRIGGER ALL",
        "ALTER TABLE ledger_account ADD COLUMN x INTEGER",
        "DROP TRIGGER ledger_transfers_move ON ledger_transfer",
        "DROP TABLE ledger_transfer",
        "CREATE OR REPLACE FUNCTION ledger_stays() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
        "CREATE TRIGGER mine BEFORE INSERT ON ledger_transfer FOR EACH ROW EXECUTE FUNCTION ledger_stays()",
        "SET session_replication_role = replica",
    ])  # fmt: skip


@pytest.mark.parametrize("way", ["postgres as who serves"], indirect=True)
@pytest.mark.filterwarnings("ignore")
def test_who_serves_cannot_give_himself_more_rights(way):
    way.run("GRANT ALL ON ledger_account TO gondwana_app")  # PostgreSQL warns, and grants nothing
    refuse_all(way, RAISES)


@pytest.mark.parametrize("way", ["postgres as who serves"], indirect=True)
def test_a_table_of_ones_own_does_not_stand_in_for_the_accounts(way):
    way.run("CREATE TEMP TABLE ledger_account (LIKE gondwana.ledger_account)")
    way.run("SET search_path = pg_temp, gondwana")
    new_entry(way)
    insert(way, "ledger_transfer", "", transfer(amount=10))
    assert way.run("SELECT credits_posted FROM gondwana.ledger_account WHERE id = 2") == [(110,)]


def test_the_books_that_all_this_was_tried_on_are_whole(sqlite_books, postgres_books):
    for place in (sqlite_books, postgres_books):
        with Database.open(place, inline=True) as database:
            report = audit(database.reader())
        assert report.ok, report.differences
        assert (report.entries, report.transfers, report.batches, report.roots) == (4, 4, 4, 1)
