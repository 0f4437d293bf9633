"""`gondwana account`"""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import click

from gondwana.cli.output import (
    columns,
    csv_line,
    dollars,
    facts,
    iso_utc,
    moment_utc,
    table,
)
from gondwana.cli.payments import some_usd
from gondwana.cli.shell import Shell, shell_command
from gondwana.core.money import format_usd
from gondwana.wire.ledger import (
    InvoiceDocument,
    InvoiceJob,
    InvoiceLine,
    InvoiceView,
    PeriodView,
    StatementLine,
    StatementPage,
)
from gondwana.wire.views import AccountView

ACCOUNTS = (
    "available", "promo", "holdback", "payable", "verifier", "reporter", "stake", "unbonding", "subsidy", "all",
)  # fmt: skip
HEADS = columns("WHEN (UTC)", "ACCOUNT", ">AMOUNT", ">BALANCE", "WHAT")
BALANCE_HEADS = columns("BALANCE", ">OPENING", ">CLOSING")
INVOICE_HEADS = columns("NUMBER", "KIND", "MONTH", "ISSUED", "BUYER", ">TOTAL", "CORRECTS")
CHARGE_HEADS = columns("JOB", "WHAT", ">QUANTITY", ">$/HOUR", ">AMOUNT")
CSV_HEADS = (
    "time",
    "account",
    "event",
    "words",
    "amount",
    "balance",
    "amount_micro_usd",
    "balance_micro_usd",
    "transfer",
)


@click.group(name="account")
def command() -> None:
    """Your balance, statement and invoices; record a deposit."""


@shell_command(group=command)
def balance(shell: Shell) -> None:
    """What you can spend, what is held for jobs, what you earned."""
    view = shell.client.account.balance()
    shell.result(view, lambda: show_account(view))


@shell_command(group=command)
@click.option(
    "--account", type=click.Choice(ACCOUNTS), default="all", help="Which; all by default."
)
@click.option("--month", default=None, metavar="2026-11", help="One calendar month, UTC.")
@click.option("--since", default=None, metavar="DAY", help="From this day on, UTC: 2026-11-25.")
@click.option("--until", default=None, metavar="DAY", help="Before this day, UTC.")
@click.option("--csv", "as_csv", is_flag=True, help="For a spreadsheet: CSV with exact amounts.")
@click.option("--limit", type=click.IntRange(min=1), default=None, help="The newest so many lines.")
def statement(
    shell: Shell, account: str, month: str | None, since: str | None, until: str | None, limit: int | None,
    *, as_csv: bool,
) -> None:  # fmt: skip
    """Every transfer that touched your accounts, in words, newest first, with the balance after each."""
    if as_csv and shell.json:
        raise click.UsageError("give --csv or --json, not both", click.get_current_context())
    pages = shell.client.account.statement_pages(account, month=month, since=since, until=until)
    first = next(pages)
    lines = islice(_lines(first, pages), limit)
    if as_csv:
        _print_csv(lines)
        return
    shown = list(lines)
    shell.result(
        {"period": first.period, "lines": shown}, lambda: _show_statement(first.period, shown)
    )


@shell_command(group=command)
def invoices(shell: Shell) -> None:
    """Your invoices and credit notes, newest first; everybody's for an operator."""
    found = list(shell.client.invoices.list())
    empty = "no invoices yet: a month's comes an hour after its end, once the network has a seller"
    shell.result(
        found, lambda: table(INVOICE_HEADS, [_invoice_row(each) for each in found], empty=empty)
    )


@shell_command(group=command)
@click.argument("number")
@click.option("--pdf", type=click.Path(path_type=Path, dir_okay=False), help="Save it as a PDF.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Save it as a page.")
def invoice(shell: Shell, number: str, pdf: Path | None, html: Path | None) -> None:
    """One invoice or credit note by its NUMBER; --json is the document that its SHA-256 is of."""
    document = shell.client.invoices.get(number)
    for form, path in (("pdf", pdf), ("html", html)):
        if path is not None:
            path.write_bytes(shell.client.invoices.file(number, form))
            shell.tell(f"saved {path}")
    if shell.json:
        click.echo(shell.client.invoices.file(number, "json"))
    elif pdf is None and html is None:
        click.echo(_show_invoice(document))


@shell_command(group=command)
@click.argument("amount")
@click.option(
    "--to", "principal", default="", metavar="NAME", help="Whose account; yours by default."
)
@click.option("--reference", default="", help="Where the money came from, e.g. a bank's reference.")
def deposit(shell: Shell, amount: str, principal: str, reference: str) -> None:
    """Record that AMOUNT dollars came in (operator)."""
    micro_usd = some_usd(amount)
    view = shell.client.account.deposit(micro_usd, principal=principal, reference=reference)
    shell.result(view, lambda: show_account(view))


def show_account(view: AccountView) -> str:
    """An account as text, its amounts aligned."""
    amounts = [
        ("available", view.available_micro_usd, ""),
        ("promotional", view.promo_micro_usd, "  spent first; cannot be paid out"),
        ("held for jobs", view.escrow_micro_usd, ""),
        (
            "held back",
            view.holdback_micro_usd,
            "  earned; can still be disputed",
        ),
        ("payable", view.payable_micro_usd, "  earned"),
    ]
    width = max(len(format_usd(amount, decimals=6)) for _, amount, _ in amounts)
    lines = [
        (name, format_usd(amount, decimals=6).rjust(width) + note) for name, amount, note in amounts
    ]
    return facts([("account", view.principal), *lines])


def _lines(first: StatementPage, more: Iterator[StatementPage]) -> Iterator[StatementLine]:
    yield from first.items
    for page in more:
        yield from page.items


def _print_csv(lines: Iterator[StatementLine]) -> None:
    click.echo(csv_line(CSV_HEADS))
    for line in lines:
        amount, balance = line.amount_micro_usd, line.balance_micro_usd
        click.echo(
            csv_line(
                (iso_utc(line.at), line.account, line.event, line.words, dollars(amount), dollars(balance),
                 amount, balance, line.transfer)
            )
        )  # fmt: skip


def _show_statement(period: PeriodView, lines: Sequence[StatementLine]) -> str:
    rows = [
        [
            moment_utc(line.at),
            line.account,
            _usd(line.amount_micro_usd),
            _usd(line.balance_micro_usd),
            line.words,
        ]
        for line in lines
    ]
    sums = [
        [each.account, each.opening_micro_usd, each.closing_micro_usd] for each in period.accounts
    ]
    if len(sums) > 1:
        sums.append(["together", period.opening_micro_usd, period.closing_micro_usd])
    balances = [
        [str(name), _usd(int(opening)), _usd(int(closing))] for name, opening, closing in sums
    ]
    told = f"{_period(period)}\n\n{table(HEADS, rows, empty='no transfers')}"
    return f"{told}\n\n{table(BALANCE_HEADS, balances, empty='')}".rstrip()


def _period(period: PeriodView) -> str:
    since = "from the start" if period.since is None else f"from {moment_utc(period.since)} on"
    until = "until now" if period.until is None else f"before {moment_utc(period.until)}"
    return f"{since}, {until}, UTC"


def _invoice_row(each: InvoiceView) -> list[str]:
    return [
        each.number,
        _kind(each.kind),
        each.month,
        moment_utc(each.issued_at)[:10],
        each.buyer,
        _usd(each.total_micro_usd),
        each.corrects,
    ]


def _show_invoice(document: InvoiceDocument) -> str:
    head = [
        (_kind(document.kind), document.number),
        ("corrects", document.corrects),
        ("issued", document.issued_at),
        ("month", f"{document.month} UTC"),
        ("seller", ", ".join((document.seller.name, *document.seller.address))),
        ("tax id", document.seller.tax_id),
        ("buyer", document.buyer.name),
    ]
    rows = [_charge_row(job, line) for job in document.jobs for line in job.lines]
    sums = [
        ("net", document.net_micro_usd),
        *((f"tax {tax.jurisdiction}", tax.amount_micro_usd) for tax in document.taxes),
        ("total", document.total_micro_usd),
    ]
    width = max(len(_usd(amount)) for _, amount in sums)
    parts = (
        facts(head),
        table(CHARGE_HEADS, rows, empty=""),
        facts([(name, _usd(amount).rjust(width)) for name, amount in sums]),
    )
    return "\n\n".join(parts)


def _charge_row(job: InvoiceJob, line: InvoiceLine) -> list[str]:
    quantity = "" if line.quantity is None else f"{line.quantity:,}"
    if line.unit == "s" and quantity:
        quantity += " s"
    hourly = "" if not line.price_micro_usd_per_hour else _usd(line.price_micro_usd_per_hour)
    return [job.name or job.job, line.words, quantity, hourly, _usd(line.amount_micro_usd)]


def _kind(kind: str) -> str:
    return kind.replace("_", " ")


def _usd(micro_usd: int) -> str:
    return format_usd(micro_usd, decimals=6)
