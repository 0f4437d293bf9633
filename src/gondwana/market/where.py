"""What an order's filter asks of machines, one term at a time; pure.

A term about a price compares with what is asked by the order's mechanism: the posted price, or on spot the floor. In an
auction the price is what comes out of it, so there a filter says nothing of it: the cap does.
"""

from collections.abc import Sequence
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidValue
from gondwana.market.fields import FIELDS, Kind, Scalar
from gondwana.market.filters import VALUES_MAX, Filter, parse_filter
from gondwana.market.literals import print_number
from gondwana.market.model import Listing, Mechanism, Order
from gondwana.market.terms import ORDERS, Operator, Term, Test, Text, number_from

FIELD: Final = "gondwana.where"  # the job file's key
PRICES: Final = frozenset(name for name, field in FIELDS.items() if field.kind is Kind.USD)
VALUES_NAMED_MAX: Final = 6
_NOTHING: Final = parse_filter("devices<0")


def check_where(text: str, mechanism: Mechanism, key: str = FIELD) -> None:
    """Raise InvalidValue, naming the job file's key and the place in the text, for a filter that no order can have."""
    try:
        terms = parse_filter(text).terms
    except InvalidValue as error:
        raise InvalidValue(
            f"{key}: {error.message}", hint=error.hint, **{**error.fields, "field": key}
        ) from None
    for term in terms:
        if term.field == "free":
            hint = "say how many in resources.accelerators"
            raise _refused(key, term, "an order gets free devices anyway", hint)
        if term.field in PRICES and mechanism is Mechanism.AUCTION:
            hint = "write gondwana.price_cap_usd_per_gpu_hour, or gondwana.mechanism: posted"
            raise _refused(key, term, "an auction makes its own price", hint)


def filter_of(order: Order) -> Filter:
    """An order's filter; one that was read once and cannot be any more fits no machine, and stops nobody else."""
    try:
        return parse_filter(order.filters)
    except InvalidValue:
        return _NOTHING


def tests_of(order: Order, now: Instant) -> tuple[tuple[Term, Test], ...]:
    """Each term of an order's filter with whether a listing, at the price asked of the order, has it at `now`."""
    return tuple(filter_of(order).tests(now)) if order.filters else ()


def nearest(term: Term, left: Sequence[Listing]) -> str:
    """What the machines have that a term left none of: the nearest value, or the values that there are."""
    field = FIELDS[term.field]
    known: list[Scalar] = [has for each in left if (has := field.of(each)) is not None]
    if not known:
        return f"nobody knows it of any of them: take {term} out of {FIELD}"
    if term.operator in ORDERS:
        is_upper = term.operator in (Operator.LESS, Operator.AT_MOST)
        best = min(map(number_from, known)) if is_upper else max(map(number_from, known))
        told = field.words[int(best)] if field.kind is Kind.LEVEL else print_number(field, best)
        return f"the nearest has {told}: loosen {term} in {FIELD}"
    if field.is_single:
        return f"gondwana offers names them: change {term} in {FIELD}"
    told = sorted({value_text(term.field, has) for has in known} - {""})
    more = ", …" if len(told) > VALUES_NAMED_MAX else ""
    there = f"there are: {', '.join(told[:VALUES_NAMED_MAX])}{more}" if told else "they have none"
    return f"{there}; change {term} in {FIELD}"


def loosened(term: Term, chosen: Sequence[Listing]) -> Term | None:
    """The term as these machines meet it; None where nothing of the kind could be said."""
    field = FIELDS[term.field]
    known: list[Scalar] = [has for each in chosen if (has := field.of(each)) is not None]
    if len(known) < len(chosen) or field.kind is Kind.TAG:
        return None
    if term.operator in ORDERS:
        is_upper = term.operator in (Operator.LESS, Operator.AT_MOST)
        best = max(map(number_from, known)) if is_upper else min(map(number_from, known))
        wanted = Text(field.words[int(best)]) if field.kind is Kind.LEVEL else best
        return Term(field.name, Operator.AT_MOST if is_upper else Operator.AT_LEAST, (wanted,))
    if term.operator is not Operator.IS or field.kind not in (Kind.TEXT, Kind.MODEL, Kind.WORD):
        return None
    others = tuple(
        Text(str(has)) for has in sorted({str(has) for has in known}) if not term.holds()(has)
    )
    values = (*term.values, *others)
    return Term(field.name, Operator.IS, values) if others and len(values) <= VALUES_MAX else None


def without_term(text: str, term: Term) -> str:
    """A filter without one of its terms."""
    return str(Filter(tuple(each for each in parse_filter(text).terms if each != term)))


def with_term(text: str, term: Term) -> str:
    """A filter with one more term."""
    return str(Filter((*parse_filter(text).terms, term)))


def value_text(name: str, has: Scalar) -> str:
    """A field's value of a listing as people write it."""
    field = FIELDS[name]
    if field.kind is Kind.LEVEL:
        return field.words[int(has)]
    return has if isinstance(has, str) else print_number(field, number_from(has))


def _refused(key: str, term: Term, why: str, hint: str) -> InvalidValue:
    return InvalidValue(f"{key}: {term}: {why}.", field=key, value=str(term), hint=hint)
