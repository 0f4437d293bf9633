"""What a job leaves behind, taken without trusting any of it.

Regular files only, opened through open folders: never a link, pipe, device or socket; at most so many, so deep and
so large. What was left out is said, with the reason.
"""

import os
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO, Final

from gondwana.core.errors import InvalidBytes, NoSuchThing, TooLarge
from gondwana.core.units import GIB, MIB
from gondwana.engines.trees import DEPTH_MAX, FOLDER_FLAGS, Entry, walk

FILE_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
CHUNK_BYTES: Final = MIB
NAME_BYTES_MAX: Final = 1024  # of a whole path in an archive
LEFT_OUT_MAX: Final = 100  # names in a report; the rest is counted


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeLimits:
    """How much of a folder, or of an archive, is taken."""

    bytes_max: int = GIB  # apparent sizes, summed: holes in sparse files count here
    entries_max: int = 20_000
    depth_max: int = 32
    file_bytes_max: int = GIB


class Unfit(StrEnum):
    """Why something was left out."""

    NOT_A_FILE = "not_a_file"  # a link, pipe, device or socket
    ODD_NAME = "odd_name"  # not UTF-8, a control character, or too long
    TOO_LARGE = "too_large"  # by itself, or past the sum
    TOO_MANY = "too_many"
    TOO_DEEP = "too_deep"
    SAME_FILE = "same_file"  # another name of a file that is in
    UNREADABLE = "unreadable"  # or it changed while it was read


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Something that was not taken."""

    name: str  # as `repr` shows it when it is no clean text
    reason: Unfit


@dataclass(frozen=True, slots=True, kw_only=True)
class Harvest:
    """What was taken from a folder."""

    files: int
    bytes: int  # content, without the archive's own
    left_out: tuple[LeftOut, ...] = ()  # the first LEFT_OUT_MAX
    left_out_count: int = 0


def read_output(folder: Path, name: str, *, bytes_max: int) -> bytes:
    """The bytes of the regular file `name` (with `/` between its parts) below `folder`; no link on the way.

    Raises NoSuchThing when it is not there, InvalidBytes when it is anything but a regular file or `name` leaves the
    folder, TooLarge past `bytes_max`.
    """
    parts = os.fsencode(name).split(b"/")
    if any(part in (b"", b".", b"..") or b"\0" in part for part in parts):
        raise InvalidBytes("an output's name must stay in its folder", name=name)
    descriptor = _open_output(folder, parts, name)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        if os.fstat(file.fileno()).st_size > bytes_max:
            raise TooLarge(name=name, bytes_max=bytes_max)
        try:
            content = _read_up_to(file, bytes_max + 1)
        except OSError as error:
            raise InvalidBytes("an output cannot be read", name=name) from error
    if len(content) > bytes_max:
        raise TooLarge(name=name, bytes_max=bytes_max)
    return content


def _open_output(folder: Path, parts: list[bytes], name: str) -> int:
    holder = None
    try:
        holder = os.open(folder, FOLDER_FLAGS)
        for part in parts[:-1]:
            below = os.open(part, FOLDER_FLAGS, dir_fd=holder)
            os.close(holder)
            holder = below
        return open_regular(holder, parts[-1])
    except FileNotFoundError as error:
        raise NoSuchThing(name=name) from error
    except OSError as error:
        raise InvalidBytes("an output must be a regular file", name=name) from error
    finally:
        if holder is not None:
            os.close(holder)


def open_regular(folder: int, name: bytes) -> int:
    """A descriptor of the regular file `name` in the open folder; OSError for all else, which stays unopened."""
    before = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if not stat.S_ISREG(before.st_mode):
        raise OSError("not a regular file")
    descriptor = os.open(name, FILE_FLAGS, dir_fd=folder)
    after = os.fstat(descriptor)
    if not stat.S_ISREG(after.st_mode) or (before.st_dev, before.st_ino) != (
        after.st_dev,
        after.st_ino,
    ):
        os.close(descriptor)
        raise OSError("it changed while it was opened")
    return descriptor


def pack_outputs(folder: Path, archive: Path, limits: TreeLimits | None = None) -> Harvest:
    """Write the regular files below `folder` to the new tar file `archive`, sorted; what was taken and left out.

    Times, owners and modes are not kept, but whether its owner may execute a file.
    """
    limits = limits or TreeLimits()
    sieve = _Sieve(limits)
    chosen = sorted(sieve.choose(folder))
    with tarfile.open(archive, "x", format=tarfile.PAX_FORMAT) as tar:
        for path in chosen:
            sieve.pack(folder, path, tar)
    return Harvest(
        files=sieve.files,
        bytes=sieve.bytes,
        left_out=tuple(sieve.left_out),
        left_out_count=sieve.left_out_count,
    )


class _Sieve:
    """What is taken and what is not, while a folder is packed."""

    def __init__(self, limits: TreeLimits) -> None:
        self._limits = limits
        self._bytes_chosen = 0
        self._linked: set[tuple[int, int]] = set()
        self.files = self.bytes = self.left_out_count = 0
        self.left_out: list[LeftOut] = []

    def choose(self, folder: Path) -> Iterator[bytes]:
        """The paths to take, by what can be seen without opening them."""
        found = walk(folder, min(self._limits.depth_max, DEPTH_MAX))
        for entries, entry in enumerate(found):
            if entries >= self._limits.entries_max:
                self._leave(entry.path, Unfit.TOO_MANY)
                return
            reason = self._unfit(entry)
            if reason is not None:
                self._leave(entry.path, reason)
            elif stat.S_ISREG(entry.info.st_mode):
                self._bytes_chosen += entry.info.st_size
                yield entry.path

    def _unfit(self, entry: Entry) -> Unfit | None:
        info, limits = entry.info, self._limits
        if entry.closed:
            too_deep = entry.path.count(b"/") + 1 >= limits.depth_max
            return Unfit.TOO_DEEP if too_deep else Unfit.UNREADABLE
        if not is_plain_name(entry.path):
            return Unfit.ODD_NAME
        if stat.S_ISDIR(info.st_mode):
            return None
        if not stat.S_ISREG(info.st_mode):
            return Unfit.NOT_A_FILE
        if (
            info.st_size > limits.file_bytes_max
            or self._bytes_chosen + info.st_size > limits.bytes_max
        ):
            return Unfit.TOO_LARGE
        if info.st_nlink > 1:
            identity = (info.st_dev, info.st_ino)
            if identity in self._linked:
                return Unfit.SAME_FILE
            self._linked.add(identity)
        return None

    def pack(self, folder: Path, path: bytes, tar: tarfile.TarFile) -> None:
        """Copy one file into `tar`, whole or not at all."""
        try:
            descriptor = _open_output(folder, path.split(b"/"), repr(path))
        except (InvalidBytes, NoSuchThing):
            self._leave(path, Unfit.UNREADABLE)
            return
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            info = os.fstat(file.fileno())
            if self.bytes + info.st_size > self._limits.bytes_max:
                self._leave(path, Unfit.TOO_LARGE)
                return
            member = plain_member(
                path.decode(), info.st_size, executable=bool(info.st_mode & stat.S_IXUSR)
            )
            tar.addfile(member, ExactReader(file, info.st_size))
        self.files += 1
        self.bytes += info.st_size

    def _leave(self, path: bytes, reason: Unfit) -> None:
        self.left_out_count += 1
        if len(self.left_out) < LEFT_OUT_MAX:
            name = path.decode() if is_plain_name(path) else repr(path[:NAME_BYTES_MAX])
            self.left_out.append(LeftOut(name=name, reason=reason))


class ExactReader:
    """A file read as exactly `size` bytes: zeros if it shrank, no more if it grew, so an archive stays whole."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._left = size

    def read(self, size: int = -1) -> bytes:
        """The next bytes, as many as asked for while there are any."""
        wanted = self._left if size < 0 else min(size, self._left)
        content = _read_up_to(self._file, wanted)
        self._left -= wanted
        return content + bytes(wanted - len(content))


def plain_member(name: str, size: int, *, executable: bool) -> tarfile.TarInfo:
    """An archive's entry for a regular file: no time, no owner, so the same files make the same bytes."""
    member = tarfile.TarInfo(name)
    member.size = size
    member.mode = 0o755 if executable else 0o644
    return member


def is_plain_name(path: bytes) -> bool:
    """Whether a path is short, UTF-8, and of printable characters."""
    try:
        return len(path) <= NAME_BYTES_MAX and path.decode().isprintable()
    except UnicodeDecodeError:
        return False


def _read_up_to(file: IO[bytes], size: int) -> bytes:
    content = bytearray()
    while len(content) < size and (chunk := file.read(min(CHUNK_BYTES, size - len(content)))):
        content += chunk
    return bytes(content)
