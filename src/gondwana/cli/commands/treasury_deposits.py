"""`gondwana treasury deposits`"""

from pathlib import Path

import click

from gondwana.cli.output import table
from gondwana.cli.payments import (
    DEPOSIT_HEADS,
    EXIT_REFUSED,
    deposit_row,
    read_text,
    show_deposit,
    show_import,
    some_usd,
)
from gondwana.cli.shell import Shell, shell_command
from gondwana.wire.treasury import DepositView, PaymentRequest

STATES = ["expected", "confirmed", "void", "unclear", "cleared", "returned", "charged_back"]
RAIL = click.option(
    "--rail", default="manual", show_default=True, metavar="RAIL", help="Over which rail."
)
REFERENCE = click.option("--reference", default="", help="What the payer wrote.")
YES = click.option("--yes", is_flag=True, help="Do not ask.")


@click.group()
def deposits() -> None:
    """Payments that came in, or are to come."""


@shell_command(name="list", group=deposits)
@click.option("--state", type=click.Choice(STATES), default=None, help="Only those.")
def list_deposits(shell: Shell, state: str | None) -> None:
    """Everybody's deposits, newest first."""
    found = list(shell.client.treasury.deposits.list(state or ""))
    rows = [deposit_row(view) for view in found]
    shell.result(found, lambda: table(DEPOSIT_HEADS, rows, empty="no deposits"))


def _record(shell: Shell, told: PaymentRequest) -> None:
    _told(shell, shell.client.treasury.deposits.record(told))


@shell_command(group=deposits)
@click.argument("name")
@click.argument("amount")
@RAIL
@REFERENCE
def record(shell: Shell, name: str, amount: str, rail: str, reference: str) -> None:
    """AMOUNT dollars came in for NAME."""
    micro_usd = some_usd(amount)
    told = PaymentRequest(
        principal=name, rail=rail, amount_micro_usd=micro_usd, reference=reference
    )
    _record(shell, told)


@shell_command(group=deposits)
@click.argument("name")
@click.argument("amount")
@RAIL
@REFERENCE
def expect(shell: Shell, name: str, amount: str, rail: str, reference: str) -> None:
    """AMOUNT dollars are to come for NAME; they count once they are confirmed."""
    micro_usd = some_usd(amount)
    told = PaymentRequest(
        principal=name, rail=rail, amount_micro_usd=micro_usd, reference=reference, expected=True
    )
    _record(shell, told)


@shell_command(group=deposits)
@click.argument("amount")
@RAIL
@REFERENCE
@click.option("--sender", default="", help="Who sent it, as the bank says.")
def unclear(shell: Shell, amount: str, rail: str, reference: str, sender: str) -> None:
    """AMOUNT dollars came in, and nobody knows whose they are."""
    micro_usd = some_usd(amount)
    told = PaymentRequest(
        principal="", rail=rail, amount_micro_usd=micro_usd, reference=reference, sender=sender
    )
    _record(shell, told)


@shell_command(group=deposits)
@click.argument("deposit_id", metavar="ID")
def confirm(shell: Shell, deposit_id: str) -> None:
    """An expected deposit came: its tenant can spend it."""
    _told(shell, shell.client.treasury.deposits.confirm(deposit_id))


@shell_command(group=deposits)
@click.argument("deposit_id", metavar="ID")
@click.option("--reason", default="", help="Why.")
def void(shell: Shell, deposit_id: str, reason: str) -> None:
    """An expected deposit will not come."""
    _told(shell, shell.client.treasury.deposits.void(deposit_id, reason=reason))


@shell_command(name="import", group=deposits)
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--rail", default="csv", show_default=True, metavar="RAIL", help="Over which rail.")
def import_statement(shell: Shell, file: Path, rail: str) -> int:
    """Read a bank's statement `id,reference,amount,date,sender`; reading it twice changes nothing.

    A deposit code in the reference finds its account; what has none is unclear. Ends with 1 where a line is refused.
    """
    view = shell.client.treasury.deposits.statement(rail, read_text(file))
    shell.result(view, lambda: show_import(view))
    return EXIT_REFUSED if view.refused else 0


@shell_command(group=deposits)
@click.argument("deposit_id", metavar="ID")
@click.argument("name")
def clear(shell: Shell, deposit_id: str, name: str) -> None:
    """An unclear payment is NAME's."""
    _told(shell, shell.client.treasury.deposits.clear(deposit_id, principal=name))


@shell_command(name="return", group=deposits)
@click.argument("deposit_id", metavar="ID")
@click.option("--reason", default="", help="Why.")
@YES
def give_back(shell: Shell, deposit_id: str, reason: str, *, yes: bool) -> None:
    """An unclear payment goes back to its sender; pay it back, then say so."""
    shell.ask(f"Was {deposit_id} sent back?", yes=yes)
    _told(shell, shell.client.treasury.deposits.give_back(deposit_id, reason=reason))


@shell_command(group=deposits)
@click.argument("deposit_id", metavar="ID")
@click.option("--reason", required=True, help="What the bank says; the tenant reads it.")
@YES
def chargeback(shell: Shell, deposit_id: str, reason: str, *, yes: bool) -> None:
    """A deposit's sender took it back: the tenant's balance pays, you pay the rest, and the account is frozen."""
    shell.ask(f"Charge {deposit_id} back and freeze its account?", yes=yes)
    _told(shell, shell.client.treasury.deposits.chargeback(deposit_id, reason=reason))


def _told(shell: Shell, view: DepositView) -> None:
    shell.result(view, lambda: show_deposit(view))
    if view.state == "unclear":
        shell.tell(f"whose is it? gondwana treasury deposits clear {view.id} NAME")
