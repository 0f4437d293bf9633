"""Blobs: bytes named by their BLAKE3 hash; uploads and downloads resume, and what arrives is verified."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

from blake3 import blake3

from gondwana.core.errors import InvalidBytes, NoSuchThing, TooLarge, Unavailable
from gondwana.core.ids import BlobName
from gondwana.core.units import GIB, MIB
from gondwana.sdk.transport import Answer, Transport

WHOLE_BYTES_MAX: Final = 8 * MIB  # up to here one PUT; beyond it, resumable pieces
PIECE_BYTES: Final = 4 * MIB
HASH_BYTES: Final = 1 * MIB  # read at once while hashing a file
IN_MEMORY_BYTES_MAX: Final = 1 * GIB  # larger ones go to a file: `get_file`
RESUMES_MAX: Final = 6  # without a byte of progress between two of them

Progress = Callable[[int, int], None]
"""Called with (bytes done, bytes in all)."""


def blob_name(data: bytes) -> BlobName:
    """The name of these bytes."""
    return BlobName(blake3(data).hexdigest())


def blob_name_of_file(path: Path) -> BlobName:
    """The name of a file's bytes, read in pieces."""
    hasher = blake3()
    with path.open("rb") as file:
        while piece := file.read(HASH_BYTES):
            hasher.update(piece)
    return BlobName(hasher.hexdigest())


class Blobs:
    """The control plane's blobs."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def exists(self, name: str) -> bool:
        """True when the control plane has the blob."""
        return self._head(name).status == 200

    def put(self, data: bytes) -> BlobName:
        """The name under which the bytes are stored; nothing is sent that is there already."""
        name = blob_name(data)
        if self.exists(name):
            return name
        if len(data) <= WHOLE_BYTES_MAX:
            self._put_whole(name, data)
        else:
            self._put_pieces(name, len(data), lambda offset: data[offset : offset + PIECE_BYTES])
        return name

    def put_file(self, path: Path, *, progress: Progress | None = None) -> BlobName:
        """As `put`, for a file of any size; an upload that broke off goes on where it stopped."""
        name = blob_name_of_file(path)
        size = path.stat().st_size
        if not self.exists(name):
            if size <= WHOLE_BYTES_MAX:
                self._put_whole(name, path.read_bytes())
            else:
                with path.open("rb") as file:
                    self._put_pieces(name, size, lambda offset: _read_at(file, offset), progress)
        if progress is not None:
            progress(size, size)
        return name

    def get(self, name: str, *, bytes_max: int = IN_MEMORY_BYTES_MAX) -> bytes:
        """The blob's bytes; raises NoSuchThing, TooLarge, or InvalidBytes where they do not fit the name."""
        size = self.size(name)
        if size > bytes_max:
            raise TooLarge(f"the blob has {size} bytes; at most {bytes_max} are taken here")
        data = bytearray()
        self._fetch(name, size, 0, data.extend)
        if blob_name(bytes(data)) != name:
            raise InvalidBytes(f"what came for the blob {name} is something else")
        return bytes(data)

    def get_file(self, name: str, path: Path, *, progress: Progress | None = None) -> Path:
        """The blob as the file `path`, which appears when it is complete and verified.

        A download that broke off goes on from `path` + `.part`.
        """
        size = self.size(name)
        part = path.with_name(path.name + ".part")
        done = min(part.stat().st_size, size) if part.is_file() and not part.is_symlink() else 0
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        with os.fdopen(os.open(part, flags, 0o644), "r+b") as file:
            file.truncate(done)
            file.seek(done)

            def keep(piece: bytes) -> None:
                file.write(piece)
                if progress is not None:
                    progress(file.tell(), size)

            self._fetch(name, size, done, keep)
        if blob_name_of_file(part) != name:
            part.unlink()
            raise InvalidBytes(f"what came for the blob {name} is something else", hint="try again")
        part.replace(path)
        return path

    def size(self, name: str) -> int:
        """How many bytes the blob has; raises NoSuchThing."""
        head = self._head(name)
        if head.status == 404:
            raise NoSuchThing(f"the control plane has no blob {name}", name=name)
        return int(head.headers.get("Content-Length", "0"))

    def _head(self, name: str) -> Answer:
        return self._transport.request("HEAD", f"/v1/blobs/{name}", accept=frozenset({404}))

    def _put_whole(self, name: str, data: bytes) -> None:
        headers = {"Content-Type": "application/octet-stream"}
        self._transport.request("PUT", f"/v1/blobs/{name}", body=data, headers=headers)

    def _put_pieces(
        self,
        name: str,
        size: int,
        piece_at: Callable[[int], bytes],
        progress: Progress | None = None,
    ) -> None:
        """Send the missing pieces; the server's word on where to go on counts, also after a break."""
        path = f"/v1/blobs/{name}"
        head = self._transport.request("HEAD", path, query={"upload": 1}, accept=frozenset({404}))
        offset = min(_offset(head), size)
        stalled = 0
        finished = False  # a server that died on the last byte finishes on an empty piece
        while not finished:
            answer = self._transport.request(
                "PATCH", path, query={"total": size}, body=piece_at(offset),
                headers={"Upload-Offset": str(offset), "Content-Type": "application/octet-stream"},
                accept=frozenset({409}),
            )  # fmt: skip
            stalled = 0 if _offset(answer) > offset else stalled + 1
            if stalled > RESUMES_MAX:
                raise InvalidBytes(f"the upload of {name} does not move on from byte {offset}")
            offset = _offset(answer)
            finished = answer.status != 409 and offset >= size
            if progress is not None:
                progress(min(offset, size), size)

    def _fetch(self, name: str, size: int, done: int, keep: Callable[[bytes], object]) -> None:
        """Give `keep` the bytes from `done` on; a broken connection is taken up where it broke."""
        stalled = 0
        while done < size:
            before = done
            try:
                headers = {"Range": f"bytes={done}-"} if done else {}
                status, pieces = self._transport.stream(f"/v1/blobs/{name}", headers=headers)
                if done and status != 206:
                    raise InvalidBytes("the control plane does not resume downloads")
                for piece in pieces:
                    done += len(piece)
                    if done > size:
                        raise InvalidBytes(f"the blob {name} is longer than it said")
                    keep(piece)
            except Unavailable:
                if stalled == RESUMES_MAX:
                    raise
            stalled = 0 if done > before else stalled + 1
            if stalled > RESUMES_MAX:
                raise InvalidBytes(f"the blob {name} is shorter than it said")
            if stalled:
                self._transport.pause(stalled)


def _offset(answer: Answer) -> int:
    text = answer.headers.get("Upload-Offset", "0")
    return int(text) if text.isdecimal() else 0


def _read_at(file: BinaryIO, offset: int) -> bytes:
    file.seek(offset)
    return file.read(PIECE_BYTES)
