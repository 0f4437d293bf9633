"""Jobs to which something happened since the last look, so that a pass need not look at all that are alive."""

import threading
from collections.abc import Iterable, Sequence
from typing import Final

from gondwana.core.clock import Instant
from gondwana.db.events import StoredEvent

LOOK_SECONDS: Final = 10.0
"""Between two looks at everything: what an error left undone is found by then."""


class Heard:
    """Which jobs to look at. It knows nothing after a start, and where nobody tells it what is committed: then all."""

    def __init__(self, *kinds: str) -> None:
        self._kinds = frozenset(kinds)
        self._lock = threading.Lock()
        self._jobs: dict[str, None] = {}  # in the order in which they were heard of
        self._hears = False
        self._looked_at: Instant | None = None

    def follow(self, events: Sequence[StoredEvent]) -> None:
        """Hear what was committed; called on the writer's thread, so it only remembers."""
        with self._lock:
            self._hears = True
            for each in events:
                if each.event.kind in self._kinds and each.event.job_id:
                    self._jobs[each.event.job_id] = None

    def take(self, now: Instant) -> list[str] | None:
        """The jobs to look at, each once; None: it is time to look at all."""
        with self._lock:
            found, self._jobs = self._jobs, {}
            is_fresh = self._looked_at is not None and 0 <= now - self._looked_at < LOOK_SECONDS
            if self._hears and is_fresh:
                return list(found)
            self._looked_at = now
            return None

    def keep(self, job_ids: Iterable[str]) -> None:
        """These are to be looked at the next time too."""
        with self._lock:
            self._jobs = dict.fromkeys(job_ids) | self._jobs
