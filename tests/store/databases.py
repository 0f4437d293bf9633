"""PostgreSQL databases for tests that are as new: one that was used is emptied and given again.

To make one takes most of a second and of its 1,500 files; to empty one takes a twentieth of that.
"""

import itertools
from collections import Counter
from typing import Any

import psycopg
from postgres import Cluster

USES_MAX = 40  # of one database: what was deleted stays in its files
KEPT = ("migration", "protected", "leadership")  # what a new database has rows in

# Whoever changed a definition, a right or a setting left a trace in one of these.
_LOOKS = """SELECT concat_ws(' ',
    (SELECT md5(string_agg(concat_ws('/', relname, relnamespace, relkind, relowner, relacl, reloptions, relrowsecurity),
                           '|' ORDER BY relname)) FROM pg_class WHERE relpersistence <> 't' AND oid >= 16384),
    (SELECT md5(string_agg(concat_ws('/', nspname, nspowner, nspacl), '|' ORDER BY nspname))
        FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%temp\\_%'),
    (SELECT concat(count(*), '/', max(xmin::TEXT::BIGINT)) FROM pg_attribute WHERE attrelid >= 16384),
    (SELECT concat(count(*), '/', max(xmin::TEXT::BIGINT)) FROM pg_trigger),
    (SELECT concat(count(*), '/', max(xmin::TEXT::BIGINT)) FROM pg_proc),
    (SELECT concat(count(*), '/', max(xmin::TEXT::BIGINT)) FROM pg_constraint),
    (SELECT concat(count(*), '/', max(xmin::TEXT::BIGINT)) FROM pg_attrdef),
    (SELECT concat(datdba, datacl) FROM pg_database WHERE datname = current_database()),
    (SELECT string_agg(setconfig::TEXT, ' ') FROM pg_db_role_setting AS held
     JOIN pg_database AS here ON here.oid = held.setdatabase WHERE here.datname = current_database()),
    (SELECT md5(string_agg(each::TEXT, '|' ORDER BY each::TEXT)) FROM gondwana.migration AS each),
    (SELECT md5(string_agg(each::TEXT, '|' ORDER BY each::TEXT)) FROM gondwana.protected AS each))"""
_EMPTY = f"""DO $$ DECLARE one RECORD; BEGIN
    FOR one IN SELECT tablename AS name FROM pg_tables WHERE schemaname = 'gondwana' AND tablename NOT IN {KEPT} LOOP
        EXECUTE format('DELETE FROM gondwana.%I', one.name);
    END LOOP;
    DELETE FROM gondwana.leadership;
    PERFORM setval(format('%I.%I', schemaname, sequencename)::REGCLASS, start_value, false)
    FROM pg_sequences WHERE last_value IS NOT NULL;
END $$"""
_LEADERSHIP = "SELECT row_to_json(one)::TEXT FROM gondwana.leadership AS one"
_LEAD = "INSERT INTO gondwana.leadership SELECT * FROM json_populate_record(NULL::gondwana.leadership, %s::JSON)"
_OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


class Databases:
    """Those of one server, each with all migrations and nothing else."""

    def __init__(self, cluster: Cluster, template: str):
        self._cluster, self._template = cluster, template
        self._numbers = itertools.count()
        self._uses: Counter[str] = Counter()
        self._free: list[str] = []
        self._new: tuple[Any, Any] | None = None  # how a new one looks, and who led it

    def take(self) -> str:
        """The name of one that is as new."""
        name = self._free.pop() if self._free else f"test_{next(self._numbers)}"
        if not self._uses[name]:
            self._cluster.create(name, self._template)
        if self._new is None:
            with psycopg.connect(self._cluster.url(name)) as connection:
                self._new = self._value(connection, _LOOKS), self._value(connection, _LEADERSHIP)
        self._uses[name] += 1
        return name

    def give_back(self, name: str) -> None:
        """Empty it for another test; drop it where a test changed more than rows."""
        if self._uses[name] < USES_MAX and self._is_as_new(name):
            self._free.append(name)
        else:
            self._cluster.drop(name)

    def _is_as_new(self, name: str) -> bool:
        assert self._new is not None
        looks, leadership = self._new
        try:
            with psycopg.connect(self._cluster.url(name)) as connection:
                connection.execute("SET lock_timeout = '10s'")
                connection.execute(f"SELECT pg_terminate_backend(pid) {_OTHERS}".encode())
                connection.execute("SET session_replication_role = replica")  # no trigger runs
                connection.execute(_EMPTY.encode())
                connection.execute(_LEAD, [leadership])
                return self._value(connection, _LOOKS) == looks
        except psycopg.Error:
            return False

    @staticmethod
    def _value(connection: psycopg.Connection, sql: str) -> Any:
        row = connection.execute(sql.encode()).fetchone()
        return None if row is None else row[0]
