"""Which machines fit the filters of orders, as far as anybody looked: a bit of a row's tags for each filter in use.

A set bit says that the machine fits, or that nobody looked yet; a search asks for the bit like for any other, so rows
that do not fit are passed over by zones. Looking takes a machine's whole listing, so it is done for what a search
names, the cheapest first, a bounded number at a time: what was seen stays seen until the machine changes, and a filter
that fits nothing has been held against all machines after some passes, while everybody else is served.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.values import replace
from gondwana.jobs.listings import FILTER_BITS
from gondwana.market import screening
from gondwana.market.book import Book, Key
from gondwana.market.model import Listing, Mechanism, Order
from gondwana.market.search import WANTED_MAX, Want, cheapest
from gondwana.market.where import filter_of

FILTERS_MAX: Final = len(FILTER_BITS)  # in use; past it the one asked longest ago is forgotten
LOOKED_AT_MAX: Final = 512  # machines for one order and search
LOOKED_AT_IN_PASS_MAX: Final = 4_096  # for all orders of one pass of the matcher
STEP_FIRST: Final = 8  # machines looked at first: most filters are met by many
STEP_GROWTH: Final = 4
SEEN_SECONDS_MAX: Final = 3_600.0  # then it is looked at again: a tag expires with no event

List = Callable[[Iterable[str]], Mapping[str, Listing]]
"""The listings of machines, as they are committed."""


@dataclass(slots=True)
class _Seen:
    """A filter in use."""

    order: Order  # any that has it
    bit: int
    since: Instant  # when it was begun
    models: tuple[str, ...] = ()  # of the book's, those that it may mean; regions the same
    regions: tuple[str, ...] = ()
    keys: Mapping[Key, int] | None = None  # of the book that they were looked up in


class Verdicts:
    """The filters in use; not for two threads at once."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, bool], _Seen] = {}  # that asked longest ago first
        self._left = LOOKED_AT_IN_PASS_MAX

    def begin_pass(self) -> None:
        """The matcher begins anew."""
        self._left = LOOKED_AT_IN_PASS_MAX

    def forget(self) -> None:
        """The book is another."""
        self._seen.clear()

    def bits_of(self, listing: Listing, now: Instant) -> int:
        """The bits of the filters that a listing fits; those of no filter are not set."""
        return sum(
            seen.bit
            for seen in self._seen.values()
            if screening.meets_filter(seen.order, now)(listing)
        )

    def outdated(self, book: Book, now: Instant) -> bool:
        """Let filters be looked at anew whose verdicts are old; whether there were any."""
        old = [key for key, seen in self._seen.items() if now - seen.since >= SEEN_SECONDS_MAX]
        for key in old:
            book.tag_all(self._seen[key].bit)
            self._seen[key].since = now
        return bool(old)

    def cheapest(
        self, book: Book, want: Want, order: Order, count: int, listed: List, now: Instant, *, in_pass: bool
    ) -> tuple[list[str], bool]:  # fmt: skip
        """The cheapest machines that fit an order's filter too; and whether all that might have been were looked at."""
        left = min(max(LOOKED_AT_MAX, count), self._left) if in_pass else max(LOOKED_AT_MAX, count)
        if left <= 0:
            return [], False
        seen = self._of(book, order, now)
        asked = _narrowed(want, seen)
        if asked is None:
            return [], True
        fits, step = set[str](), STEP_FIRST
        meets = screening.meets_filter(order, now)
        while True:
            size = min(max(count, len(fits) + step), len(fits) + left, WANTED_MAX)
            found = cheapest(book, asked, size)
            new = [each for each in found if each not in fits]
            listings = listed(new)
            for each in new:
                if each in listings and meets(listings[each]):
                    fits.add(each)
                else:
                    book.untag(each, seen.bit)
            left, step = left - len(new), step * STEP_GROWTH
            self._left -= len(new) if in_pass else 0
            kept = [each for each in found if each in fits][:count]
            is_whole = len(kept) == count or len(found) < size
            if is_whole or left <= 0 or len(fits) >= WANTED_MAX:
                return kept, is_whole

    def _of(self, book: Book, order: Order, now: Instant) -> _Seen:
        key = (order.filters, order.mechanism is Mechanism.SPOT)
        seen = self._seen.pop(key, None)
        if seen is None:
            used = {each.bit for each in self._seen.values()}
            if len(used) == FILTERS_MAX:
                used.discard(self._seen.pop(next(iter(self._seen))).bit)
            seen = _Seen(
                order=order, bit=next(bit for bit in FILTER_BITS if bit not in used), since=now
            )
            book.tag_all(seen.bit)
        self._seen[key] = seen
        if seen.keys is not book.keys:
            seen.models = _names(order, "model", book.by_model)
            seen.regions = _names(order, "region", book.by_region)
            seen.keys = book.keys
        return seen


def _names(order: Order, field: str, known: Iterable[str]) -> tuple[str, ...]:
    """Of the book's models or regions those that a filter may mean."""
    tests = [term.holds() for term in filter_of(order).terms if term.field == field]
    return tuple(name for name in known if all(test(name) for test in tests))


def _narrowed(want: Want, seen: _Seen) -> Want | None:
    """What is asked of the book with a filter; None where no bucket can have it."""
    models = (
        tuple(each for each in want.models if each in seen.models) if want.models else seen.models
    )
    regions = (
        tuple(each for each in want.regions if each in seen.regions)
        if want.regions
        else seen.regions
    )
    if not models or not regions:
        return None
    return replace(want, models=models, regions=regions, tags=want.tags | seen.bit)
