"""How much each may upload in an hour: what nobody holds is collected after one, so nobody can fill the store."""

import threading
from typing import Final

from gondwana.core.clock import Clock, Instant
from gondwana.core.errors import Exhausted
from gondwana.core.units import GIB, format_bytes

WINDOW_SECONDS: Final = 3600.0
MACHINE_BYTES_MAX: Final = 64 * GIB  # the deltas of a billion parameters, every minute, twice
PRINCIPAL_BYTES_MAX: Final = 256 * GIB


class Allowance:
    """Bytes taken from each in the present hour; forgotten on a restart."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._taken: dict[str, int] = {}
        self._since: Instant = clock.now()

    def charge(self, uploader: str, count: int, *, bytes_max: int) -> None:
        """Count bytes that `uploader` sent; raises Exhausted past `bytes_max` in one hour."""
        with self._lock:
            now = self._clock.now()
            if now - self._since >= WINDOW_SECONDS:
                self._taken, self._since = {}, now
            taken = self._taken.get(uploader, 0) + count
            if taken > bytes_max:
                raise Exhausted(
                    f"at most {format_bytes(bytes_max)} are taken in an hour",
                    hint="go on in an hour",
                )
            self._taken[uploader] = taken
