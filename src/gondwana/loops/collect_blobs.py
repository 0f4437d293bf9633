"""Blobs that nothing refers to any more, and half-finished uploads, make room."""

from typing import Final

from gondwana.core.clock import Instant
from gondwana.db.blob_references import held_blobs
from gondwana.jobs.context import Context

YOUNG_SECONDS: Final = 3600.0  # a client uploads before it launches


def collect_blobs(context: Context, now: Instant) -> int:
    """Returns how many blobs were removed."""
    held = held_blobs(context.database.reader())
    return len(context.blobs.collect(held, older_than=Instant(now - YOUNG_SECONDS)))
