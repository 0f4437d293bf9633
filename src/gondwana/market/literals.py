"""Numbers of a filter as people write them: `4`, `2.50`, `$2.50`, `64GB`; exact, and printed so that they read back."""

import re
from fractions import Fraction
from typing import Final

from gondwana.core.errors import InvalidValue
from gondwana.market.fields import Field, Kind

Number = Fraction  # in the field's smallest unit
NUMBER_MAX: Final = 10**18  # in that unit; more is a slip of the hand
DECIMALS_MAX: Final = 6
SHOWN_CHARS_MAX: Final = 60  # of what was typed, in an error

_NUMBER: Final = re.compile(r"(\$?)(\d{1,25}(?:\.\d{1,6})?)\s*([A-Za-z]*)", re.ASCII)
_BINARY: Final = {"TB": 1024**4, "GB": 1024**3, "MB": 1024**2, "KB": 1024, "B": 1}
_DECIMAL: Final = {"TB": 10**12, "GB": 10**9, "MB": 10**6, "KB": 10**3, "B": 1}
_EITHER: Final = {f"{unit[0]}IB": size for unit, size in _BINARY.items() if unit != "B"}
_MICRO: Final = 1_000_000
_MEANT: Final = {
    Kind.WHOLE: "a whole number",
    Kind.NUMBER: "a number with at most six decimals",
    Kind.BYTES: "a size with its unit, and at most six decimals",
    Kind.CARD_BYTES: "a size with its unit, and at most six decimals",
    Kind.USD: "an amount of dollars with at most six decimals",
}


def shown(text: str) -> str:
    """What was typed, short enough for an error."""
    return text if len(text) <= SHOWN_CHARS_MAX else text[: SHOWN_CHARS_MAX - 1] + "…"


def read_number(field: Field, operator: str, text: str) -> Number:
    """The number in a value; raises InvalidValue with what to write instead."""
    found = _NUMBER.fullmatch(text.strip())
    factor = _factor(field.kind, found[1], found[3].upper()) if found else None
    number = Fraction(found[2]) * factor if found and factor else None
    is_broken = field.kind is Kind.WHOLE and number is not None and number.denominator != 1
    if number is not None and number > NUMBER_MAX:
        wrong = "more than anything here has"
    elif number is None or is_broken:
        wrong = f"not {_MEANT[field.kind]}"
    else:
        return number
    raise InvalidValue(
        f"{field.name}: {shown(text)!r} is {wrong}.",
        field=field.name,
        value=shown(text),
        hint=f"{field.name}{operator}{field.example}",
    )


def print_number(field: Field, number: Number) -> str:
    """A number as `read_number` reads it, in the largest unit that says it exactly."""
    if field.kind is Kind.USD:
        return _decimal(number / _MICRO)
    if field.kind not in (Kind.BYTES, Kind.CARD_BYTES):
        return _decimal(number)
    units = _BINARY if field.kind is Kind.BYTES else _DECIMAL
    for unit, size in units.items():
        told = number / size
        if told >= 1 and (told * 10**DECIMALS_MAX).denominator == 1:
            return f"{_decimal(told)}{unit}"
    return f"{_decimal(number)}B"


def _factor(kind: Kind, dollar: str, unit: str) -> int | None:
    """How many of the smallest unit one of these is; None where it does not belong here."""
    if kind is Kind.USD:
        return None if unit else _MICRO
    if dollar:
        return None
    if kind in (Kind.BYTES, Kind.CARD_BYTES):
        own = _BINARY if kind is Kind.BYTES else _DECIMAL
        return (own | _EITHER).get(unit)
    return None if unit else 1


def _decimal(number: Number) -> str:
    millionths = number * 10**DECIMALS_MAX
    assert millionths.denominator == 1, "no number has more decimals than can be written"
    whole, part = divmod(millionths.numerator, 10**DECIMALS_MAX)
    return f"{whole}.{part:0{DECIMALS_MAX}d}".rstrip("0").rstrip(".")
