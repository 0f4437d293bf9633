"""To what something happened since the last look, so that a pass need not look at all there is."""

import functools
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.events import Event
from gondwana.db.events import StoredEvent

LOOK_SECONDS: Final = 10.0
"""Between two looks at everything: what an error left undone is found by then."""


@functools.lru_cache(maxsize=1_024)
def noun(kind: str) -> str:
    """What an event is about: "lease" of "lease.closed"."""
    return kind.partition(".")[0]


def _job(event: Event) -> str | None:
    return event.job_id


class Heard:
    """Which jobs, or what else `of` names, to look at.

    It knows nothing after a start, and where nobody tells it what is committed: then all.
    """

    def __init__(
        self, *kinds: str, of: Callable[[Event], str | None] = _job, look_seconds: float = LOOK_SECONDS
    ) -> None:  # fmt: skip
        self._kinds = frozenset(kinds)
        self._nouns = frozenset(map(noun, kinds))
        self._of = of
        self._look_seconds = look_seconds
        self._lock = threading.Lock()
        self._ids: dict[str, None] = {}  # in the order in which they were heard of
        self._hears = False
        self._looked_at: Instant | None = None

    def hears(self, noun: str) -> bool:
        """Whether it follows events about that."""
        return noun in self._nouns

    def follow(self, events: Sequence[StoredEvent]) -> None:
        """Hear what was committed; called on the writer's thread, so it only remembers."""
        with self._lock:
            self._hears = True
            for each in events:
                if each.event.kind in self._kinds and (named := self._of(each.event)):
                    self._ids[named] = None

    def take(self, now: Instant) -> list[str] | None:
        """What to look at, each once; None: it is time to look at all."""
        with self._lock:
            found, self._ids = self._ids, {}
            is_fresh = (
                self._looked_at is not None and 0 <= now - self._looked_at < self._look_seconds
            )
            if self._hears and is_fresh:
                return list(found)
            self._looked_at = now
            return None

    def keep(self, ids: Iterable[str]) -> None:
        """These are to be looked at the next time too."""
        with self._lock:
            self._ids = dict.fromkeys(ids) | self._ids
