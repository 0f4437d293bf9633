"""What one control plane has for itself: its address, and its data."""

import fcntl
import socket
from pathlib import Path
from typing import IO, Final

from gondwana.core.clock import Instant
from gondwana.core.errors import Unavailable, WrongState
from gondwana.core.random import Random
from gondwana.db.database import Database
from gondwana.db.settings import read_setting, write_setting

FILE: Final = "gondwana.db"  # the database of a folder that has its own
_PAIR: Final = "data_folder"


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on host:port; raises Unavailable where that is taken, or not this machine's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise Unavailable(
            f"{host}:{port} cannot be listened on: {(error.strerror or str(error)).lower()}",
            hint="gondwana serve --port PORT, with another one",
        ) from None


def claim_folder(folder: Path) -> IO[bytes]:
    """A lock on the data folder, held until it is closed or the process ends; raises WrongState where it is taken.

    Two control planes on the same books would give the same machines away twice.
    """
    if (folder / "database").exists():
        raise WrongState(
            f"{folder} belongs to a database elsewhere",
            hint="name it in GONDWANA_DATABASE_URL, or choose another: gondwana serve --data FOLDER",
        )
    lock = (folder / "lock").open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise WrongState(
            f"another control plane serves {folder}", hint="gondwana serve --data FOLDER"
        ) from None
    return lock


def pair_folder(folder: Path, database: Database, random: Random, now: Instant) -> None:
    """Tie a data folder to the database elsewhere that names its blobs; raises WrongState where it has another.

    A control plane on the wrong folder would collect the blobs of the right one.
    """
    mark, hint = folder / "database", "gondwana serve --data FOLDER, one for each database"
    if (folder / FILE).exists():
        raise WrongState(f"{folder} has a database of its own", hint=hint)
    known = read_setting(database.reader(), _PAIR, str, default="")
    if not known:
        known = random.token(16).hex()
        database.writer.call(write_setting, _PAIR, known, at=now)
    if not mark.exists():
        mark.write_text(known + "\n")
    if mark.read_text().strip() != known:
        raise WrongState(f"{folder} belongs to another database", hint=hint)
