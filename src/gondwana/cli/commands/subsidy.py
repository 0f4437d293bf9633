"""`gondwana subsidy`"""

from pathlib import Path

import click

from gondwana.cli.output import columns, facts, moment, table
from gondwana.cli.payments import some_usd
from gondwana.cli.shell import Shell, shell_command
from gondwana.core.money import format_usd
from gondwana.wire.subsidies import SubsidyEpoch, SubsidyView

HEADS = columns("NAME", "STATE", "CLASSES", ">BUDGET", ">GIVEN", ">EPOCHS")
EPOCH_HEADS = columns(">EPOCH", "ENDED", "STATE", ">BUDGET", ">FUNDED", ">GIVEN", ">OWNERS")


@click.group(name="subsidy")
def command() -> None:
    """Programs that bring scarce machines in: proven, idle time is topped up to a floor."""


@shell_command(group=command)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def create(shell: Shell, file: Path) -> None:
    """Start the program that FILE (YAML) describes; it is paid out of the treasury (operator)."""
    from gondwana.cli.subsidyfile import read_program

    view = shell.client.subsidies.create(read_program(file))
    shell.result(view, lambda: show_program(view))


@shell_command(name="list", group=command)
def list_programs(shell: Shell) -> None:
    """All programs."""
    found = list(shell.client.subsidies.list())
    empty = "no programs; start one: gondwana subsidy create FILE"
    shell.result(found, lambda: table(HEADS, [_row(each) for each in found], empty=empty))


@shell_command(group=command)
@click.argument("program")
def show(shell: Shell, program: str) -> None:
    """One program: its terms, and what its newest epochs gave."""
    view = shell.client.subsidies.get(program)
    shell.result(view, lambda: show_program(view))


@shell_command(group=command)
@click.argument("program")
def stop(shell: Shell, program: str) -> None:
    """Give no more after the last whole epoch; what was given goes on vesting (operator)."""
    view = shell.client.subsidies.stop(program)
    shell.result(view, lambda: f"{view.id} is {view.state}")


@shell_command(group=command)
@click.argument("principal")
@click.option(
    "--case", required=True, metavar="ID", help="What was proven; the same case takes once."
)
@click.option("--reason", required=True, help="Why, for the owner's statement.")
@click.option(
    "--amount", default=None, metavar="USD", help="How much; all that is vesting by default."
)
def clawback(shell: Shell, principal: str, case: str, reason: str, amount: str | None) -> None:
    """Take back what PRINCIPAL was given and does not own yet, on proven fraud (operator)."""
    from gondwana.wire.subsidies import ClawbackRequest

    request = ClawbackRequest(
        principal=principal, case=case, reason=reason,
        amount_micro_usd=None if amount is None else some_usd(amount, field="--amount"),
    )  # fmt: skip
    view = shell.client.subsidies.claw_back(request)
    taken = format_usd(view.amount_micro_usd, decimals=6)
    shell.result(view, lambda: f"{taken} taken back from {view.principal}")


def show_program(view: SubsidyView) -> str:
    """One program as text."""
    settings = view.settings
    most = settings.alpha_ppm
    pairs = [
        ("program", f"{view.id} ({view.state})"),
        ("since", moment(view.began_at)),
        ("stopped", moment(view.stopped_at)),
        (
            "budget",
            f"{format_usd(settings.budget_micro_usd)} per {settings.epoch_seconds / 3600:g} hours",
        ),
        ("each epoch less", f"{settings.decay_ppm / 10_000:g} %" if settings.decay_ppm else ""),
        ("at most", "" if most is None else f"{most / 10_000:g} % of the fees of the epoch before"),
        ("stake per device", format_usd(settings.stake_micro_usd_min)),
        (
            "vests",
            f"{settings.vest_now_ppm / 10_000:g} % at once, the rest over {settings.vest_seconds / 86_400:g} days",
        ),
        *(
            (
                each.name,
                f"floor {format_usd(each.floor_micro_usd_per_hour, decimals=4)} per hour, "
                f"{each.devices_target} devices wanted",
            )
            for each in settings.classes
        ),
    ]
    rows = [_epoch_row(each) for each in view.epochs]
    return f"{facts(pairs)}\n\n{table(EPOCH_HEADS, rows, empty='no epoch has ended yet')}"


def _row(view: SubsidyView) -> list[str]:
    return [
        view.id,
        view.state,
        ", ".join(each.name for each in view.settings.classes),
        format_usd(view.settings.budget_micro_usd),
        format_usd(sum(each.awarded_micro_usd for each in view.epochs)),
        str(len(view.epochs)),
    ]


def _epoch_row(epoch: SubsidyEpoch) -> list[str]:
    return [
        str(epoch.number),
        moment(epoch.ended_at),
        epoch.state,
        format_usd(epoch.budget_micro_usd),
        format_usd(epoch.funded_micro_usd),
        format_usd(epoch.awarded_micro_usd),
        str(epoch.owners),
    ]
