"""What takes a server's time, asked for while what came before is worked on."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items; each but the first is made by a thread while the one before it is used.

    None of them is None. Nobody else may use what `items` reads through meanwhile.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="gondwana-ahead") as pool:
        item = next(items, None)
        while item is not None:
            coming = pool.submit(next, items, None)
            yield item
            item = coming.result()
