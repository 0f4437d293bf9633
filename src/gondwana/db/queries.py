"""SQL kept as SQL: `queries.sql` of a package, as named strings (ADR 0003).

A file is a list of blocks; the comment lines after the name say what comes back.

    -- name: reserved_before
    -- Reservations made before :instant, oldest first, at most :limit.
    SELECT … FROM lease WHERE state = 'reserved' AND reserved_at < :instant ORDER BY reserved_at LIMIT :limit;
"""

import re
from importlib import resources
from typing import Final

_NAME: Final = re.compile(r"^-- name: *(\S+) *$", re.MULTILINE)


class Queries:
    """The named queries of one file: `SQL.reserved_before` is the text of that block."""

    def __init__(self, texts: dict[str, str], source: str) -> None:
        self._texts = texts
        self._source = source

    def __getattr__(self, name: str) -> str:
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
        if not name.isidentifier() or name.startswith("_") or name in texts or name == "names":
            raise ValueError(f"{source}: the query name {name!r} is taken or not a name")
        sql = "\n".join(line for line in body.splitlines() if not line.startswith("--")).strip()
        if not sql.endswith(";"):
            raise ValueError(f"{source}: the query {name!r} does not end with a semicolon")
        texts[name] = sql.removesuffix(";")
    return Queries(texts, source)
