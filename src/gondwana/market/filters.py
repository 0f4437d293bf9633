"""What a buyer asks of offers, in one line: `model=H100|A100-80GB devices>=4 price<=2.50 region=eu-*`.

    filter    term { space term }                     an offer fits where every term holds
    term      field operator value { "|" value }      one of the values is enough; of `!=`: none of them
    operator  =  !=  <  <=  >  >=  ~
    value     a word, or a text in "double" or 'single' quotes

`~` compares with a pattern, in which `*` stands for any text; so does `=` where an unquoted value has a `*`. Case makes
no difference. What was not measured of a machine fits no term about it. The text is read into values and compared here:
nothing of it ever reaches a database, and what cannot be read is Invalid, with what to type instead.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from fractions import Fraction
from typing import Final

from gondwana.core.devices import canonical_device, known_devices
from gondwana.core.errors import InvalidValue
from gondwana.market.fields import FIELDS, FOREIGN, ORDERED, Field, Kind, Scalar
from gondwana.market.literals import Number, print_number, read_number, shown
from gondwana.market.model import Listing

FILTER_CHARS_MAX: Final = 1_000  # a line that a person types; keeps the work of a request small
TERMS_MAX: Final = 20
VALUES_MAX: Final = 20  # of one term

_HEAD: Final = re.compile(r"\s*([A-Za-z][A-Za-z0-9_-]*)\s*(==|<=|>=|!=|=|<|>|~)\s*")
_VALUE: Final = re.compile(r"""(?:"([^"]*)"|'([^']*)'|([^\s|"'<>=!~]+))""")
_OR: Final = re.compile(r"\s*\|\s*")
_WORD: Final = re.compile(r"""[^\s|"'<>=!~]+""")


class Operator(StrEnum):
    """How a field is compared."""

    IS = "="  # any of the values
    IS_NOT = "!="  # none of them
    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="
    LIKE = "~"  # any of the patterns


_ORDERS: Final = (Operator.LESS, Operator.AT_MOST, Operator.MORE, Operator.AT_LEAST)


@dataclass(frozen=True, slots=True)
class Text:
    """A text to compare with; in a pattern `*` stands for any text."""

    text: str
    is_pattern: bool = False


Value = Text | Number


@dataclass(frozen=True, slots=True)
class Term:
    """One thing asked of an offer; numbers are in the field's smallest unit."""

    field: str
    operator: Operator
    values: tuple[Value, ...]

    def __str__(self) -> str:
        field = FIELDS[self.field]
        told = (_print(field, self.operator, value) for value in self.values)
        return f"{self.field}{self.operator}{'|'.join(told)}"


@dataclass(frozen=True, slots=True)
class Filter:
    """All that is asked of an offer; `str` gives a text that reads as the same filter."""

    terms: tuple[Term, ...] = ()

    def __str__(self) -> str:
        return " ".join(map(str, self.terms))

    def predicate(self) -> Callable[[Listing], bool]:
        """Whether a listing fits."""
        tests = [_test(term) for term in self.terms]
        return lambda listing: all(test(listing) for test in tests)


def parse_filter(text: str) -> Filter:
    """The filter that a person wrote; no text asks for nothing. Raises InvalidValue."""
    if len(text) > FILTER_CHARS_MAX:
        raise InvalidValue(
            f"The filter has {len(text)} characters, at most {FILTER_CHARS_MAX} are read.",
            field="where",
            value=shown(text),
            hint="ask for less: 'model=H100 price<=2.50'",
        )
    terms: list[Term] = []
    place, end = 0, len(text.rstrip())
    while place < end:
        if len(terms) == TERMS_MAX:
            raise InvalidValue(
                f"The filter has more than {TERMS_MAX} terms.",
                field="where",
                value=shown(text[place:]),
                hint="join alternatives of one field: region=eu-1|eu-2",
            )
        term, place = _term(text, place)
        terms.append(term)
    return Filter(tuple(terms))


def field_named(name: str) -> Field:
    """A field by its name; raises InvalidValue with the name that may have been meant."""
    plain = name.lower().replace("-", "_")
    if plain in FIELDS:
        return FIELDS[plain]
    close = get_close_matches(plain, [*FIELDS, *FOREIGN], n=1)
    meant = FOREIGN.get(close[0], close[0]) if close else None
    raise InvalidValue(
        f"There is no field {shown(name)!r}.",
        field=shown(name),
        value=shown(name),
        hint=f"did you mean {meant}?" if meant else f"one of {', '.join(FIELDS)}",
    )


def _term(text: str, place: int) -> tuple[Term, int]:
    head = _HEAD.match(text, place)
    if head is None:
        raise _no_term(text[place:].split()[0])
    field, place = field_named(head[1]), head.end()
    operator = _operator(field, head[2])
    words: list[tuple[str, bool]] = []  # text, quoted
    while True:
        value = _VALUE.match(text, place)
        if value is None:
            raise _no_value(field, operator, text[place : place + 1])
        quoted = value[3] is None
        words.append((value[3] or value[1] or value[2] or "", quoted))
        place = value.end()
        more = _OR.match(text, place)
        if more is None:
            break
        place = more.end()
    if place < len(text) and not text[place].isspace():
        raise InvalidValue(
            f"{field.name}: {shown(text[place:])!r} follows a value without a space.",
            field=field.name,
            value=shown(text[place:]),
            hint=f'put a space between terms, and such a value in quotes: {field.name}="…"',
        )
    return Term(field.name, operator, _values(field, operator, words)), place


def _operator(field: Field, sign: str) -> Operator:
    if sign == "==":
        wrong, hint = "there is no operator '=='", f"{field.name}={field.example}"
    elif Operator(sign) in _ORDERS and field.kind not in ORDERED:
        wrong, hint = f"{sign!r} compares numbers", f"{field.name}={field.example}"
    elif sign == "~" and field.kind in ORDERED:
        wrong, hint = "'~' compares texts", f"{field.name}>={field.example}"
    else:
        return Operator(sign)
    raise InvalidValue(f"{field.name}: {wrong}.", field=field.name, value=sign, hint=hint)


def _values(
    field: Field, operator: Operator, words: list[tuple[str, bool]]
) -> tuple[Value, ...]:  # fmt: skip
    told = "|".join(word for word, _ in words)
    wrong = (
        f"at most {VALUES_MAX} alternatives are read" if len(words) > VALUES_MAX
        else f"{operator.value!r} compares with one value" if len(words) > 1 and operator in _ORDERS
        else None
    )  # fmt: skip
    if wrong:
        raise InvalidValue(
            f"{field.name}: {wrong}, not with {len(words)}.",
            field=field.name,
            value=shown(told),
            hint=f"{field.name}{operator}{field.example}",
        )
    return tuple(_value(field, operator, word, quoted) for word, quoted in words)


def _value(field: Field, operator: Operator, word: str, quoted: bool) -> Value:
    if field.kind in (Kind.WORD, Kind.LEVEL):
        if word.lower() not in field.words:
            close = get_close_matches(word.lower(), field.words, n=1)
            raise InvalidValue(
                f"{field.name}: there is no {shown(word)!r}.",
                field=field.name,
                value=shown(word),
                hint=f"did you mean {field.name}{operator}{close[0]}?" if close
                else f"{field.name} is one of {', '.join(field.words)}",
            )  # fmt: skip
        return Text(word.lower())
    if field.kind in ORDERED:
        return read_number(field, operator, word)
    if not word.strip() or (field.kind is Kind.MODEL and not canonical_device(word)):
        raise InvalidValue(
            f"{field.name}: {shown(word)!r} names nothing.",
            field=field.name,
            value=shown(word),
            hint=f"{field.name}={field.example}" + (", or vendor=nvidia" if word.strip() else ""),
        )
    return Text(word, operator is Operator.LIKE or (not quoted and "*" in word))


def _print(field: Field, operator: Operator, value: Value) -> str:
    if not isinstance(value, Text):
        return print_number(field, value)
    is_bare = _WORD.fullmatch(value.text) and ("*" not in value.text or value.is_pattern)
    if is_bare:
        return value.text
    return f"'{value.text}'" if '"' in value.text else f'"{value.text}"'


def _test(term: Term) -> Callable[[Listing], bool]:
    """One term as a function; what was not measured does not fit."""
    field = FIELDS[term.field]
    of = field.of
    if term.operator in _ORDERS:
        compare, wanted = _COMPARE[term.operator], _number(field, term.values[0])
        return lambda listing: (has := of(listing)) is not None and compare(has, wanted)
    if field.kind in ORDERED:
        numbers = {_number(field, value) for value in term.values}
        has_any: Callable[[Scalar], bool] = numbers.__contains__
    else:
        has_any = _text_test(field, [value for value in term.values if isinstance(value, Text)])
    is_wanted = term.operator is not Operator.IS_NOT
    return lambda listing: (has := of(listing)) is not None and has_any(has) is is_wanted


_COMPARE: Final[dict[Operator, Callable[..., bool]]] = {
    Operator.LESS: lambda has, wanted: has < wanted,
    Operator.AT_MOST: lambda has, wanted: has <= wanted,
    Operator.MORE: lambda has, wanted: has > wanted,
    Operator.AT_LEAST: lambda has, wanted: has >= wanted,
}


def _number(field: Field, value: Value) -> int | float | Fraction:
    """What a field's values are compared with: as floats where they are floats, else exactly."""
    if isinstance(value, Text):
        return field.words.index(value.text)
    if field.kind is Kind.NUMBER:
        return float(value)
    return value.numerator if value.denominator == 1 else value


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


def _no_term(word: str) -> InvalidValue:
    plain = re.split(r"[=<>!~|]", word)[0]
    if plain.lower().replace("-", "_") in FIELDS:
        field = FIELDS[plain.lower().replace("-", "_")]
        hint = f"compare it: {field.name}{'>=' if field.kind in ORDERED else '='}{field.example}"
    elif canonical_device(plain) in known_devices():
        hint = f"did you mean model={canonical_device(plain)}?"
    else:
        hint = "write FIELD OPERATOR VALUE, such as price<=2.50"
    return InvalidValue(
        f"{shown(word)!r} is no term of a filter.", field="where", value=shown(word), hint=hint
    )


def _no_value(field: Field, operator: Operator, next_character: str) -> InvalidValue:
    wrong = (
        "the quote is not closed" if next_character in ("'", '"') and next_character
        else f"{next_character!r} is no value" if next_character.strip()
        else "a value is missing"
    )  # fmt: skip
    return InvalidValue(
        f"{field.name}: {wrong}.",
        field=field.name,
        value=next_character,
        hint=f"{field.name}{operator}{field.example}",
    )
