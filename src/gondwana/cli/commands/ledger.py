"""`gondwana ledger`"""

import click

from gondwana.cli.output import facts
from gondwana.cli.shell import Shell, shell_command
from gondwana.core.money import format_usd
from gondwana.wire.views import AuditView

EXIT_DIFFERS = 1


@click.group(name="ledger")
def command() -> None:
    """The public books: recompute and check them."""


@shell_command(group=command)
def audit(shell: Shell) -> int:
    """Recompute every account from every transfer; ends with 1 where the books differ."""
    view = shell.client.ledger.audit()
    shell.result(view, lambda: _show(view))
    return 0 if view.ok else EXIT_DIFFERS


def _show(view: AuditView) -> str:
    sums = [
        ("books", "balance" if view.ok else "DO NOT BALANCE"),
        ("accounts", f"{view.accounts:,}"),
        ("transfers", f"{view.transfers:,}"),
        ("moved in all", format_usd(view.total_micro_usd, decimals=6)),
    ]
    return facts([*sums, *(("differs", difference) for difference in view.differences)])
