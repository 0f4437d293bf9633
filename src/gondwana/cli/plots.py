"""Small pictures in plain characters: a line of bars, a book's depth, a price over time."""

import sys
from collections.abc import Sequence
from typing import Final

BARS: Final = "▁▂▃▄▅▆▇█"
PLAIN_BARS: Final = ".:-=+*#@"  # where the terminal's encoding has no blocks

Points = Sequence[tuple[float, int | None]]  # (time, what holds from then on; None: nothing does)


def bars() -> str:
    """Eight characters, each fuller than the last, that standard output can show."""
    try:
        BARS.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return PLAIN_BARS
    return BARS


def sparkline(values: Sequence[int | None]) -> str:
    """One character per value, the largest full; a space where there is none."""
    shown, most = bars(), max((value for value in values if value is not None), default=0)
    return "".join(
        " " if value is None else shown[_level(value, most, len(shown))] for value in values
    )


def over_time(points: Points, since: float, until: float, columns: int) -> list[int | None]:
    """What held at the end of each of `columns` equal parts of the time; points are in order."""
    width = (until - since) / columns
    found: list[int | None] = []
    held, place = None, 0
    for column in range(columns):
        end = since + (column + 1) * width
        while place < len(points) and points[place][0] <= end:
            held, place = points[place][1], place + 1
        found.append(held)
    return found


def chart(values: Sequence[int | None], labels: tuple[str, str], *, rows: int) -> str:
    """The values as an area over `rows` lines; `labels` are of the largest value, and of zero."""
    shown, most = bars(), max((value for value in values if value is not None), default=0)
    eighths = [None if v is None else round(v / most * rows * len(shown)) if most else 0 for v in values]  # fmt: skip
    room = max(map(len, labels))
    lines: list[str] = []
    for row in reversed(range(rows)):
        label = labels[0] if row == rows - 1 else labels[1] if row == 0 else ""
        cells = "".join(_cell(each, row, shown) for each in eighths)
        lines.append(f"{label.rjust(room)} |{cells}".rstrip())
    return "\n".join(lines)


def _cell(eighths: int | None, row: int, shown: str) -> str:
    full = 0 if eighths is None else min(len(shown), eighths - row * len(shown))
    return " " if full <= 0 else shown[full - 1]


def _level(value: int, most: int, levels: int) -> int:
    return min(levels - 1, value * levels // most) if most > 0 else 0


def scatter(
    points: Sequence[tuple[float, float, str]],
    labels: tuple[str, str],
    ends: tuple[str, str],
    *,
    size: tuple[int, int],
) -> str:
    """Points (x, y, mark) in `size` columns and rows, later ones over earlier ones.

    `labels` are of the largest and the least y, `ends` of the least and the largest x.
    """
    columns, rows = size
    xs, ys = [x for x, _, _ in points], [y for _, y, _ in points]
    cells = [[" "] * columns for _ in range(rows)]
    for x, y, mark in points:
        row = rows - 1 - _place(y, min(ys), max(ys), rows)
        cells[row][_place(x, min(xs), max(xs), columns)] = mark
    room = max(map(len, labels))
    lines = [
        f"{(labels[0] if row == 0 else labels[1] if row == rows - 1 else '').rjust(room)} |{''.join(line)}".rstrip()
        for row, line in enumerate(cells)
    ]
    axis = f"{ends[0]}{ends[1].rjust(columns - len(ends[0]))}"
    return "\n".join([*lines, f"{' ' * room} +{'-' * columns}", f"{' ' * room}  {axis}"])


def _place(value: float, least: float, most: float, places: int) -> int:
    return round((value - least) / (most - least) * (places - 1)) if most > least else 0
