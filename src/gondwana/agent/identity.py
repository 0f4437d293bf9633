"""The machine's key and folder. One agent per folder: two agents on one machine never share state."""

import fcntl
import os
from pathlib import Path
from typing import IO

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from gondwana.core.errors import WrongState


class Identity:
    """Who this machine is: an Ed25519 key that never leaves its folder."""

    def __init__(self, folder: Path, key: Ed25519PrivateKey, lock: IO[bytes]) -> None:
        self.folder = folder
        self._key = key
        self._lock = lock  # held as long as the agent lives

    @classmethod
    def open(cls, folder: Path) -> "Identity":
        """The identity in `folder`, made at the first start; raises WrongState while another agent uses it."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (folder / "lock").open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise WrongState(
                f"another agent uses {folder}",
                hint="give this one its own: --name NAME, or --state FOLDER",
            ) from None
        return cls(folder, _load_or_make(folder / "machine.key"), lock)

    @property
    def public_key(self) -> str:
        """The public key, hexadecimal."""
        return self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()

    def sign(self, claim: bytes) -> bytes:
        """The signature of a claim."""
        return self._key.sign(claim)

    def close(self) -> None:
        """Let another agent use the folder."""
        self._lock.close()


def _load_or_make(path: Path) -> Ed25519PrivateKey:
    if path.exists():
        return Ed25519PrivateKey.from_private_bytes(path.read_bytes())
    key = Ed25519PrivateKey.generate()
    raw = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    part = path.with_suffix(".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    return key
