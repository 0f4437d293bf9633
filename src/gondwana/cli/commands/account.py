"""`gondwana account`"""

import click

from gondwana.cli.output import columns, facts, moment, table
from gondwana.cli.shell import Shell, shell_command
from gondwana.core.money import format_usd, parse_usd
from gondwana.wire.views import AccountView, StatementLine

HEADS = columns("WHEN", "ACCOUNT", ">AMOUNT", ">BALANCE", "WHAT")


@click.group(name="account")
def command() -> None:
    """Your balance and statement; record a deposit."""


@shell_command(group=command)
def balance(shell: Shell) -> None:
    """What you can spend, what is held for jobs, what you earned."""
    view = shell.client.account.balance()
    shell.result(view, lambda: show_account(view))


@shell_command(group=command)
def statement(shell: Shell) -> None:
    """Every transfer that touched your accounts."""
    lines = list(shell.client.account.statement())
    shell.result(
        lines, lambda: table(HEADS, [_row(line) for line in lines], empty="no transfers yet")
    )


@shell_command(group=command)
@click.argument("amount")
@click.option(
    "--to", "principal", default="", metavar="NAME", help="Whose account; yours by default."
)
@click.option("--reference", default="", help="Where the money came from, e.g. a bank's reference.")
def deposit(shell: Shell, amount: str, principal: str, reference: str) -> None:
    """Record that AMOUNT dollars came in (operator)."""
    micro_usd = parse_usd(amount, field="AMOUNT")
    view = shell.client.account.deposit(micro_usd, principal=principal, reference=reference)
    shell.result(view, lambda: show_account(view))


def show_account(view: AccountView) -> str:
    """An account as text, its amounts aligned."""
    amounts = [
        ("available", view.available_micro_usd, ""),
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


def _row(line: StatementLine) -> list[str]:
    amount = format_usd(line.amount_micro_usd, decimals=6)
    return [
        moment(line.at),
        line.account,
        amount,
        format_usd(line.balance_micro_usd, decimals=6),
        line.words,
    ]
