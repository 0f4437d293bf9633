"""The database refuses to break the books by itself, even to someone with a connection of his own."""

import sqlite3
from dataclasses import replace

import pytest

from gondwana.core.clock import Instant
from gondwana.db.database import Database
from gondwana.ledger import rules
from gondwana.ledger.audit import audit
from gondwana.ledger.model import Assignment, Shares, TaskTerms
from gondwana.ledger.store import post

NOW = Instant(1.0)
TASK = TaskTerms(job_id="j", tenant_id="t", shares=Shares(fee_bps=0, verification_bps=0))
UNIT = Assignment(unit_id="u", provider_id="p", price_micro_usd=60)
# The first rows: a deposit of 100, a budget of 90, a hold of 60 in it.
EXT, TENANT, TASK_ESCROW, HOLDBACK = 1, 2, 3, 4
HOLD = 3

CLAUSES = ("", "OR IGNORE ", "OR FAIL ", "OR ABORT ", "OR ROLLBACK ", "OR REPLACE ")


@pytest.fixture
def path(tmp_path):
    with Database.open(tmp_path / "a.db") as database:
        for entry in (
            rules.deposit("manual", "t", 100, key="1"),
            rules.open_task(TASK, 90),
            rules.assign_unit(TASK, UNIT),
        ):
            database.writer.call(post, entry, NOW)
    return tmp_path / "a.db"


@pytest.fixture
def raw(path):
    """Anybody's connection: no authorizer, no settings of ours."""
    connection = sqlite3.connect(path, isolation_level=None)
    yield connection
    connection.close()


def books(connection):
    accounts = connection.execute(
        "SELECT name, debits_posted, credits_posted, debits_pending, credits_pending FROM ledger_account ORDER BY name"
    ).fetchall()
    return accounts, connection.execute("SELECT * FROM ledger_transfer ORDER BY seq").fetchall()


def transfer(connection, clause="", **columns):
    row = {"seq": None, "entry": 1, "leg": 7, "debit": EXT, "credit": TENANT, "amount": 1, "kind": "post",
           "pending": None, **columns}  # fmt: skip
    names = ", ".join(row)
    values = ", ".join(f":{name}" for name in row)
    connection.execute(f"INSERT {clause}INTO ledger_transfer ({names}) VALUES ({values})", row)


WRONG = {
    "an overdraft": {"debit": TENANT, "credit": HOLDBACK, "amount": 11},
    "an overdraft of what is held": {"debit": TASK_ESCROW, "credit": HOLDBACK, "amount": 31},
    "a hold of what is not there": {"debit": TENANT, "credit": HOLDBACK, "amount": 11, "kind": "pending"},
    "more out than came in": {"debit": TENANT, "credit": EXT, "amount": 101},
    "the same account twice": {"debit": TENANT, "credit": TENANT},
    "no amount": {"amount": 0},
    "a negative amount": {"amount": -5},
    "a fraction": {"amount": 1.5},
    "words": {"amount": "much"},
    "nothing": {"amount": None},
    "an amount above the limit": {"amount": 2**62 + 1},
    "a sum above the limit": {"amount": 2**62},
    "a kind that is none": {"kind": "gift"},
    "an existing row": {"seq": 1},
    "an existing leg": {"entry": 1, "leg": 0},
    "a hold that is none": {"kind": "post_pending", "pending": 1},
    "a hold that does not exist": {"kind": "void_pending", "pending": 99},
    "a resolution without a hold": {"kind": "post_pending", "debit": TASK_ESCROW, "credit": HOLDBACK},
    "a post that names a hold": {"pending": HOLD},
    "a hold paid above its amount": {"kind": "post_pending", "pending": HOLD, "debit": TASK_ESCROW, "credit": HOLDBACK,
                                     "amount": 61},
    "a hold released in part": {"kind": "void_pending", "pending": HOLD, "debit": TASK_ESCROW, "credit": HOLDBACK,
                                "amount": 59},
    "a hold paid to another": {"kind": "post_pending", "pending": HOLD, "debit": TASK_ESCROW, "credit": TENANT,
                               "amount": 60},
}  # fmt: skip


@pytest.mark.parametrize("clause", CLAUSES)
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_transfer_leaves_no_trace_under_any_conflict_clause(raw, wrong, clause):
    before = books(raw)
    try:
        transfer(raw, clause, **WRONG[wrong])
    except sqlite3.IntegrityError:
        pass  # OR IGNORE may pass over the row silently; what counts is that the books stay as they were
    else:
        assert clause == "OR IGNORE "
    assert books(raw) == before


@pytest.mark.parametrize("clause", CLAUSES)
def test_a_right_transfer_has_its_whole_effect_under_any_conflict_clause(raw, path, clause):
    transfer(raw, clause, entry=2, debit=TENANT, credit=HOLDBACK, amount=10)
    accounts = {name: rest for name, *rest in books(raw)[0]}
    assert accounts["tenant:t:available"] == [100, 100, 0, 0]
    assert accounts["provider:p:holdback"] == [0, 10, 0, 60]


@pytest.mark.parametrize("clause", CLAUSES)
def test_a_hold_cannot_be_resolved_a_second_time_under_any_conflict_clause(raw, clause):
    resolved = {
        "kind": "post_pending",
        "pending": HOLD,
        "debit": TASK_ESCROW,
        "credit": HOLDBACK,
        "amount": 60,
    }
    transfer(raw, **resolved)
    before = books(raw)
    for again in (resolved, {**resolved, "kind": "void_pending"}):
        with pytest.raises(sqlite3.IntegrityError, match=r"ledger\.resolved"):
            transfer(raw, clause, **{**again, "leg": 8})
    assert books(raw) == before


def test_a_transfer_between_unknown_accounts_or_of_an_unknown_entry_is_refused(path):
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA foreign_keys = ON")
    for wrong in ({"debit": 99}, {"credit": 99}, {"entry": 99}):
        before = books(connection)
        with pytest.raises(sqlite3.IntegrityError):
            transfer(connection, **wrong)
        assert books(connection) == before
    connection.close()


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE ledger_transfer SET amount = 1",
        "UPDATE OR IGNORE ledger_transfer SET amount = 1",
        "UPDATE OR REPLACE ledger_transfer SET seq = 1 WHERE seq = 2",
        "DELETE FROM ledger_transfer",
        "UPDATE ledger_entry SET reason = ''",
        "DELETE FROM ledger_entry",
        "DELETE FROM ledger_account",
        "UPDATE ledger_account SET name = 'tenant:me:available' WHERE id = 2",
        "UPDATE ledger_account SET limit_side = 'N'",
        "UPDATE ledger_account SET credits_posted = credits_posted - 1 WHERE id = 2",
        "UPDATE ledger_account SET debits_posted = 10000 WHERE id = 2",
        "UPDATE OR IGNORE ledger_account SET debits_posted = 10000 WHERE id = 2",
        "UPDATE ledger_account SET credits_posted = 9223372036854775807 WHERE id = 2",
        "INSERT INTO ledger_account (name, code, limit_side, credits_posted) VALUES ('tenant:m:available', 1, 'D', 5)",
        "INSERT OR REPLACE INTO ledger_account (id, name, code, limit_side) VALUES (2, 'tenant:m:available', 1, 'D')",
        "INSERT OR REPLACE INTO ledger_account (name, code, limit_side) VALUES ('tenant:t:available', 2000, 'N')",
        "REPLACE INTO ledger_entry (seq, event_id, kind, reason, digest, at) VALUES (1, 'x', '', '', zeroblob(16), 0)",
        "INSERT INTO ledger_account (name, code, limit_side) VALUES ('tenant:t:available', 2000, 'D')"
        " ON CONFLICT (name) DO UPDATE SET credits_posted = credits_posted - 1",
    ],
)
def test_history_cannot_be_edited_even_on_a_connection_of_ones_own(raw, sql):
    before = books(raw)
    with pytest.raises(sqlite3.IntegrityError):
        raw.execute(sql)
    assert books(raw) == before


def test_balances_cannot_be_raised_through_the_writer(path):
    with Database.open(path) as database:
        for sql in (
            "UPDATE ledger_account SET credits_posted = credits_posted + 1000 WHERE id = 2",
            "INSERT INTO ledger_account (id, name, code, limit_side) VALUES (2, 'x', 1, 'D')"
            " ON CONFLICT (id) DO UPDATE SET credits_posted = 1000",
            "DELETE FROM ledger_transfer",
            "UPDATE ledger_entry SET at = 0",
        ):
            with pytest.raises(sqlite3.DatabaseError, match=r"not authorized|prohibited"):
                database.writer.call(lambda tx, sql=sql: tx.execute(sql))
        assert audit(database.reader()).ok


# What a person with the file and no scruples can do, the audit finds.

TAMPERING = {
    "UPDATE ledger_account SET credits_posted = credits_posted + 1000 WHERE id = 2": [
        "posted debits are 190, credits 1190",
        "credits_posted is 1100, its transfers say 100",
    ],
    "UPDATE ledger_account SET limit_side = 'N' WHERE id = 2": ["another code or limit"],
    "UPDATE ledger_account SET name = 'tenant:me:available' WHERE id = 2": ["content changed"],
    "UPDATE ledger_account SET name = 'loot' WHERE id = 2": ["not in the chart", "content changed"],
    "UPDATE ledger_transfer SET amount = 50 WHERE seq = 2": [
        "its transfers say 50",
        "content changed",
    ],
    "UPDATE ledger_transfer SET amount = 500 WHERE seq = 2": ["is overdrawn"],
    "UPDATE ledger_transfer SET credit = 4 WHERE seq = 2": [
        "its transfers say 0",
        "content changed",
    ],
    "UPDATE ledger_transfer SET debit = 99 WHERE seq = 2": ["names an account that does not exist"],
    "UPDATE ledger_transfer SET entry = 99 WHERE seq = 2": [
        "belongs to no entry",
        "has no transfers",
    ],
    "DELETE FROM ledger_transfer WHERE seq = 2": ["has no transfers"],
    "DELETE FROM ledger_entry WHERE seq = 2": ["belongs to no entry"],
    "DELETE FROM ledger_account WHERE id = 2": ["names an account that does not exist"],
    "UPDATE ledger_entry SET reason = 'a gift' WHERE seq = 1": ["content changed"],
    "UPDATE ledger_entry SET job_id = 'other' WHERE seq = 2": ["content changed"],
    "UPDATE ledger_transfer SET kind = 'void_pending', pending = 1 WHERE seq = 2": [
        "resolves what is not a hold"
    ],
}


@pytest.mark.parametrize("sql", TAMPERING)
def test_the_audit_finds_what_was_forged_in_the_file(path, sql):
    connection = sqlite3.connect(path, isolation_level=None)
    for (trigger,) in connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    ).fetchall():
        body = connection.execute(
            "SELECT sql FROM sqlite_master WHERE name = ?", (trigger,)
        ).fetchone()[0]
        connection.execute(f"DROP TRIGGER {trigger}")
        connection.execute("CREATE TEMP TABLE IF NOT EXISTS kept (body TEXT)")
        connection.execute("INSERT INTO kept VALUES (?)", (body,))
    connection.execute("PRAGMA ignore_check_constraints = ON")
    connection.execute(sql)
    for (body,) in connection.execute("SELECT body FROM kept").fetchall():
        connection.execute(body)
    connection.close()
    with Database.open(path) as database:
        report = audit(database.reader())
    wrongs = [difference.wrong for difference in report.differences]
    assert not report.ok
    for expected in TAMPERING[sql]:
        assert any(expected in wrong for wrong in wrongs), wrongs


def test_an_audit_of_good_books_counts_them_and_sums_to_zero(path):
    with Database.open(path) as database:
        database.writer.call(post, rules.accept_unit(TASK, UNIT), NOW)
        report = audit(database.reader())
    assert report.ok
    assert (report.accounts, report.entries, report.transfers) == (4, 4, 4)
    assert report.posted_micro_usd == {1000: -100, 2000: 10, 2110: 30, 2200: 60}


def test_a_second_hold_of_a_unit_is_a_row_of_its_own(path):
    with Database.open(path) as database:
        database.writer.call(post, rules.expire_unit(TASK, UNIT), NOW)
        database.writer.call(post, rules.assign_unit(TASK, replace(UNIT, attempt=2)), NOW)
        assert audit(database.reader()).transfers == 5
