"""Blobs as files: `<root>/whole/ab/<name>` when they are complete, `<root>/partial/<name>` while they arrive."""

import contextlib
import errno
import os
import shutil
import threading
from collections.abc import Generator, Iterator, Set
from pathlib import Path
from typing import BinaryIO, Final

from blake3 import blake3

from gondwana.blobs.base import (
    BlobLimits,
    blob_name,
    check_chunk,
    check_name,
    check_offset,
    check_quota,
    check_size,
    no_such_blob,
)
from gondwana.core.clock import Clock, Instant
from gondwana.core.errors import InvalidBytes, StorageFull, WrongState
from gondwana.core.ids import BlobName
from gondwana.core.units import GIB

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
FREE_BYTES_MIN: Final = 1 * GIB  # or a fiftieth of a small disk: the database beside it must go on
FREE_FRACTION: Final = 50
_LOCKS: Final = 64  # uploads of different blobs rarely wait for each other


class FolderStore:
    """A BlobStore in one folder; one process at a time."""

    def __init__(self, root: Path, clock: Clock, *, limits: BlobLimits | None = None) -> None:
        self._whole = root / "whole"
        self._partial = root / "partial"
        self._clock = clock
        self._limits = limits or BlobLimits()
        self._locks = [threading.RLock() for _ in range(_LOCKS)]
        self._count_lock = threading.Lock()
        for number in range(256):
            (self._whole / f"{number:02x}").mkdir(parents=True, exist_ok=True)
        _sync_folder(self._whole)
        self._partial.mkdir(exist_ok=True)
        for left_by_a_crash in self._partial.glob("*.put"):
            left_by_a_crash.unlink()
        self._used = sum(_size(path) or 0 for path in (*self._blobs(), *self._partial.iterdir()))

    def put(self, content: bytes) -> BlobName:
        """See BlobStore."""
        check_size(len(content), self._limits)
        name = blob_name(content)
        part = self._partial / f"{name}.put"  # beside an upload of the same bytes, if there is one
        with self._lock(name):
            if self._renew(name):
                return name
            with self._dropped_when_full(part):
                self._reserve(len(content))
                with part.open("wb") as file:
                    file.write(content)
                    _sync(file)
                self._keep(part, name)
        return name

    def begin(self, name: str, size: int) -> int:
        """See BlobStore."""
        key = check_name(name)
        check_size(size, self._limits)
        with self._lock(key):
            if self._renew(key):
                return self.received(key)
            part = self._partial / key
            received = _size(part) or 0
            check_quota(self._used, max(0, size - received), self._limits)
            with self._dropped_when_full(part):
                part.touch()
                self._stamp(part)
            return received

    def append(self, name: str, offset: int, chunk: bytes) -> int:
        """See BlobStore."""
        key = check_name(name)
        check_chunk(chunk)
        with self._lock(key):
            check_offset(self.received(key), offset)
            if self._path(key).exists():
                raise WrongState("The blob is complete.", received=offset)
            check_size(offset + len(chunk), self._limits)
            part = self._partial / key
            with self._dropped_when_full(part):
                self._reserve(len(chunk))
                with part.open("ab") as file:
                    file.write(chunk)
                self._stamp(part)
            return offset + len(chunk)

    def finish(self, name: str) -> int:
        """See BlobStore."""
        key = check_name(name)
        with self._lock(key):
            part = self._partial / key
            found = self.size(key)
            if found is not None:
                self._drop(part)
                return found
            received = _size(part)
            if received is None:
                raise no_such_blob(key)
            if blake3().update_mmap(part).hexdigest() != key:
                self._drop(part)
                raise InvalidBytes(f"The bytes that came are not those of {key}.", hint="send them again")  # fmt: skip
            with self._dropped_when_full(part):
                with part.open("rb+") as file:
                    _sync(file)
                self._keep(part, key)
            return received

    def received(self, name: str) -> int:
        """See BlobStore."""
        key = check_name(name)
        return _size(self._path(key)) or _size(self._partial / key) or 0

    def abandon(self, name: str) -> None:
        """See BlobStore."""
        key = check_name(name)
        with self._lock(key):
            self._drop(self._partial / key)

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        """See BlobStore."""
        assert start >= 0
        assert length is None or length >= 0
        with self.open(name) as file:
            file.seek(start)
            return file.read() if length is None else file.read(length)

    def open(self, name: str) -> BinaryIO:
        """See BlobStore."""
        try:
            return self._path(check_name(name)).open("rb")
        except FileNotFoundError:
            raise no_such_blob(name) from None

    def size(self, name: str) -> int | None:
        """See BlobStore."""
        return _size(self._path(check_name(name)))

    def used_bytes(self) -> int:
        """See BlobStore."""
        return self._used

    def collect(self, referenced: Set[str], *, older_than: Instant) -> list[BlobName]:
        """See BlobStore."""
        for part in list(self._partial.iterdir()):
            with self._lock(part.name):
                if _older(part, older_than):
                    self._drop(part)
        gone: list[BlobName] = []
        for path in self._blobs():
            name = BlobName(path.name)
            if name in referenced:
                continue
            with self._lock(name):  # it may have been put again since it was listed
                if _older(path, older_than):
                    self._drop(path)
                    gone.append(name)
        return sorted(gone)

    def _lock(self, name: str) -> threading.RLock:
        return self._locks[hash(name.partition(".")[0]) % _LOCKS]

    def _path(self, name: BlobName) -> Path:
        return self._whole / name[:2] / name

    def _blobs(self) -> Iterator[Path]:
        for folder in sorted(self._whole.iterdir()):
            yield from sorted(folder.iterdir())

    def _renew(self, name: BlobName) -> bool:
        """Make a blob that is here young again; False when it is not here."""
        path = self._path(name)
        if not path.exists():
            return False
        self._stamp(path)
        return True

    def _stamp(self, path: Path) -> None:
        now = self._clock.now()
        os.utime(path, (now, now))

    def _reserve(self, more: int) -> None:
        with self._count_lock:
            check_quota(self._used, more, self._limits)
            disk = shutil.disk_usage(self._partial)
            if disk.free - more < min(FREE_BYTES_MIN, disk.total // FREE_FRACTION):
                raise StorageFull(hint="free some space, then send it again")
            self._used += more

    def _keep(self, part: Path, name: BlobName) -> None:
        """Give a complete, synced file its name, in one step that survives a crash."""
        path = self._path(name)
        self._stamp(part)
        part.rename(path)
        _sync_folder(path.parent)

    def _drop(self, path: Path) -> None:
        size = _size(path)
        if size is not None:
            path.unlink()
            with self._count_lock:
                self._used -= size

    @contextlib.contextmanager
    def _dropped_when_full(self, part: Path) -> Generator[None]:
        """Remove the partial file when there is no room for more of it; raise StorageFull."""
        try:
            yield
        except StorageFull:
            self._drop(part)
            raise
        except OSError as error:
            full = error.errno in _NO_ROOM
            if full:
                part.unlink(missing_ok=True)
            self._recount()
            if not full:
                raise
            raise StorageFull(hint="free some space, then send it again") from error

    def _recount(self) -> None:
        """Count anew what is used: after a failed write nobody knows how much of it arrived."""
        paths = (*self._blobs(), *self._partial.iterdir())
        with self._count_lock:
            self._used = sum(_size(path) or 0 for path in paths)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _older(path: Path, than: Instant) -> bool:
    try:
        return path.stat().st_mtime < than
    except FileNotFoundError:
        return False


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
