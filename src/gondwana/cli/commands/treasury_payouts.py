"""`gondwana treasury payouts`"""

import os
from pathlib import Path
from typing import TextIO

import click

from gondwana.cli.output import table
from gondwana.cli.payments import (
    EXIT_REFUSED,
    PAYOUT_HEADS,
    dollars,
    payout_row,
    read_text,
    show_import,
    show_payout,
)
from gondwana.cli.shell import Shell, shell_command
from gondwana.core.errors import InvalidValue
from gondwana.wire.treasury import BatchView

RAIL = click.option(
    "--rail", default="csv", show_default=True, metavar="RAIL", help="Over which rail."
)
YES = click.option("--yes", is_flag=True, help="Do not ask.")


@click.group()
def payouts() -> None:
    """Payouts to send, and what became of them."""


@shell_command(name="list", group=payouts)
@click.option(
    "--state",
    type=click.Choice(["requested", "sent", "confirmed", "failed"]),
    default=None,
    help="Only those.",
)
def list_payouts(shell: Shell, state: str | None) -> None:
    """Everybody's payouts, newest first."""
    found = list(shell.client.treasury.payouts.list(state or ""))
    rows = [payout_row(view) for view in found]
    shell.result(found, lambda: table(PAYOUT_HEADS, rows, empty="no payouts"))


@shell_command(group=payouts)
@click.argument("payout_id", metavar="ID")
def show(shell: Shell, payout_id: str) -> None:
    """One payout: whose, how much, where it stands."""
    view = shell.client.payouts.get(payout_id)
    shell.result(view, lambda: show_payout(view))


@shell_command(group=payouts)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--batch", default=None, metavar="ID", help="Write the file of an earlier batch again."
)
@RAIL
@YES
def export(shell: Shell, file: Path, batch: str | None, rail: str, *, yes: bool) -> None:
    """Hand all payouts that wait to a rail, and write what it is sent to FILE, which only you can read."""
    made: str | None = None
    with _new_file(file) as written:
        try:
            if batch is None:
                shell.ask(f"Send all payouts that wait for {rail}?", yes=yes)
                batch = shell.client.treasury.payouts.send(rail).id
                made = batch
            view = None if batch is None else shell.client.treasury.payouts.batch(batch)
            written.write(view.file if view else "")
        except BaseException:
            file.unlink()
            if made is not None:
                again = f"gondwana treasury payouts export {file} --batch {made}"
                shell.tell(f"the batch is made, its file is not: {again}")
            raise
    if view is None:
        file.unlink()
    amount = sum(each.amount_micro_usd for each in view.payouts) if view else 0
    told = {
        "batch": batch,
        "payouts": len(view.payouts) if view else 0,
        "amount_micro_usd": amount,
        "file": str(file) if view else None,
    }
    words = (
        f"{_payouts(len(view.payouts) if view else 0)}, {dollars(amount)}, batch {batch}: {file}"
    )
    shell.result(told, lambda: words if view else f"nothing waits for {rail}")


@shell_command(group=payouts)
@click.argument("payout_ids", metavar="ID…", nargs=-1, required=True)
@click.option(
    "--rail", default="manual", show_default=True, metavar="RAIL", help="Over which rail."
)
@YES
def send(shell: Shell, payout_ids: tuple[str, ...], rail: str, *, yes: bool) -> None:
    """Note that you pay these now, and show where to; say so before you pay, so that nobody else pays them too."""
    shell.ask(f"Pay {_payouts(len(payout_ids))} over {rail} now?", yes=yes)
    made = shell.client.treasury.payouts.send(rail, payout_ids)
    view = shell.client.treasury.payouts.batch(made.id or "")
    shell.result(view, lambda: _show(view))


@shell_command(group=payouts)
@click.argument("payout_id", metavar="ID")
@click.option("--reference", required=True, help="The bank's own reference.")
def confirm(shell: Shell, payout_id: str, reference: str) -> None:
    """A payout arrived."""
    view = shell.client.treasury.payouts.confirm(payout_id, reference=reference)
    shell.result(view, lambda: show_payout(view))


@shell_command(group=payouts)
@click.argument("payout_id", metavar="ID")
@click.option("--reason", required=True, help="Why; its owner reads it.")
def fail(shell: Shell, payout_id: str, reason: str) -> None:
    """A payout did not arrive, or is not to be sent: the money is its owner's again at once."""
    view = shell.client.treasury.payouts.fail(payout_id, reason=reason)
    shell.result(view, lambda: show_payout(view))


@shell_command(group=payouts)
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@RAIL
def results(shell: Shell, file: Path, rail: str) -> int:
    """Read a bank's results `id,status,reference,reason`; reading them twice changes nothing.

    Ends with 1 where a line is refused.
    """
    view = shell.client.treasury.payouts.results(rail, read_text(file))
    shell.result(view, lambda: show_import(view))
    return EXIT_REFUSED if view.refused else 0


def _new_file(path: Path) -> TextIO:
    try:
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w")
    except FileExistsError:
        raise InvalidValue(
            field="FILE", value=str(path), hint="it exists: name a new file"
        ) from None


def _payouts(count: int) -> str:
    return "1 payout" if count == 1 else f"{count} payouts"


def _show(view: BatchView) -> str:
    return f"{view.file}\nwhen paid: gondwana treasury payouts confirm ID --reference REF"
