"""What a buyer asks of offers, in one line: `model=H100|A100-80GB and price<=2.50 and region in (eu-*, us-1)`.

    filter    term { [and] term }                     an offer fits where every term holds
    term      field operator value { "|" value }      one of the values is enough; of `!=`: none of them
              field [not] in ( value { , value } )    the same in words
              field has value { "|" value }           the same, said of tags; `tag:gdpr` and `tag:soc2@auditor` too
    operator  =  !=  <  <=  >  >=  ~
    value     a word, or a text in "double" or 'single' quotes

`~` compares with a pattern, in which `*` stands for any text; so does `=` where an unquoted value has a `*`. Case makes
no difference. What was not measured of a machine fits no term about it. The text is read into values once and compared
here: nothing of it ever reaches a database, and what cannot be read is InvalidValue with its place and what to type.
There is no nesting and no `or` between fields: alternatives of a whole machine are a job's `any_of` and `ordered`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Final, NoReturn

from gondwana.core.clock import Instant
from gondwana.core.devices import canonical_device, known_devices, meant_device
from gondwana.core.errors import InvalidValue
from gondwana.market.fields import FIELDS, FOREIGN, ORDERED, Field, Kind
from gondwana.market.literals import read_number, shown
from gondwana.market.terms import ORDERS, Operator, Term, Test, Text, Value
from gondwana.wire.jobs import WHERE_CHARS_MAX

FILTER_CHARS_MAX: Final = (
    WHERE_CHARS_MAX  # a line that a person types; keeps the work of a request small
)
TERMS_MAX: Final = 20
VALUES_MAX: Final = 20  # of one term
NAME_CHARS_MAX: Final = 40  # of a field; longer ones are none, and are compared with none
FILTERS_KEPT_MAX: Final = 4_096  # read ones: an order's filter is looked at again and again

_HEAD: Final = re.compile(
    r"\s*([A-Za-z][A-Za-z0-9_-]*)(?:\s*(==|<=|>=|!=|=|<|>|~)|\s+(not\s+in|in|has)(?=[\s(\"']))\s*",
    re.I,
)
_TAG_HEAD: Final = re.compile(r"\s*tag:(?=[^\s])", re.I)
_VALUE: Final = re.compile(r"""(?:"([^"]*)"|'([^']*)'|([^\s|"'<>=!~(),]+))""")
_OR: Final = re.compile(r"\s*\|\s*")
_COMMA: Final = re.compile(r"\s*[,|]\s*")
_OPEN, _CLOSE = re.compile(r"\s*\(\s*"), re.compile(r"\s*\)")
_AND: Final = re.compile(r"\s+(?:and\b|&&)\s*", re.I)
_TAG: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}(?:@[a-z0-9][a-z0-9._-]{0,62})?")
_WORDS: Final = {"in": Operator.IS, "not in": Operator.IS_NOT, "has": Operator.IS}
MARK: Final = "▸"  # before what cannot be read
MARK_CHARS_BEFORE, MARK_CHARS_AFTER = 20, 30

Word = tuple[str, bool, int]  # text, whether in quotes, where


@dataclass(frozen=True, slots=True)
class Filter:
    """All that is asked of an offer; `str` gives a text that reads as the same filter."""

    terms: tuple[Term, ...] = ()

    def __str__(self) -> str:
        return " ".join(map(str, self.terms))

    def tests(self, now: Instant | None = None) -> Iterator[tuple[Term, Test]]:
        """Each term with whether a listing has it at `now`, which only tags need."""
        return ((term, term.test(now)) for term in self.terms)

    def predicate(self, now: Instant | None = None) -> Test:
        """Whether a listing fits at `now`."""
        tests = [test for _, test in self.tests(now)]
        return lambda listing: all(test(listing) for test in tests)


@lru_cache(maxsize=FILTERS_KEPT_MAX)
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
        joined = _AND.match(text, place) if terms else None
        place = joined.end() if joined else place
        if place >= end:
            _refuse_here(text, place, "a term is missing after 'and'", "price<=2.50")
        term, place = _term(text, place)
        terms.append(term)
    return Filter(tuple(terms))


def field_named(name: str) -> Field:
    """A field by its name; raises InvalidValue with the name that may have been meant."""
    plain = name.lower().replace("-", "_")
    if plain in FIELDS:
        return FIELDS[plain]
    close = get_close_matches(plain[:NAME_CHARS_MAX], [*FIELDS, *FOREIGN], n=1)
    meant = FOREIGN.get(close[0], close[0]) if close else None
    raise InvalidValue(
        f"There is no field {shown(name)!r}.",
        field=shown(name),
        value=shown(name),
        hint=f"did you mean {meant}?" if meant else f"one of {', '.join(FIELDS)}",
    )


def _term(text: str, place: int) -> tuple[Term, int]:
    begun = place + len(text[place:]) - len(text[place:].lstrip())
    try:
        tag, head = _TAG_HEAD.match(text, place), _HEAD.match(text, place)
        if tag is not None:
            field, operator, place, is_list = FIELDS["tags"], Operator.IS, tag.end(), False
        elif head is None:
            raise _no_term(text[begun:].split()[0])
        else:
            field, place = field_named(head[1]), head.end()
            words = " ".join((head[3] or "").lower().split())
            operator = _WORDS[words] if words else _operator(field, head[2])
            is_list = words in ("in", "not in")
            if words == "has" and field.kind is not Kind.TAG:
                raise _wrong(field, "has", "'has' is said of tags", f"{field.name}={field.example}")
    except InvalidValue as error:
        raise _marked(error, text, begun) from None
    found, place = (
        _list(text, place, field) if is_list else _alternatives(text, place, field, operator)
    )
    if place < len(text) and not text[place].isspace():
        error = _wrong(
            field, shown(text[place:]), f"{shown(text[place:])!r} follows a value without a space",
            f'put a space between terms, and such a value in quotes: {field.name}="…"',
        )  # fmt: skip
        raise _marked(error, text, place)
    return Term(field.name, operator, _values(field, operator, found, text)), place


def _alternatives(
    text: str, place: int, field: Field, operator: Operator
) -> tuple[list[Word], int]:
    words: list[Word] = []
    while True:
        value = _VALUE.match(text, place)
        if value is None:
            raise _marked(_no_value(field, operator, text[place : place + 1]), text, place)
        words.append(_word(value))
        place = value.end()
        more = _OR.match(text, place)
        if more is None:
            return words, place
        place = more.end()


def _list(text: str, place: int, field: Field) -> tuple[list[Word], int]:
    """The values between parentheses."""
    opened, hint = _OPEN.match(text, place), f"{field.name} in ({field.example}, …)"
    if opened is None:
        raise _marked(
            _wrong(field, shown(text[place:]), "a list begins with '('", hint), text, place
        )
    words, place = list[Word](), opened.end()
    while True:
        value = _VALUE.match(text, place)
        if value is None:
            missing = shown(text[place : place + 1])
            wrong = "the list has no end" if not missing else f"{missing!r} is no value"
            raise _marked(_wrong(field, missing, wrong, hint), text, place)
        words.append(_word(value))
        place = value.end()
        closed, more = _CLOSE.match(text, place), _COMMA.match(text, place)
        if closed is not None:
            return words, closed.end()
        if more is None:
            raise _marked(
                _wrong(field, shown(text[place:]), "the list has no end", hint), text, place
            )
        place = more.end()


def _word(value: re.Match[str]) -> Word:
    return (value[3] or value[1] or value[2] or "", value[3] is None, value.start())


def _operator(field: Field, sign: str) -> Operator:
    if sign == "==":
        wrong, hint = "there is no operator '=='", f"{field.name}={field.example}"
    elif Operator(sign) in ORDERS and field.kind not in ORDERED:
        wrong, hint = f"{sign!r} compares numbers", f"{field.name}={field.example}"
    elif sign == "~" and field.kind in ORDERED:
        wrong, hint = "'~' compares texts", f"{field.name}>={field.example}"
    elif sign == "~" and field.kind is Kind.TAG:
        wrong, hint = "a tag is named in full", f"{field.name} has {field.example}"
    else:
        return Operator(sign)
    raise _wrong(field, sign, wrong, hint)


def _values(
    field: Field, operator: Operator, words: list[Word], text: str
) -> tuple[Value, ...]:  # fmt: skip
    told = "|".join(word for word, _, _ in words)
    wrong = (
        f"at most {VALUES_MAX} alternatives are read" if len(words) > VALUES_MAX
        else f"{operator.value!r} compares with one value" if len(words) > 1 and operator in ORDERS
        else None
    )  # fmt: skip
    if wrong:
        error = _wrong(
            field, shown(told), f"{wrong}, not with {len(words)}", f"{field.name}{operator}{field.example}"
        )  # fmt: skip
        raise _marked(error, text, words[0][2])
    values: list[Value] = []
    for word, quoted, place in words:
        try:
            values.append(_value(field, operator, word, quoted))
        except InvalidValue as error:
            raise _marked(error, text, place) from None
    return tuple(values)


def _value(field: Field, operator: Operator, word: str, quoted: bool) -> Value:
    if field.kind in (Kind.WORD, Kind.LEVEL):
        return _one_of(field, operator, word)
    if field.kind in ORDERED:
        return read_number(field, operator, word)
    if field.kind is Kind.TAG:
        if not _TAG.fullmatch(word.lower()):
            raise _wrong(
                field,
                shown(word),
                f"{shown(word)!r} is no tag",
                "tags has gdpr, or tag:soc2@auditor",
            )
        return Text(word.lower())
    if not word.strip() or (field.kind is Kind.MODEL and not canonical_device(word)):
        hint = f"{field.name}={field.example}" + (", or vendor=nvidia" if word.strip() else "")
        raise _wrong(field, shown(word), f"{shown(word)!r} names nothing", hint)
    is_pattern = operator is Operator.LIKE or (not quoted and "*" in word)
    meant = None if quoted or is_pattern or field.kind is not Kind.MODEL else meant_device(word)
    if meant:
        hint = f'did you mean {field.name}={meant}? One that is really called so is put in quotes: "{shown(word)}"'
        raise _wrong(field, shown(word), f"no accelerator {shown(word)!r} is known", hint)
    return Text(word, is_pattern)


def _one_of(field: Field, operator: Operator, word: str) -> Text:
    if word.lower() in field.words:
        return Text(word.lower())
    close = get_close_matches(word.lower()[:NAME_CHARS_MAX], field.words, n=1)
    hint = (
        f"did you mean {field.name}{operator}{close[0]}?" if close
        else f"{field.name} is one of {', '.join(field.words)}"
    )  # fmt: skip
    raise _wrong(field, shown(word), f"there is no {shown(word)!r}", hint)


def _no_term(word: str) -> InvalidValue:
    plain = re.split(r"[=<>!~|]", word)[0]
    name = plain.lower().replace("-", "_")
    if instead := _INSTEAD.get(word.lower()) or _INSTEAD.get(word[:1]):
        hint = instead
    elif name in FIELDS:
        field = FIELDS[name]
        hint = f"compare it: {field.name}{'>=' if field.kind in ORDERED else '='}{field.example}"
    elif canonical_device(plain) in known_devices():
        hint = f"did you mean model={canonical_device(plain)}?"
    else:
        hint = "write FIELD OPERATOR VALUE, such as price<=2.50"
    return InvalidValue(
        f"{shown(word)!r} is no term of a filter.", field="where", value=shown(word), hint=hint
    )


_ALTERNATIVES: Final = (
    "of one field: region in (eu-1, eu-2); of machines: any_of in a job file's resources"
)
_INSTEAD: Final = {
    "or": _ALTERNATIVES, "||": _ALTERNATIVES, "(": _ALTERNATIVES, "not": "region!=eu-1, or region not in (eu-1, eu-2)",
    "!": "region!=eu-1, or region not in (eu-1, eu-2)", "and": "price<=2.50", "&&": "price<=2.50",
}  # fmt: skip


def _no_value(field: Field, operator: Operator, next_character: str) -> InvalidValue:
    wrong = (
        "the quote is not closed" if next_character in ("'", '"') and next_character
        else f"{next_character!r} is no value" if next_character.strip()
        else "a value is missing"
    )  # fmt: skip
    return _wrong(field, next_character, wrong, f"{field.name}{operator}{field.example}")


def _wrong(field: Field, value: str, what: str, hint: str) -> InvalidValue:
    return InvalidValue(f"{field.name}: {what}.", field=field.name, value=value, hint=hint)


def _marked(error: InvalidValue, text: str, place: int) -> InvalidValue:
    """The same refusal with where it is in the text, from 1 on."""
    before = text[max(0, place - MARK_CHARS_BEFORE) : place]
    marked = f"{before}{MARK}{text[place : place + MARK_CHARS_AFTER]}"
    position = place + 1
    return InvalidValue(
        f"{error.message} At character {position}: {marked}",
        hint=error.hint,
        **{**error.fields, "position": position, "marked": marked},
    )


def _refuse_here(text: str, place: int, what: str, hint: str) -> NoReturn:
    error = InvalidValue(f"where: {what}.", field="where", value=shown(text[place:]), hint=hint)
    raise _marked(error, text, place)
