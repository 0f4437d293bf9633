"""What the control plane holds in memory: who is connected, and what waits to be written. All of it can be lost."""

import asyncio
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Final

from gondwana.api.allowance import Allowance
from gondwana.core.clock import Clock
from gondwana.db.events import StoredEvent
from gondwana.jobs.context import Context

BANDWIDTHS_AT_ONCE: Final = (
    8  # else they would measure each other, and all come at once after a restart
)


class Plane:
    """The running control plane, as routes and links see it."""

    def __init__(self, context: Context, clock: Clock) -> None:
        self.context = context
        self.clock = clock
        self.proofs = context.proofs
        self.allowance = Allowance(clock)
        self._lock = threading.Lock()
        self._blob_tokens: dict[str, str] = {}  # token -> machine id
        self._wakers: dict[
            str, Callable[[], None]
        ] = {}  # machine id -> tells its link that its duty may have changed
        self._followers: dict[
            str | None, list[Callable[[], None]]
        ] = {}  # job id -> tells who waits for what happens to it
        context.database.writer.listen(context.follow)
        context.database.writer.listen(self._committed)
        context.probes.wake = self._wake_link
        self.bandwidth_slots = asyncio.Semaphore(BANDWIDTHS_AT_ONCE)

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

    @contextmanager
    def following(self, job_id: str | None, wake: Callable[[], None]) -> Generator[None]:
        """Within this block `wake` is called when something happened to the job; None: to anything."""
        with self._lock:
            self._followers.setdefault(job_id, []).append(wake)
        try:
            yield
        finally:
            with self._lock:
                self._followers[job_id].remove(wake)
                if not self._followers[job_id]:
                    del self._followers[job_id]

    def followers(self, job_id: str | None) -> int:
        """How many wait for what happens to the job; None: to anything."""
        with self._lock:
            return len(self._followers.get(job_id, ()))

    def output_came(self, job_id: str) -> None:
        """A piece of the job's output was stored; that is no event."""
        self._wake_followers({job_id})

    def _wake_link(self, machine_id: str) -> None:
        with self._lock:
            wake = self._wakers.get(machine_id)
        if wake is not None:
            wake()

    def _committed(self, events: Sequence[StoredEvent]) -> None:
        machines = {event.event.data.get("machine_id") for event in events}
        with self._lock:
            wakers = [self._wakers[machine] for machine in machines if machine in self._wakers]
        for wake in wakers:
            wake()
        self._wake_followers({None, *(event.event.job_id for event in events)})

    def _wake_followers(self, job_ids: set[str | None]) -> None:
        with self._lock:
            wakes = [wake for job_id in job_ids for wake in self._followers.get(job_id, ())]
        for wake in wakes:
            wake()
