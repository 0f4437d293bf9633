"""What one control plane has for itself: its address, and its data."""

import fcntl
import socket
from pathlib import Path
from typing import IO

from gondwana.core.errors import Unavailable, WrongState


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
    lock = (folder / "lock").open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise WrongState(
            f"another control plane serves {folder}", hint="gondwana serve --data FOLDER"
        ) from None
    return lock
