"""Who may do what in PostgreSQL: whoever migrates owns the tables; whoever serves may not change history.

Serving runs as `gondwana_app`, which reads all tables and writes to them, but only inserts into those that table
`protected` names. A login role that is but a member of it can serve, and never migrate.
"""

import psycopg

from gondwana.core.errors import WrongState
from gondwana.db.dialect import Dialect
from gondwana.db.errors import Denied
from gondwana.db.migrate import known_migrations, migrate, missing_of
from gondwana.db.postgres import PostgresConnection
from gondwana.db.postgres_place import APP_ROLE

_OWNED = """SELECT pg_has_role(current_user, class.relowner, 'USAGE') AS owned
    FROM pg_class AS class JOIN pg_namespace AS space ON space.oid = class.relnamespace
    WHERE space.nspname = :schema AND class.relname = 'migration'"""
_SCHEMA = "SELECT nspname FROM pg_namespace WHERE nspname = :schema"
_TABLES = """SELECT class.relname AS name
    FROM pg_class AS class JOIN pg_namespace AS space ON space.oid = class.relnamespace
    WHERE space.nspname = :schema AND class.relkind IN ('r', 'p') ORDER BY class.relname"""
_ROLE = f"""DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{APP_ROLE}') THEN CREATE ROLE {APP_ROLE} NOLOGIN; END IF;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; -- another made it at the same moment
END $$"""


def prepare(connection: PostgresConnection) -> None:
    """Bring the database to the shape this code expects, then keep no more rights than serving needs.

    Raises WrongState where the login role may not do what is missing.
    """
    found = connection.one(_OWNED, {"schema": connection.schema})
    if found is not None and not found["owned"]:
        become_app(connection)
        _check(connection)
        return
    try:
        _make_schema(connection)
        _make_role(connection)
        migrate(connection, known_migrations(Dialect.POSTGRES))
        _grant(connection)
    except Denied as error:
        raise WrongState(
            f"This login may not set up the database: {error.reason}.",
            hint="gondwana serve --database OWNER_URL, once, with the URL of a role that may",
        ) from error
    become_app(connection)


def become_app(connection: PostgresConnection) -> None:
    """Give up what serving does not need; raises WrongState where the login is no member of the role."""
    try:
        connection.become_app()
    except (Denied, psycopg.Error) as error:
        raise WrongState(
            f"This login may not act as {APP_ROLE}.",
            hint=f"as the owner of the database: GRANT {APP_ROLE} TO the_login",
        ) from error


def _check(connection: PostgresConnection) -> None:
    missing = missing_of(
        known_migrations(Dialect.POSTGRES),
        connection.all("SELECT number, name, hash FROM migration"),
    )
    if missing:
        raise WrongState(
            f"The database lacks migration {missing[0].name}, and this login may not apply it.",
            hint="gondwana serve --database OWNER_URL, once, with the URL of the tables' owner",
        )


def _make_schema(connection: PostgresConnection) -> None:
    if connection.one(_SCHEMA, {"schema": connection.schema}) is None:
        connection.script(f'CREATE SCHEMA "{connection.schema}"')


def _make_role(connection: PostgresConnection) -> None:
    connection.script(_ROLE)
    row = connection.one(
        "SELECT pg_has_role(current_user, :role, 'MEMBER') AS is_member", {"role": APP_ROLE}
    )
    if row is None or not row["is_member"]:
        connection.script(f"GRANT {APP_ROLE} TO CURRENT_USER")


def _grant(connection: PostgresConnection) -> None:
    """Give the role what it needs on every table there is, and take what it had beyond that."""
    protected = {row["table_name"] for row in connection.all("SELECT table_name FROM protected")}
    lines = [f'GRANT USAGE ON SCHEMA "{connection.schema}" TO {APP_ROLE}']
    for row in connection.all(_TABLES, {"schema": connection.schema}):
        name = row["name"]
        rights = "SELECT, INSERT" if name in protected else "SELECT, INSERT, UPDATE, DELETE"
        if name in ("migration", "protected"):
            rights = "SELECT"
        lines += [
            f'REVOKE ALL ON "{name}" FROM {APP_ROLE}',
            f'GRANT {rights} ON "{name}" TO {APP_ROLE}',
        ]
    connection.begin_migration()
    try:
        connection.script(";".join(lines))
        connection.commit()
    except BaseException:
        connection.rollback()
        raise
