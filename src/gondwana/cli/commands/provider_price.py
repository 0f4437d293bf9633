"""`gondwana provider price`"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from gondwana.cli.output import price
from gondwana.cli.pricing import POLICIES, make_policy, read_policy_file, show_pricing
from gondwana.cli.shell import Shell, shell_command
from gondwana.core.errors import InvalidValue
from gondwana.core.money import parse_usd
from gondwana.core.units import format_seconds, parse_seconds
from gondwana.wire.calendar import Discount
from gondwana.wire.views import MachineView


def add_to(group: click.Group) -> None:
    """Make this a command of `gondwana provider`."""
    group.add_command(set_price)


@shell_command(name="price")
@click.argument("machine")
@click.argument("usd", required=False)
@click.option(
    "--notice",
    metavar="TIME",
    help="How long before you take it back you promise to say so: 0, or 1h to 720h.",
)
@click.option(
    "--spot-floor",
    metavar="USD",
    help="Sell idle time on spot too: to interruptible jobs, at the market's price, never below this.",
)
@click.option(
    "--no-spot", is_flag=True, help="Sell no spot any more; what runs on spot has 2 minutes."
)
@click.option(
    "--reserve",
    metavar="TIME",
    help="Take reservations that end within so long from now, e.g. 30d; 0 for none (the default).",
)
@click.option(
    "--discount",
    "discounts",
    metavar="TIME=PERCENT",
    multiple=True,
    help="Ask so much less of leases agreed for so long, e.g. 24h=5%; say it once for each step. 0h=0% for none.",
)
@click.option(
    "--policy",
    type=click.Choice(POLICIES),
    help="Have the price set by this, between floor and ceiling.",
)
@click.option("--floor", metavar="USD", help="The least that you ever ask.")
@click.option("--ceiling", metavar="USD", help="The most that you ever ask.")
@click.option(
    "--target",
    metavar="PERCENT",
    help="utilisation: raise above it, lower below it. 70% by default.",
)
@click.option(
    "--under",
    metavar="PERCENT",
    help="undercut: so far below the lowest ask of others. 2% by default.",
)
@click.option(
    "--step", metavar="PERCENT", help="The most that one move changes the price by. 5% by default."
)
@click.option("--every", metavar="TIME", help="At most one move in so long. 1h by default.")
@click.option(
    "--script", metavar="FILE", help="script: your own program in Python, run on your machine."
)
@click.option(
    "--policy-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="All of it from a file of TOML.",
)
@click.option("--explain", is_flag=True, help="Why is the price what it is?")
def set_price(
    shell: Shell, machine: str, usd: str | None, notice: str | None, spot_floor: str | None, no_spot: bool,
    reserve: str | None, discounts: tuple[str, ...], policy_file: Path | None, explain: bool, **stated: str | None,
) -> None:  # fmt: skip
    """Ask USD per accelerator and hour, or have a policy set it; promise a notice, sell on spot: in leases from now on.

    A policy moves the price between --floor and --ceiling, in bounded steps; leases that run keep theirs.
    """
    values = {name: value for name, value in stated.items() if value is not None}
    ahead = reserve is not None or bool(discounts)
    others = notice is not None or spot_floor is not None or no_spot or ahead
    if explain or policy_file is not None or values:
        if others or (explain and (usd or policy_file or values)):
            raise InvalidValue(
                "a policy is set, and explained, by itself",
                field="--policy",
                hint="call it once for each",
            )
        _pricing(shell, machine, None if explain else _stated(policy_file, values, usd))
        return
    if usd is None and not others:
        hint = "0.20, --policy undercut, --notice 24h, --spot-floor 0.05, --reserve 30d or --discount 24h=5%"
        raise InvalidValue("name a price, or what else to change", field="USD", hint=hint)
    if spot_floor is not None and no_spot:
        raise InvalidValue("a floor and no spot", field="--no-spot", hint="take one of them out")
    if ahead:
        _ahead(shell, machine, reserve, discounts)
    if usd is not None or notice is not None or spot_floor is not None or no_spot:
        _terms(shell, machine, usd=usd, notice=notice, spot_floor=spot_floor, no_spot=no_spot)


def _ahead(shell: Shell, machine: str, reserve: str | None, discounts: Sequence[str]) -> None:
    """Set what is offered ahead and for long."""
    seconds = None if reserve is None else round(parse_seconds(reserve, field="--reserve"))
    steps = [_discount(each) for each in discounts]
    ladder = [each for each in steps if each.basis_points] if discounts else None
    view = shell.client.machines.set_ahead(machine, reserve_seconds_max=seconds, discounts=ladder)
    shell.result(view, lambda: f"{view.name}: {ahead_words(view)}; {discount_words(view)}")


def _discount(text: str) -> Discount:
    time, _, percent = text.partition("=")
    number = percent.strip().removesuffix("%")
    try:
        points = round(float(number) * 100)
    except ValueError:
        hint = "write a time and a percentage: 24h=5%"
        raise InvalidValue(field="--discount", value=text, hint=hint) from None
    return Discount(seconds=round(parse_seconds(time, field="--discount")), basis_points=points)


def _stated(
    policy_file: Path | None, values: Mapping[str, str], usd: str | None
) -> Mapping[str, object]:
    """What a file says, and the options over it."""
    read = read_policy_file(policy_file) if policy_file is not None else {}
    return {**read, **values, **({} if usd is None else {"price": usd})}


def _pricing(shell: Shell, machine: str, stated: Mapping[str, object] | None) -> None:
    """Set what is stated, or only look."""
    policy = None if stated is None else make_policy(stated)
    machines = shell.client.machines
    view = machines.pricing(machine) if policy is None else machines.set_pricing(machine, policy)
    shell.result(view, lambda: show_pricing(view))


def _terms(
    shell: Shell, machine: str, *, usd: str | None, notice: str | None, spot_floor: str | None, no_spot: bool
) -> None:  # fmt: skip
    machines = shell.client.machines
    floor = None if spot_floor is None else parse_usd(spot_floor, field="--spot-floor")
    seconds = None if notice is None else round(parse_seconds(notice, field="--notice"))
    view = None if usd is None else machines.set_price(machine, parse_usd(usd, field="USD"))
    if seconds is not None:
        view = machines.set_notice(machine, seconds)
    if floor is not None:
        view = machines.set_spot_floor(machine, floor)
    if no_spot:
        view = machines.sell_no_spot(machine)
    assert view is not None
    told = f"{view.name} asks {price(view.price_micro_usd_per_device_hour)} per hour"
    words = f"{told}; notice: {notice_words(view.notice_seconds)}; {spot_words(view)}"
    shell.result(view, lambda: words)


def spot_words(view: MachineView) -> str:
    """Whether a machine's idle time is sold on spot, and from which price on."""
    floor = view.spot_floor_micro_usd_per_device_hour
    return "no spot" if floor is None else f"on spot from {price(floor)}"


def ahead_words(view: MachineView) -> str:
    """How far ahead a machine may be reserved."""
    ahead = view.reserve_seconds_max
    return f"reservations that end within {format_seconds(ahead)}" if ahead else "no reservations"


def discount_words(view: MachineView) -> str:
    """What long leases cost less."""
    steps = [
        f"{each.basis_points / 100:g} % off from {format_seconds(each.seconds)}"
        for each in view.discounts
    ]
    return ", ".join(steps) or "no discounts"


def notice_words(seconds: int) -> str:
    """A promised notice."""
    return format_seconds(seconds) if seconds else "none"
