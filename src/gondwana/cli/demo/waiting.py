"""Waiting for a condition, with a limit and a reason."""

import threading
from collections.abc import Callable
from typing import Final

from gondwana.core.clock import SystemClock
from gondwana.core.errors import Unavailable

POLL_SECONDS: Final = 0.2


def wait_for(is_met: Callable[[], bool], seconds_max: float, what: str) -> None:
    """Return when the condition is met; raises Unavailable that names `what` after `seconds_max`."""
    clock, pause = SystemClock(), threading.Event()
    deadline = clock.now() + seconds_max
    while not is_met():
        if clock.now() > deadline:
            raise Unavailable(f"waited {seconds_max:g} s for {what}")
        pause.wait(POLL_SECONDS)
