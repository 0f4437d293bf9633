"""A real SQLite file for each test."""

import pytest

from gondwana.db.database import Database


@pytest.fixture
def file_database(tmp_path):
    """A fresh database in a file, written on the caller's thread."""
    with Database.open(tmp_path / "gondwana.db", inline=True) as database:
        yield database
