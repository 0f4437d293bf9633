"""What a tenant was charged, and what came back to him, in a span of the books: the lines of an invoice.

Charges are all that left his escrows to others; deposits into them are none. Both are read from the transfers, and
summed a second time in another way: they agree to the micro-unit, or nothing is issued.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gondwana.core.clock import Instant
from gondwana.db.many import read_keys
from gondwana.db.queries import load_queries
from gondwana.db.transaction import Reader, Row
from gondwana.ledger.accounts import tenant_available, tenant_promo
from gondwana.ledger.events import words
from gondwana.ledger.periods import Span
from gondwana.ledger.store import SQL
from gondwana.wire.ledger import InvoiceJob, InvoiceLine, InvoiceTax

INVOICES: Final = load_queries("gondwana.ledger", "invoices.sql")
COMPUTE: Final = ("lease.meter", "lease.close")
COUNTED: Final = {
    "unit.accept": ("units", "Training units"),
    "evaluation.pay": ("evaluations", "Evaluations"),
    "reserve.cancel": ("reservations", "Cancelled reservations"),
}
Names = Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """The lines of a document by job, its taxes, and its total, which the books say."""

    jobs: tuple[InvoiceJob, ...]
    taxes: tuple[InvoiceTax, ...]
    total_micro_usd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Credit:
    """What one entry gave back."""

    kind: str
    at: Instant
    job: str  # "" for none
    facts: tuple[Any, ...]
    line: InvoiceLine  # without tax
    taxes: tuple[InvoiceTax, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """A tenant's own accounts by row: his balances, and the escrows that he filled."""

    balances: tuple[int, ...]
    escrows: dict[int, str]

    @property
    def all(self) -> list[int]:
        """All rows."""
        return [*self.balances, *self.escrows]


def accounts(reader: Reader, tenant_id: str) -> Accounts:
    """The accounts whose payments to others a tenant is charged for."""
    names = [tenant_available(tenant_id), tenant_promo(tenant_id)]
    balances = tuple(row["id"] for row in read_keys(reader, SQL.account_ids, names))
    escrows = read_keys(reader, INVOICES.escrows_of, balances)
    return Accounts(balances=balances, escrows={row["id"]: row["name"] for row in escrows})


def charges(reader: Reader, own: Accounts, span: Span, job_name: Names) -> Sums:
    """What a tenant was charged in a span, by job."""
    by_job: dict[str, list[Row]] = defaultdict(list)
    for row in _in_span(reader, INVOICES.charges, own.all, span):
        by_job[row["job"] or _id_in(own.escrows.get(row["account"], ""))].append(row)
    jobs: list[InvoiceJob] = []
    for job, rows in sorted(by_job.items()):
        net = [row for row in rows if not row["tax"]]
        lines = [*_compute_lines(reader, net, span), *_counted_lines(net), *_other_lines(net)]
        jobs.append(_job(job, job_name, lines))
    taxes = _taxes(row for rows in by_job.values() for row in rows)
    left = _sum(reader, INVOICES.left_for_others, list(own.escrows), span)
    taken_back = _sum(reader, INVOICES.taken_back, own.balances, span)
    return _sums(jobs, taxes, check=left + taken_back)


def given_back(reader: Reader, own: Accounts, span: Span) -> list[Credit]:
    """What came back to a tenant from those who were paid, entry by entry."""
    rows: dict[int, list[Row]] = defaultdict(list)
    for row in _in_span(reader, INVOICES.credits, own.all, span):
        rows[int(row["seq"])].append(row)
    found = [_credit(parts) for _, parts in sorted(rows.items())]
    total = sum(
        each.line.amount_micro_usd + sum(tax.amount_micro_usd for tax in each.taxes)
        for each in found
    )
    assert total == _sum(reader, INVOICES.came_from_others, own.all, span), (
        "the books say another sum"
    )
    return found


def sums_of_credits(found: Iterable[Credit], job_name: Names) -> Sums:
    """Some credits as the lines of one document."""
    by_job: dict[str, list[InvoiceLine]] = defaultdict(list)
    taxes: dict[str, int] = defaultdict(int)
    for credit in found:
        by_job[credit.job].append(credit.line)
        for tax in credit.taxes:
            taxes[tax.jurisdiction] += tax.amount_micro_usd
    jobs = [_job(job, job_name, lines) for job, lines in sorted(by_job.items())]
    return _sums(jobs, _as_taxes(taxes))


def _sums(
    jobs: Sequence[InvoiceJob], taxes: tuple[InvoiceTax, ...], check: int | None = None
) -> Sums:
    total = sum(job.net_micro_usd for job in jobs) + sum(tax.amount_micro_usd for tax in taxes)
    assert check in (None, total), f"the books say {check}, the lines {total}"
    return Sums(jobs=tuple(jobs), taxes=taxes, total_micro_usd=total)


def _job(job: str, job_name: Names, lines: Sequence[InvoiceLine]) -> InvoiceJob:
    net = sum(line.amount_micro_usd for line in lines)
    return InvoiceJob(
        job=job, name=job_name(job) if job else "", lines=tuple(lines), net_micro_usd=net
    )


def _compute_lines(reader: Reader, rows: Sequence[Row], span: Span) -> list[InvoiceLine]:
    """The leases of one job, those of one price together."""
    amounts: dict[int, int] = defaultdict(int)
    for row in rows:
        if row["kind"] in COMPUTE:
            amounts[row["account"]] += int(row["amount"])
    by_price: dict[int | None, list[tuple[int, int | None]]] = defaultdict(list)
    for account, amount in amounts.items():
        before, after = _metered(reader, account, span.first), _metered(reader, account, span.end)
        seconds = None if before is None or after is None else after[0] - before[0]
        by_price[after[1] if after else None].append((amount, seconds))
    lines: list[InvoiceLine] = []
    for price, leases in sorted(by_price.items(), key=lambda each: each[0] or 0):
        seconds = [each for _, each in leases]
        known = [each for each in seconds if each is not None]
        lines.append(
            InvoiceLine(
                kind="compute",
                words=f"Compute, {len(leases)} lease{'s' if len(leases) > 1 else ''}",
                quantity=sum(known) if len(known) == len(seconds) else None,
                unit="s",
                price_micro_usd_per_hour=price,
                amount_micro_usd=sum(amount for amount, _ in leases),
            )
        )
    return lines


def _metered(reader: Reader, account: int, end: int) -> tuple[int, int | None] | None:
    """(seconds metered, price per hour) of a lease before a transfer; None where the books of old do not say.

    No price where it had several: on spot it changes from minute to minute.
    """
    row = reader.one(INVOICES.metered, {"account": account, "end": end})
    if row is None:
        return 0, 0
    facts = json.loads(row["facts"]) if row["facts"] else []
    whole = [fact for fact in facts if type(fact) is int]
    if len(whole) not in (2, 3):
        return None
    return whole[0], whole[1] if len(whole) == 2 else None


def _counted_lines(rows: Sequence[Row]) -> list[InvoiceLine]:
    lines: list[InvoiceLine] = []
    for kind, (unit, name) in COUNTED.items():
        found = [row for row in rows if row["kind"] == kind]
        if found:
            count, amount = (
                sum(int(row[column]) for row in found) for column in ("entries", "amount")
            )
            line = InvoiceLine(
                kind=unit, words=name, quantity=count, unit=unit, amount_micro_usd=amount
            )
            lines.append(line)
    return lines


def _other_lines(rows: Sequence[Row]) -> list[InvoiceLine]:
    """What is neither: a credit that was taken back."""
    amount = sum(int(row["amount"]) for row in rows if row["kind"] not in (*COMPUTE, *COUNTED))
    line = InvoiceLine(
        kind="other", words="Corrections", quantity=None, unit="", amount_micro_usd=amount
    )
    return [line] if amount else []


def _credit(rows: Sequence[Row]) -> Credit:
    row = rows[0]
    facts = json.loads(row["facts"]) if row["facts"] else []
    amount = sum(int(each["amount"]) for each in rows if not each["tax"])
    text = words(row["kind"], row["subject"], facts)
    return Credit(
        kind=row["kind"],
        at=Instant(row["at_ms"] / 1000),
        job=row["job"] or "",
        facts=tuple(facts),
        line=InvoiceLine(
            kind="credit", words=text, quantity=None, unit="", amount_micro_usd=amount
        ),
        taxes=_taxes(rows),
    )


def _taxes(rows: Iterable[Row]) -> tuple[InvoiceTax, ...]:
    amounts: dict[str, int] = defaultdict(int)
    for row in rows:
        if row["tax"]:
            amounts[row["tax"].removeprefix("tax:")] += int(row["amount"])
    return _as_taxes(amounts)


def _as_taxes(amounts: dict[str, int]) -> tuple[InvoiceTax, ...]:
    return tuple(
        InvoiceTax(jurisdiction=name, amount_micro_usd=amount)
        for name, amount in sorted(amounts.items())
    )


def _id_in(escrow: str) -> str:
    """The lease's or job's id in the name of its escrow."""
    return escrow.split(":")[1] if escrow else ""


def _in_span(reader: Reader, sql: str, keys: Sequence[int], span: Span) -> list[Row]:
    return read_keys(reader, sql, keys, span.first, span.end - 1)


def _sum(reader: Reader, sql: str, keys: Sequence[int], span: Span) -> int:
    return sum(int(row["amount"]) for row in _in_span(reader, sql, keys, span))
