"""What takes a server's time, asked for while what came before is worked on."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items; each but the first is made by a thread while the one before it is used.

    Nobody else may use what `items` reads through meanwhile.
    """
    nothing = object()
    with ThreadPoolExecutor(1, thread_name_prefix="gondwana-ahead") as pool:
        item = next(items, nothing)
        while item is not nothing:
            coming = pool.submit(next, items, nothing)
            yield item  # type: ignore[misc]
            item = coming.result()
