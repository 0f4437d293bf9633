"""What every blob store does."""

import re
from collections.abc import Set
from dataclasses import dataclass
from typing import BinaryIO, Final, Protocol

from blake3 import blake3

from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidValue, NoSuchThing, StorageFull, TooLarge, WrongState
from gondwana.core.ids import BlobName
from gondwana.core.units import GIB, MIB, format_bytes

CHUNK_BYTES_MAX: Final = 64 * MIB  # of one append: what a server holds in memory for one client

_NAME: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobLimits:
    """How much a store takes."""

    blob_bytes_max: int = 64 * GIB  # a large checkpoint
    total_bytes_max: int = 2048 * GIB


class BlobStore(Protocol):
    """Where blobs are; safe to use from several threads."""

    def put(self, content: bytes) -> BlobName:
        """Store bytes and return their name; bytes that are there already are young again.

        Raises TooLarge, StorageFull.
        """
        ...

    def begin(self, name: str, size: int) -> int:
        """Begin or resume an upload; returns how many of the `size` bytes are here: all, when the blob is.

        Raises TooLarge, StorageFull, InvalidValue for a name that is not a hash.
        """
        ...

    def append(self, name: str, offset: int, chunk: bytes) -> int:
        """Add the bytes from `offset` on; returns how many are here.

        Raises WrongState with the field `received` when `offset` is not where the upload stands, TooLarge, and
        StorageFull, after which the upload is gone.
        """
        ...

    def finish(self, name: str) -> int:
        """Verify and keep an uploaded blob; returns its size. It may be called again.

        Raises InvalidBytes when the bytes are not those of the name, and then keeps nothing of them.
        """
        ...

    def received(self, name: str) -> int:
        """How many bytes are here, of a blob or of its upload; 0 when nothing is."""
        ...

    def abandon(self, name: str) -> None:
        """Drop an upload; a blob stays."""
        ...

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        """The bytes from `start` on, at most `length`. Raises NoSuchThing."""
        ...

    def open(self, name: str) -> BinaryIO:
        """The blob as a file to read. Raises NoSuchThing."""
        ...

    def size(self, name: str) -> int | None:
        """How many bytes the blob has; None when it is not here."""
        ...

    def used_bytes(self) -> int:
        """What blobs and uploads take."""
        ...

    def collect(self, referenced: Set[str], *, older_than: Instant) -> list[BlobName]:
        """Remove blobs that nobody refers to and that were last put before `older_than`; returns their names.

        Uploads that did not move since are dropped too.
        """
        ...


def blob_name(content: bytes) -> BlobName:
    """The name of these bytes."""
    return BlobName(blake3(content).hexdigest())


def check_name(name: str) -> BlobName:
    """`name`, which is a hash and so safe in a path. Raises InvalidValue otherwise."""
    if not _NAME.fullmatch(name):
        raise InvalidValue(
            field="blob", value=name[:80], hint="a blob is named by 64 hexadecimal characters"
        )
    return BlobName(name)


def check_size(size: int, limits: BlobLimits) -> None:
    """Raises TooLarge for a blob larger than one may be, InvalidValue for a size below zero."""
    if size < 0:
        raise InvalidValue(field="size", value=size)
    if size > limits.blob_bytes_max:
        most = format_bytes(limits.blob_bytes_max)
        raise TooLarge(f"This blob has {format_bytes(size)}; at most {most} are taken.")


def check_chunk(chunk: bytes) -> None:
    """Raises TooLarge for a chunk above CHUNK_BYTES_MAX."""
    if len(chunk) > CHUNK_BYTES_MAX:
        raise TooLarge(f"Send at most {format_bytes(CHUNK_BYTES_MAX)} at once.")


def check_offset(received: int, offset: int) -> None:
    """Raises WrongState when the upload does not stand at `offset`."""
    if offset != received:
        raise WrongState(
            f"The upload stands at byte {received}, not {offset}.",
            hint=f"go on from byte {received}",
            received=received,
        )


def check_quota(used: int, more: int, limits: BlobLimits) -> None:
    """Raises StorageFull when `more` bytes would pass the quota."""
    if used + more > limits.total_bytes_max:
        quota = format_bytes(limits.total_bytes_max)
        text = f"The store's quota of {quota} is used up."
        raise StorageFull(text, hint="ask the operator for more room")


def no_such_blob(name: str) -> NoSuchThing:
    """The error for a blob that is not here."""
    return NoSuchThing(f"There is no blob {name}.", name=name)
