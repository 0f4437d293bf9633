"""What an invoice says in words, on paper as on the page."""

from typing import Final

from gondwana.core.money import format_usd
from gondwana.wire.ledger import InvoiceDocument, InvoiceJob, InvoiceLine

DECIMALS: Final = 6  # the books' smallest unit: no total is rounded
_MONTHS: Final = ("January", "February", "March", "April", "May", "June", "July", "August", "September",
                  "October", "November", "December")  # fmt: skip


def title(invoice: InvoiceDocument) -> str:
    """What it is."""
    return "Credit note" if invoice.kind == "credit_note" else "Invoice"


def month(invoice: InvoiceDocument) -> str:
    """`November 2026`."""
    year, number = invoice.month.split("-")
    return f"{_MONTHS[int(number) - 1]} {year}"


def issued(invoice: InvoiceDocument) -> str:
    """The day of issue."""
    return invoice.issued_at[:10]


def usd(micro_usd: int) -> str:
    """An amount, exactly."""
    return format_usd(micro_usd, decimals=DECIMALS)


def job(each: InvoiceJob) -> str:
    """What a job is called; "" for what belongs to none."""
    return each.name or each.job


def quantity(line: InvoiceLine) -> str:
    """`7,201 s`, `1,204`, or nothing."""
    if line.quantity is None:
        return ""
    return f"{line.quantity:,} s" if line.unit == "s" else f"{line.quantity:,}"


def rate(line: InvoiceLine) -> str:
    """The price of an hour, where there is one."""
    price = line.price_micro_usd_per_hour
    return f"{usd(price)}/h" if price else ""


def sentence(invoice: InvoiceDocument) -> str:
    """How it was, or is, paid."""
    if invoice.kind == "credit_note":
        about = f" on invoice {invoice.corrects}" if invoice.corrects else ""
        return f"Credited{about}: the amount is already in your balance."
    return "Paid from your prepaid balance as the work was proven. Nothing is due."


def source(invoice: InvoiceDocument) -> str:
    """Where it comes from in the books."""
    taxed = " Hourly prices include tax, amounts of lines do not." if invoice.tax_micro_usd else ""
    return (
        f"Transfers {invoice.first_transfer:,} to {invoice.last_transfer:,} of the ledger, {invoice.month} UTC. "
        f"Amounts in {invoice.currency}, exact to the micro-dollar.{taxed}"
    )
