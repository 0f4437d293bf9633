"""SQL kept as SQL: `queries.sql` of a package, as named strings (ADR 0003).

A file is a list of blocks; the comment lines after the name say what comes back. A query that PostgreSQL needs in
other words has a second block for it; else its text is the same but for the parameters.

    -- name: reserved_before
    -- Reservations made before :instant, oldest first, at most :limit.
    SELECT … FROM lease WHERE state = 'reserved' AND reserved_at < :instant ORDER BY reserved_at LIMIT :limit;

    -- name: reserved_before (postgres)
    SELECT …;
"""

import functools
import re
from importlib import resources
from typing import Final

from gondwana.db.dialect import Prepared, postgres_query

_NAME: Final = re.compile(r"^-- name: *(.+?) *$", re.MULTILINE)
_VARIANT: Final = " (postgres)"


class Query(str):
    """A query's text for SQLite; `.postgres` is that for PostgreSQL."""

    __slots__ = ("postgres",)
    postgres: str

    def __new__(cls, sqlite: str, postgres: str | None = None) -> "Query":
        """Both texts of one query; PostgreSQL's is SQLite's where none is given."""
        query = super().__new__(cls, sqlite)
        query.postgres = postgres_query(sqlite if postgres is None else postgres)
        return query


def prepared(sql: str) -> Prepared:
    """A query without parameters as PostgreSQL plans it once a session."""
    return _prepared(sql.postgres.replace("%%", "%") if isinstance(sql, Query) else sql)


@functools.lru_cache(maxsize=256)
def _prepared(text: str) -> Prepared:
    return Prepared(text)


class Queries:
    """The named queries of one file: `SQL.reserved_before` is the text of that block."""

    def __init__(self, texts: dict[str, Query], source: str) -> None:
        self._texts = texts
        self._source = source

    def __getattr__(self, name: str) -> Query:
        try:
            return self._texts[name]
        except KeyError:
            raise AttributeError(f"no query named {name!r} in {self._source}") from None

    def names(self) -> list[str]:
        """All names, in the file's order."""
        return list(self._texts)


def load_queries(package: str, file: str = "queries.sql") -> Queries:
    """The queries in `file` of `package`; a wrong name or an empty block is our mistake and raises ValueError."""
    source = f"{package}/{file}"
    return parse_queries(resources.files(package).joinpath(file).read_text("utf-8"), source)


def parse_queries(text: str, source: str) -> Queries:
    """The queries in `text`; `source` names it in errors."""
    parts = _NAME.split(text)
    texts: dict[str, str] = {}
    for name, body in zip(parts[1::2], parts[2::2], strict=True):
        plain = name.removesuffix(_VARIANT)
        if not plain.isidentifier() or plain.startswith("_") or name in texts or plain == "names":
            raise ValueError(f"{source}: the query name {name!r} is taken or not a name")
        if plain != name and plain not in texts:
            raise ValueError(f"{source}: {name!r} has no block for SQLite before it")
        sql = "\n".join(line for line in body.splitlines() if not line.startswith("--")).strip()
        if not sql.endswith(";"):
            raise ValueError(f"{source}: the query {name!r} does not end with a semicolon")
        texts[name] = sql.removesuffix(";")
    queries = {
        name: Query(sql, texts.get(name + _VARIANT))
        for name, sql in texts.items()
        if not name.endswith(_VARIANT)
    }
    return Queries(queries, source)
