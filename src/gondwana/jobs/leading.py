"""Where a control plane begins that takes over from another."""

from gondwana.core.clock import Instant
from gondwana.db.events import newest_at
from gondwana.db.transaction import Reader
from gondwana.supply import store as supply


def left_off(reader: Reader) -> Instant:
    """How late it was by the clock of whoever led before: the latest that he wrote of an event or of a machine."""
    return max(newest_at(reader), supply.last_proven(reader) or Instant(0.0))
