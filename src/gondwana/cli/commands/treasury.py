"""`gondwana treasury`"""

import time

import click

from gondwana.cli.commands.treasury_deposits import deposits
from gondwana.cli.commands.treasury_payouts import payouts
from gondwana.cli.days import end_of_day
from gondwana.cli.output import columns, moment, table
from gondwana.cli.payments import amount_or_all, dollars, show_treasury, some_usd
from gondwana.cli.shell import Shell, shell_command
from gondwana.wire.treasury import PromoRequest, PromoView

PROMO_HEADS = columns("ID", "WHOSE", ">AMOUNT", "GRANTED", "EXPIRES", "WHY")
RAIL = click.option(
    "--rail", default="manual", show_default=True, metavar="RAIL", help="Over which rail."
)
YES = click.option("--yes", is_flag=True, help="Do not ask.")


@click.group(name="treasury")
def command() -> None:
    """Money in and out of the network, and the operator's own (operator)."""


@click.group()
def promo() -> None:
    """Promotional credit: spent first, never paid out."""


@click.group()
def fund() -> None:
    """The insurance fund and the verification fund."""


for _group in (payouts, deposits, promo, fund):
    command.add_command(_group)


@shell_command(group=command)
def balance(shell: Shell) -> None:
    """Where all money is: what the rails hold is what is owed to others, unclear, and yours."""
    view = shell.client.treasury.balance()
    shell.result(view, lambda: show_treasury(view))


@shell_command(group=command)
@click.argument("amount")
@RAIL
def deposit(shell: Shell, amount: str, rail: str) -> None:
    """Record that AMOUNT dollars of the operator's own came in."""
    view = shell.client.treasury.deposit(rail, some_usd(amount))
    shell.result(view, lambda: show_treasury(view))


@shell_command(group=command)
@click.argument("amount")
@RAIL
@YES
def withdraw(shell: Shell, amount: str, rail: str, *, yes: bool) -> None:
    """Record that the operator took AMOUNT dollars of the treasury out."""
    micro_usd = some_usd(amount)
    shell.ask(f"Take {dollars(micro_usd)} out of the treasury over {rail}?", yes=yes)
    view = shell.client.treasury.withdraw(rail, micro_usd)
    shell.result(view, lambda: show_treasury(view))


@shell_command(group=command)
@click.argument("amount", default="all")
def sweep(shell: Shell, amount: str) -> None:
    """Move AMOUNT dollars of the fees earned so far, or all, into the treasury."""
    view = shell.client.treasury.sweep(amount_or_all(amount))
    shell.result(view, lambda: show_treasury(view))


@shell_command(name="deposit", group=fund)
@click.argument("fund", type=click.Choice(["insurance", "verification"]))
@click.argument("amount")
def fund_deposit(shell: Shell, fund: str, amount: str) -> None:
    """Move AMOUNT dollars of the treasury into a fund."""
    view = shell.client.treasury.fund_deposit(fund, some_usd(amount))
    shell.result(view, lambda: show_treasury(view))


@shell_command(name="withdraw", group=fund)
@click.argument("fund", type=click.Choice(["insurance", "verification"]))
@click.argument("amount")
def fund_withdraw(shell: Shell, fund: str, amount: str) -> None:
    """Move AMOUNT dollars of a fund's surplus back into the treasury."""
    view = shell.client.treasury.fund_withdraw(fund, some_usd(amount))
    shell.result(view, lambda: show_treasury(view))


@shell_command(group=command)
@click.argument("jurisdiction")
@click.argument("amount")
@RAIL
@YES
def tax(shell: Shell, jurisdiction: str, amount: str, rail: str, *, yes: bool) -> None:
    """Record that AMOUNT dollars of tax were paid to JURISDICTION."""
    micro_usd = some_usd(amount)
    shell.ask(f"Remit {dollars(micro_usd)} of tax to {jurisdiction} over {rail}?", yes=yes)
    view = shell.client.treasury.remit_tax(jurisdiction, rail, micro_usd)
    shell.result(view, lambda: show_treasury(view))


@shell_command(group=promo)
@click.argument("name")
@click.argument("amount")
@click.option("--why", required=True, help="What it is for; the tenant's statement says it.")
@click.option(
    "--expires",
    default=None,
    metavar="2026-12-31",
    help="The last day (UTC) it can be spent; never by default.",
)
def grant(shell: Shell, name: str, amount: str, why: str, expires: str | None) -> None:
    """Give NAME promotional credit of AMOUNT dollars out of the treasury."""
    request = PromoRequest(
        principal=name,
        amount_micro_usd=some_usd(amount),
        why=why,
        expires_at=None if expires is None else end_of_day(expires, time.time()),
    )
    view = shell.client.treasury.grant_promo(request)
    shell.result(view, lambda: table(PROMO_HEADS, [_promo_row(view)], empty=""))


@shell_command(name="list", group=promo)
def list_promos(shell: Shell) -> None:
    """Promotional credit as it was granted, newest first."""
    found = list(shell.client.treasury.promos())
    rows = [_promo_row(view) for view in found]
    shell.result(found, lambda: table(PROMO_HEADS, rows, empty="none was granted"))


@shell_command(group=command)
@click.argument("transfer", type=int)
@click.option("--why", required=True, help="What was wrong; statements say it.")
@YES
def correct(shell: Shell, transfer: int, why: str, *, yes: bool) -> None:
    """Move back all that the entry around TRANSFER moved: the mirror is posted, nothing is edited.

    `gondwana ledger export --csv` shows the number of each entry.
    """
    shell.ask(f"Post the mirror of the entry around transfer {transfer}?", yes=yes)
    view = shell.client.treasury.correct(transfer, why=why)
    shell.result(view, lambda: show_treasury(view))


@shell_command(group=command)
@click.argument("name")
@click.option("--reason", required=True, help="Why; its owner reads it.")
def freeze(shell: Shell, name: str, reason: str) -> None:
    """Stop NAME from spending and taking out; what runs goes on."""
    view = shell.client.treasury.freeze(name, reason=reason)
    shell.result(view, lambda: f"{view.principal} is frozen: {view.reason}")


@shell_command(group=command)
@click.argument("name")
def unfreeze(shell: Shell, name: str) -> None:
    """Let NAME spend and take out again."""
    view = shell.client.treasury.unfreeze(name)
    shell.result(view, lambda: f"{view.principal} is not frozen any more")


def _promo_row(view: PromoView) -> list[str]:
    return [
        view.id,
        view.principal,
        dollars(view.amount_micro_usd),
        moment(view.granted_at),
        moment(view.expires_at) or "never",
        view.why,
    ]
