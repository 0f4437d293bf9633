"""Bring a database to the shape this version of the code expects."""

import hashlib
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from typing import Final

from gondwana.core.errors import WrongState

_FILE: Final = re.compile(r"(\d{4})_[a-z_]+\.sql")
_RECORD: Final = """CREATE TABLE IF NOT EXISTS migration (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL, hash TEXT NOT NULL) STRICT"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One numbered file of SQL."""

    number: int
    name: str
    sql: str

    def hash(self) -> str:
        """The SHA-256 of the text, to notice a migration that was edited after it was applied."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def known_migrations() -> list[Migration]:
    """The migrations that ship with this code, in order."""
    found: list[Migration] = []
    for file in resources.files("gondwana.db").joinpath("migrations").iterdir():
        if match := _FILE.fullmatch(file.name):
            number = int(match.group(1))
            found.append(Migration(number=number, name=file.name, sql=file.read_text("utf-8")))
    found.sort(key=lambda migration: migration.number)
    numbers = [migration.number for migration in found]
    assert len(set(numbers)) == len(numbers), "two migrations have the same number"
    return found


def migrate(connection: sqlite3.Connection, migrations: list[Migration]) -> list[str]:
    """Apply what is missing, in order, all or nothing; returns the names applied.

    Raises WrongState for a database that a newer version wrote, or whose history differs from this code's.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(_RECORD)
        done = {row["number"]: row for row in connection.execute("SELECT * FROM migration")}
        _check_history(done, {migration.number: migration for migration in migrations})
        missing = [migration for migration in migrations if migration.number not in done]
        for migration in missing:
            for statement in statements(migration.sql):
                connection.execute(statement)
            connection.execute(
                "INSERT INTO migration (number, name, hash) VALUES (?, ?, ?)",
                (migration.number, migration.name, migration.hash()),
            )
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return [migration.name for migration in missing]


def statements(sql: str) -> Iterator[str]:
    """The statements of a script, each beginning on a new line; `executescript` would commit before it begins."""
    pending = ""
    for line in sql.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
    rest = [line for line in pending.splitlines() if line.strip() and not line.startswith("--")]
    assert not rest, f"the last statement lacks its semicolon: {rest[0]}"


def _check_history(done: dict[int, sqlite3.Row], known: dict[int, Migration]) -> None:
    for number, row in done.items():
        if number not in known:
            raise WrongState(
                f"This database was written by a newer Gondwana: it has migration {row['name']}.",
                hint="run the newer version, or restore a backup from before the upgrade",
            )
        if known[number].hash() != row["hash"]:
            raise WrongState(
                f"Migration {row['name']} differs from the one this database was made with.",
                hint="run the version that made the database, or start with a new one",
            )
