"""In which order offers are told, and where a page of them goes on, whatever has changed in between."""

import heapq
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from gondwana.core.decoding import from_json
from gondwana.core.errors import InvalidValue
from gondwana.market.fields import FIELDS, Field, Kind, Scalar
from gondwana.market.filters import field_named
from gondwana.market.literals import shown
from gondwana.market.model import Listing
from gondwana.market.rules import price_per_work

CURSOR_CHARS_MAX: Final = 1_000
_TEXTS: Final = frozenset({Kind.TEXT, Kind.MODEL, Kind.WORD, Kind.TAG})
_CURSOR: Final = re.compile(r"[A-Za-z0-9_=-]+")

Key = tuple[Any, ...]
_Place = tuple[int | float | str | None, int, int, int, str]  # a cursor: the field, then the ties


@dataclass(frozen=True, slots=True, kw_only=True)
class Sorting:
    """By a field, or by price per measured work as the matcher does; what was not measured comes last."""

    field: str = ""
    is_descending: bool = False

    def key(self, listing: Listing) -> Key:
        """What listings are ordered by; no two have the same."""
        return self._key(self._place(listing))

    def cursor(self, listing: Listing) -> str:
        """Where the list goes on after this one."""
        return urlsafe_b64encode(msgspec.json.encode(self._place(listing))).decode()

    def after(self, cursor: str) -> Key:
        """The key that a cursor stands for; raises InvalidValue for one that was not made by this order."""
        is_short = len(cursor) <= CURSOR_CHARS_MAX and _CURSOR.fullmatch(cursor)
        try:
            place = from_json(urlsafe_b64decode(cursor), _Place) if is_short else None
        except (ValueError, msgspec.MsgspecError):
            place = None
        if place is None or not self._is_of_field(place[0]):
            raise InvalidValue(
                "This cursor is of another list.",
                field="cursor",
                value=shown(cursor),
                hint="begin again without a cursor",
            )
        return self._key(place)

    def _place(self, listing: Listing) -> _Place:
        value = FIELDS[self.field].of(listing) if self.field else None
        return (value, *price_per_work(listing), listing.offer_id)

    def _is_of_field(self, value: Scalar | None) -> bool:
        is_text = bool(self.field) and FIELDS[self.field].kind in _TEXTS
        return value is None or (bool(self.field) and isinstance(value, str) is is_text)

    def _key(self, place: _Place) -> Key:
        value, *ties = place
        if value is None:
            return (True, *ties)
        if isinstance(value, str):
            told: Any = (*(-ord(each) for each in value), 1) if self.is_descending else value
        else:
            told = -value if self.is_descending else value
        return (False, told, *ties)


def parse_sorting(text: str) -> Sorting:
    """The order that `price` or `-steps` asks for; no text: price per measured work. Raises InvalidValue."""
    if not text:
        return Sorting()
    name = text.removeprefix("-")
    try:
        field: Field = field_named(name)
    except InvalidValue as error:
        raise InvalidValue(
            f"{error.message} Offers cannot be sorted by it.",
            field="sort",
            value=shown(text),
            hint=error.hint,
        ) from None
    return Sorting(field=field.name, is_descending=text.startswith("-"))


def page_of(
    listings: Iterable[Listing],
    fits: Callable[[Listing], bool],
    sorting: Sorting,
    *,
    cursor: str = "",
    limit: int,
) -> tuple[list[Listing], str | None]:
    """The first `limit` listings that fit, or those after the cursor, in order; and where the list goes on."""
    after = sorting.after(cursor) if cursor else None
    found = (listing for listing in listings if fits(listing))
    if after is not None:
        found = (listing for listing in found if sorting.key(listing) > after)
    first = heapq.nsmallest(limit + 1, found, key=sorting.key)
    return first[:limit], sorting.cursor(first[limit - 1]) if len(first) > limit else None
