"""What the control plane holds in memory: who is connected, and what waits to be written. All of it can be lost."""

import threading
from collections.abc import Callable, Sequence

from gondwana.core.clock import Clock
from gondwana.db.events import StoredEvent
from gondwana.jobs.context import Context
from gondwana.jobs.proofs import Proofs


class Plane:
    """The running control plane, as routes and links see it."""

    def __init__(self, context: Context, clock: Clock) -> None:
        self.context = context
        self.clock = clock
        self.proofs = Proofs()
        self._lock = threading.Lock()
        self._blob_tokens: dict[str, str] = {}  # token -> machine id
        self._wakers: dict[
            str, Callable[[], None]
        ] = {}  # machine id -> tells its link that its duty may have changed
        self._news = threading.Condition()
        self._seq = 0
        context.database.writer.listen(self._committed)

    def issue_blob_token(self, machine_id: str) -> str:
        """A token with which one machine moves blobs until its next connection."""
        token = f"gwb_{self.context.random.token(24).hex()}"
        with self._lock:
            stale = [old for old, holder in self._blob_tokens.items() if holder == machine_id]
            for old in stale:
                del self._blob_tokens[old]
            self._blob_tokens[token] = machine_id
        return token

    def machine_of_blob_token(self, token: str) -> str | None:
        """The machine that holds this token, if it is a live one."""
        with self._lock:
            return self._blob_tokens.get(token)

    def connect(self, machine_id: str, wake: Callable[[], None]) -> None:
        """From now on `wake` is called when the machine's duty may have changed; an older link hears no more."""
        with self._lock:
            self._wakers[machine_id] = wake

    def disconnect(self, machine_id: str, wake: Callable[[], None]) -> None:
        """The link is gone; a newer one of the same machine stays."""
        with self._lock:
            if self._wakers.get(machine_id) == wake:
                del self._wakers[machine_id]

    def connected(self) -> int:
        """How many machines are linked now."""
        with self._lock:
            return len(self._wakers)

    def wait_for_news(self, seq: int, seconds_max: float) -> int:
        """The newest event number known; waits up to `seconds_max` for one above `seq`."""
        with self._news:
            self._news.wait_for(lambda: self._seq > seq, timeout=seconds_max)
            return self._seq

    def _committed(self, events: Sequence[StoredEvent]) -> None:
        machines = {event.event.data.get("machine_id") for event in events}
        with self._lock:
            wakers = [self._wakers[machine] for machine in machines if machine in self._wakers]
        for wake in wakers:
            wake()
        with self._news:
            self._seq = max(self._seq, events[-1].seq)
            self._news.notify_all()
