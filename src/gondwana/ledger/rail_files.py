"""Files that treasurers exchange with a bank: comma-separated, bounded, and every error names line and column."""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from gondwana.core.errors import InvalidValue
from gondwana.core.money import MICRO_PER_USD, MICRO_USD_MAX

FILE_CHARS_MAX: Final = 512 * 1024
FILE_LINES_MAX: Final = 1_000  # applied in one transaction, which others wait for: about a second
CELL_CHARS_MAX: Final = 140  # of a bank transfer's text
_AMOUNT: Final = re.compile(r"(\d{1,12})(?:\.(\d{1,6}))?", re.ASCII)
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Which columns a file has; any others are not read."""

    needed: tuple[str, ...]
    other: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One row of a file, by column; each reading raises InvalidValue with its place."""

    number: int  # in the file, from 1
    cells: Mapping[str, str]

    def text(self, column: str) -> str:
        """One line of text; empty where the file has no such column."""
        cell = self.cells.get(column, "").strip()
        if len(cell) > CELL_CHARS_MAX:
            raise self.wrong(column, f"at most {CELL_CHARS_MAX} characters")
        if not cell.isprintable():
            raise self.wrong(column, "one line of printable text")
        return cell

    def filled(self, column: str) -> str:
        """Text that is not empty."""
        return self.text(column) or self._empty(column)

    def one_of(self, column: str, allowed: Sequence[str]) -> str:
        """One of a few words, in any case."""
        word = self.text(column).lower()
        if word not in allowed:
            raise self.wrong(column, f"one of: {', '.join(allowed)}")
        return word

    def micro_usd(self, column: str) -> int:
        """Dollars such as 12.50, more than zero, in micro-USD."""
        found = _AMOUNT.fullmatch(self.text(column))
        amount = 0
        if found is not None:
            amount = int(found[1]) * MICRO_PER_USD + int((found[2] or "").ljust(6, "0"))
        if not 0 < amount <= MICRO_USD_MAX:
            raise self.wrong(column, "dollars such as 12.50, more than 0, without a sign or commas")
        return amount

    def date(self, column: str) -> str:
        """A day such as 2026-11-23."""
        cell = self.text(column)
        try:
            if not _DATE.fullmatch(cell):
                raise ValueError
            return date.fromisoformat(cell).isoformat()
        except ValueError:
            raise self.wrong(column, "a day such as 2026-11-23") from None

    def wrong(self, column: str, hint: str) -> InvalidValue:
        """The error of one cell."""
        cell = ascii(self.cells.get(column, "")[:40])
        where = f"line {self.number}, column {column}"
        return InvalidValue(f"{where}: {cell} is not allowed.", field=where, hint=hint)

    def _empty(self, column: str) -> str:
        raise self.wrong(column, "this may not be empty")


def read_table(text: str, table: Table) -> list[Line]:
    """The rows below the head of a file; empty lines are left out. Raises InvalidValue."""
    if len(text) > FILE_CHARS_MAX:
        raise InvalidValue(
            f"The file has more than {FILE_CHARS_MAX:,} characters.", field="file", hint="split it"
        )
    rows = _rows(text.removeprefix("\ufeff"))
    _, head = next(rows, (1, []))
    names = [name.strip().lower() for name in head]
    _check_head(names, table)
    lines: list[Line] = []
    for number, cells in rows:
        if len(cells) != len(names):
            where = f"line {number}, column {min(len(cells), len(names)) + 1}"
            told = f"{where}: the line has {len(cells)} cells, the head has {len(names)}."
            raise InvalidValue(told, field=where, hint="put text with commas in quotes")
        if len(lines) == FILE_LINES_MAX:
            raise InvalidValue(
                f"line {number}: a file has at most {FILE_LINES_MAX:,} lines.",
                field=f"line {number}",
                hint="split it: a line that was read already changes nothing",
            )
        lines.append(Line(number=number, cells=dict(zip(names, cells, strict=True))))
    return lines


def write_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A file with one row per line."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return written.getvalue()


def dollars(micro_usd: int) -> str:
    """Exact decimal dollars: `12.50`, `0.000001`."""
    whole, rest = divmod(micro_usd, MICRO_PER_USD)
    decimals = f"{rest:06d}".rstrip("0").ljust(2, "0")
    return f"{whole}.{decimals}"


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """(line number, cells) of each line that is not empty."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            where = f"line {reader.line_num}"
            raise InvalidValue(
                f"{where}: {error}.", field=where, hint="save it as CSV with commas, in UTF-8"
            ) from None
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            yield reader.line_num, cells


def _check_head(names: Sequence[str], table: Table) -> None:
    known = {*table.needed, *table.other}
    missing = [name for name in table.needed if name not in names]
    doubled = [name for name in known if names.count(name) > 1]
    if missing or doubled:
        told = f"no column {missing[0]}" if missing else f"column {doubled[0]} twice"
        wanted = ",".join((*table.needed, *table.other))
        raise InvalidValue(
            f"line 1: {told}.", field="line 1", hint=f"begin the file with: {wanted}"
        )
