"""`gondwana queue`"""

import click

from gondwana.cli.output import columns, moment, table
from gondwana.cli.shell import Shell, shell_command
from gondwana.wire.quotas import QueueView

HEADS = columns(
    ">PLACE", "JOB", "OF", "PROJECT", ">PRIORITY", "SINCE", "WANTS", "MECHANISM", "WAITS FOR"
)


@shell_command(name="queue")
@click.option("--all", "is_all", is_flag=True, help="Everybody's (operator).")
def command(shell: Shell, is_all: bool) -> None:
    """Who waits for machines: your jobs' places among all, and why.

    At posted prices whoever holds least of his due is next: docs/explanation/fairness.md. On spot and at auction
    there is no place, a price decides: docs/explanation/how-a-price-is-made.md
    """
    found = list(shell.client.quotas.queue(all=is_all))
    empty = "nobody waits" if is_all else "none of your jobs waits for machines"
    shell.result(found, lambda: table(HEADS, [_row(view) for view in found], empty=empty))


def _row(view: QueueView) -> list[str]:
    kinds = " or ".join(view.accelerators)
    wants = f"{view.machines} × " + (f"{view.devices} {kinds}" if kinds else "CPU")
    return [
        str(view.place or "-"), view.job, view.principal, view.project, str(view.priority),
        moment(view.since), wants, view.mechanism, view.why,
    ]  # fmt: skip
