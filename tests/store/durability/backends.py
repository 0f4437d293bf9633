"""Where the books live while somebody is killed, and how to look at them from below."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Final

from postgres import Cluster

AMCHECK: Final = """
    SELECT relname, detail FROM pg_class CROSS JOIN LATERAL (
        SELECT msg AS detail FROM verify_heapam(pg_class.oid) WHERE relkind = 'r'
        UNION ALL SELECT bt_index_check(pg_class.oid, true)::text WHERE relkind = 'i' AND relam = 403
    ) AS found
    WHERE relnamespace = 'gondwana'::regnamespace AND detail <> ''
"""


class SqliteFiles:
    """Databases in files of one folder."""

    answers_max: Final = 300  # long enough that the write-ahead log is checkpointed in some rounds

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


class PostgresServer:
    """Databases of a server of our own, which may be killed as well."""

    answers_max: Final = 60  # it commits more slowly

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._number = 0

    def create(self) -> str:
        """What opens a new database; the one before is dropped, for a recovery syncs every file there is."""
        self._cluster.drop(f"books_{self._number}")
        self._number += 1
        url = self._cluster.create(f"books_{self._number}")
        self._cluster.sql("CREATE EXTENSION amcheck", f"books_{self._number}")
        return url

    def kill(self) -> None:
        """Kill -9 of every process of the server."""
        self._cluster.kill()

    def recover(self) -> None:
        """Start the server again; it first does again what it had promised."""
        self._cluster.start()

    def flaws(self, target: str) -> list[str]:
        """What is broken below the tables."""
        found = self._cluster.sql(AMCHECK, f"books_{self._number}")
        return [f"{name}: {detail}" for name, detail in found]


def sqlite_flaws(path: Path) -> list[str]:
    """What SQLite finds broken in its file."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        found = [row[0] for row in connection.execute("PRAGMA integrity_check")]
        broken = [f"foreign key: {row}" for row in connection.execute("PRAGMA foreign_key_check")]
    return [line for line in found if line != "ok"] + broken
