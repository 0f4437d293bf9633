"""What happened, as a row: every state change writes one event in its own transaction."""

import json
from typing import Any

from msgspec import Struct, field

from gondwana.core.clock import Instant


class Event(Struct, frozen=True, kw_only=True):
    """One thing that happened to one subject; numbered by the database in commit order."""

    at: Instant
    kind: str  # "<noun>.<verb>", e.g. "lease.closed"
    subject: str  # the id of what changed
    job_id: str | None = None
    data: dict[str, Any] = field(default_factory=dict[str, Any])

    def canonical(self) -> bytes:
        """The bytes that a hash of the event log covers: the same for the same event, everywhere."""
        return json.dumps(
            [self.at, self.kind, self.subject, self.job_id, self.data],
            sort_keys=True,
            separators=(",", ":"),
        ).encode()
