"""`gondwana provider bid`, `bids` and `withdraw`"""

import click

from gondwana.cli.output import columns, moment, price, table
from gondwana.cli.shell import Shell, shell_command
from gondwana.core.money import parse_usd
from gondwana.wire.auctions import BidView

HEADS = columns("BID", "ORDER", "MACHINE", "STATE", ">ASKS", ">PAID", "MADE", "REASON")


def add_to(group: click.Group) -> None:
    """Make these commands of `gondwana provider`."""
    for each in (bid, bids, withdraw):
        group.add_command(each)


@shell_command()
@click.argument("order")
@click.option("--machine", required=True, metavar="NAME", help="Which of your machines.")
@click.option("--price", "price_text", required=True, metavar="USD",
              help="What you ask for one accelerator and hour; for a machine without any per hour.")  # fmt: skip
def bid(shell: Shell, order: str, machine: str, price_text: str) -> None:
    """Bid for an auctioned ORDER (see: gondwana orders).

    Ask what the work is worth to you, no more and no less: a winner is paid what the next best would have cost, and
    his own ask only decides whether he wins. Nobody else sees it. The machine's devices are held until the end.
    """
    asked = parse_usd(price_text, field="--price")
    view = shell.client.bids.place(order, machine, asked)
    told = f"{view.id}: {view.machine} asks {price(view.ask_micro_usd_per_device_hour)} per hour"
    shell.result(view, lambda: f"{told}; gondwana provider bids shows what becomes of it")


@shell_command()
def bids(shell: Shell) -> None:
    """Your bids and what became of them, newest first."""
    found = list(shell.client.bids.list())
    empty = "no bids yet; gondwana orders shows what is wanted"
    shell.result(found, lambda: table(HEADS, [_row(each) for each in found], empty=empty))


@shell_command()
@click.argument("bid_id", metavar="BID")
def withdraw(shell: Shell, bid_id: str) -> None:
    """Take a bid back; a lost one is then no second choice any more."""
    view = shell.client.bids.withdraw(bid_id)
    shell.result(view, lambda: f"{view.id} is {view.state}")


def _row(view: BidView) -> list[str]:
    paid = view.price_micro_usd_per_device_hour
    return [
        view.id, view.order, view.machine, view.state, price(view.ask_micro_usd_per_device_hour),
        "" if paid is None else price(paid), moment(view.created_at), view.reason.replace("_", " "),
    ]  # fmt: skip
