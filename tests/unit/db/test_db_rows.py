import sqlite3
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, NewType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct, ValidationError

from gondwana.core.clock import Instant
from gondwana.core.ids import JobId
from gondwana.db.rows import columns, from_row, from_rows, to_row, to_values

Micro = NewType("Micro", int)


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    name: str
    sizes: tuple[int, ...]
    colour: Colour | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    id: JobId
    text: str
    number: int
    ratio: float
    at: Instant
    price: Micro
    raw: bytes
    is_on: bool
    colour: Colour
    level: Level
    maybe_text: str | None
    maybe_on: bool | None
    maybe_at: Instant | None
    maybe_colour: Colour | None
    part: Part
    maybe_part: Part | None
    parts: tuple[Part, ...]
    names: tuple[str, ...]
    counts: dict[str, int]
    either: int | str
    data: dict[str, Any]


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
INT64 = st.integers(-(2**63), 2**63 - 1)
FLOAT = st.floats(allow_nan=False)
PART = st.builds(
    Part, name=TEXT, sizes=st.lists(INT64, max_size=3).map(tuple), colour=st.none() | st.sampled_from(Colour)
)  # fmt: skip
THING = st.builds(
    Thing, id=TEXT, text=TEXT, number=INT64, ratio=FLOAT, at=FLOAT, price=INT64, raw=st.binary(max_size=8),
    is_on=st.booleans(), colour=st.sampled_from(Colour), level=st.sampled_from(Level), maybe_text=st.none() | TEXT,
    maybe_on=st.none() | st.booleans(), maybe_at=st.none() | FLOAT, maybe_colour=st.none() | st.sampled_from(Colour),
    part=PART, maybe_part=st.none() | PART, parts=st.lists(PART, max_size=2).map(tuple),
    names=st.lists(TEXT, max_size=3).map(tuple), counts=st.dictionaries(TEXT, INT64, max_size=3), either=INT64 | TEXT,
    data=st.dictionaries(TEXT, st.none() | st.booleans() | INT64 | TEXT | st.lists(TEXT, max_size=2), max_size=3),
)  # fmt: skip


@given(THING)
def test_a_value_comes_back_from_its_row_as_it_was(thing):
    row = to_row(thing)
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    declared = ", ".join(f"{name} {_type(name)}" for name in row)
    connection.execute(f"CREATE TABLE thing ({declared}) STRICT")
    connection.execute(f"INSERT INTO thing VALUES ({', '.join(':' + name for name in row)})", row)
    stored = connection.execute("SELECT 1 AS more, * FROM thing").fetchone()
    connection.close()
    assert from_row(Thing, stored) == thing
    assert from_rows(Thing, [stored, stored]) == [thing, thing]
    assert from_rows(Thing, [dict(stored)]) == [thing]
    assert dict(zip(columns(Thing), to_values(thing), strict=True)) == row


def _type(name):
    if name in ("number", "price", "is_on", "maybe_on", "level"):
        return "INTEGER"
    if name in ("ratio", "at", "maybe_at"):
        return "REAL"
    return "BLOB" if name == "raw" else "TEXT"


def test_columns_that_are_not_fields_are_ignored_and_missing_ones_are_not():
    row = {"name": "a", "sizes": "[1]", "colour": None, "count": 3}
    assert from_row(Part, row) == Part(name="a", sizes=(1,))
    with pytest.raises(KeyError):
        from_row(Part, {"name": "a"})


def test_whole_numbers_in_a_float_column_come_back_as_floats():
    @dataclass(frozen=True)
    class Timed:
        at: float

    assert type(from_row(Timed, {"at": 3}).at) is float


class Spot(Struct, frozen=True, kw_only=True):
    name: str
    colour: Colour | None = None
    sizes: tuple[int, ...] = ()


def rows_of(sql):
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    found = connection.execute(sql).fetchall()
    connection.close()
    return found


def test_structs_are_rows_as_dataclasses_are():
    spot = Spot(name="a", colour=Colour.RED, sizes=(1, 2))
    assert to_row(spot) == {"name": "a", "colour": "red", "sizes": "[1,2]"}
    assert from_row(Spot, to_row(spot)) == spot
    assert from_rows(Spot, rows_of("SELECT '[1,2]' AS sizes, 'a' AS name, 'red' AS colour")) == [
        spot
    ]


def test_of_two_columns_of_one_name_the_first_counts_in_one_row_and_in_many():
    rows = rows_of("SELECT 'a' AS name, NULL AS colour, '[]' AS sizes, 'b' AS name")
    assert from_rows(Spot, rows) == [from_row(Spot, rows[0])] == [Spot(name="a")]


def test_many_rows_that_lack_a_column_are_refused_and_no_rows_are_no_values():
    with pytest.raises((IndexError, ValueError)):
        from_rows(Spot, rows_of("SELECT 'a' AS name"))
    assert from_rows(Spot, []) == []


def test_a_text_that_no_enum_has_is_refused():
    with pytest.raises(ValidationError):
        from_row(Spot, {"name": "a", "colour": "green", "sizes": "[]"})


def test_values_of_one_field_are_rows_too():
    @dataclass(frozen=True)
    class Only:
        name: str

    assert from_rows(Only, rows_of("SELECT 'x' AS other, 'a' AS name")) == [Only("a")]
    assert to_values(Only("a")) == ["a"]
