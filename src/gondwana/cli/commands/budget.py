"""`gondwana budget`"""

import click

from gondwana.cli import limits
from gondwana.cli.output import columns, table
from gondwana.cli.shell import Shell, shell_command
from gondwana.core.money import format_usd, parse_usd
from gondwana.wire.budgets import BudgetView

HEADS = columns("OF", "PROJECT", "IN", ">LIMIT", ">USED", ">LEFT", "SET BY")

_period = click.option(
    "--period", type=click.Choice(["month", "ever"]), default="month", show_default=True,
    help="Each calendar month (UTC), or once.",
)  # fmt: skip


@click.group(name="budget")
def command() -> None:
    """Limit what jobs may spend: per month, per project, for good."""


@shell_command(name="list", group=command)
@limits.principal
def list_budgets(shell: Shell, principal: str) -> None:
    """Your limits, and what is used of them."""
    found = list(shell.client.budgets.list(principal=principal))
    empty = "no budgets: what is in the account may be spent"
    shell.result(found, lambda: table(HEADS, [_row(view) for view in found], empty=empty))


@shell_command(name="set", group=command)
@click.argument("amount")
@limits.project
@_period
@limits.principal
def set_budget(shell: Shell, amount: str, project: str, period: str, principal: str) -> None:
    """Let jobs spend at most AMOUNT dollars from now on.

    Setting a limit anew keeps what is used of it; a new one starts at nothing used.
    """
    view = shell.client.budgets.set(
        parse_usd(amount, field="AMOUNT"), project=project, period=period, principal=principal
    )
    shell.result(view, lambda: table(HEADS, [_row(view)], empty=""))


@shell_command(group=command)
@limits.project
@_period
@limits.principal
def remove(shell: Shell, project: str, period: str, principal: str) -> None:
    """Lift a limit."""
    view = shell.client.budgets.remove(project=project, period=period, principal=principal)
    shell.result(view, lambda: "lifted")


def _row(view: BudgetView) -> list[str]:
    amounts = (view.limit_micro_usd, view.used_micro_usd, view.left_micro_usd)
    return [
        view.principal,
        view.project or "(all jobs)",
        view.counts_in,
        *(format_usd(amount, decimals=6) for amount in amounts),
        "the operator" if view.set_by_operator else view.principal,
    ]
