"""`gondwana settings`"""

import json
from typing import Any

import click

from gondwana.cli.output import columns, table
from gondwana.cli.shell import Shell, shell_command
from gondwana.core.errors import InvalidValue, NoSuchThing
from gondwana.core.money import format_usd
from gondwana.core.units import format_seconds
from gondwana.wire.treasury import SettingView

HEADS = columns("SETTING", "FIELD", "VALUE", "THAT IS")
DAY = 86_400


@click.group(name="settings")
def command() -> None:
    """What the operator of this network decided about money (operator)."""


@shell_command(group=command)
@click.argument("name", required=False)
def show(shell: Shell, name: str | None) -> None:
    """Every setting, or the one of this NAME; amounts are in micro-USD, shares in basis points."""
    found = list(shell.client.settings.list())
    chosen = found if name is None else [_named(found, name)]
    shell.result(chosen, lambda: _show(chosen))


@shell_command(name="set", group=command)
@click.argument("name")
@click.argument("changes", metavar="FIELD=VALUE…", nargs=-1, required=True)
def set_setting(shell: Shell, name: str, changes: tuple[str, ...]) -> None:
    """Change fields of a setting from now on: `shares fee_bps=150`, `payouts rails=csv,manual`."""
    old = _named(list(shell.client.settings.list()), name).value
    fields = dict(_change(change, old) for change in changes)
    view = shell.client.settings.change(name, fields)
    shell.result(view, lambda: _show([view]))


def _change(text: str, old: dict[str, Any]) -> tuple[str, Any]:
    field, sign, value = text.partition("=")
    if not sign or not field:
        raise InvalidValue(field="FIELD=VALUE", value=text, hint="write e.g. fee_bps=150")
    if isinstance(old.get(field), list) and not value.startswith("["):
        return field, [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(old.get(field), str):
        return field, value
    try:
        return field, json.loads(value)
    except ValueError:
        return field, value


def _named(found: list[SettingView], name: str) -> SettingView:
    for view in found:
        if view.name == name:
            return view
    names = ", ".join(view.name for view in found)
    raise NoSuchThing(f"There is no setting {name!r}.", hint=f"one of: {names}")


def _show(found: list[SettingView]) -> str:
    rows = [
        [
            view.name,
            field,
            value if isinstance(value, str) else json.dumps(value),
            _words(field, value),
        ]
        for view in found
        for field, value in view.value.items()
    ]
    return table(HEADS, rows, empty="no settings")


def _words(field: str, value: Any) -> str:
    """A number of small units as people say it."""
    if type(value) is not int:
        return ""
    if "micro_usd" in field:
        return format_usd(value)
    for unit, whole in (("_bps", 100), ("_ppm", 10_000)):
        if field.endswith(unit):
            return f"{value / whole:g} %"
    if field == "seconds":
        return f"{value // DAY} days" if value % DAY == 0 else format_seconds(value)
    return ""
