"""A client of a database whose power will be cut: `doomed.py <folder> <seed> <in flight> [<synchronous>]`.

It opens the database twice, so that a clean close is also in its journal, and ends without closing it. Given a level of
`PRAGMA synchronous`, it lowers ours to that: a fault for the test to find.
"""

import itertools
import os
import sqlite3
import sys
from pathlib import Path
from typing import Any

from disk import ANSWERS
from traffic import open_books, post_traffic, traffic

from gondwana.db import sqlite
from gondwana.db.database import Database

STEPS = 600
LOG_PAGES = (
    1_000  # few enough that the write-ahead log is checkpointed and begun anew within the steps
)


class Careless(sqlite3.Connection):
    """A connection that waits less for the disk than it was told to."""

    level = ""

    def execute(self, sql: str, *params: Any) -> sqlite3.Cursor:
        """As told, but for the level."""
        return super().execute(sql.replace("synchronous = FULL", f"synchronous = {self.level}"), *params)  # fmt: skip


def be_careless(level: str) -> None:
    """From now on SQLite connects so that it syncs less."""
    Careless.level, connect = level, sqlite3.connect
    sqlite3.connect = lambda *args, **kwargs: connect(*args, factory=Careless, **kwargs)


def main() -> None:
    folder, seed, in_flight = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    sqlite.LOG_PAGES = LOG_PAGES
    for level in sys.argv[4:]:
        be_careless(level)
    answers = os.open(folder / ANSWERS, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    steps = traffic(seed)

    def answer(event_id: str) -> None:
        os.write(answers, f"{event_id}\n".encode())

    def post(database: Database) -> None:
        part = itertools.islice(steps, STEPS // 2)
        post_traffic(database, part, in_flight=in_flight, answer=answer)

    with open_books(folder / "books.db") as database:
        post(database)
    post(open_books(folder / "books.db"))
    os._exit(0)  # as a process ends when the power goes


if __name__ == "__main__":
    main()
