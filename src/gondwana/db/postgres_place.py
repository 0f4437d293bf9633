"""Where a PostgreSQL database is, and what a session there begins with."""

import re
import zlib
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import DictRow, dict_row
from psycopg.types.numeric import NumericLoader

from gondwana.core.errors import InvalidValue, WrongState
from gondwana.db.errors import Failed

APP_ROLE: Final = "gondwana_app"  # what serving may do: it owns nothing
SCHEMA_DEFAULT: Final = "gondwana"
VERSION_MIN: Final = 15
LEADER_SILENT_SECONDS_MAX: Final = 20  # the server lets a leader go that says nothing for so long
_NO_PATH_CHOSEN: Final = '"$user", public'
_DEFAULTS: Final = {
    "application_name": "gondwana",
    "connect_timeout": "5",
    # A peer that vanished is noticed within about ten seconds.
    "keepalives_idle": "4", "keepalives_interval": "2", "keepalives_count": "3", "tcp_user_timeout": "10000",
}  # fmt: skip
_WRITES: Final = """SET idle_session_timeout = '{silent}s'; SET idle_in_transaction_session_timeout = '{silent}s';
    SET tcp_keepalives_idle = 4; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3;
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';"""
# For a disk without a head to move: else a few hundred keys are sought by reading a table of 50,000 rows whole.
_PLANS: Final = "SET random_page_cost = 1.1; SET jit = off; SET enable_seqscan = off"
_READS_ONLY: Final = "SET default_transaction_read_only = on;"

RawConnection = psycopg.Connection[DictRow]


class _Number(NumericLoader):
    """Sums of whole numbers are NUMERIC in PostgreSQL; they come back as whole numbers, the rest as floats."""

    def load(self, data: Any) -> Any:
        number = super().load(data)
        return int(number) if number == number.to_integral_value() else float(number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One database of one server; its text never shows the password."""

    conninfo: str = field(repr=False)
    label: str

    @classmethod
    def of(cls, url: str) -> "Place":
        """The place that a URL names; raises InvalidValue."""
        try:
            given = conninfo_to_dict(url)
        except psycopg.Error:  # its text may hold the URL, and with it the password
            hint = "like postgresql://USER@HOST/DATABASE, the password in PGPASSFILE"
            raise InvalidValue(field="database", hint=hint) from None
        given = {key: str(value) for key, value in given.items() if value is not None}
        label = f"{given.get('host') or 'local'}/{given.get('dbname') or given.get('user') or ''}"
        return cls(conninfo=make_conninfo("", **(_DEFAULTS | given)), label=label)

    def connect(self, *, reads_only: bool = False) -> tuple[RawConnection, str]:
        """A new session and its schema; raises Failed where there is none to be had, WrongState on an old server."""
        begin = _READS_ONLY if reads_only else _WRITES.format(silent=LEADER_SILENT_SECONDS_MAX)
        try:
            raw = psycopg.Connection[DictRow].connect(
                self.conninfo, autocommit=True, row_factory=dict_row
            )
            try:
                raw.adapters.register_loader("numeric", _Number)
                schema = _check_server(raw)
                raw.execute(f'SET search_path = "{schema}", pg_temp; {_PLANS}; {begin}'.encode())
            except BaseException:
                raw.close()
                raise
        except psycopg.OperationalError as error:
            raise Failed(f"{self.label} is not reached: {error}".strip()) from error
        return raw, schema


def lock_key(schema: str) -> tuple[int, int]:
    """The two numbers of the advisory lock that the leader of a schema holds."""
    return int.from_bytes(b"gond", "big"), zlib.crc32(schema.encode()) & 0x7FFF_FFFF


def _check_server(raw: RawConnection) -> str:
    """The schema to use; raises WrongState where the server cannot serve us."""
    row = raw.execute(
        b"SELECT current_setting('search_path') AS path, current_setting('server_encoding') AS encoding"
    ).fetchone()
    assert row is not None
    if raw.info.server_version < VERSION_MIN * 10_000:
        raise WrongState(
            f"PostgreSQL {VERSION_MIN} or newer is needed, this is {raw.info.server_version // 10_000}.",
            hint="use a newer server",
        )
    if row["encoding"] != "UTF8":
        raise WrongState(
            f"The database's encoding is {row['encoding']}.",
            hint="createdb --encoding UTF8 --template template0 NAME",
        )
    if row["path"] == _NO_PATH_CHOSEN:
        return SCHEMA_DEFAULT
    schema = row["path"].split(",")[0].strip().strip('"')
    if not re.fullmatch(r"[a-z_][a-z0-9_]*", schema):
        raise WrongState(
            f"The search_path begins with {schema!r}, which is no schema for us.",
            hint="use lower-case letters, digits and _",
        )
    return schema
