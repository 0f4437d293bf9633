"""Invoices and credit notes: one invoice per tenant and calendar month (UTC), numbered without a gap, never changed.

A month is cut out of the books as a span of transfers, so one that is over never changes. Its number is given in the
transaction that stores the document, and the database refuses any other than the next.
"""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

import msgspec

from gondwana.core.clock import Instant
from gondwana.core.decoding import from_json
from gondwana.core.errors import NoSuchThing, WrongState
from gondwana.core.events import Event
from gondwana.db.rows import from_row
from gondwana.db.transaction import Reader, Row, Transaction
from gondwana.ledger.charges import (
    INVOICES,
    Credit,
    Names,
    Sums,
    accounts,
    charges,
    given_back,
    sums_of_credits,
)
from gondwana.ledger.periods import Span, month_of, month_period, span_of
from gondwana.ledger.settings import setting
from gondwana.ledger.store import event_key
from gondwana.wire.ledger import Buyer, InvoiceDocument, Seller

SETTLED_AFTER_SECONDS: Final = 3_600  # what was under way when a month ended is posted long before
VERSION: Final = 1
NEWEST: Final = 2**62
_KEY: Final = re.compile(r"[0-9a-f]{32}")


class InvoiceKind(StrEnum):
    """What a document does."""

    INVOICE = "invoice"  # says what a month came to
    CREDIT_NOTE = "credit_note"  # gives back a part of one that was issued


PREFIXES: Final = {InvoiceKind.INVOICE: "", InvoiceKind.CREDIT_NOTE: "CN-"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """One document as stored."""

    id: int
    number: str
    kind: InvoiceKind
    tenant: str
    buyer: str
    month: str
    corrects: str
    total_micro_usd: int
    document: str
    sha256: str
    at_ms: int

    def decoded(self) -> InvoiceDocument:
        """The document as values."""
        return from_json(self.document, InvoiceDocument)


def seller(reader: Reader) -> Seller | None:
    """Who sells on this network; None while its operator has not said."""
    found = setting(reader, "seller", Seller)
    return found if found.name else None


def due_months(reader: Reader, now: Instant) -> list[str]:
    """The months that are over, settled, and not invoiced yet, the earliest first."""
    first = reader.one(INVOICES.first_entry)
    if first is None:
        return []
    done = reader.one(INVOICES.last_month)
    month = _after(done["month"]) if done else month_of(Instant(first["at_ms"] / 1000))
    found: list[str] = []
    while is_settled(month, now):
        found.append(month)
        month = _after(month)
    return found


def is_settled(month: str, now: Instant) -> bool:
    """Whether nothing can be posted into a month any more."""
    until = month_period(month).until
    assert until is not None
    return now >= until + SETTLED_AFTER_SECONDS


def tenants_of(reader: Reader, month: str) -> list[str]:
    """Who was charged or credited in a month, by id."""
    span = span_of(reader, month_period(month))
    params = {"first": span.first, "last": span.end - 1}
    rows = [
        *reader.all(INVOICES.tenants_charged, params),
        *reader.all(INVOICES.tenants_credited, params),
    ]
    return sorted({row["name"].split(":")[1] for row in rows})


def finish_month(tx: Transaction, month: str, now: Instant) -> None:
    """Note that everybody has his invoice of a month."""
    span = span_of(tx, month_period(month))
    row = {"month": month, "first": span.first, "last": span.end - 1, "at_ms": round(now * 1000)}
    tx.execute(INVOICES.finish_month, row)


def issue(
    tx: Transaction, now: Instant, month: str, buyer: Buyer, job_name: Names
) -> list[Invoice]:
    """The invoice of a tenant and month, then the credit notes posted in it; issued now, or the same as before.

    Nothing for a tenant who was neither charged nor credited. Raises WrongState while the month is not over, or the
    network has no seller.
    """
    found = _of_month(tx, buyer.id, month)
    if found:
        return found
    if not is_settled(month, now):
        raise WrongState(
            f"{month} is not over: what it comes to is not known", hint="an hour after its end"
        )
    by = seller(tx)
    if by is None:
        raise WrongState("invoices need a seller", hint="gondwana settings set seller name=NAME")
    span = span_of(tx, month_period(month))
    own = accounts(tx, buyer.id)
    paper = _Paper(tx=tx, now=now, month=month, span=span, seller=by, buyer=buyer)
    charged = charges(tx, own, span, job_name)
    if charged.total_micro_usd:
        paper.issue(InvoiceKind.INVOICE, charged)
    for number, given in _by_invoice(tx, buyer.id, month, given_back(tx, own, span)):
        paper.issue(InvoiceKind.CREDIT_NOTE, sums_of_credits(given, job_name), corrects=number)
    return _of_month(tx, buyer.id, month)


def invoices(
    reader: Reader, tenant_id: str | None, *, before: int = NEWEST, limit: int = 200
) -> list[Invoice]:
    """What was issued to a tenant, or to all (None), the newest first."""
    page = {"before": before, "limit": limit}
    if tenant_id is None:
        rows = reader.all(INVOICES.invoices, page)
    else:
        rows = reader.all(INVOICES.invoices_of, {**page, "tenant": tenant_id})
    return [_invoice(row) for row in rows]


def invoice(reader: Reader, number: str) -> Invoice:
    """One invoice or credit note by its number; raises NoSuchThing."""
    row = reader.one(INVOICES.invoice, {"number": number})
    if row is None:
        raise NoSuchThing(invoice=number[:80], hint="gondwana account invoices")
    return _invoice(row)


def canonical(document: InvoiceDocument) -> str:
    """A document as it is stored and hashed: JSON with sorted keys, no spaces, all of Unicode as it is."""
    plain = msgspec.to_builtins(document)
    return json.dumps(plain, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Paper:
    """What all documents of one tenant and month have in common."""

    tx: Transaction
    now: Instant
    month: str
    span: Span
    seller: Seller
    buyer: Buyer

    def issue(self, kind: InvoiceKind, sums: Sums, *, corrects: str = "") -> None:
        """Give it the next number and store it."""
        issued = datetime.fromtimestamp(self.now, tz=UTC)
        series = {"seller": self.seller.code, "kind": kind, "year": issued.year}
        row = self.tx.one(INVOICES.last_position, series)
        assert row is not None
        position = int(row["position"]) + 1
        code = f"{self.seller.code}-" if self.seller.code else ""
        number = f"{PREFIXES[kind]}{code}{issued.year}-{position:06d}"
        document = canonical(self._document(kind, number, sums, corrects))
        hashed = hashlib.sha256(document.encode()).hexdigest()
        self.tx.execute(INVOICES.insert_invoice, {
            **series, "number": number, "position": position, "tenant": self.buyer.id, "buyer": self.buyer.name,
            "month": self.month, "corrects": corrects, "total_micro_usd": sums.total_micro_usd, "document": document,
            "sha256": hashed, "at_ms": round(self.now * 1000),
        })  # fmt: skip
        data = {"kind": str(kind), "month": self.month, "total_micro_usd": sums.total_micro_usd, "sha256": hashed,
                "buyer": self.buyer.id}  # fmt: skip
        self.tx.emit(Event(at=self.now, kind="invoice.issued", subject=number, data=data))

    def _document(
        self, kind: InvoiceKind, number: str, sums: Sums, corrects: str
    ) -> InvoiceDocument:
        tax = sum(each.amount_micro_usd for each in sums.taxes)
        issued = datetime.fromtimestamp(int(self.now), tz=UTC)
        return InvoiceDocument(
            version=VERSION,
            kind=kind,
            number=number,
            corrects=corrects,
            issued_at=issued.strftime("%Y-%m-%dT%H:%M:%SZ"),
            month=self.month,
            first_transfer=self.span.first,
            last_transfer=self.span.end - 1,
            currency="USD",
            seller=self.seller,
            buyer=self.buyer,
            jobs=sums.jobs,
            taxes=sums.taxes,
            net_micro_usd=sums.total_micro_usd - tax,
            tax_micro_usd=tax,
            total_micro_usd=sums.total_micro_usd,
        )


def _by_invoice(
    reader: Reader, tenant_id: str, month: str, given: Iterable[Credit]
) -> list[tuple[str, list[Credit]]]:
    """(number of the invoice that they are about, credits); "" where none was ever issued."""
    issued = [each for each in invoices(reader, tenant_id) if each.kind is InvoiceKind.INVOICE]
    found: dict[str, list[Credit]] = defaultdict(list)
    for credit in given:
        found[_about(reader, credit, issued, month)].append(credit)
    return sorted(found.items())


def _about(reader: Reader, credit: Credit, issued: list[Invoice], month: str) -> str:
    """The invoice that charged what a credit gives back: of the month it names, else the newest with its job."""
    meant = _month_meant(reader, credit)
    if meant is not None:
        for each in issued:
            if each.month == meant:
                return each.number
    for each in issued:
        if each.month <= month and credit.job in {job.job for job in each.decoded().jobs}:
            return each.number
    return issued[0].number if issued else ""


def _month_meant(reader: Reader, credit: Credit) -> str | None:
    """The month that a credit's facts name: a service credit says it, a correction names the event."""
    if credit.kind == "sla.credit" and len(credit.facts) > 2:
        return str(credit.facts[2])
    if credit.kind == "correction" and credit.facts:
        named = str(
            credit.facts[0]
        )  # by its id, or by its key in hexadecimal where an operator did it
        key = bytes.fromhex(named) if _KEY.fullmatch(named) else event_key(named)
        row = reader.one(INVOICES.entry_time, {"event": key})
        return month_of(Instant(row["at_ms"] / 1000)) if row else None
    return None


def _of_month(reader: Reader, tenant_id: str, month: str) -> list[Invoice]:
    rows = reader.all(INVOICES.invoices_of_month, {"tenant": tenant_id, "month": month})
    return [_invoice(row) for row in rows]


def _invoice(row: Row) -> Invoice:
    return from_row(Invoice, row)


def _after(month: str) -> str:
    until = month_period(month).until
    assert until is not None
    return month_of(until)
