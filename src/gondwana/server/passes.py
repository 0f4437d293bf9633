"""The two threads of reconcilers: one serves orders and jobs whenever there is news, one keeps the books."""

import threading
import time
from collections.abc import Callable
from typing import Final

from gondwana.core.clock import Instant
from gondwana.loops.run import Reconcilers

TICK_SECONDS: Final = 0.5  # reconcilers run at least this often; news wakes them at once
PASS_REST_SECONDS: Final = 0.01
"""From one pass to the next, while there is always news: one pass for ten orders costs far less than ten passes."""


def serve_news(
    reconcilers: Reconcilers, news: threading.Event, stopping: threading.Event, now: Callable[[], Instant]
) -> None:  # fmt: skip
    """Run a pass whenever there is news, until stopped; the pass under way is finished."""
    while not stopping.is_set():
        news.wait(TICK_SECONDS)
        news.clear()
        if stopping.is_set():
            return
        begun = time.monotonic()
        reconcilers.run(now())
        stopping.wait(max(0.0, begun + PASS_REST_SECONDS - time.monotonic()))


def keep_books(
    reconcilers: Reconcilers, stopping: threading.Event, now: Callable[[], Instant]
) -> None:
    """Run a pass every TICK_SECONDS, until stopped; the pass under way is finished."""
    while not stopping.wait(TICK_SECONDS):
        reconcilers.run(now())
