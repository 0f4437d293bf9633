"""A real database for each test: a file of SQLite's, and one of a PostgreSQL server that the tests start."""

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # store tests share postgres.py
from databases import Databases
from postgres import Cluster, binaries

from gondwana.db.database import Database
from gondwana.db.postgres_talk import Talk
from gondwana.ledger.audit import audit
from gondwana.ledger.chain import seal

TEMPLATE = "gondwana_template"


@pytest.fixture(scope="session")
def cluster():
    """A PostgreSQL server, with one database to copy that has all migrations."""
    if binaries() is None:
        pytest.skip("no PostgreSQL server here: sh tools/system-packages.sh postgres")
    # statistics of tables that a test has just emptied made a plan of the next one's for a row: 60 s instead of 2
    server = Cluster(autovacuum="off")
    try:
        Database.open(server.start().create(TEMPLATE), inline=True).close()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def databases(cluster):
    """Databases of the server that are as new."""
    return Databases(cluster, TEMPLATE)


@pytest.fixture
def postgres_url(cluster, databases):
    """A database of the server that is as new, with all migrations."""
    name = databases.take()
    yield cluster.url(name)
    databases.give_back(name)


@pytest.fixture(scope="session")
def new_file(tmp_path_factory):
    """A database in a file with all migrations, to be copied: that takes a tenth of the time of making one."""
    path = tmp_path_factory.mktemp("new") / "gondwana.db"
    Database.open(path, inline=True).close()
    return path


@pytest.fixture(params=["sqlite", "postgres"])
def place(request, tmp_path):
    """Where a fresh database is: what `Database.open` takes."""
    if request.param == "postgres":
        return request.getfixturevalue("postgres_url")
    return shutil.copyfile(request.getfixturevalue("new_file"), tmp_path / "gondwana.db")


@pytest.fixture
def make_database(place):
    """`make_database(inline=True, …)` opens the fresh database; it is closed in the end."""
    opened = []

    def make(**options):
        opened.append(Database.open(place, **{"inline": True, **options}))
        return opened[-1]

    yield make
    for database in opened:
        database.close()


@pytest.fixture
def database(make_database):
    """A fresh database, written on the caller's thread."""
    return make_database()


@pytest.fixture
def audited_database(make_database):
    """A fresh database whose transactions are sealed, and whose books must add up in the end."""
    opened = make_database(before_commit=seal)
    yield opened
    report = audit(opened.reader())
    assert report.ok, report.differences


@pytest.fixture
def file_database(tmp_path):
    """A fresh database in a file, written on the caller's thread."""
    with Database.open(tmp_path / "gondwana.db", inline=True) as database:
        yield database


@pytest.fixture(params=["soon", "late"])
def opened(request, place, monkeypatch):
    """A database; of what is written PostgreSQL hears as soon as it can, or as late as it must."""
    if request.param == "late":
        monkeypatch.setattr(Talk, "_go_on", lambda self: None)
    with Database.open(place, inline=True, before_commit=seal) as database:
        yield database
