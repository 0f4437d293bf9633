"""Many things in few transactions: what fails is left to the next pass, the others go on."""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from itertools import islice
from typing import Any, Final, TypeVar

from gondwana.core.errors import GondwanaError, Unavailable
from gondwana.db.writer import Writer
from gondwana.jobs.context import Context

T = TypeVar("T")

# transactions submitted at once: 50 ms of work, so that what others submit meanwhile does not wait longer
AT_ONCE_MAX: Final = 100
# things of one transaction: 0.2 s of work while many wait; with 400 there are 6 % less leases in all
PART_MAX: Final = 640
# made and not written; who makes them works while the database does, so more at once would only slow the writer
PARTS_AHEAD: Final = 2
_log = logging.getLogger(__name__)


def write_each(context: Context, run: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> int:
    """Run `run(tx, *call)` for each call, many in one commit; how many were done."""
    done = 0
    for start in range(0, len(calls), AT_ONCE_MAX):
        part = calls[start : start + AT_ONCE_MAX]
        futures = [context.database.writer.submit(run, *call) for call in part]
        for call, future in zip(part, futures, strict=True):
            error = future.exception()
            done += error is None
            _tell(error, f"{run.__name__}{call}")
    return done


def write_parts(
    context: Context, run: Callable[..., int], given: Sequence[Any], things: Iterable[T],
    after: Callable[[Sequence[T]], None] | None = None,
) -> int:  # fmt: skip
    """The sum of `run(tx, *given, part)` over all things in parts of PART_MAX, each part in a transaction of its own.

    The next PARTS_AHEAD parts are made while one is written. `after` is told of each that is written, or never will be.
    A part that fails is tried again by halves, so that what cannot be done stops nothing else; where the database
    cannot write at all, that would not help.
    """
    submit = context.database.writer.submit
    waiting: deque[tuple[list[T], Future[int]]] = deque()

    def finish() -> int:
        part, future = waiting.popleft()
        error = future.exception()
        if error is not None and len(part) > 1 and not isinstance(error, Unavailable):
            if not isinstance(error, GondwanaError):
                _tell(error, f"{run.__name__} of {len(part)}, done by halves:")
            half = len(part) // 2
            waiting.extend((each, submit(run, *given, each)) for each in (part[:half], part[half:]))
            return 0
        if error is not None:
            _tell(error, f"{run.__name__} of {part[0]}")
        if after is not None:
            after(part)
        return future.result() if error is None else 0

    done = 0
    for part in parts(things):
        waiting.append((part, submit(run, *given, part)))
        while len(waiting) > PARTS_AHEAD:
            done += finish()
    while waiting:
        done += finish()
    return done


def beside(writer: Writer, things: Iterable[T]) -> Iterator[T]:
    """The things, each made when the writer is not slowed by it."""
    for each in things:
        yield each
        writer.give_way()


def parts(things: Iterable[T]) -> Iterator[list[T]]:
    """The things, PART_MAX at a time, as they come."""
    left = iter(things)
    while part := list(islice(left, PART_MAX)):
        yield part


def _tell(error: BaseException | None, what: str) -> None:
    if isinstance(error, GondwanaError):
        _log.warning("%s: %s", what, error)
    elif error is not None:
        _log.error("%s failed", what, exc_info=error)
