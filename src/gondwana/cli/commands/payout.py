"""`gondwana payout`"""

import sys

import click

from gondwana.cli.output import facts, moment, table
from gondwana.cli.payments import PAYOUT_HEADS, amount_or_all, dollars, payout_row, show_payout
from gondwana.cli.shell import Shell, shell_command
from gondwana.core.errors import InvalidValue
from gondwana.wire.treasury import DestinationView


@click.group(name="payout")
def command() -> None:
    """Have what you earned, or did not spend, paid out."""


@shell_command(group=command)
@click.argument("amount")
@click.option(
    "--from",
    "account",
    default="payable",
    show_default=True,
    type=click.Choice(["payable", "verifier", "reporter", "available"]),
    help="What you earned by machines, by checks, by reports; or what you can spend.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
def request(shell: Shell, amount: str, account: str, *, yes: bool) -> None:
    """Have AMOUNT dollars, or `all`, paid out to your destination."""
    micro_usd = amount_or_all(amount)
    to = shell.client.payouts.destination()
    what = "all of it" if micro_usd is None else dollars(micro_usd)
    shell.ask(f"Pay {what} from {account} to {to.destination} over {to.rail}?", yes=yes)
    view = shell.client.payouts.request(micro_usd, account=account)
    shell.result(view, lambda: show_payout(view))


@shell_command(name="list", group=command)
def list_payouts(shell: Shell) -> None:
    """Your payouts, newest first."""
    found = list(shell.client.payouts.list())
    rows = [payout_row(view) for view in found]
    shell.result(found, lambda: table(PAYOUT_HEADS, rows, empty="no payouts yet"))


@shell_command(group=command)
@click.argument("payout_id", metavar="ID")
def show(shell: Shell, payout_id: str) -> None:
    """One payout: where it stands, and why."""
    view = shell.client.payouts.get(payout_id)
    shell.result(view, lambda: show_payout(view))


@shell_command(group=command)
@click.argument("destination", required=False)
@click.option(
    "--holder", default="", metavar="NAME", help="Whose account it is, as the bank knows it."
)
@click.option(
    "--rail", default="", metavar="RAIL", help="How it is paid; the network's usual way by default."
)
def destination(shell: Shell, destination: str | None, holder: str, rail: str) -> None:
    """Show where your payouts go, or send them to DESTINATION from now on: an IBAN; `-` reads it from standard input.

    Standard input keeps it out of the list of processes, which everybody on the machine can read.
    """
    if destination is None:
        view = shell.client.payouts.destination()
    else:
        if not holder:
            raise InvalidValue(
                "Whose account is it?", field="--holder", hint='--holder "ADA LOVELACE"'
            )
        told = _read(shell) if destination == "-" else destination
        view = shell.client.payouts.set_destination(told.strip(), holder=holder, rail=rail)
    shell.result(view, lambda: _show(view))


def _read(shell: Shell) -> str:
    if sys.stdin.isatty():
        shell.tell("Type where your payouts go (an IBAN, an account's number), then Enter:")
    return sys.stdin.readline()


def _show(view: DestinationView) -> str:
    return facts(
        [
            ("to", view.destination),
            ("holder", view.holder),
            ("over", view.rail),
            ("since", moment(view.changed_at)),
        ]
    )
