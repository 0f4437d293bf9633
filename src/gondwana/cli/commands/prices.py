"""`gondwana prices`"""

from itertools import islice
from typing import Final

import click
import msgspec

from gondwana.cli import plots
from gondwana.cli.output import columns, price, table
from gondwana.cli.shell import Shell, clean, shell_command
from gondwana.core.clock import SystemClock
from gondwana.core.errors import InvalidValue
from gondwana.core.money import format_usd
from gondwana.core.units import format_seconds, parse_seconds
from gondwana.wire.prices import PriceTickView, PriceView
from gondwana.wire.spot import SpotCallView

HISTORIES_MAX: Final = 10  # of so many lines; a longer list is told without
TICKS_MAX: Final = 5_000  # of one history: 90 days of hours, and two of minutes
CALLS_MAX: Final = 10_080  # spot calls: a week of minutes
SINCE_SECONDS_MAX: Final = 90 * 86_400  # nothing older is kept
SPARK_CHARS: Final = 12
CHART_CHARS: Final = 60
CHART_ROWS: Final = 6
HEADS = columns("MODEL", "REGION", ">DEVICES", ">RENTABLE", ">LEASED", ">CLOSED", ">LOWEST", ">MEDIAN", ">HIGHEST",
                ">SPOT", ">$/M STEPS", "DEPTH", "HISTORY")  # fmt: skip


class History(msgspec.Struct, frozen=True, kw_only=True):
    """What `--history --json` prints of one model and region."""

    model: str
    region: str
    ticks: tuple[PriceTickView, ...]
    spot: tuple[SpotCallView, ...] = ()


@shell_command(name="prices")
@click.argument("filter_", metavar="[FILTER]...", nargs=-1)
@click.option("--history", is_flag=True, help="Plot how each of them went, at most ten.")
@click.option("--since", default="1d", metavar="TIME", show_default=True,
              help="How far back, such as 6h or 30d; 90 days are kept.")  # fmt: skip
def command(shell: Shell, filter_: tuple[str, ...], history: bool, since: str) -> None:
    """What the market holds and asks, by device model and region: depth, not whose it is.

    DEVICES = RENTABLE + LEASED + CLOSED. RENTABLE can be had now; CLOSED is neither: its machine is not up, its owner
    does not sell, or it has no sandbox for other people's work. LOWEST, MEDIAN and HIGHEST are asked for one rentable
    device for an hour: half of them cost at most the median. $/M STEPS is what a million reference training steps
    cost, at the lowest. SPOT is the price of the last spot call, for all who trade there. DEPTH shows how many may be
    had from the lowest to the highest price, HISTORY the median.

    FILTER counts only machines that fit, as in `gondwana offers`: gondwana prices 'model=H100 devices>=4'
    """
    seconds = parse_seconds(since, field="since")
    if not 0 < seconds <= SINCE_SECONDS_MAX:
        raise InvalidValue(field="since", value=since, hint="say how far back, at most 90d")
    found = list(shell.client.prices.list(where=" ".join(filter_)))
    now = SystemClock().now()
    begin = now - seconds
    if history and len(found) > HISTORIES_MAX:
        raise InvalidValue(
            f"{len(found)} models and regions are too many to plot.",
            field="filter",
            value=" ".join(filter_),
            hint=f"ask for at most {HISTORIES_MAX}: gondwana prices --history model={found[0].model}",
        )
    is_short = len(found) <= HISTORIES_MAX and (history or not shell.json)
    past = [_history(shell, each, begin) for each in found] if is_short else []
    if history:
        shell.result(past, lambda: "\n\n".join(_charts(each, begin, now) for each in past) or EMPTY)
        return
    shell.result(found, lambda: _table(found, past, begin, now))


EMPTY: Final = "nothing is there that fits"


def _history(shell: Shell, each: PriceView, since: float) -> History:
    prices = shell.client.prices
    ticks = prices.history(each.model, each.region, since=since)
    is_called = each.spot_micro_usd is not None
    calls = prices.spot(each.model, each.region, since=since) if is_called else iter(())
    return History(
        model=each.model, region=each.region, ticks=tuple(islice(ticks, TICKS_MAX)),
        spot=tuple(islice(calls, CALLS_MAX)),
    )  # fmt: skip


def _table(found: list[PriceView], past: list[History], since: float, now: float) -> str:
    lines = [plots.sparkline(_medians(each, since, now, SPARK_CHARS)) for each in past]
    rows = [
        [
            each.model,
            each.region,
            str(each.devices),
            str(each.rentable),
            str(each.leased),
            str(each.closed),
            _asked(each.ask_micro_usd_lowest),
            _asked(each.ask_micro_usd_median),
            _asked(each.ask_micro_usd_highest),
            _asked(each.spot_micro_usd),
            "" if each.work_micro_usd_lowest is None
            else format_usd(each.work_micro_usd_lowest, decimals=4),
            _depth(each),
            lines[index] if lines else "",
        ]
        for index, each in enumerate(found)
    ]  # fmt: skip
    return table(HEADS, rows, empty=EMPTY)


def _asked(micro_usd: int | None) -> str:
    return "" if micro_usd is None else price(micro_usd)


def _medians(past: History, since: float, now: float, width: int) -> list[int | None]:
    points = [(tick.at, tick.ask_micro_usd_median) for tick in past.ticks]
    return plots.over_time(points, since, now, width)


def _depth(each: PriceView) -> str:
    """How many devices may be had from the lowest price (left) to the highest."""
    if not each.depth:
        return ""
    steps = [(float(step.price_micro_usd_per_device_hour), step.devices) for step in each.depth]
    low, high = steps[0][0], steps[-1][0]
    if low == high:
        return plots.sparkline([steps[0][1]])
    width = (high - low) / (SPARK_CHARS - 1)
    return plots.sparkline(plots.over_time(steps, low - width, high, SPARK_CHARS))


def _charts(past: History, since: float, now: float) -> str:
    medians = _medians(past, since, now, CHART_CHARS)
    known = [median for median in medians if median is not None]
    head = f"{clean(past.model)} in {clean(past.region)}, the last {format_seconds(now - since)}"
    if not known:
        return f"{head}\nnothing was rentable, or nothing is known yet"
    rentable = plots.over_time([(tick.at, tick.rentable) for tick in past.ticks], since, now, CHART_CHARS)  # fmt: skip
    leased = plots.over_time([(tick.at, tick.leased) for tick in past.ticks], since, now, CHART_CHARS)  # fmt: skip
    room = max(len("rentable"), len(price(max(known))))
    labels = price(max(known)).rjust(room), price(0)
    rows = [
        head,
        "median asked for a device-hour",
        plots.chart(medians, labels, rows=CHART_ROWS),
        *(f"{name.rjust(room)} |{plots.sparkline(line)}  {_span(line)}"
          for name, line in (("rentable", rentable), ("leased", leased))),
    ]  # fmt: skip
    return "\n".join([*rows, *_spot_line(past, since, now, room)])


def _spot_line(past: History, since: float, now: float, room: int) -> list[str]:
    if not past.spot:
        return []
    points = [(call.at, call.price_micro_usd) for call in past.spot]
    prices = plots.over_time(points, since, now, CHART_CHARS)
    known = [each for each in prices if each is not None]
    told = f"{price(min(known))} to {price(max(known))}" if known else ""
    return [f"{'spot'.rjust(room)} |{plots.sparkline(prices)}  {told}"]


def _span(values: list[int | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{min(known)} to {max(known)}" if known else ""
