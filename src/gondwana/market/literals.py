"""Numbers of a filter as people write them: `4`, `2.50`, `$2.50`, `64GB`, `98%`, `550.54`, `2h`; exact, and printed so
that they read back."""

import re
from fractions import Fraction
from typing import Final

from gondwana.core.errors import InvalidValue
from gondwana.market.fields import (
    VERSION_PART_MAX,
    VERSION_PARTS_MAX,
    Field,
    Kind,
    version_number,
)

Number = Fraction  # in the field's smallest unit
NUMBER_MAX: Final = 10**18  # in that unit; more is a slip of the hand
DECIMALS_MAX: Final = 6
SHOWN_CHARS_MAX: Final = 60  # of what was typed, in an error

_NUMBER: Final = re.compile(r"(\$?)(\d{1,25}(?:\.\d{1,6})?)\s*([A-Za-z]*)", re.ASCII)
_VERSION: Final = re.compile(r"\d{1,6}(?:\.\d{1,6}){0,2}", re.ASCII)
_SHARE: Final = re.compile(r"(?:(\d{1,3}(?:\.\d{1,4})?)\s*%|([01](?:\.\d{1,6})?))", re.ASCII)
_BINARY: Final = {"TB": 1024**4, "GB": 1024**3, "MB": 1024**2, "KB": 1024, "B": 1}
_DECIMAL: Final = {"TB": 10**12, "GB": 10**9, "MB": 10**6, "KB": 10**3, "B": 1}
_EITHER: Final = {f"{unit[0]}IB": size for unit, size in _BINARY.items() if unit != "B"}
_TIMES: Final = {"D": 86_400, "H": 3_600, "M": 60, "S": 1}
_MICRO: Final = 1_000_000
_UNITS: Final = {Kind.BYTES: _BINARY, Kind.CARD_BYTES: _DECIMAL, Kind.SECONDS: _TIMES}
_MEANT: Final = {
    Kind.WHOLE: "a whole number",
    Kind.NUMBER: "a number with at most six decimals",
    Kind.SHARE: "a share from 0 to 1, or from 0% to 100%",
    Kind.VERSION: "a version of at most three numbers",
    Kind.SECONDS: "a whole number of seconds: 90s, 30m, 2h, 3d",
    Kind.BYTES: "a size with its unit, and at most six decimals",
    Kind.CARD_BYTES: "a size with its unit, and at most six decimals",
    Kind.USD: "an amount of dollars with at most six decimals",
}


def shown(text: str) -> str:
    """What was typed, short enough for an error."""
    return text if len(text) <= SHOWN_CHARS_MAX else text[: SHOWN_CHARS_MAX - 1] + "…"


def read_number(field: Field, operator: str, text: str) -> Number:
    """The number in a value; raises InvalidValue with what to write instead."""
    number = _read(field.kind, text.strip())
    is_whole = field.kind in (Kind.WHOLE, Kind.SECONDS)
    is_broken = is_whole and number is not None and number.denominator != 1
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


def _read(kind: Kind, text: str) -> Number | None:
    if kind is Kind.VERSION:
        version = version_number(text) if _VERSION.fullmatch(text) else None
        return None if version is None else Fraction(version)
    if kind is Kind.SHARE:
        share = _SHARE.fullmatch(text)
        told = (
            Fraction(share[1]) / 100
            if share and share[1]
            else Fraction(share[2])
            if share
            else None
        )
        return told if told is not None and told <= 1 else None
    found = _NUMBER.fullmatch(text)
    factor = _factor(kind, found[1], found[3].upper()) if found else None
    return Fraction(found[2]) * factor if found and factor else None


def print_number(field: Field, number: Number) -> str:
    """A number as `read_number` reads it, in the largest unit that says it exactly."""
    if field.kind is Kind.VERSION:
        return _version(number.numerator)
    if field.kind is Kind.USD:
        return _decimal(number / _MICRO)
    if field.kind not in _UNITS:
        return _decimal(number)
    units = _UNITS[field.kind]
    for unit, size in units.items():
        told = number / size
        if told >= 1 and (told * 10**DECIMALS_MAX).denominator == 1:
            return f"{_decimal(told)}{unit}"
    return f"{_decimal(number)}{min(units, key=lambda unit: units[unit])}"


def _factor(kind: Kind, dollar: str, unit: str) -> int | None:
    """How many of the smallest unit one of these is; None where it does not belong here."""
    if kind is Kind.USD:
        return None if unit else _MICRO
    if dollar:
        return None
    if kind is Kind.SECONDS:
        return _TIMES.get(unit)
    if kind in (Kind.BYTES, Kind.CARD_BYTES):
        own = _BINARY if kind is Kind.BYTES else _DECIMAL
        return (own | _EITHER).get(unit)
    return None if unit else 1


def _version(number: int) -> str:
    parts: list[int] = []
    for _ in range(VERSION_PARTS_MAX):
        number, part = divmod(number, VERSION_PART_MAX + 1)
        parts.insert(0, part)
    while len(parts) > 1 and parts[-1] == 0:
        parts.pop()
    return ".".join(map(str, parts))


def _decimal(number: Number) -> str:
    millionths = number * 10**DECIMALS_MAX
    assert millionths.denominator == 1, "no number has more decimals than can be written"
    whole, part = divmod(millionths.numerator, 10**DECIMALS_MAX)
    return f"{whole}.{part:0{DECIMALS_MAX}d}".rstrip("0").rstrip(".")
