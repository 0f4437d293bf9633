"""Bring a database to the shape this version of the code expects."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Final

from gondwana.core.errors import WrongState
from gondwana.db.connection import Connection
from gondwana.db.dialect import Dialect, postgres_schema
from gondwana.db.rows import RowLike

# A file is for both databases, or stands beside one for PostgreSQL alone.
_FILE: Final = re.compile(r"(\d{4})_[a-z_]+(\.postgres)?\.sql")
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

    def text_for(self, dialect: Dialect) -> str:
        """What to run."""
        is_written_for_it = dialect is Dialect.SQLITE or self.name.endswith(".postgres.sql")
        return self.sql if is_written_for_it else postgres_schema(self.sql)


def known_migrations(dialect: Dialect = Dialect.SQLITE) -> list[Migration]:
    """The migrations that ship with this code, in order."""
    shared: dict[int, Migration] = {}
    for_postgres: dict[int, Migration] = {}
    for file in resources.files("gondwana.db").joinpath("migrations").iterdir():
        if match := _FILE.fullmatch(file.name):
            found = for_postgres if match.group(2) else shared
            number = int(match.group(1))
            assert number not in found, "two migrations have the same number"
            found[number] = Migration(number=number, name=file.name, sql=file.read_text("utf-8"))
    assert for_postgres.keys() <= shared.keys(), "both databases have the same numbers"
    if dialect is Dialect.POSTGRES:
        shared |= for_postgres
    return [shared[number] for number in sorted(shared)]


def migrate(connection: Connection, migrations: list[Migration]) -> list[str]:
    """Apply what is missing, in order, all or nothing; returns the names applied.

    Raises WrongState for a database that a newer version wrote, or whose history differs from this code's.
    """
    connection.begin_migration()
    try:
        connection.script(
            Migration(number=0, name="", sql=_RECORD).text_for(connection.dialect) + ";"
        )
        missing = missing_of(migrations, connection.all("SELECT * FROM migration"))
        for migration in missing:
            connection.script(migration.text_for(connection.dialect))
            insert = "INSERT INTO migration (number, name, hash) VALUES (?, ?, ?)"
            connection.execute(insert, (migration.number, migration.name, migration.hash()))
        connection.commit()
    except BaseException:
        connection.rollback()
        raise
    return [migration.name for migration in missing]


def missing_of(migrations: list[Migration], applied: Sequence[RowLike]) -> list[Migration]:
    """Those of `migrations` that are not among the rows `applied`.

    Raises WrongState where a newer version, or another history, applied some.
    """
    done = {int(row["number"]): row for row in applied}
    _check_history(done, {migration.number: migration for migration in migrations})
    return [migration for migration in migrations if migration.number not in done]


def _check_history(done: Mapping[int, RowLike], known: Mapping[int, Migration]) -> None:
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
