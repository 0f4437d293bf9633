"""One thing asked of an offer, and whether an offer has it. Numbers are in the field's smallest unit."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.devices import canonical_device, meant_device
from gondwana.market.fields import FIELDS, ORDERED, Field, Kind, Scalar
from gondwana.market.literals import DECIMALS_MAX, Number, print_number
from gondwana.market.model import Listing

Test = Callable[[Listing], bool]
BARE: Final = re.compile(r"""[^\s|"'<>=!~(),]+""")
"""A value that needs no quotes."""


class Operator(StrEnum):
    """How a field is compared."""

    IS = "="  # any of the values
    IS_NOT = "!="  # none of them
    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="
    LIKE = "~"  # any of the patterns


ORDERS: Final = (Operator.LESS, Operator.AT_MOST, Operator.MORE, Operator.AT_LEAST)


@dataclass(frozen=True, slots=True)
class Text:
    """A text to compare with; in a pattern `*` stands for any text."""

    text: str
    is_pattern: bool = False


Value = Text | Number


@dataclass(frozen=True, slots=True)
class Term:
    """One thing asked of an offer."""

    field: str
    operator: Operator
    values: tuple[Value, ...]

    def __str__(self) -> str:
        field = FIELDS[self.field]
        told = (_print(field, value) for value in self.values)
        return f"{self.field}{self.operator}{'|'.join(told)}"

    def test(self, now: Instant | None = None) -> Test:
        """Whether a listing has it at `now`, which only tags need; what was not measured does not fit."""
        field = FIELDS[self.field]
        if field.kind is Kind.TAG:
            assert now is not None, "whether a tag stands depends on when"
            return _tag_test(self, now)
        return _test(self, field)

    def holds(self) -> Callable[[Scalar], bool]:
        """Whether a known value of the field is what is asked; not of tags."""
        return _holds(self, FIELDS[self.field])

    def is_unknown(self, listing: Listing) -> bool:
        """Whether a listing does not fit because nobody knows."""
        return FIELDS[self.field].of(listing) is None


def _print(field: Field, value: Value) -> str:
    if not isinstance(value, Text):
        return print_number(field, value)
    is_bare = BARE.fullmatch(value.text) and ("*" not in value.text or value.is_pattern)
    if is_bare and not (
        field.kind is Kind.MODEL and not value.is_pattern and meant_device(value.text)
    ):
        return value.text
    return f"'{value.text}'" if '"' in value.text else f'"{value.text}"'


def _test(term: Term, field: Field) -> Test:
    of, holds = field.of, _holds(term, field)
    return lambda listing: (has := of(listing)) is not None and holds(has)


def _holds(term: Term, field: Field) -> Callable[[Scalar], bool]:
    if term.operator in ORDERS:
        compare, wanted = _COMPARE[term.operator], number_of(field, term.values[0])
        return lambda has: compare(has, wanted)
    if field.kind in ORDERED:
        numbers = {number_of(field, value) for value in term.values}
        has_any: Callable[[Scalar], bool] = numbers.__contains__
    else:
        has_any = _text_test(field, [value for value in term.values if isinstance(value, Text)])
    is_wanted = term.operator is not Operator.IS_NOT
    return lambda has: has_any(has) is is_wanted


def _tag_test(term: Term, now: Instant) -> Test:
    """Any of the tags, or none of them, among those that have not expired."""
    wanted = {value.text for value in term.values if isinstance(value, Text)}
    is_wanted = term.operator is not Operator.IS_NOT

    def test(listing: Listing) -> bool:
        has = any(
            tag.expires_at > now and (tag.name in wanted or f"{tag.name}@{tag.signer}" in wanted)
            for tag in listing.tags
        )
        return has is is_wanted

    return test


_COMPARE: Final[dict[Operator, Callable[..., bool]]] = {
    Operator.LESS: lambda has, wanted: has < wanted,
    Operator.AT_MOST: lambda has, wanted: has <= wanted,
    Operator.MORE: lambda has, wanted: has > wanted,
    Operator.AT_LEAST: lambda has, wanted: has >= wanted,
}


def number_of(field: Field, value: Value) -> int | float | Fraction:
    """What a field's values are compared with: as floats where they are floats, else exactly."""
    if isinstance(value, Text):
        return field.words.index(value.text)
    if field.kind in (Kind.NUMBER, Kind.SHARE):
        return float(value)
    return value.numerator if value.denominator == 1 else value


def number_from(has: Scalar) -> Number:
    """A field's number of a listing as a filter writes it: exactly, with as many decimals as can be written."""
    return (
        Fraction(round(has * 10**DECIMALS_MAX), 10**DECIMALS_MAX)
        if isinstance(has, float)
        else Fraction(has)
    )


def _text_test(field: Field, values: list[Text]) -> Callable[[Scalar], bool]:
    is_model = field.kind is Kind.MODEL
    plain = {(canonical_device(v.text) if is_model else v.text).casefold()
             for v in values if not v.is_pattern}  # fmt: skip
    spaces = re.compile(r"[\s_]+") if is_model else re.compile(r"(?!)")
    patterns = [
        spaces.sub("", value.text.casefold()).split("*") for value in values if value.is_pattern
    ]

    def test(has: Scalar) -> bool:
        text = str(has).casefold()
        return text in plain or any(_is_like(text, pieces) for pieces in patterns)

    return test


def _is_like(text: str, pieces: list[str]) -> bool:
    """Whether a text is these pieces with anything between them; in one pass, whatever the pattern."""
    if len(pieces) == 1:
        return text == pieces[0]
    first, *middle, last = pieces
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    place, end = len(first), len(text) - len(last)
    for piece in middle:
        found = text.find(piece, place, end)
        if found < 0:
            return False
        place = found + len(piece)
    return True
