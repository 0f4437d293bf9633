"""How a PostgreSQL database is opened: lead or stand by, then migrate, then take a term."""

import threading
from collections.abc import Callable
from typing import Final

from gondwana.core.errors import NotLeader
from gondwana.db import postgres_roles
from gondwana.db.errors import Failed
from gondwana.db.leadership import Leader
from gondwana.db.postgres import PostgresConnection
from gondwana.db.postgres_place import Place

POLL_SECONDS: Final = 0.5  # how often who stands by asks for the lead


def open_for_writing(
    url: str, leader: Callable[[], Leader], standing_by: Callable[[], None] | None
) -> PostgresConnection:
    """The connection that leads and writes; see `Database.open`."""
    place = Place.of(url)
    try:
        connection = PostgresConnection(place)
        try:
            _wait_to_lead(connection, standing_by)
            postgres_roles.prepare(connection)
            connection.lead(leader())
        except BaseException:
            connection.close()
            raise
    except Failed as error:
        raise error.to_unavailable() from error
    return connection


def reader_opener(url: str) -> Callable[[], PostgresConnection]:
    """What opens connections that cannot write."""
    place = Place.of(url)

    def open_for_reading() -> PostgresConnection:
        connection = PostgresConnection(place, reads_only=True)
        try:
            postgres_roles.become_app(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    return open_for_reading


def _wait_to_lead(connection: PostgresConnection, standing_by: Callable[[], None] | None) -> None:
    if connection.try_to_lead():
        return
    if standing_by is None:
        raise NotLeader(hint="stop it first, or stand by: gondwana serve --database URL")
    standing_by()
    pause = threading.Event()
    while not _try_again(connection):
        pause.wait(POLL_SECONDS)


def _try_again(connection: PostgresConnection) -> bool:
    """Whether this leads now; a server that is down for a while is waited for."""
    try:
        if connection.is_closed:
            connection.connect()
        return connection.try_to_lead()
    except Failed:
        return False
