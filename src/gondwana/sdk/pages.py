"""Lists that come in pages."""

from collections.abc import Iterator
from typing import Final, Generic, TypeVar
from urllib.parse import quote

import msgspec

from gondwana.sdk.transport import Transport

PAGE_ITEMS: Final = 200  # the most that the API gives at once
PAGES_MAX: Final = 10_000  # a server whose cursor never ends is broken

T = TypeVar("T")


class PageOf(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list."""

    items: tuple[T, ...]
    cursor: str | None = None


def every(transport: Transport, path: str, kind: type[T], **query: object) -> Iterator[T]:
    """The items of a list, fetched page by page as they are asked for."""
    cursor: str | None = None
    for _ in range(PAGES_MAX):
        asked = {**query, "limit": PAGE_ITEMS, "cursor": cursor}
        answer = transport.request("GET", path, query=asked)
        page = answer.decode(PageOf[kind])
        yield from page.items
        cursor = page.cursor
        if cursor is None:
            return


def segment(name: str) -> str:
    """A name or id as one part of a path."""
    return quote(name, safe="")
