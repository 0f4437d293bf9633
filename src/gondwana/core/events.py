"""What happened, as a row: every state change writes one event in its own transaction."""

import json
from dataclasses import dataclass, field
from typing import Any

from gondwana.core.clock import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
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
