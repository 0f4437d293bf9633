"""`gondwana stake`"""

import click

from gondwana.cli.output import columns, facts, moment, table
from gondwana.cli.payments import some_usd
from gondwana.cli.shell import Shell, shell_command
from gondwana.core.money import format_usd
from gondwana.wire.stakes import StakeView

MORE_HEADS = columns(">TO HOLD", ">PUT DOWN")
UNBONDING_DAYS = 14


@click.group(name="stake")
def command() -> None:
    """What you put at stake for your work to be right; the more, the more unverified work you may hold."""


@shell_command(group=command)
@click.option("--of", "principal", default="", metavar="NAME", help="Somebody's (operator).")
def show(shell: Shell, principal: str) -> None:
    """What is at stake, what is on its way out, and how much work that allows."""
    view = shell.client.stakes.get(principal=principal)
    shell.result(view, lambda: show_stake(view))


@shell_command(group=command)
@click.argument("amount", metavar="USD")
@click.option("--to", "principal", default="", metavar="NAME", help="Whose stake (operator).")
@click.option(
    "--rail", default="", help="It arrived over this rail, and is not earnings (operator)."
)
@click.option("--yes", "-y", is_flag=True, help="Do not ask before money moves.")
def add(shell: Shell, amount: str, principal: str, rail: str, *, yes: bool) -> None:
    """Put USD of your earnings at stake."""
    micro_usd = some_usd(amount, field="USD")
    source = f"that arrived over {rail}" if rail else "of earnings"
    question = (
        f"Put {format_usd(micro_usd)} {source} at stake? It can be slashed for wrong work, "
        f"and takes {UNBONDING_DAYS} days to come back."
    )
    shell.ask(question, yes=yes)
    view = shell.client.stakes.add(micro_usd, principal=principal, rail=rail)
    shell.result(view, lambda: show_stake(view))


@shell_command(group=command)
@click.argument("amount", metavar="USD")
@click.option("--yes", "-y", is_flag=True, help="Do not ask before money moves.")
def unbond(shell: Shell, amount: str, *, yes: bool) -> None:
    """Take USD out of your stake: free after two weeks, and slashable until then."""
    micro_usd = some_usd(amount, field="USD")
    shell.ask(
        f"Take {format_usd(micro_usd)} out? From now on you may hold less unverified work.", yes=yes
    )
    view = shell.client.stakes.unbond(micro_usd)
    shell.result(view, lambda: show_stake(view))


def show_stake(view: StakeView) -> str:
    """A stake as text: the money, what it allows and why, what would allow more."""
    leaving = [
        ("on its way out", f"{_usd(part.amount_micro_usd)}  free {moment(part.free_at)}, if no slash holds it")
        for part in view.unbonding
    ]  # fmt: skip
    held, payable = view.held_by_cases_micro_usd, view.payable_micro_usd
    money = [
        ("owner", view.principal),
        ("at stake", _usd(view.staked_micro_usd)),
        ("held back", f"{_usd(view.holdback_micro_usd)}  earned; counts as stake meanwhile"),
        ("held by cases", f"{_usd(held)}  gondwana case list" if held else ""),
        *leaving,
        (
            "payable",
            f"{_usd(payable)}  can be put at stake: gondwana stake add USD" if payable else _usd(0),
        ),
        ("unverified work", _work(view)),
        ("why", _why(view)),
    ]
    rows = [[_usd(each.work_micro_usd), _usd(each.stake_micro_usd)] for each in view.more]
    if not rows:
        return facts(money)
    more = table(MORE_HEADS, rows, empty="")
    return "\n".join([facts(money), "", "More work at once, for more at stake:", more])


def _work(view: StakeView) -> str:
    most = view.unverified_max_micro_usd
    limit = "there is no limit" if most is None else f"at most {_usd(most)}"
    return f"{_usd(view.unverified_micro_usd)} now, {limit}"


def _why(view: StakeView) -> str:
    if view.unverified_max_micro_usd is None:
        return "work is checked so often that cheating loses without a stake"
    allowance, borne = view.allowance_micro_usd, view.unverified_max_micro_usd
    return (
        f"{_usd(allowance)} for everybody, {_usd(max(0, borne - allowance))} for the "
        f"{_usd(view.collateral_micro_usd)} that a cheat would lose"
    )


def _usd(micro_usd: int) -> str:
    return format_usd(micro_usd)
