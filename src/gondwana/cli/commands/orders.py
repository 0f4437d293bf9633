"""`gondwana orders`"""

import click

from gondwana.cli.output import columns, moment, price, table
from gondwana.cli.shell import Shell, shell_command
from gondwana.core.units import format_bytes, format_seconds
from gondwana.wire.auctions import AuctionView

HEADS = columns("ORDER", "WANTS", ">CAP $/HOUR", ">BIDS", "CLOSES", "YOURS THAT FIT")
OWN_HEADS = columns("ORDER", "JOB", "STATE", "WANTS", ">CAP $/HOUR", ">BIDS", "CLOSES", "GOT")


@shell_command(name="orders")
@click.option("--mine", is_flag=True, help="Your own jobs' auctions, and what they gave you.")
def command(shell: Shell, mine: bool) -> None:
    """Jobs that are auctioned now: gangs, long leases, and whoever asked for it.

    Owners bid with `gondwana provider bid ORDER --machine NAME --price USD` until an auction closes. Who asks least
    wins, and is paid what the next one would have cost: docs/explanation/how-a-price-is-made.md. CAP is for one
    accelerator and hour, or for a machine without any.
    """
    found = list(shell.client.auctions.list(mine=mine))
    if mine:
        empty = "none of your jobs was auctioned; a job file asks for it: gondwana: {mechanism: auction}"
        shell.result(
            found, lambda: table(OWN_HEADS, [_own_row(each) for each in found], empty=empty)
        )
        return
    shell.result(
        found,
        lambda: table(HEADS, [_row(each) for each in found], empty="no auction takes bids now"),
    )


def _row(auction: AuctionView) -> list[str]:
    cap = price(auction.price_cap_micro_usd_per_device_hour)
    return [
        auction.id, _wants(auction), cap, str(auction.bids), moment(auction.closes_at),
        ", ".join(auction.fits),
    ]  # fmt: skip


def _own_row(auction: AuctionView) -> list[str]:
    got = ", ".join(
        f"{win.machine} at {price(win.price_micro_usd_per_device_hour)}" for win in auction.wins
    )
    cap = price(auction.price_cap_micro_usd_per_device_hour)
    return [
        auction.id, auction.job, auction.state, _wants(auction), cap, str(auction.bids),
        moment(auction.closes_at), got,
    ]  # fmt: skip


def _wants(auction: AuctionView) -> str:
    """`4 to 8 machines with 2 × H100, 64.0 GB of memory, for 48 h`"""
    least, most = auction.machines_min, auction.machines_max
    count = f"{least}" if least == most else f"{least} to {most}"
    parts = [f"{count} machine{'s' if most > 1 else ''}"]
    if auction.accelerators:
        parts[0] += f" with {auction.devices} × {' or '.join(auction.accelerators)}"
    if auction.cpus_min:
        parts.append(f"{auction.cpus_min:g} CPUs")
    if auction.memory_bytes_min:
        parts.append(f"{format_bytes(auction.memory_bytes_min)} of memory")
    if auction.lease_seconds:
        parts.append(f"for {format_seconds(auction.lease_seconds)}")
    if auction.where:
        parts.append(auction.where)
    return ", ".join(parts)
