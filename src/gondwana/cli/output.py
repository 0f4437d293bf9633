"""Text for people: aligned tables, money, times."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Final

from gondwana.cli.shell import clean
from gondwana.core.money import MICRO_PER_USD, format_usd

if TYPE_CHECKING:
    from datetime import datetime

LAST_COLUMN_CHARS_LEAST: Final = 16  # below this a wrapped column is a tower of syllables
GOES_ON: Final = "\n    "


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column's title, and whether it holds numbers."""

    title: str
    right: bool = False


def columns(*titles: str) -> list[Column]:
    """Columns by title; a title that starts with `>` is of numbers, aligned to the right."""
    return [Column(title=title.removeprefix(">"), right=title.startswith(">")) for title in titles]


def table(heads: Sequence[Column], rows: Sequence[Sequence[str]], *, empty: str) -> str:
    """The rows under their titles; `empty` in words where there are none.

    A name or id is never cut short: on a terminal too narrow for that, a row goes on in a line of its own.
    """
    if not rows:
        return empty
    cleaned = [[clean(cell) for cell in row] for row in rows]
    widths = [
        max(len(line[index]) for line in ([head.title for head in heads], *cleaned))
        for index in range(len(heads))
    ]
    room = get_terminal_size().columns - sum(widths[:-1]) - 2 * (len(widths) - 1)
    if not sys.stdout.isatty():
        return _plain_table(heads, cleaned, widths)
    if room >= min(LAST_COLUMN_CHARS_LEAST, widths[-1]):
        return _rich_table(heads, cleaned)
    return _plain_table(heads, cleaned, widths, _breaks(widths))


def _plain_table(
    heads: Sequence[Column],
    rows: Sequence[Sequence[str]],
    widths: Sequence[int],
    breaks: frozenset[int] = frozenset(),
) -> str:
    """Columns under each other; a row goes on in a line of its own at each column of `breaks`."""
    told: list[str] = []
    for row in ([head.title for head in heads], *rows):
        cells = (
            cell.rjust(width) if head.right else cell.ljust(width)
            for cell, width, head in zip(row, widths, heads, strict=True)
        )
        line = "".join(
            ("" if index == 0 else GOES_ON if index in breaks else "  ") + cell
            for index, cell in enumerate(cells)
        )
        told += [part.rstrip() for part in line.split("\n") if part.strip()]
    return "\n".join(told)


def _breaks(widths: Sequence[int]) -> frozenset[int]:
    """The columns that do not fit into the line of the terminal that the ones before them began."""
    found: set[int] = set()
    end, room = 0, get_terminal_size().columns
    for index, width in enumerate(widths):
        end += width
        if index and end > room:
            found.add(index)
            end = len(GOES_ON) - 1 + width
        end += 2
    return frozenset(found)


def _rich_table(heads: Sequence[Column], rows: Sequence[Sequence[str]]) -> str:
    """The same on a terminal: titles stand out, and the last column wraps within itself."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for head in heads:
        last = head is heads[-1]
        drawn.add_column(
            head.title, justify="right" if head.right else "left", no_wrap=not last, overflow="fold"
        )
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    console = Console()
    with console.capture() as capture:
        console.print(drawn)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def facts(pairs: Sequence[tuple[str, str]]) -> str:
    """Names and values under each other; pairs without a value are left out."""
    shown = [(name, clean(value)) for name, value in pairs if value]
    width = max((len(name) for name, _ in shown), default=0)
    return "\n".join(f"{name.ljust(width)}  {value}" for name, value in shown)


def price(micro_usd: int) -> str:
    """A price per hour, always with four decimals so that a column aligns."""
    return (
        format_usd(micro_usd, decimals=4)
        if micro_usd % 100 == 0
        else f"${micro_usd / MICRO_PER_USD:.6f}"
    )


def moment(at: float | None) -> str:
    """A time on this machine's clock: `2026-11-23 14:05:09`; empty for None."""
    if at is None:
        return ""
    from datetime import datetime

    return datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M:%S")


def moment_utc(at: float) -> str:
    """The same by the books' clock, UTC."""
    return _utc(at).strftime("%Y-%m-%d %H:%M:%S")


def iso_utc(at: float) -> str:
    """A time for other programs: `2026-11-23T14:05:09.120Z`."""
    return _utc(at).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _utc(at: float) -> "datetime":
    from datetime import UTC, datetime

    return datetime.fromtimestamp(round(at, 3), tz=UTC)


def dollars(micro_usd: int) -> str:
    """An amount for other programs: `-1234.500000`, always six decimals."""
    whole, part = divmod(abs(micro_usd), MICRO_PER_USD)
    return f"{'-' if micro_usd < 0 else ''}{whole}.{part:06d}"


def csv_line(cells: Sequence[object]) -> str:
    """One line of CSV; words that a spreadsheet would take for a formula are quoted with an apostrophe."""
    import csv
    import io

    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(_cell(cell) for cell in cells)
    return out.getvalue()


def _cell(cell: object) -> object:
    text = clean(cell) if isinstance(cell, str) else cell
    starts = (
        isinstance(text, str) and text.startswith(("=", "+", "@", "-")) and not _is_number(text)
    )
    return f"'{text}" if starts else text


def _is_number(text: str) -> bool:
    return text.removeprefix("-").replace(".", "", 1).isdecimal()
