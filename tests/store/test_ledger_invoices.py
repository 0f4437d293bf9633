"""Invoices and credit notes: what they come to, their numbers, and that nothing changes them."""

import hashlib
import json
import sqlite3
from collections import defaultdict
from contextlib import closing
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidValue, NoSuchThing, WrongState
from gondwana.db.database import Database
from gondwana.db.errors import Denied, Refused
from gondwana.ledger import invoices, rules, treasury
from gondwana.ledger.accounts import (
    fund_insurance,
    lease_escrow,
    provider_holdback,
    reporter_payable,
    tax,
    tenant_available,
    tenant_promo,
)
from gondwana.ledger.audit import audit
from gondwana.ledger.chain import seal
from gondwana.ledger.model import (
    Assignment,
    Balance,
    Entry,
    Evaluation,
    Funding,
    LeaseTerms,
    Leg,
    Shares,
    TaskTerms,
)
from gondwana.ledger.settings import change_setting
from gondwana.ledger.store import balance, post
from gondwana.wire.ledger import Buyer

SHARES = Shares(fee_bps=200, insurance_bps=50, verification_bps=100, tax_bps=1_900)
LEASE = LeaseTerms(lease_id="l1", tenant_id="t", provider_id="p", price_micro_usd_per_hour=2_490_000,
                   shares=SHARES, jurisdiction="de", job_id="j1")  # fmt: skip
TASK = TaskTerms(job_id="j2", tenant_id="t", shares=SHARES, jurisdiction="de")
ADA = Buyer(id="t", name="ada")
NAMES = {"j1": "render", "j2": "bigram"}.get
DECEMBER = "2026-12-01T01:00:00"
SELLER = {"name": "Gondwana Ltd", "address": ["1 Kauri St"], "tax_id": "NZ1"}


def at(text):
    return Instant(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


class Books:
    def __init__(self, database):
        self.database = database

    def put(self, when, entry):
        self.database.writer.call(post, entry, at(when))

    def meter(self, when, seconds, terms=LEASE, rule=rules.meter):
        def run(tx):
            post(tx, rule(terms, seconds, balance(tx, lease_escrow(terms.lease_id))), at(when))

        self.database.writer.call(run)

    def fund(self, when="2026-10-01", tenant="t", usd=1_000):
        self.put(when, rules.deposit("manual", tenant, usd * 1_000_000, key=when))

    def sell(self, when="2026-10-01", **changes):
        self.database.writer.call(change_setting, at(when), "seller", {**SELLER, **changes}, by="o")

    def issue(self, month, when=DECEMBER, buyer=ADA):
        return self.database.writer.call(
            invoices.issue, at(when), month, buyer, lambda job: NAMES(job) or ""
        )

    def net(self, first, end, tenant="t"):
        """From the raw transfers: what left a tenant's accounts to those who are paid, less what came back."""
        rows = self.database.reader().all(
            "SELECT entry.at_ms, debit.name AS debit, credit.name AS credit, transfer.amount"
            " FROM ledger_transfer AS transfer"
            " JOIN ledger_entry AS entry ON entry.seq = transfer.seq - transfer.leg"
            " JOIN ledger_account AS debit ON debit.id = transfer.debit"
            " JOIN ledger_account AS credit ON credit.id = transfer.credit WHERE transfer.kind IN (0, 2)"
        )
        own = {f"tenant:{tenant}:available", f"tenant:{tenant}:promo"}
        own |= {row["credit"] for row in rows if row["debit"] in own and row["credit"].endswith(":escrow")}  # fmt: skip
        others = (
            "provider:",
            "stake:",
            "verifier:",
            "tax:",
            "fund:insurance",
            "fund:verification",
            "income:",
            "expense:",
        )
        sums = {"out": 0, "back": 0}
        for row in rows:
            if at(first) * 1000 <= row["at_ms"] < at(end) * 1000:
                if row["debit"] in own and row["credit"].startswith(others):
                    sums["out"] += row["amount"]
                if row["credit"] in own and row["debit"].startswith(others):
                    sums["back"] += row["amount"]
        return sums["out"], sums["back"]


@pytest.fixture
def books(make_database):
    database = make_database(before_commit=seal)
    yield Books(database)
    report = audit(database.reader())
    assert report.ok, report.differences


def sla(amount, month, *, key="1", tenant="t"):
    leg = Leg(debit=fund_insurance(), credit=tenant_available(tenant), amount_micro_usd=amount)
    return Entry(event_id=f"sla.credit:l1:{month}:{key}", kind="sla.credit", subject="l1", legs=(leg,), job_id="j1",
                 facts=("kauri", "98.20 %", month, "ab" * 32))  # fmt: skip


def two_months(books):
    """A lease of one tenant over October and November, closed in December."""
    books.sell()
    books.fund()
    books.put("2026-10-20", rules.open_lease(LEASE, 90_000_000))
    books.meter("2026-10-31T23:59:59.999", 3_600)
    books.meter("2026-11-01", 7_201)
    books.meter("2026-11-30T23:59:59.999", 10_801)
    books.meter("2026-12-01", 14_000, rule=rules.close_lease)


def test_an_invoice_is_the_sum_of_what_left_the_escrows_in_its_month(books):
    books.sell()
    books.fund()
    books.put("2026-10-20", rules.open_lease(LEASE, 90_000_000))
    books.meter("2026-10-31T23:59:59.999", 3_600)
    books.meter("2026-11-01", 7_201)
    books.put("2026-11-10", rules.open_task(TASK, 9_000_000))
    for number in range(3):
        unit = Assignment(unit_id=f"u{number}", provider_id="p", price_micro_usd=333_333 + number)
        books.put("2026-11-10", rules.assign_unit(TASK, unit))
        books.put("2026-11-11", rules.accept_unit(TASK, unit))
    held = Assignment(unit_id="held", provider_id="p", price_micro_usd=777_777)
    books.put("2026-11-10", rules.assign_unit(TASK, held))
    evaluation = Evaluation(unit_id="e", verifier_id="v", price_micro_usd=50_000)
    books.put("2026-11-12", rules.pay_evaluator(TASK, evaluation))
    books.meter("2026-11-30T23:59:59.999", 10_801)
    books.meter("2026-12-01", 14_000, rule=rules.close_lease)

    (october,), (november,) = books.issue("2026-10"), books.issue("2026-11")
    assert october.total_micro_usd == 2_490_000
    assert (november.total_micro_usd, 0) == books.net("2026-11-01", "2026-12-01")
    document = november.decoded()
    render, bigram = document.jobs
    assert (render.job, render.name, bigram.name) == ("j1", "render", "bigram")
    (compute,) = render.lines
    assert (compute.kind, compute.quantity, compute.unit) == ("compute", 10_801 - 3_600, "s")
    assert compute.price_micro_usd_per_hour == 2_490_000
    assert [(line.kind, line.quantity) for line in bigram.lines] == [("units", 3), ("evaluations", 1)]  # fmt: skip
    assert bigram.lines[1].amount_micro_usd == 50_000
    (levied,) = document.taxes
    assert levied.jurisdiction == "de"
    assert levied.amount_micro_usd == document.tax_micro_usd > 0
    assert document.net_micro_usd == render.net_micro_usd + bigram.net_micro_usd
    assert document.net_micro_usd + document.tax_micro_usd == november.total_micro_usd
    taxed = sum(
        invoice.decoded().tax_micro_usd
        for invoice in (october, november, *books.issue("2026-12", "2027-01-02"))
    )
    assert taxed == balance(books.database.reader(), tax("de")).posted_micro_usd


def test_issuing_twice_returns_the_same_document(books):
    two_months(books)
    first = books.issue("2026-11")
    books.sell("2026-12-02", name="Another Ltd")
    assert books.issue("2026-11", when="2027-06-01") == first
    assert invoices.invoice(books.database.reader(), first[0].number) == first[0]
    with pytest.raises(NoSuchThing):
        invoices.invoice(books.database.reader(), "2026-000099")


def test_the_document_is_hashed_as_it_is_stored(books):
    two_months(books)
    (issued,) = books.issue("2026-11")
    assert hashlib.sha256(issued.document.encode()).hexdigest() == issued.sha256
    assert invoices.canonical(issued.decoded()) == issued.document
    assert json.loads(issued.document)["number"] == issued.number == "2026-000001"


def test_numbers_have_no_gap_by_seller_and_year_and_kind(books):
    books.sell()
    months = ["2026-09", "2026-10", "2026-11"]
    for tenant in ("a", "b"):
        books.fund("2026-08-01", tenant)
        terms = LeaseTerms(lease_id=f"l{tenant}", tenant_id=tenant, provider_id="p", shares=SHARES,
                           price_micro_usd_per_hour=3_600_000)  # fmt: skip
        books.put("2026-08-02", rules.open_lease(terms, 90_000_000))
    for count, month in enumerate(months, 1):
        for tenant in ("a", "b"):
            terms = LeaseTerms(lease_id=f"l{tenant}", tenant_id=tenant, provider_id="p", shares=SHARES,
                               price_micro_usd_per_hour=3_600_000)  # fmt: skip
            books.meter(f"{month}-15", count * 100, terms)
    found = []
    for month in months[:2]:
        for tenant in ("a", "b", "nobody"):
            found += books.issue(month, "2026-12-01", Buyer(id=tenant, name=tenant))
    assert [each.number for each in found] == [f"2026-{n:06d}" for n in (1, 2, 3, 4)]
    assert [each.total_micro_usd for each in found] == [100_000] * 4
    assert books.issue("2026-11", "2027-01-01", Buyer(id="b", name="b"))[0].number == "2027-000001"
    books.sell("2027-01-01", code="B")
    assert (
        books.issue("2026-11", "2027-01-02", Buyer(id="a", name="a"))[0].number == "B-2027-000001"
    )
    assert [each.number for each in invoices.invoices(books.database.reader(), "b")] == [
        "2027-000001",
        "2026-000004",
        "2026-000002",
    ]


def test_a_credit_note_names_the_invoice_of_the_month_it_is_about(books):
    two_months(books)
    (october,) = books.issue("2026-10")
    fund_the_insurance(books, "2026-12-01")
    books.put("2026-12-02", sla(40, "2026-10"))
    books.put("2026-12-03", sla(2, "2026-11"))
    (november,) = books.issue("2026-11")
    december, about_october, about_november = books.issue("2026-12", "2027-01-05")
    assert december.kind == "invoice"
    assert (about_october.number, about_october.corrects) == ("CN-2027-000001", october.number)
    assert (about_november.number, about_november.corrects) == ("CN-2027-000002", november.number)
    assert (about_october.total_micro_usd, about_november.total_micro_usd) == (40, 2)
    (line,) = about_october.decoded().jobs[0].lines
    assert line.words == "Credit: kauri was available 98.20 % in 2026-10"
    assert books.net("2026-12-01", "2027-01-01") == (december.total_micro_usd, 42)


def fund_the_insurance(books, when):
    leg = Leg(debit=provider_holdback("p"), credit=fund_insurance(), amount_micro_usd=1_000)
    entry = Entry(
        event_id="correction:x", kind="correction", subject="x", legs=(leg,), facts=("x", "seed")
    )
    books.put(when, entry)


def test_a_correction_is_credited_on_the_invoice_of_what_it_corrects_tax_and_all(books):
    two_months(books)
    total = 2_490_000
    original = rules.meter(LEASE, 3_600, Balance(credits_posted=90_000_000))
    books.put("2026-12-05", rules.correct(original, why="the machine was not ours"))
    (october,) = books.issue("2026-10")
    _, note = books.issue("2026-12", "2027-01-05")
    assert (note.kind, note.corrects, note.total_micro_usd) == ("credit_note", october.number, total)  # fmt: skip
    assert note.decoded().tax_micro_usd == october.decoded().tax_micro_usd


def test_what_a_reporter_earned_is_no_credit(books):
    two_months(books)
    legs = (Leg(debit=provider_holdback("p"), credit=reporter_payable("t"), amount_micro_usd=500),)
    books.put(
        "2026-11-30T23:59:59.999",
        Entry(event_id="slash:1", kind="slash", subject="1", legs=legs, facts=("x",)),
    )
    legs = (Leg(debit=reporter_payable("t"), credit=tenant_available("t"), amount_micro_usd=500),)
    books.put(
        "2026-12-02", Entry(event_id="bounty.pay:1", kind="bounty.pay", subject="1", legs=legs)
    )
    assert [each.kind for each in books.issue("2026-12", "2027-01-05")] == ["invoice"]


def test_nothing_is_issued_before_the_month_is_over_or_without_a_seller(books):
    books.fund()
    books.put("2026-10-20", rules.open_lease(LEASE, 90_000_000))
    books.meter("2026-11-01", 3_600)
    with pytest.raises(WrongState) as unnamed:
        books.issue("2026-11")
    assert "settings set seller" in unnamed.value.hint
    books.sell()
    for when in ("2026-11-15", "2026-11-30T23:59:59.999", "2026-12-01T00:59:59"):
        with pytest.raises(WrongState, match="is not over"):
            books.issue("2026-11", when)
    with pytest.raises(InvalidValue):
        books.issue("2026-13")
    assert books.issue("2026-10") == []
    assert len(books.issue("2026-11")) == 1


def test_months_are_due_from_the_first_entry_on_until_they_are_finished(books):
    reader = books.database.reader()
    assert invoices.due_months(reader, at("2026-12-01T01:00:00")) == []
    two_months(books)
    assert invoices.due_months(reader, at("2026-12-01T00:59:59")) == ["2026-10"]
    assert invoices.due_months(reader, at("2026-12-01T01:00:00")) == ["2026-10", "2026-11"]
    assert invoices.tenants_of(reader, "2026-10") == ["t"]
    assert invoices.tenants_of(reader, "2026-09") == []
    books.database.writer.call(invoices.finish_month, "2026-10", at("2026-11-01T02:00:00"))
    assert invoices.due_months(reader, at("2027-01-01T01:00:00")) == ["2026-11", "2026-12"]


def test_what_was_issued_cannot_be_changed_or_taken_away(books):
    two_months(books)
    books.issue("2026-11")
    for statement in ("UPDATE invoice SET total_micro_usd = 1", "DELETE FROM invoice", 
                      "UPDATE invoiced_month SET last = 1", "DELETE FROM invoiced_month"):  # fmt: skip
        with pytest.raises((Denied, Refused)):
            books.database.writer.call(lambda tx, statement=statement: tx.execute(statement))
    row = dict(books.database.reader().one("SELECT * FROM invoice"))
    del row["id"]
    for wrong in ({"position": 3, "number": "2026-000003"}, {"position": 1}, {"position": 2}):
        changed = {"number": "2026-000002", "month": "2026-10", **wrong}
        columns = {**row, **changed}
        if wrong == {"position": 2}:
            columns["month"] = "2026-11"  # the same tenant and month again
        names = ", ".join(columns)
        values = ", ".join(f":{name}" for name in columns)
        with pytest.raises(Refused):
            books.database.writer.call(
                lambda tx, names=names, values=values, columns=columns: tx.execute(
                    f"INSERT INTO invoice ({names}) VALUES ({values})", columns
                )
            )


def test_nobody_with_a_connection_of_his_own_changes_an_invoice_either(tmp_path):
    with Database.open(tmp_path / "a.db", inline=True) as database:
        books = Books(database)
        two_months(books)
        books.issue("2026-11")
    with closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as raw:
        for statement in ("UPDATE invoice SET sha256 = sha256", "UPDATE OR REPLACE invoice SET id = 2",
                          "DELETE FROM invoice", "INSERT OR REPLACE INTO invoice SELECT * FROM invoice"):  # fmt: skip
            with pytest.raises(sqlite3.IntegrityError, match=r"invoice\."):
                raw.execute(statement)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(1, 9_000), st.integers(0, 40)), max_size=25)
)
def test_over_all_months_documents_come_to_what_the_books_say(steps):
    with Database.in_memory() as database:
        books = Books(database)
        books.sell()
        books.fund("2026-06-01")
        books.put("2026-06-01", rules.open_lease(LEASE, 900_000_000))
        books.put("2026-06-01", rules.open_task(TASK, 90_000_000))
        day, seconds = at("2026-06-02"), 0
        for number, (what, size, days) in enumerate(steps):
            day = Instant(day + days * 86_400)
            when = datetime.fromtimestamp(day, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S")
            match what:
                case 0 | 1:
                    seconds += size
                    books.meter(when, seconds)
                case 2 | 3:
                    unit = Assignment(unit_id=f"u{number}", provider_id="p", price_micro_usd=size)
                    books.put(when, rules.assign_unit(TASK, unit))
                    books.put(when, (rules.accept_unit, rules.expire_unit)[what - 2](TASK, unit))
                case 4:
                    paid = Evaluation(unit_id=f"e{number}", verifier_id="v", price_micro_usd=size)
                    books.put(when, rules.pay_evaluator(TASK, paid))
                case 5:
                    has = balance(database.reader(), fund_insurance()).available_micro_usd
                    if has:
                        books.put(when, sla(min(has, size), "2026-06", key=str(number)))
        sums = defaultdict(int)
        for month in invoices.due_months(database.reader(), at("2032-01-01T01:00:00")):
            for each in books.issue(month, "2032-01-01T01:00:00"):
                sums[each.kind] += each.total_micro_usd
        assert (sums["invoice"], sums["credit_note"]) == books.net("2026-06-01", "2032-01-01")


def metering(books, kind="lease.meter"):
    """The number of the first transfer of the first metering, or of another kind of event."""
    reader = books.database.reader()
    named = "SELECT entry.seq FROM ledger_entry AS entry JOIN ledger_name AS kind ON kind.id = entry.kind"
    return reader.one(f"{named} WHERE kind.name = ? ORDER BY entry.seq", [kind])["seq"]


def test_a_charge_that_an_operator_corrects_after_its_lease_ended_is_the_tenant_s_again(books):
    two_months(books)
    (october,) = books.issue("2026-10")
    before = balance(books.database.reader(), tenant_available("t")).available_micro_usd
    books.database.writer.call(
        treasury.correct, at("2026-12-05"), metering(books), why="the machine was not ours"
    )
    after = balance(books.database.reader(), tenant_available("t")).available_micro_usd
    assert after - before == 2_490_000
    assert balance(books.database.reader(), lease_escrow("l1")).available_micro_usd == 0
    _, note = books.issue("2026-12", "2027-01-05")
    assert (note.kind, note.corrects, note.total_micro_usd) == ("credit_note", october.number, 2_490_000)  # fmt: skip


def test_whoever_is_only_credited_on_a_live_lease_or_pays_a_credit_back_has_a_document(books):
    books.sell()
    books.fund()
    books.put("2026-10-20", rules.open_lease(LEASE, 90_000_000))
    books.meter("2026-10-21", 3_600)
    books.meter("2026-10-22", 7_200)
    fund_the_insurance(books, "2026-10-23")
    (october,) = books.issue("2026-10")
    books.database.writer.call(treasury.correct, at("2026-11-05"), metering(books), why="wrong")
    assert invoices.tenants_of(books.database.reader(), "2026-11") == ["t"]
    (note,) = books.issue("2026-11")
    assert (note.kind, note.corrects) == ("credit_note", october.number)
    books.put("2026-12-02", sla(40, "2026-10"))
    books.issue("2026-12", "2027-01-05")
    seq = books.database.reader().one("SELECT max(seq) AS seq FROM ledger_transfer")["seq"]
    books.database.writer.call(treasury.correct, at("2027-01-10"), seq, why="it was there")
    assert invoices.tenants_of(books.database.reader(), "2027-01") == ["t"]
    (charged,) = books.issue("2027-01", "2027-02-05")
    assert (charged.kind, charged.total_micro_usd) == ("invoice", 40)


def test_what_was_paid_with_promotional_credit_does_not_come_back_as_money(books):
    books.fund(usd=100)
    books.put("2026-10-01", rules.treasury_deposit("bank", 10_000_000, key="a"))
    books.put("2026-10-01", rules.grant_promo("t", 2_000_000, key="a", why="welcome"))
    books.put("2026-10-20", rules.open_lease(LEASE, 9_000_000, Funding(promo_micro_usd=2_000_000)))
    books.meter("2026-10-21", 3_600)  # two dollars promised, 49 cents his own
    books.meter("2026-10-22", 3_600, rule=rules.close_lease)
    seq = metering(books)
    for _ in range(2):  # the second time it is the same
        books.database.writer.call(treasury.correct, at("2026-12-05"), seq, why="wrong")
    reader = books.database.reader()
    assert balance(reader, tenant_promo("t")).available_micro_usd == 2_000_000
    assert balance(reader, tenant_available("t")).available_micro_usd == 100_000_000
    closing = metering(books, "lease.close")
    with pytest.raises(WrongState):
        books.database.writer.call(treasury.correct, at("2026-12-06"), closing, why="wrong")
