"""A database that version 0.1 wrote becomes one of today's: the same money, the same words, the same events."""

import contextlib
import hashlib
import sqlite3

import pytest
from bookkeeping import LEASE, TASK, UNIT, put

from gondwana.core.clock import Instant
from gondwana.core.errors import Conflict
from gondwana.core.values import replace
from gondwana.db.database import Database
from gondwana.db.migrate import known_migrations, migrate
from gondwana.db.sqlite import file_uri, open_for_writing
from gondwana.ledger import chain, rules
from gondwana.ledger.accounts import (
    ext,
    fund_verification,
    income_fees,
    kind_of,
    lease_escrow,
    provider_holdback,
    task_escrow,
    tenant_available,
    verifier_payable,
)
from gondwana.ledger.audit import audit
from gondwana.ledger.chain import prove_chain, prove_entry, publish_roots, roots, seal
from gondwana.ledger.model import Balance, Evaluation
from gondwana.ledger.statements import balance_at, statement
from gondwana.ledger.store import balance
from gondwana.wire.proofs import check_chain, check_entry

LAST_OF_0_1 = 41  # the last migration of version 0.1
MONDAY = 1_800_000_000.0
TENANT, HOLDBACK, ESCROW, TASK_ESCROW = (
    tenant_available("t"),
    provider_holdback("p"),
    lease_escrow("l"),
    task_escrow("j"),
)
FEES, CHECKS = income_fees(), fund_verification()
OF_A_UNIT = ((FEES, 20_000), (CHECKS, 10_000), (HOLDBACK, 970_000))
UNITS = [replace(UNIT, unit_id=f"u{n}") for n in range(3)]


def posted(*moves):
    return [(debit, credit, amount, "post", None) for debit, credit, amount in moves]


def of_unit(kind, event):
    """The three legs of a unit's price: held, or resolving the hold of `event`."""
    return [
        (TASK_ESCROW, account, amount, kind, (event, number) if event else None)
        for number, (account, amount) in enumerate(OF_A_UNIT)
    ]


# event_id, kind, sentence, (job, lease, unit), seconds after the beginning, legs: as 0.1 wrote them.
WRITTEN = [
    ("deposit:t:1", "deposit", "Deposit of $20.00 by manual", (None, None, None), 0.0,
     posted((ext("manual"), TENANT, 20_000_000))),
    ("deposit:t:2", "deposit", "Deposit of $5.00 by bank", (None, None, None), 1.25,
     [(ext("bank"), TENANT, 5_000_000, "pending", None)]),
    ("lease.open:l", "lease.open", "Set aside for lease l", (None, "l", None), 2.0625,
     posted((TENANT, ESCROW, 2_490_000))),
    ("lease.meter:l:622500", "lease.meter", "Lease l: 15 min proven so far, at $2.49 an hour", (None, "l", None), 900.0,
     posted((ESCROW, FEES, 12_450), (ESCROW, CHECKS, 6_225), (ESCROW, HOLDBACK, 603_825))),
    ("deposit.confirm:t:2", "deposit.confirm", "Deposit confirmed", (None, None, None), 900.5,
     [(ext("bank"), TENANT, 5_000_000, "post_pending", ("deposit:t:2", 0))]),
    ("lease.close:l", "lease.close", "Lease l: 30 min proven so far, at $2.49 an hour; closed, the rest returned",
     (None, "l", None), 1_800.0,
     posted((ESCROW, FEES, 12_450), (ESCROW, CHECKS, 6_225), (ESCROW, HOLDBACK, 603_825), (ESCROW, TENANT, 1_245_000))),
    ("task.open:j", "task.open", "Budget set aside for job j", ("j", None, None), 90_000.0,
     posted((TENANT, TASK_ESCROW, 3_000_700))),
    *((f"unit.assign:u{n}:1", "unit.assign", f"Price of unit u{n}", ("j", None, f"u{n}"), 90_001.0 + n,
       of_unit("pending", None)) for n in range(3)),
    ("unit.accept:u0:1", "unit.accept", "Unit u0 accepted", ("j", None, "u0"), 90_010.0,
     of_unit("post_pending", "unit.assign:u0:1")),
    ("unit.reject:u1:1", "unit.reject", "Unit u1 rejected: wrong", ("j", None, "u1"), 90_011.0,
     of_unit("void_pending", "unit.assign:u1:1")),
    ("evaluation.pay:e", "evaluation.pay", "Evaluation e", ("j", None, "e"), 90_012.0,
     posted((TASK_ESCROW, verifier_payable("v"), 700))),
]  # fmt: skip


def make_old(path, written):
    """A file with the migrations of 0.1 only, and its rows."""
    connection = open_for_writing(file_uri(path))
    migrate(connection, [each for each in known_migrations() if each.number <= LAST_OF_0_1])
    with contextlib.closing(connection.raw) as raw:
        for event_id, kind, reason, (job, lease, unit), at, legs in written:
            digest = hashlib.blake2b(event_id.encode(), digest_size=16).digest()
            columns = "event_id, kind, reason, job_id, lease_id, unit_id, digest, at"
            entry = raw.execute(
                f"INSERT INTO ledger_entry ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING seq",
                (event_id, kind, reason, job, lease, unit, digest, MONDAY + at),
            ).fetchone()[0]
            for number, (debit, credit, amount, how, held) in enumerate(legs):
                row = (
                    entry,
                    number,
                    account(raw, debit),
                    account(raw, credit),
                    amount,
                    how,
                    hold(raw, held),
                )
                columns = "entry, leg, debit, credit, amount, kind, pending"
                raw.execute(
                    f"INSERT INTO ledger_transfer ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", row
                )
    return path


def account(raw, name):
    found = raw.execute("SELECT id FROM ledger_account WHERE name = ?", (name,)).fetchone()
    if found is None:
        columns = (name, kind_of(name).code, kind_of(name).limit.value)
        sql = "INSERT INTO ledger_account (name, code, limit_side) VALUES (?, ?, ?) RETURNING id"
        found = raw.execute(sql, columns).fetchone()
    return found[0]


def hold(raw, held):
    if held is None:
        return None
    columns = "transfer.seq FROM ledger_transfer AS transfer JOIN ledger_entry AS entry ON entry.seq = transfer.entry"
    sql = f"SELECT {columns} WHERE entry.event_id = ? AND transfer.leg = ?"
    return raw.execute(sql, held).fetchone()[0]


@pytest.fixture
def path(tmp_path):
    return make_old(tmp_path / "old.db", WRITTEN)


def counters(path):
    columns = (
        "name, code, limit_side, debits_posted, credits_posted, debits_pending, credits_pending"
    )
    with contextlib.closing(sqlite3.connect(path)) as raw:
        return raw.execute(f"SELECT {columns} FROM ledger_account ORDER BY id").fetchall()


def test_every_balance_is_what_it_was(path):
    before = counters(path)
    assert len(before) == 9
    with Database.open(path, inline=True) as database:
        report = audit(database.reader())
        assert report.ok, report.differences
        assert (report.entries, report.transfers, report.batches) == (13, 28, 0)
        assert balance(database.reader(), TENANT) == Balance(
            credits_posted=26_245_000, debits_posted=5_490_700
        )
        assert balance(database.reader(), TASK_ESCROW).held_micro_usd == 1_000_000
    assert counters(path) == before


def test_statements_say_it_in_the_old_words(path):
    with Database.open(path, inline=True) as database:
        lines = statement(database.reader(), TENANT)
        jobs = statement(database.reader(), TASK_ESCROW)
    assert [(line.text, line.change_micro_usd, line.available_micro_usd) for line in lines] == [
        ("Budget set aside for job j (to the job's escrow)", -3_000_700, 20_754_300),
        ("Lease l: 30 min proven so far, at $2.49 an hour; closed, the rest returned (from the lease's escrow)",
         1_245_000, 23_755_000),
        ("Deposit confirmed (from the outside world, as held)", 5_000_000, 22_510_000),
        ("Set aside for lease l (to the lease's escrow)", -2_490_000, 17_510_000),
        ("Deposit of $5.00 by bank (expected from the outside world)", 0, 20_000_000),
        ("Deposit of $20.00 by manual (from the outside world)", 20_000_000, 20_000_000),
    ]  # fmt: skip
    assert [round(line.at - MONDAY, 3) for line in lines] == [
        90_000.0,
        1_800.0,
        900.5,
        2.062,
        1.25,
        0.0,
    ]
    assert [(line.subject, line.job_id) for line in lines] == [
        ("j", "j"), ("l", None), ("t:2", None), ("l", None), ("t:2", None), ("t:1", None)
    ]  # fmt: skip
    assert {line.text for line in jobs} >= {
        "Unit u1 rejected: wrong (hold released)", "Unit u0 accepted (to the operator's fee, as held)",
        "Evaluation e (to a verifier's earnings)", "Price of unit u2 (held for the owner's earnings, held back)",
    }  # fmt: skip
    assert all(line.job_id == "j" for line in jobs)


def again():
    """The same events as the code of today would post them after a restart."""
    escrow = Balance(credits_posted=2_490_000)
    return [
        rules.deposit("manual", "t", 20_000_000, key="1"),
        rules.deposit("bank", "t", 5_000_000, key="2", pending=True),
        rules.confirm_deposit("bank", "t", 5_000_000, key="2"),
        rules.open_lease(LEASE, 2_490_000),
        rules.meter(LEASE, 900, escrow),
        rules.close_lease(LEASE, 1_800, replace(escrow, debits_posted=622_500)),
        rules.open_task(TASK, 3_000_700),
        *(rules.assign_unit(TASK, unit) for unit in UNITS),
        rules.accept_unit(TASK, UNITS[0]),
        rules.reject_unit(TASK, UNITS[1], reason="wrong"),
        rules.pay_evaluator(TASK, Evaluation(unit_id="e", verifier_id="v", price_micro_usd=700)),
    ]


def test_an_event_that_was_posted_before_is_recognised_and_posts_nothing(path):
    before = counters(path)
    assert {each.event_id for each in again()} == {row[0] for row in WRITTEN}
    with Database.open(path, inline=True, before_commit=seal) as database:
        for each in again():
            assert put(database, each).repeated, each.event_id
        put(database, *again())
        assert audit(database.reader()).entries == len(WRITTEN)
    assert counters(path) == before


def test_an_event_that_moved_something_else_before_is_a_conflict(path):
    other_unit = replace(UNITS[0], price_micro_usd=1_000_001)
    with Database.open(path, inline=True) as database:
        for other in (
            rules.deposit("manual", "t", 20_000_001, key="1"),
            rules.deposit("card", "t", 20_000_000, key="1"),
            rules.deposit("manual", "t", 20_000_000, key="1", pending=True),
            rules.open_task(replace(TASK, tenant_id="u"), 3_000_700),
            rules.assign_unit(TASK, other_unit),
            rules.assign_unit(replace(TASK, job_id="k"), UNITS[0]),
        ):
            with pytest.raises(Conflict):
                put(database, other)


def test_what_was_held_before_is_paid_or_released_now(path):
    with Database.open(path, inline=True, before_commit=seal) as database:
        at = Instant(MONDAY + 200_000)
        put(database, rules.accept_unit(TASK, UNITS[2]), at=at)
        escrow = balance(database.reader(), TASK_ESCROW)
        assert (escrow.held_micro_usd, escrow.available_micro_usd) == (0, 1_000_000)
        put(database, rules.close_task(TASK, escrow), at=at)
        assert audit(database.reader()).ok
        newest = statement(database.reader(), TASK_ESCROW, limit=1)[0]
        assert (
            newest.text == "Job j closed, the rest of its budget returned (to the tenant's balance)"
        )


@pytest.mark.parametrize("size", [1, 6, 20_000])
def test_all_of_it_is_sealed_at_the_first_commit_and_then_proven(path, monkeypatch, size):
    monkeypatch.setattr(chain, "BATCH_TRANSFERS_MAX", size)
    with Database.open(path, inline=True, before_commit=seal) as database:
        database.writer.call(lambda tx: None)
        report = audit(database.reader())
        assert report.ok
        assert report.batches == {1: 13, 6: 5, 20_000: 1}[size]
        database.writer.call(publish_roots, Instant(MONDAY + 300_000))
        published = roots(database.reader())
        assert len(published) == (1 if size == 20_000 else 2)
        assert check_chain(prove_chain(database.reader())) is None
        for seq in range(1, 29):
            proof = prove_entry(database.reader(), seq)
            assert check_entry(proof, proof.root.hash) is None


def test_a_period_of_old_entries_is_found_by_their_times(path):
    with Database.open(path, inline=True) as database:
        tuesday = Instant(MONDAY + 86_400)
        assert balance_at(database.reader(), TENANT, tuesday) == 23_755_000
        assert len(statement(database.reader(), TENANT, until=tuesday)) == 5
        assert len(statement(database.reader(), TENANT, since=tuesday)) == 1


def test_old_entries_are_in_time_s_order_also_where_a_clock_had_stepped_back(tmp_path):
    stepped = [
        (*row[:4], [50.0, 10.0, 20.0, 30.0, 40.0, 60.0][n], row[5])
        for n, row in enumerate(WRITTEN[:6])
    ]
    path = make_old(tmp_path / "stepped.db", stepped)
    with Database.open(path, inline=True) as database:
        times = [line.at for line in statement(database.reader(), TENANT)]
        assert times == sorted(times, reverse=True)


def test_an_empty_database_of_0_1_has_nothing_to_seal(tmp_path):
    path = make_old(tmp_path / "empty.db", [])
    with Database.open(path, inline=True, before_commit=seal) as database:
        database.writer.call(lambda tx: None)
        report = audit(database.reader())
        assert report.ok
        assert (report.entries, report.batches) == (0, 0)
        put(database, rules.deposit("manual", "t", 5, key="1"))
        assert audit(database.reader()).batches == 1
