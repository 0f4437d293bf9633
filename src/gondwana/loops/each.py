"""One transaction for each of many things: what fails is left to the next pass, the others go on."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

from gondwana.core.errors import GondwanaError
from gondwana.jobs.context import Context

AT_ONCE_MAX: Final = 500  # transactions that share a commit; leaves room in the queue for requests
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
            if isinstance(error, GondwanaError):
                _log.warning("%s%s: %s", run.__name__, call, error)
            elif error is not None:
                _log.error("%s%s failed", run.__name__, call, exc_info=error)
    return done
