"""`gondwana quota`"""

import click

from gondwana.cli import limits
from gondwana.cli.output import columns, table
from gondwana.cli.shell import Shell, shell_command
from gondwana.wire.quotas import QuotaView

HEADS = columns("OF", "PROJECT", "MODEL", ">DEVICES", ">JOBS", ">WEIGHT", "SET BY")

_model = click.option("--model", default="", help="Only devices of this model, e.g. H100.")


@click.group(name="quota")
def command() -> None:
    """Limit what jobs may hold at once: devices, jobs; weigh projects against each other.

    A job beyond a quota waits until something gets free; one that needs more than a quota ever allows is refused.
    An operator's quota and your own stand beside each other: the lower counts. docs/explanation/fairness.md
    """


@shell_command(name="list", group=command)
@limits.principal
def list_quotas(shell: Shell, principal: str) -> None:
    """Your quotas, and what is held of them."""
    found = list(shell.client.quotas.list(principal=principal))
    empty = "no quotas: fair shares alone decide who is served first"
    shell.result(found, lambda: table(HEADS, [_row(view) for view in found], empty=empty))


@shell_command(name="set", group=command)
@click.option("--devices-max", type=int, metavar="N", help="Devices at once.")
@click.option("--jobs-max", type=int, metavar="N", help="Jobs that hold machines at once.")
@click.option(
    "--weight", type=int, metavar="N", help="Of a project against your others: 2 is due twice as much as 1."
)  # fmt: skip
@limits.project
@_model
@limits.principal
def set_quota(
    shell: Shell, devices_max: int | None, jobs_max: int | None, weight: int | None, project: str,
    model: str, principal: str,
) -> None:  # fmt: skip
    """Let jobs hold no more than this from now on; what they hold they keep."""
    view = shell.client.quotas.set(
        devices_max=devices_max, jobs_max=jobs_max, weight=weight, project=project, model=model,
        principal=principal,
    )  # fmt: skip
    shell.result(view, lambda: table(HEADS, [_row(view)], empty=""))


@shell_command(group=command)
@limits.project
@_model
@limits.principal
def remove(shell: Shell, project: str, model: str, principal: str) -> None:
    """Lift a quota."""
    view = shell.client.quotas.remove(project=project, model=model, principal=principal)
    shell.result(view, lambda: "lifted")


def _row(view: QuotaView) -> list[str]:
    return [
        view.principal,
        view.project or "(all jobs)",
        view.model or "(any)",
        _held(view.devices_held, view.devices_max),
        _held(view.jobs_held, view.jobs_max),
        "" if view.weight is None else str(view.weight),
        "the operator" if view.set_by_operator else view.principal,
    ]


def _held(held: int, most: int | None) -> str:
    return f"{held}" if most is None else f"{held} of {most}"
