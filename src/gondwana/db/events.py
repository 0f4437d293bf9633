"""The log of what happened, in commit order."""

import json
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from gondwana.core.clock import Instant
from gondwana.core.events import Event
from gondwana.db.connection import Read
from gondwana.db.queries import load_queries

if TYPE_CHECKING:
    from gondwana.db.transaction import Reader, Row

EVENTS_READ_MAX: Final = 1_000  # one page of the log
SQL: Final = load_queries("gondwana.db")
LAST_EVENT_SEQ: Final = SQL.last_event_seq
_JSON: Final = msgspec.json.Encoder()
EVENT_COLUMNS: Final = ("at", "kind", "subject", "job_id", "data")


class StoredEvent(Struct, frozen=True, kw_only=True):
    """An event and its number: a reader that saw `seq` asks for what came after it."""

    seq: int
    event: Event


def events_after(
    reader: "Reader", after: int, *, limit: int = EVENTS_READ_MAX, job_id: str | None = None
) -> list[StoredEvent]:
    """The events numbered above `after`, oldest first, at most `limit`; those of one job when it is given."""
    limit = min(limit, EVENTS_READ_MAX)
    if job_id is None:
        rows = reader.all(SQL.events_after, {"after": after, "limit": limit})
    else:
        rows = reader.all(
            SQL.events_of_job_after, {"after": after, "limit": limit, "job_id": job_id}
        )
    return [_stored(row) for row in rows]


def event_row(event: Event) -> tuple[float, str, str, str | None, str]:
    """How an event is stored, by EVENT_COLUMNS."""
    return event.at, event.kind, event.subject, event.job_id, _JSON.encode(event.data).decode()


def numbers_asked(count: int, *, has_gaps: bool) -> Read:
    """What finds which numbers the newest `count` events have; between them there are gaps where some were undone."""
    sql = SQL.numbers_of_events if has_gaps else SQL.numbers_without_gap
    return Read(tuple, sql, {"count": count})


def numbered(events: Sequence[Event], numbers: Iterable[tuple[int, int]]) -> list[StoredEvent]:
    """All events of a batch with their numbers, which are from the first of each of these to its last."""
    seqs = chain.from_iterable(range(first, last + 1) for first, last in numbers)
    return [StoredEvent(seq=seq, event=each) for seq, each in zip(seqs, events, strict=True)]


def last_seq(reader: "Reader") -> int:
    """The number of the newest event; 0 when nothing ever happened."""
    row = reader.one(LAST_EVENT_SEQ)
    return int(row["seq"] or 0) if row else 0


def newest_at(reader: "Reader") -> Instant:
    """When the newest event happened, by the clock of whoever wrote it; 0 when nothing ever did."""
    row = reader.one(SQL.newest_event_at)
    return Instant(row["at"] if row else 0.0)


def _stored(row: "Row") -> StoredEvent:
    event = Event(
        at=Instant(row["at"]),
        kind=row["kind"],
        subject=row["subject"],
        job_id=row["job_id"],
        data=json.loads(row["data"]),
    )
    return StoredEvent(seq=row["seq"], event=event)
