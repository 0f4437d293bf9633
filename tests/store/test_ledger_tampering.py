"""What a person with the file and no scruples can do, the audit finds; or else a root that somebody kept does."""

import hashlib
import sqlite3

import psycopg
import pytest
from bookkeeping import entry, put

from gondwana.core.clock import Instant
from gondwana.core.errors import NoSuchThing
from gondwana.db.database import Database
from gondwana.ledger import rules
from gondwana.ledger.accounts import tenant_available
from gondwana.ledger.audit import audit
from gondwana.ledger.chain import prove_chain, publish_roots, roots, seal
from gondwana.ledger.model import Assignment, Shares, TaskTerms
from gondwana.ledger.store import balance
from gondwana.wire import proofs
from gondwana.wire.proofs import check_chain

NOW = Instant(1.0)
DAY = 86_400.0
TASK = TaskTerms(job_id="j", tenant_id="t", shares=Shares(fee_bps=0, verification_bps=0))
UNIT = Assignment(unit_id="u", provider_id="p", price_micro_usd=60)
# Accounts 1 to 4: the outside, the tenant, the escrow, the holdback. Transfers 1 to 3: a deposit of 100, a budget of
# 90, a hold of 60; each its own batch, a root over them. Then a day with an entry of two legs, and one without a root.


def make_books(database):
    for each in (
        rules.deposit("manual", "t", 100, key="1"),
        rules.open_task(TASK, 90),
        rules.assign_unit(TASK, UNIT),
    ):
        put(database, each, at=NOW)
    in_two = [rules.deposit("manual", "u", amount, key="x") for amount in (7, 3)]
    put(database, entry("two", *(each.legs[0] for each in in_two)), at=Instant(DAY + 1))
    put(database, rules.deposit("manual", "t", 1, key="2"), at=Instant(2 * DAY + 1))
    database.writer.call(publish_roots, Instant(2.5 * DAY))


TAMPERING = {
    # accounts
    "UPDATE ledger_account SET credits_posted = credits_posted + 1000 WHERE id = 2": [
        "posted debits are 201, credits 1201",
        "credits_posted is 1101, its transfers say 101",
    ],
    "UPDATE ledger_account SET debits_pending = 0 WHERE id = 3": ["pending debits are 0, credits 60"],
    "UPDATE ledger_account SET limit_side = 'N' WHERE id = 2": ["another code, limit or asset"],
    "UPDATE ledger_account SET code = 2010 WHERE id = 2": ["another code", "other totals"],
    "UPDATE ledger_account SET asset = 'EUR' WHERE id = 2": ["another code", "moves between two assets"],
    "UPDATE ledger_account SET name = 'tenant:me:available' WHERE id = 2": ["content changed"],
    "UPDATE ledger_account SET name = 'loot' WHERE id = 2": ["not in the chart", "content changed"],
    "DELETE FROM ledger_account WHERE id = 2": ["names an account that does not exist"],
    # transfers
    "UPDATE ledger_transfer SET amount = 50 WHERE seq = 2": ["its transfers say 50", "content changed"],
    "UPDATE ledger_transfer SET amount = 500 WHERE seq = 2": ["is overdrawn"],
    "UPDATE ledger_transfer SET amount = -90 WHERE seq = 2": ["moves nothing, or to where it comes from"],
    "UPDATE ledger_transfer SET credit = 4 WHERE seq = 2": ["its transfers say 0", "content changed"],
    "UPDATE ledger_transfer SET credit = 2 WHERE seq = 2": ["moves nothing, or to where it comes from"],
    "UPDATE ledger_transfer SET debit = 99 WHERE seq = 2": ["names an account that does not exist"],
    "UPDATE ledger_transfer SET debit = 2, credit = 1 WHERE seq = 1": ["gave out more than came in", "is overdrawn"],
    "UPDATE ledger_transfer SET leg = 1 WHERE seq = 2": ["belongs to no entry"],
    "UPDATE ledger_transfer SET kind = 1 WHERE seq = 2": ["debits_pending is 0, its transfers say 90"],
    "UPDATE ledger_transfer SET kind = 0 WHERE seq = 3": ["its transfers say 60"],
    "UPDATE ledger_transfer SET kind = 3, pending = 1 WHERE seq = 2": ["resolves what is not a hold"],
    "UPDATE ledger_transfer SET kind = 3, pending = 3 WHERE seq = 6": [
        "resolves a hold between other accounts",
        "pays or releases another amount than was held",
    ],
    "UPDATE ledger_transfer SET kind = 2, pending = 3, debit = 3, credit = 4, amount = 61 WHERE seq = 6": [
        "pays or releases another amount than was held"
    ],
    "DELETE FROM ledger_transfer WHERE seq = 2": ["has 0 of its 1 transfers"],
    "DELETE FROM ledger_transfer WHERE seq = 5": ["has 1 of its 2 transfers"],
    "DELETE FROM ledger_transfer": ["has 0 of its"],
    "UPDATE ledger_transfer SET amount = 11 - amount WHERE seq IN (4, 5)": ["content changed"],
    "INSERT INTO ledger_transfer (seq, amount, debit, credit, leg, kind) VALUES (7, 5, 1, 2, 0, 0)": [
        "belongs to no entry",
        "its transfers say 106",
    ],
    "INSERT INTO ledger_transfer (seq, amount, debit, credit, leg, kind) VALUES (-1, 5, 1, 2, 0, 0)": [
        "1 of them have no place in the numbering"
    ],
    "INSERT INTO ledger_entry (seq, event, kind, subject, legs, at_ms) VALUES (-1, zeroblob(16), 1, 1, 1, 0)": [
        "1 of them have no place in the numbering"
    ],
    "INSERT INTO ledger_entry (seq, event, kind, subject, legs, at_ms) VALUES (7, zeroblob(16), 1, 1, 1, 0)": [
        "1 of them have no place in the numbering"
    ],
    # entries and names
    "DELETE FROM ledger_entry WHERE seq = 2": ["belongs to no entry"],
    "UPDATE ledger_entry SET facts = '[5,\"gift\"]' WHERE seq = 1": ["content changed"],
    "UPDATE ledger_entry SET facts = 'no JSON' WHERE seq = 1": ["has facts that are no JSON", "content changed"],
    "UPDATE ledger_entry SET facts = NULL WHERE seq = 1": ["content changed"],
    "UPDATE ledger_entry SET job = NULL WHERE seq = 2": ["content changed"],
    "UPDATE ledger_entry SET kind = subject WHERE seq = 2": ["content changed"],
    "UPDATE ledger_entry SET subject = 99 WHERE seq = 2": ["content changed"],
    "UPDATE ledger_entry SET at_ms = 2 WHERE seq = 2": ["content changed"],
    "UPDATE ledger_entry SET legs = 2 WHERE seq = 2": ["has 0 of its 1 transfers"],
    "UPDATE ledger_entry SET event = zeroblob(16) WHERE seq = 2": ["content changed"],
    "UPDATE ledger_entry SET seq = 50 WHERE seq = 2": ["belongs to no entry"],
    "UPDATE ledger_name SET name = 'gift' WHERE name = 'deposit'": ["content changed"],
    "DELETE FROM ledger_name WHERE name = 'j'": ["content changed"],
    # batches
    "UPDATE ledger_batch SET content = zeroblob(32) WHERE number = 2": ["content changed", "does not follow"],
    "UPDATE ledger_batch SET hash = zeroblob(32) WHERE number = 2": ["does not follow", "not over the batches"],
    "UPDATE ledger_batch SET at_ms = 5 WHERE number = 2": ["does not follow"],
    "UPDATE ledger_batch SET last = 3 WHERE number = 2": ["content changed", "does not follow"],
    "UPDATE ledger_batch SET first = 0 WHERE number = 2": ["does not follow"],
    "UPDATE ledger_batch SET number = 50 WHERE number = 5": ["does not follow"],
    "DELETE FROM ledger_batch WHERE number = 2": ["does not follow"],
    "DELETE FROM ledger_batch WHERE number = 1": ["does not follow"],
    "DELETE FROM ledger_batch WHERE number = 4": ["does not follow", "not over the batches"],
    "DELETE FROM ledger_batch": ["does not cover the batches"],
    # roots
    "UPDATE ledger_root SET totals = '{}'": ["other totals", "does not follow"],
    "UPDATE ledger_root SET totals = 'no JSON'": ["other totals"],
    "UPDATE ledger_root SET content = zeroblob(32)": ["not over the batches"],
    "UPDATE ledger_root SET hash = zeroblob(32) WHERE day = '1970-01-02'": ["does not follow"],
    "UPDATE ledger_root SET day = '1970-01-03' WHERE day = '1970-01-02'": ["does not follow"],
    "UPDATE ledger_root SET last_batch = 2 WHERE day = '1970-01-01'": ["not over the batches"],
    "UPDATE ledger_root SET first_batch = 3 WHERE day = '1970-01-02'": ["does not cover the batches"],
    "DELETE FROM ledger_root WHERE day = '1970-01-01'": ["does not cover the batches", "does not follow"],
}  # fmt: skip


@pytest.fixture
def path(tmp_path):
    with Database.open(tmp_path / "a.db", inline=True, before_commit=seal) as database:
        make_books(database)
        assert audit(database.reader()).ok
    return tmp_path / "a.db"


def forge(path, *statements):
    """Change the file with all guards off, then put the guards back, as somebody would who hides it."""
    connection = sqlite3.connect(path, isolation_level=None)
    triggers = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
    ).fetchall()
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute("PRAGMA ignore_check_constraints = ON")
    for sql, *params in statements:
        assert connection.execute(sql, *params).rowcount > 0, "it changed nothing"
    for _, body in triggers:
        connection.execute(body)
    connection.close()


def differences(place):
    with Database.open(place, inline=True) as database:
        report = audit(database.reader())
    assert report.ok == (not report.differences)
    return [difference.wrong for difference in report.differences]


@pytest.mark.parametrize("sql", TAMPERING)
def test_the_audit_finds_what_was_forged_in_the_file(path, sql):
    forge(path, (sql,))
    wrongs = differences(path)
    assert wrongs
    for expected in TAMPERING[sql]:
        assert any(expected in wrong for wrong in wrongs), wrongs


ON_POSTGRES = (
    "UPDATE ledger_account SET credits_posted = credits_posted + 1000 WHERE id = 2",
    "UPDATE ledger_account SET limit_side = 'N' WHERE id = 2",
    "DELETE FROM ledger_account WHERE id = 2",
    "UPDATE ledger_transfer SET amount = 500 WHERE seq = 2",
    "UPDATE ledger_transfer SET kind = 3, pending = 3 WHERE seq = 6",
    "DELETE FROM ledger_transfer WHERE seq = 5",
    "UPDATE ledger_name SET name = 'gift' WHERE name = 'deposit'",
    "UPDATE ledger_batch SET at_ms = 5 WHERE number = 2",
    "DELETE FROM ledger_batch WHERE number = 4",
    "UPDATE ledger_root SET totals = 'no JSON'",
    "DELETE FROM ledger_root WHERE day = '1970-01-01'",
)


@pytest.fixture(scope="module")
def forged_on_postgres(cluster):
    """What the audit says of each forgery, made by the superuser with all triggers off, and undone."""
    url = cluster.create("forged", "gondwana_template")
    with Database.open(url, inline=True, before_commit=seal) as database:
        make_books(database)
    found = {"nothing": differences(url)}
    tables = ("account", "name", "entry", "transfer", "batch", "root")
    for sql in ON_POSTGRES:
        copy = cluster.create("forged_copy", "forged")
        with psycopg.connect(copy, autocommit=True) as raw:
            raw.execute("SET search_path = gondwana")
            for table in tables:
                raw.execute(f"ALTER TABLE ledger_{table} DISABLE TRIGGER ALL")
            assert raw.execute(sql).rowcount > 0
            for table in tables:
                raw.execute(f"ALTER TABLE ledger_{table} ENABLE TRIGGER ALL")
        found[sql] = differences(copy)
        cluster.drop("forged_copy")
    cluster.drop("forged")
    return found


def test_the_audit_finds_what_a_superuser_forged_on_postgres(forged_on_postgres):
    assert forged_on_postgres.pop("nothing") == []
    for sql, wrongs in forged_on_postgres.items():
        for expected in TAMPERING[sql]:
            assert any(expected in wrong for wrong in wrongs), (sql, wrongs)


# Who writes all hashes anew


def rewrite(path, *statements):
    """Forge, then compute every batch and root anew: the file is whole again, and another one."""
    forge(path, *statements, ("DELETE FROM ledger_batch",), ("DELETE FROM ledger_root",))
    with Database.open(path, inline=True, before_commit=seal) as database:
        database.writer.call(publish_roots, Instant(2.5 * DAY))


def test_who_computes_all_hashes_anew_is_found_by_a_root_that_somebody_kept(path):
    with Database.open(path, inline=True) as database:
        kept = roots(database.reader())[-1].hash
        assert check_chain(prove_chain(database.reader(), kept), kept) is None
    rewrite(
        path,
        ("UPDATE ledger_transfer SET credit = 5 WHERE seq = 1",),
        ("UPDATE ledger_account SET credits_posted = credits_posted - 90 WHERE id = 2",),
        ("UPDATE ledger_account SET credits_posted = credits_posted + 90 WHERE id = 5",),
        ("UPDATE ledger_transfer SET debit = 5 WHERE seq = 2",),
        ("UPDATE ledger_account SET debits_posted = 0 WHERE id = 2",),
        ("UPDATE ledger_account SET debits_posted = 90 WHERE id = 5",),
    )
    with Database.open(path, inline=True) as database:
        with pytest.raises(NoSuchThing):
            prove_chain(database.reader(), kept)
        forged = prove_chain(database.reader())
        assert check_chain(forged) is None  # whole in itself
        assert check_chain(forged, kept) == "the root that you kept is not among the published ones"


def test_who_cuts_the_end_off_is_found_by_a_root_that_somebody_kept(path):
    with Database.open(path, inline=True) as database:
        kept = roots(database.reader())[-1].hash
    forge(
        path,
        ("DELETE FROM ledger_root WHERE day = '1970-01-02'",),
        ("DELETE FROM ledger_batch WHERE number > 3",),
        ("DELETE FROM ledger_transfer WHERE seq > 3",),
        ("DELETE FROM ledger_entry WHERE seq > 3",),
        ("UPDATE ledger_account SET debits_posted = 100 WHERE id = 1",),
        ("UPDATE ledger_account SET credits_posted = 100 WHERE id = 2",),
        ("UPDATE ledger_account SET credits_posted = 0 WHERE id = 5",),
    )
    with Database.open(path, inline=True) as database:
        assert audit(database.reader()).ok  # nothing in the file tells that there was more
        with pytest.raises(NoSuchThing):
            prove_chain(database.reader(), kept)


def test_a_batch_slipped_in_with_a_hash_of_its_own_is_found(path):
    """It covers nothing: who seals ahead would keep others from posting."""
    with Database.open(path, inline=True) as database:
        last = database.reader().one("SELECT * FROM ledger_batch ORDER BY number DESC LIMIT 1")
    content = hashlib.sha256(b"nothing").digest()
    hashed = proofs.batch_hash(bytes(last["hash"]), 6, 7, 9, last["at_ms"], content)
    raw = sqlite3.connect(path, isolation_level=None)
    columns = "number, first, last, content, hash, at_ms"
    slip_in = f"INSERT INTO ledger_batch ({columns}) VALUES (6, 7, 9, ?, ?, 0)"
    with pytest.raises(sqlite3.IntegrityError, match=r"ledger\.out_of_order"):
        raw.execute(slip_in, (content, hashed))
    raw.execute("DROP TRIGGER ledger_batch_is_next")
    raw.execute(slip_in, (content, hashed))
    raw.close()
    assert any("content changed" in wrong for wrong in differences(path))


def test_an_entry_posted_by_hand_is_an_entry_like_others(path):
    """SQLite knows no persons: who has the file can post, by the rules, and it is sealed with the next commit."""
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute(
        "INSERT INTO ledger_entry (seq, event, kind, subject, legs, at_ms) VALUES (7, zeroblob(16), 1, 2, 1, 0)"
    )
    raw.execute(
        "INSERT INTO ledger_transfer (seq, amount, debit, credit, leg, kind) VALUES (7, 5, 1, 2, 0, 0)"
    )
    raw.close()
    with Database.open(path, inline=True, before_commit=seal) as database:
        assert audit(database.reader()).ok
        put(database, rules.deposit("manual", "t", 1, key="3"), at=Instant(3 * DAY))
        report = audit(database.reader())
        assert report.ok
        assert (report.transfers, report.batches) == (8, 6)
        assert balance(database.reader(), tenant_available("t")).credits_posted == 107


def test_an_audit_of_good_books_counts_them_and_sums_to_zero(path):
    with Database.open(path, inline=True, before_commit=seal) as database:
        put(database, rules.accept_unit(TASK, UNIT), at=Instant(3 * DAY))
        report = audit(database.reader())
    assert report.ok
    assert (report.accounts, report.entries, report.transfers) == (5, 6, 7)
    assert (report.batches, report.roots) == (6, 2)
    assert report.posted_micro_usd == {1000: -111, 2000: 21, 2110: 30, 2200: 60}
