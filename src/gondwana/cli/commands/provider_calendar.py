"""`gondwana provider maintenance`"""

import click

from gondwana.cli.output import columns, price, table
from gondwana.cli.shell import Shell, shell_command
from gondwana.core.errors import InvalidValue
from gondwana.core.units import format_instant, parse_instant
from gondwana.wire.calendar import BookingView, CalendarView

HEADS = columns("ID", "WHAT", "STATE", "FROM (UTC)", "UNTIL (UTC)", ">DEVICES", ">$/HOUR")


def add_to(group: click.Group) -> None:
    """Make this a command of `gondwana provider`."""
    group.add_command(maintenance)


@shell_command(name="maintenance")
@click.argument("machine")
@click.option("--from", "start", metavar="TIME", help="When it begins: 2026-12-01T08:00Z.")
@click.option("--until", "end", metavar="TIME", help="When the machine can be had again.")
@click.option("--cancel", "cancelled", metavar="ID", help="Take an announced window back.")
def maintenance(
    shell: Shell, machine: str, start: str | None, end: str | None, cancelled: str | None
) -> None:
    """Announce when you work on a machine, or list what it is booked for.

    Nobody is leased it for then; who is there is told so early that he has the notice that was agreed. Announced at
    least that notice ahead nothing is owed for it, and afterwards the machine sells again by itself.
    """
    if cancelled is not None:
        if start is not None or end is not None:
            raise InvalidValue(
                "a window is cancelled by itself", field="--cancel", hint="call it once for each"
            )
        _tell(shell, shell.client.machines.cancel_maintenance(machine, cancelled))
        return
    if (start is None) != (end is None):
        missing = "--from" if start is None else "--until"
        hint = "say both: --from 2026-12-01T08:00Z --until 2026-12-01T10:00Z"
        raise InvalidValue("a window has two ends", field=missing, hint=hint)
    if start is None or end is None:
        view = shell.client.machines.calendar(machine)
        shell.result(view, lambda: _show(view))
        return
    since, until = parse_instant(start, field="--from"), parse_instant(end, field="--until")
    _tell(shell, shell.client.machines.announce_maintenance(machine, since, until))


def _tell(shell: Shell, view: BookingView) -> None:
    shell.result(view, lambda: table(HEADS, [_row(view)], empty=""))


def _show(view: CalendarView) -> str:
    rows = [_row(each) for each in view.bookings]
    return table(HEADS, rows, empty=f"{view.machine} is booked for nothing")


def _row(view: BookingView) -> list[str]:
    is_reserved = view.kind == "reservation"
    return [
        view.id,
        view.kind,
        view.state,
        format_instant(view.starts_at),
        format_instant(view.ends_at),
        str(view.devices),
        price(view.price_micro_usd_per_device_hour) if is_reserved else "",
    ]
