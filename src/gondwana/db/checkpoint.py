"""Move what is in SQLite's write-ahead log into the file beside the writer, so that no commit has to do it.

A commit that finds the log full writes thousands of pages before it returns: 60 to 140 ms, where others take 10. Here a
thread of its own does that several times a second; the writer, which alone can begin the log anew, then finds next to
nothing left to do. What is committed lasts either way: every commit is synced in the log.
"""

import logging
import os
import sqlite3
import threading
from pathlib import Path
from typing import Final

from gondwana.db.sqlite import file_uri, open_for_reading

REST_SECONDS: Final = 0.25  # what 3,000 leases a second write meanwhile is a fifth of the log
_log = logging.getLogger(__name__)


class Checkpointer:
    """A thread that looks after the log of one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="gondwana-checkpoint", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Finish what is under way."""
        self._over.set()
        self._thread.join()

    def _work(self) -> None:
        connection, seen = open_for_reading(file_uri(self._path)), 0
        try:
            while not self._over.wait(REST_SECONDS):
                written = self._written()
                if written != seen:
                    seen = written
                    self._checkpoint(connection.raw)
        finally:
            connection.close()

    def _written(self) -> int:
        """When the log was last written; 0 where there is none."""
        try:
            return os.stat(f"{self._path}-wal").st_mtime_ns
        except FileNotFoundError:
            return 0

    def _checkpoint(self, raw: sqlite3.Connection) -> None:
        try:
            raw.execute(
                "PRAGMA wal_checkpoint(PASSIVE)"
            ).fetchone()  # waits for nobody, stops nobody
        except (
            sqlite3.Error
        ) as error:  # e.g. the disk is full: whoever writes is told by his commit
            _log.warning("the log stays for now: %s", error)
