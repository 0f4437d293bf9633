"""Who may write: one leader at a time, whose term is higher than that of every leader before (fencing).

A writer takes a term when it is opened and looks in each of its transactions whether the term is still its own. So a
leader that slept through a change of leaders is refused, however it comes back. PostgreSQL's leader also holds an
advisory lock for as long as it is connected: whoever waits for that lock stands by.
"""

import os
import socket
from dataclasses import dataclass
from typing import Any, Final

from gondwana.core.clock import Instant
from gondwana.db.queries import load_queries

SQL: Final = load_queries("gondwana.db", "leadership.sql")
LOST: Final = "leadership.lost"
"""What PostgreSQL's `hold_term` says to a leader of an earlier term."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leader:
    """Who takes the lead, and when: for people who look."""

    holder: str
    at: Instant

    def to_row(self) -> dict[str, Any]:
        """The parameters of `take_over`."""
        return {"holder": self.holder, "at": self.at}


def this_process() -> str:
    """The name of this process among those of all machines."""
    return f"{socket.gethostname()}:{os.getpid()}"
