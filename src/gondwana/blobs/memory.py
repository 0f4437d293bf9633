"""Blobs in memory, for simulation and tests."""

import io
import threading
from collections.abc import Set
from dataclasses import dataclass
from typing import BinaryIO

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
from gondwana.core.errors import InvalidBytes, WrongState
from gondwana.core.ids import BlobName


@dataclass(slots=True)
class _Held:
    content: bytes
    at: Instant


class MemoryStore:
    """A BlobStore that is gone with the process."""

    def __init__(self, clock: Clock, *, limits: BlobLimits | None = None) -> None:
        self._clock = clock
        self._limits = limits or BlobLimits()
        self._blobs: dict[BlobName, _Held] = {}
        self._uploads: dict[BlobName, _Held] = {}
        self._lock = threading.RLock()

    def put(self, content: bytes) -> BlobName:
        """See BlobStore."""
        check_size(len(content), self._limits)
        name = blob_name(content)
        with self._lock:
            if name not in self._blobs:
                check_quota(self.used_bytes(), len(content), self._limits)
            self._blobs[name] = _Held(bytes(content), self._clock.now())
        return name

    def begin(self, name: str, size: int) -> int:
        """See BlobStore."""
        key = check_name(name)
        check_size(size, self._limits)
        with self._lock:
            if key in self._blobs:
                self._blobs[key].at = self._clock.now()
                return len(self._blobs[key].content)
            received = self.received(key)
            check_quota(self.used_bytes(), max(0, size - received), self._limits)
            self._uploads.setdefault(key, _Held(b"", self._clock.now()))
            return received

    def append(self, name: str, offset: int, chunk: bytes) -> int:
        """See BlobStore."""
        key = check_name(name)
        check_chunk(chunk)
        with self._lock:
            check_offset(self.received(key), offset)
            if key in self._blobs:
                raise WrongState("The blob is complete.", received=offset)
            check_size(offset + len(chunk), self._limits)
            upload = self._uploads.setdefault(key, _Held(b"", self._clock.now()))
            try:
                check_quota(self.used_bytes(), len(chunk), self._limits)
            except BaseException:
                self.abandon(key)
                raise
            upload.content += chunk
            upload.at = self._clock.now()
            return len(upload.content)

    def finish(self, name: str) -> int:
        """See BlobStore."""
        key = check_name(name)
        with self._lock:
            upload = self._uploads.pop(key, None)
            if key in self._blobs:
                return len(self._blobs[key].content)
            if upload is None:
                raise no_such_blob(key)
            if blob_name(upload.content) != key:
                raise InvalidBytes(f"The bytes that came are not those of {key}.", hint="send them again")  # fmt: skip
            self._blobs[key] = _Held(upload.content, self._clock.now())
            return len(upload.content)

    def received(self, name: str) -> int:
        """See BlobStore."""
        key = check_name(name)
        held = self._blobs.get(key) or self._uploads.get(key)
        return len(held.content) if held else 0

    def abandon(self, name: str) -> None:
        """See BlobStore."""
        with self._lock:
            self._uploads.pop(check_name(name), None)

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        """See BlobStore."""
        assert start >= 0
        assert length is None or length >= 0
        content = self._content(name)
        return content[start:] if length is None else content[start : start + length]

    def open(self, name: str) -> BinaryIO:
        """See BlobStore."""
        return io.BytesIO(self._content(name))

    def size(self, name: str) -> int | None:
        """See BlobStore."""
        held = self._blobs.get(check_name(name))
        return len(held.content) if held else None

    def used_bytes(self) -> int:
        """See BlobStore."""
        with self._lock:
            return sum(len(held.content) for held in (*self._blobs.values(), *self._uploads.values()))  # fmt: skip

    def collect(self, referenced: Set[str], *, older_than: Instant) -> list[BlobName]:
        """See BlobStore."""
        with self._lock:
            for name in [name for name, held in self._uploads.items() if held.at < older_than]:
                del self._uploads[name]
            gone = sorted(
                name
                for name, held in self._blobs.items()
                if held.at < older_than and name not in referenced
            )
            for name in gone:
                del self._blobs[name]
        return gone

    def _content(self, name: str) -> bytes:
        held = self._blobs.get(check_name(name))
        if held is None:
            raise no_such_blob(name)
        return held.content
