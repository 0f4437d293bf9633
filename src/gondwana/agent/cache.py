"""Blobs on this machine: fetched once, verified, the longest unused ones dropped when room is short."""

import os
import shutil
import threading
from pathlib import Path
from typing import Final

from gondwana.core.errors import StorageFull
from gondwana.core.units import GIB
from gondwana.sdk.blobs import Blobs

CACHE_BYTES_MAX: Final = 20 * GIB
FREE_BYTES_MIN: Final = 1 * GIB  # of the owner's disk, never touched


class BlobCache:
    """A folder of blobs; safe to use from several threads."""

    def __init__(self, folder: Path, *, bytes_max: int = CACHE_BYTES_MAX) -> None:
        self._folder = folder
        self._bytes_max = bytes_max
        self._lock = threading.Lock()
        self._fetching: dict[str, threading.Lock] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def get(self, blobs: Blobs, name: str) -> Path:
        """The file of a blob, fetched if need be; raises NoSuchThing, InvalidBytes, Unavailable, StorageFull."""
        path = self._folder / name
        with self._lock:
            turn = self._fetching.setdefault(name, threading.Lock())
        with turn:
            if path.exists():
                os.utime(path)
            else:
                self._make_room(blobs.size(name))
                blobs.get_file(name, path)
                path.chmod(0o644)
        with self._lock:
            self._fetching.pop(name, None)
        return path

    def put_into(self, blobs: Blobs, name: str, folder: Path) -> Path:
        """The blob as a file of `folder`, by a hard link where that is possible."""
        target = folder / name
        if not target.exists():
            source = self.get(blobs, name)
            try:
                os.link(source, target)
            except OSError:
                shutil.copyfile(source, target)
        return target

    def _make_room(self, wanted: int) -> None:
        with self._lock:
            files = sorted(self._folder.iterdir(), key=lambda file: file.stat().st_mtime)
            used = sum(file.stat().st_size for file in files)
            free = shutil.disk_usage(self._folder).free
            for file in files:
                if used + wanted <= self._bytes_max and free - wanted >= FREE_BYTES_MIN:
                    return
                size = file.stat().st_size
                file.unlink()
                used, free = used - size, free + size
            if free - wanted < FREE_BYTES_MIN:
                raise StorageFull(
                    f"{self._folder} has no room for {wanted} more bytes",
                    hint="free some space on this machine's disk",
                )
