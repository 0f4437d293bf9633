"""Where the books live while somebody is killed, and how to look at them from below."""

import contextlib
import sqlite3
from pathlib import Path


class SqliteFiles:
    """Databases in files of one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0

    def create(self) -> str:
        """What opens a new database."""
        self._number += 1
        return str(self._folder / f"{self._number}.db")

    def flaws(self, target: str) -> list[str]:
        """What is broken below the tables."""
        return sqlite_flaws(Path(target))


def sqlite_flaws(path: Path) -> list[str]:
    """What SQLite finds broken in its file."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        found = [row[0] for row in connection.execute("PRAGMA integrity_check")]
        broken = [f"foreign key: {row}" for row in connection.execute("PRAGMA foreign_key_check")]
    return [line for line in found if line != "ok"] + broken
