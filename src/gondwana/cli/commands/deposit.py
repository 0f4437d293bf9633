"""`gondwana deposit`"""

import click

from gondwana.cli.output import table
from gondwana.cli.payments import DEPOSIT_HEADS, deposit_row
from gondwana.cli.shell import Shell, shell_command


@click.group(name="deposit")
def command() -> None:
    """Pay money in: the code to write on a transfer, and what came."""


@shell_command(group=command)
def reference(shell: Shell) -> None:
    """The code to write on a bank transfer, so that it finds your account; always the same one."""
    code = shell.client.deposits.reference()
    shell.result({"code": code}, lambda: code)


@shell_command(name="list", group=command)
def list_deposits(shell: Shell) -> None:
    """Your deposits, newest first."""
    found = list(shell.client.deposits.list())
    rows = [deposit_row(view) for view in found]
    shell.result(found, lambda: table(DEPOSIT_HEADS, rows, empty="no deposits yet"))
