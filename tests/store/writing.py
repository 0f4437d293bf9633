"""Calls that share a commit, and what became of them."""

import collections
from concurrent.futures import Future

from gondwana.core.clock import Instant
from gondwana.core.events import Event
from gondwana.db.batch import Call
from gondwana.db.events import events_after

NOW = Instant(1.0)
RENAME = "UPDATE setting SET value = ? WHERE value = ? AND key IN (:keys)"


def commit(database, *runs):
    """What became of calls that share a commit, and the events that were told."""
    calls = [Call(run=run, future=Future()) for run in runs]
    told = database.writer._batches.commit(collections.deque(calls), 60.0)
    return [each.future.exception(timeout=0.0) for each in calls], told


def happened(subject):
    return Event(at=NOW, kind="thing.changed", subject=subject)


def stored(database):
    rows = database.reader().all("SELECT key, value FROM setting ORDER BY key")
    return {row["key"]: row["value"].strip('"') for row in rows}


def are_as_stored(database, told):
    """Whether events were told by the numbers that they are stored under."""
    found = events_after(database.reader(), told[0].seq - 1)
    return [(each.seq, each.event) for each in found] == [(each.seq, each.event) for each in told]
