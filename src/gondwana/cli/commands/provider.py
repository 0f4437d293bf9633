"""`gondwana provider`"""

import os
import re
import socket
from pathlib import Path

import click

from gondwana.cli.commands import provider_bids, provider_calendar, provider_price
from gondwana.cli.commands.provider_price import (
    ahead_words,
    discount_words,
    notice_words,
    spot_words,
)
from gondwana.cli.output import columns, facts, moment, price, table
from gondwana.cli.shell import Shell, shell_command
from gondwana.core.errors import InvalidValue, MissingToken
from gondwana.core.money import format_usd, parse_usd
from gondwana.core.units import format_bytes, format_seconds, parse_bytes
from gondwana.wire.leases import ServedLease, ServedLeases
from gondwana.wire.ledger import EarningsView
from gondwana.wire.views import MachineView

HEADS = columns(
    "NAME", "STATE", "REGION", "ACCELERATOR", ">FREE", ">$/HOUR", ">PROVEN", ">EARNED", "REASON"
)
LEASE_HEADS = columns("LEASE", "STATE", ">DEVICES", ">$/HOUR", "NOTICE", "ENDS", "REASON")
SLA_CLASSES = ("home", "mixed", "datacentre")
PEERS = ("off", "own", "all")
EARNINGS_HEADS = columns("NAME", "STATE", ">PROVEN", ">UNITS", ">REJECTED", ">EARNED")
MATURING_HEADS = columns("PAYABLE FROM", ">AMOUNT")


@click.group(name="provider")
def command() -> None:
    """Offer this machine, set its price, see what it earns. MACHINE is a name or an id."""


provider_bids.add_to(command)
provider_calendar.add_to(command)
provider_price.add_to(command)


@shell_command(group=command, remote=False)
@click.argument("url", required=False)
@click.option(
    "--token",
    metavar="TOKEN",
    help="A token with the scope `provider`; $GONDWANA_TOKEN or the saved one by default.",
)
@click.option(
    "--price",
    "price_text",
    required=True,
    metavar="USD",
    help="Per accelerator and hour; per hour for a machine without any.",
)
@click.option("--name", default=None, help="The machine's name; its host name by default.")
@click.option("--region", default="", help="Where it stands, e.g. eu-west.")
@click.option("--country", default="", metavar="CODE", help="The same in two letters, e.g. DE.")
@click.option(
    "--devices", default=None, metavar="0,1", help="Which accelerators to offer; all by default."
)
@click.option(
    "--max-cpu",
    "cpus_max",
    type=click.FloatRange(min=0.1),
    default=None,
    help="How many processors to offer.",
)
@click.option(
    "--max-memory", "memory_max", default=None, metavar="16GB", help="How much memory to offer."
)
@click.option(
    "--sla",
    type=click.Choice(SLA_CLASSES),
    default="home",
    show_default=True,
    help="What you promise about its being there; each join sets it anew.",
)
@click.option(
    "--peers",
    type=click.Choice(PEERS),
    default="own",
    show_default=True,
    help="With whose machines it may measure the way, which opens a port for some seconds.",
)
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    default=None,
    help="Where the machine's key and cache are kept.",
)
@click.option(
    "--own-jobs-without-sandbox",
    "plain",
    is_flag=True,
    help="Run your own jobs even where no sandbox can be had.",
)
def join(
    shell: Shell, url: str | None, token: str | None, price_text: str, name: str | None, region: str,
    country: str, devices: str | None, cpus_max: float | None, memory_max: str | None, sla: str, peers: str,
    state: Path | None, *, plain: bool,
) -> int | None:  # fmt: skip
    """Offer this machine on the market of URL, until Ctrl-C.

    Only dials out: nobody has to reach it. Other people's work runs in a sandbox, or not at all.
    """
    from gondwana.agent import main as agent
    from gondwana.agent.options import AgentOptions
    from gondwana.sdk import load_settings

    settings = load_settings(url=url, token=token)
    if settings.token is None:
        raise MissingToken(hint="export GONDWANA_TOKEN=…; gondwana provider join URL --price 0.20")
    machine = name or _host_name()
    options = AgentOptions(
        url=settings.url,
        token=settings.token,
        price_micro_usd_per_device_hour=parse_usd(price_text, field="--price"),
        name=machine,
        region=region,
        country=country,
        devices=_device_indices(devices),
        cpus_max=cpus_max,
        memory_bytes_max=None
        if memory_max is None
        else parse_bytes(memory_max, field="--max-memory"),
        sla=sla,
        peers=peers,
        state_dir=state or _state_folder() / machine,
        plain_for_own_jobs=plain,
    )
    return agent.run(options)


@shell_command(name="list", group=command)
@click.option("--all", "everyone", is_flag=True, help="Everybody's machines (operator).")
def list_machines(shell: Shell, *, everyone: bool) -> None:
    """Your machines."""
    found = list(shell.client.machines.list(everyone=everyone))
    empty = "no machines yet; offer one: gondwana provider join URL --price 0.20"
    shell.result(
        found, lambda: table(HEADS, [machine_row(machine) for machine in found], empty=empty)
    )


@shell_command(group=command)
@click.argument("machine")
def show(shell: Shell, machine: str) -> None:
    """One machine: what it has, what was measured, what it earned."""
    view = shell.client.machines.get(machine)
    shell.result(view, lambda: show_machine(view))


def _verb(name: str, words: str) -> None:
    @shell_command(name=name, group=command)
    @click.argument("machine")
    def act(shell: Shell, machine: str) -> None:
        view: MachineView = getattr(shell.client.machines, name)(machine)
        shell.result(view, lambda: f"{view.name} is {view.state}")

    act.help = words


_verb("pause", "Sell nothing new; what runs goes on.")
_verb("resume", "Sell again.")
_verb("drain", "Finish what runs, take nothing new, then leave.")
_verb("leave", "Leave now; jobs go on elsewhere.")
_verb("reinstate", "Lift a suspension (operator).")


@shell_command(group=command)
@click.argument("machine")
def leases(shell: Shell, machine: str) -> None:
    """What a machine serves now, with the notice that each lease agreed."""
    view = shell.client.machines.leases(machine)
    shell.result(view, lambda: _show_leases(view))


@shell_command(group=command)
@click.argument("what", metavar="MACHINE|LEASE")
def reclaim(shell: Shell, what: str) -> None:
    """Take a machine back, or what one lease holds of it: each lease ends when its agreed notice is over.

    You are paid meanwhile, and the machine sells nothing new until `gondwana provider resume`. A lease that agreed no
    notice ends in two minutes; what you promised of its service (`gondwana provider sla`) is then owed.
    """
    if what.startswith("lea_"):
        lease = shell.client.machines.reclaim_lease(what)
        shell.result(lease, lambda: table(LEASE_HEADS, [_lease_row(lease)], empty=""))
        return
    view = shell.client.machines.reclaim(what)
    shell.result(view, lambda: _show_leases(view))


@shell_command(name="sla", group=command)
@click.argument("machine")
@click.argument("class_", metavar="CLASS", type=click.Choice(SLA_CLASSES))
def set_sla(shell: Shell, machine: str, class_: str) -> None:
    """Promise this about the machine's being there, in leases made from now on: home, mixed or datacentre."""
    view = shell.client.machines.set_sla(machine, class_)
    shell.result(view, lambda: f"{view.name} promises: {view.sla}")


@shell_command(group=command)
def earnings(shell: Shell) -> None:
    """What your machines earned, where that money is, and when it becomes payable."""
    view = shell.client.account.earnings()
    shell.result(view, lambda: _show_earnings(view))


@shell_command(group=command, remote=False)
def test(shell: Shell) -> int:
    """Try what joining needs on this machine: the sandbox, its limits, PyTorch, room on the disk."""
    from gondwana.cli.checks import exit_code_of, machine_checks, show_checks

    checks = machine_checks()
    shell.result(checks, lambda: show_checks(checks))
    return exit_code_of(checks)


def show_machine(view: MachineView) -> str:
    """One machine as text."""
    inventory, speed = view.inventory, view.speed
    pairs = [
        ("machine", f"{view.name} ({view.id})"),
        ("owner", view.owner),
        ("state", f"{view.state} ({view.reason})" if view.reason else view.state),
        ("region", f"{view.region}, {view.country}" if view.country else view.region),
        ("reliability", f"{view.reliability:.1%}, {view.trust}"),
        ("price", f"{price(view.price_micro_usd_per_device_hour)} per hour"),
        ("spot", spot_words(view)),
        ("promises", view.sla),
        ("notice", notice_words(view.notice_seconds)),
        ("ahead", ahead_words(view)),
        ("long leases", discount_words(view)),
        ("free", f"{view.devices_free} of {view.devices}"),
    ]
    if inventory is not None:
        names = ", ".join(accelerator.name for accelerator in inventory.accelerators) or "none"
        pairs += [
            ("accelerators", names),
            ("processors", f"{inventory.cpu_count} × {inventory.cpu_model}"),
            ("memory", format_bytes(inventory.memory_bytes)),
            ("system", f"{inventory.os}, {inventory.architecture}, Python {inventory.python}"),
        ]
    if speed is not None and speed.steps_per_second is not None:
        pairs.append(("measured", f"{speed.steps_per_second:,.1f} training steps per second"))
    return facts(
        [
            *pairs,
            ("last proof", moment(view.proven_at)),
            ("proven", format_seconds(view.seconds_proven)),
            ("units", f"{view.units_accepted} accepted, {view.units_rejected} rejected"),
            ("earned", format_usd(view.earned_micro_usd, decimals=6)),
        ]
    )


def _show_leases(view: ServedLeases) -> str:
    rows = [_lease_row(each) for each in view.leases]
    return table(LEASE_HEADS, rows, empty=f"{view.machine} is {view.state} and serves nobody")


def _lease_row(lease: ServedLease) -> list[str]:
    return [
        lease.id,
        lease.state,
        str(lease.devices),
        price(lease.price_micro_usd_per_device_hour),
        notice_words(lease.notice_seconds),
        moment(lease.reclaim_at or lease.ends_at),
        lease.reason,
    ]


def machine_row(view: MachineView) -> list[str]:
    """One machine as a line of the list, under HEADS."""
    if view.inventory is None:
        model = "measuring" if view.state == "probing" else "unknown"
    else:
        model = next((each.name for each in view.inventory.accelerators), "CPU")
    return [
        view.name,
        view.state,
        view.region,
        model,
        f"{view.devices_free}/{view.devices}",
        price(view.price_micro_usd_per_device_hour),
        format_seconds(view.seconds_proven),
        format_usd(view.earned_micro_usd, decimals=6),
        view.reason,
    ]


def _show_earnings(view: EarningsView) -> str:
    rows = [
        [
            machine.machine,
            machine.state,
            format_seconds(machine.seconds_proven),
            str(machine.units_accepted),
            str(machine.units_rejected),
            format_usd(machine.earned_micro_usd, decimals=6),
        ]
        for machine in view.machines
    ]
    free = view.maturing[0] if view.maturing else None
    sums = [
        ("accrued", view.accrued_micro_usd, "proven, posted within seconds"),
        ("in work", view.in_work_micro_usd, "paid if it is accepted"),
        ("held back", view.holdback_micro_usd, f"the next is free on {free.day}" if free else ""),
        ("payable", view.payable_micro_usd, ""),
        ("evaluations", view.evaluations_micro_usd, "payable"),
        ("reports", view.reports_micro_usd, "payable"),
        ("paying out", view.paying_out_micro_usd, "on its way"),
        ("paid out", view.paid_out_micro_usd, ""),
        ("at stake", view.staked_micro_usd, ""),
        ("unbonding", view.unbonding_micro_usd, "leaving the stake"),
        ("vesting", view.vesting_micro_usd, "subsidies"),
    ]
    always = {"held back", "payable", "paid out"}
    shown = [each for each in sums if each[1] or each[0] in always]
    parts = [table(EARNINGS_HEADS, rows, empty="no machines yet"), _aligned(shown)]
    if view.maturing:
        days = [[each.day, format_usd(each.amount_micro_usd, decimals=6)] for each in view.maturing]
        parts.append(table(MATURING_HEADS, days, empty=""))
    return "\n\n".join(parts)


def _aligned(sums: list[tuple[str, int, str]]) -> str:
    """Amounts under each other, a note beside each."""
    width = max(len(format_usd(amount, decimals=6)) for _, amount, _ in sums)
    return facts(
        [
            (name, f"{format_usd(amount, decimals=6).rjust(width)}  {note}".rstrip())
            for name, amount, note in sums
        ]
    )


def _device_indices(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise InvalidValue(
            f"--devices: {text!r} is not a list of numbers",
            field="--devices",
            hint="write 0 or 0,1",
        )
    return tuple(sorted({int(part) for part in parts}))


def _host_name() -> str:
    plain = re.sub(r"[^A-Za-z0-9-]+", "-", socket.gethostname().split(".")[0]).strip("-").lower()
    return plain[:63] or "machine"


def _state_folder() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "gondwana" / "agent"
