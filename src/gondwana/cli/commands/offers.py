"""`gondwana offers`"""

import sys
import threading
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, Literal

import click
import msgspec

from gondwana.cli.output import columns, price, table
from gondwana.cli.shell import Shell, shell_command
from gondwana.core.money import format_usd
from gondwana.core.units import GIB, format_instant
from gondwana.wire.views import OfferView

WATCH_SECONDS: Final = 2.0  # between two looks: a page of offers costs the control plane little
WATCHED_MAX: Final = 200  # offers: one page, the first in the order asked for
HEADS = columns(
    "MACHINE",
    "REGION",
    "ACCELERATOR",
    ">FREE",
    ">CPUS",
    ">MEMORY GB",
    ">STEPS/S",
    ">TFLOP/S",
    ">$/HOUR",
    ">$/M STEPS",
    ">RELIABLE",
    "SLA",
    "TAGS",
)

BOOKED = columns("BOOKED (UTC)")  # where anything is


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `--watch --json`: an offer is new, changed (as it is now), or gone (as it was)."""

    change: Literal["new", "changed", "gone"]
    offer: OfferView


@shell_command(name="offers")
@click.argument("filter_", metavar="[FILTER]...", nargs=-1)
@click.option("--sort", default="price", metavar="FIELD", show_default=True,
              help="Order by a field of the filter; with a minus from the largest: -steps.")  # fmt: skip
@click.option("--watch", is_flag=True,
              help="Follow the first 200 until Ctrl-C; with --json one line per change.")  # fmt: skip
def command(shell: Shell, filter_: tuple[str, ...], sort: str, watch: bool) -> None:
    """What the market sells now, the cheapest first.

    $/HOUR is for one accelerator, or for a whole machine without any. STEPS/S was measured on each machine with the
    same small training step; $/M STEPS is what a million of them cost there. SLA is what the owner promises: see
    docs/explanation/service-credits.md. BOOKED is when a machine is promised to others or worked on: before
    that it goes to jobs that are over in time or may be sent away.

    FILTER is a list of terms that all hold, in quotes, since < and > mean something to a shell:

    gondwana offers 'model=H100|A100-80GB devices>=4 price<=2.50 region=eu-*' --sort -steps

    A term is FIELD OPERATOR VALUE, with other values after | or in a list: region in (eu-1, eu-2). Texts: model (in any
    spelling), vendor, region, country, machine, with = != and ~, where * stands for any text. Numbers: devices, free,
    cpus, memory (64GB), device_memory (80GB as on the box), compute_capability, driver, tflops, steps, reliability
    (0.98), notice (2h), price ($ for a device-hour), price_per_tflop, price_per_million_steps, with = != < <= > >=.
    So too what comes in classes: bandwidth (narrow < home < fast < gigabit < backbone), trust (new < proven < staked),
    sla (home < mixed < datacentre). Words: interconnect, isolation, spot; and tags has gdpr, or tag:soc2@auditor.
    What was not measured of a machine fits no term about it. All fields: docs/reference/filter-fields.md.
    """
    where = " ".join(filter_)
    if watch:
        _watch(shell, where, sort)
        return
    found = list(shell.client.offers.list(where=where, sort=sort))
    shell.result(found, lambda: _table(found, where))


def _table(found: Iterable[OfferView], where: str) -> str:
    empty = "nothing on offer fits: leave out a term" if where else "nothing is on offer right now"
    rows = [(_row(offer), _booked(offer)) for offer in found]
    if not any(told for _, told in rows):
        return table(HEADS, [row for row, _ in rows], empty=empty)
    return table([*HEADS, *BOOKED], [[*row, told] for row, told in rows], empty=empty)


def _row(offer: OfferView) -> list[str]:
    per_million = offer.price_micro_usd_per_million_steps
    return [
        offer.machine,
        offer.region,
        offer.accelerator,
        f"{offer.devices_free}/{offer.devices}",
        f"{offer.cpus:g}",
        f"{offer.memory_bytes / GIB:.1f}",
        f"{offer.steps_per_second:,.1f}",
        f"{offer.tflops:,.2f}" if offer.tflops else "",
        price(offer.price_micro_usd_per_device_hour),
        "" if per_million is None else format_usd(per_million, decimals=4),
        f"{offer.reliability:.1%}",
        offer.sla,
        " ".join(sorted({tag.name for tag in offer.tags})),
    ]


def _booked(offer: OfferView) -> str:
    """When the offer's devices are promised to others the next time: `12-01 08:00 to 16:00, then 1 more`."""
    if not offer.booked:
        return ""
    first, more = offer.booked[0], len(offer.booked) - 1
    start, end = format_instant(first.starts_at), format_instant(first.ends_at)
    part = "" if first.devices == offer.devices else f"{first.devices} of {offer.devices}: "
    until = end[11:] if end[:10] == start[:10] else end[5:]
    return f"{part}{start[5:]} to {until}" + (f", then {more} more" if more else "")


def _watch(shell: Shell, where: str, sort: str) -> None:
    """Look again and again; Ctrl-C is how one ends it."""
    looks = _looks(shell, where, sort)
    try:
        if shell.json:
            _tell_changes(looks)
        elif sys.stdout.isatty():
            _draw(looks, where)
        else:
            _tell_tables(looks, where)
    except KeyboardInterrupt:
        return


def _looks(shell: Shell, where: str, sort: str) -> Iterator[list[OfferView]]:
    pause = threading.Event()  # never set: waiting on it passes time between two looks
    while True:
        yield list(islice(shell.client.offers.list(where=where, sort=sort), WATCHED_MAX))
        pause.wait(WATCH_SECONDS)


def changes(before: dict[str, OfferView], found: list[OfferView]) -> Iterator[Change]:
    """What became of the offers since the last look."""
    for offer in found:
        if offer != before.get(offer.id):
            yield Change(change="changed" if offer.id in before else "new", offer=offer)
    there = {offer.id for offer in found}
    for offer_id, offer in before.items():
        if offer_id not in there:
            yield Change(change="gone", offer=offer)


def _tell_changes(looks: Iterator[list[OfferView]]) -> None:
    before: dict[str, OfferView] = {}
    for found in looks:
        for change in changes(before, found):
            click.echo(msgspec.json.encode(change))
        before = {offer.id: offer for offer in found}


def _tell_tables(looks: Iterator[list[OfferView]], where: str) -> None:
    """Where no screen can be drawn over: the whole table again whenever it is another one."""
    last = ""
    for found in looks:
        text = _table(found, where)
        if text != last:
            click.echo(f"\n{text}" if last else text)
        last = text


def _draw(looks: Iterator[list[OfferView]], where: str) -> None:
    from rich.live import Live
    from rich.text import Text

    with Live(auto_refresh=False) as live:
        for found in looks:
            shown = f"{_table(found, where)}\n\nevery {WATCH_SECONDS:g} s; Ctrl-C ends it"
            live.update(Text.from_ansi(shown), refresh=True)
