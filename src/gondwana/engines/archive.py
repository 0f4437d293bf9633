"""A job's folder as a tar file: packed on the tenant's side, unpacked on the owner's, who trusts none of it."""

import io
import os
import stat
import tarfile
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, Final

from gondwana.core.errors import InvalidBytes, InvalidValue, TooLarge
from gondwana.core.units import KIB, MIB
from gondwana.engines.harvest import (
    CHUNK_BYTES,
    TreeLimits,
    is_plain_name,
    open_regular,
    plain_member,
)
from gondwana.engines.trees import remove_tree, walk

EXCLUDED: Final = (".git", "__pycache__", "*.pyc", ".venv", "venv", "node_modules", ".pytest_cache",
                   ".ruff_cache", ".mypy_cache", ".DS_Store", ".ipynb_checkpoints")  # fmt: skip
JOB_FOLDER: Final = TreeLimits(bytes_max=256 * MIB, file_bytes_max=256 * MIB)
HEADER_BYTES_MAX: Final = 64 * KIB  # of an extended header: a name is far shorter


def pack_folder(
    folder: Path, *, excludes: Sequence[str] = EXCLUDED, limits: TreeLimits = JOB_FOLDER
) -> bytes:
    """The files of `folder` as a tar; equal files make equal bytes, whenever and by whomever they are packed.

    `excludes` are patterns for one name or for a path from the folder. A link to a file inside becomes that file.
    Raises InvalidValue for a link that leads elsewhere or an odd name, TooLarge past the limits.
    """
    if not folder.is_dir():
        raise InvalidValue(f"{folder} is no folder", field="workdir")
    top = folder.resolve()
    paths = sorted(_included(folder, excludes, limits))
    buffer = io.BytesIO()
    total = 0
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in paths:
            content, executable = _content(top, path)
            total += len(content)
            if total > limits.bytes_max:
                raise TooLarge(f"{folder} holds more than {limits.bytes_max // MIB} MB",
                               hint="exclude what the job does not need, or pass it as data")  # fmt: skip
            tar.addfile(
                plain_member(path, len(content), executable=executable), io.BytesIO(content)
            )
    return buffer.getvalue()


def _included(folder: Path, excludes: Sequence[str], limits: TreeLimits) -> list[str]:
    found: list[str] = []
    cut: list[bytes] = []
    for entry in walk(folder, limits.depth_max):
        if any(entry.path.startswith(prefix) for prefix in cut[-1:]):
            continue
        if _excluded(os.fsdecode(entry.path), excludes):
            if stat.S_ISDIR(entry.info.st_mode):
                cut.append(entry.path + b"/")
            continue
        if not is_plain_name(entry.path) or entry.closed:
            raise InvalidValue(
                f"{entry.path!r} cannot be packed", field="workdir", hint="rename or exclude it"
            )
        if not stat.S_ISDIR(entry.info.st_mode):
            found.append(entry.path.decode())
        if len(found) > limits.entries_max:
            raise TooLarge(f"{folder} holds more than {limits.entries_max} files")
    return found


def _excluded(path: str, patterns: Sequence[str]) -> bool:
    name = path.rsplit("/", 1)[-1]
    return any(fnmatchcase(name, pattern) or fnmatchcase(path, pattern) for pattern in patterns)


def _content(top: Path, path: str) -> tuple[bytes, bool]:
    place = Path(os.path.realpath(top / path))  # says nothing of loops: they are no file either
    if not place.is_relative_to(top) or not place.is_file():
        raise InvalidValue(f"{path} is a link that leads out of the folder, or no file", field="workdir",
                           hint="copy what it points to, or exclude it")  # fmt: skip
    holder = os.open(place.parent, os.O_RDONLY)
    try:
        descriptor = open_regular(holder, os.fsencode(place.name))
    finally:
        os.close(holder)
    with os.fdopen(descriptor, "rb") as file:
        return file.read(), bool(os.fstat(file.fileno()).st_mode & stat.S_IXUSR)


def unpack(archive: Path, destination: Path, limits: TreeLimits = JOB_FOLDER) -> int:
    """Unpack a plain tar into the new folder `destination`; how many files it held.

    All or nothing: an archive with an absolute or climbing name, a link, a device, a name twice, or anything else
    that a job's folder has no need of raises InvalidBytes, one past the limits TooLarge; then nothing is left.
    """
    destination.mkdir(mode=0o755)
    try:
        with archive.open("rb") as file:
            return _unpack(file, destination, limits)
    except (tarfile.TarError, EOFError, ValueError, OverflowError, RecursionError) as error:
        remove_tree(destination)
        raise InvalidBytes(f"the archive cannot be read: {error}") from error
    except BaseException:
        remove_tree(destination)
        raise


def _unpack(file: IO[bytes], destination: Path, limits: TreeLimits) -> int:
    files = entries = total = 0
    # As a stream nothing is read twice: a header with a negative size cannot send the reader round in circles.
    with tarfile.open(fileobj=_Bounded(file, limits), mode="r|", tarinfo=_CheckedMember) as tar:
        for member in tar:
            entries += 1
            parts = _parts(member.name, limits)
            if entries > limits.entries_max:
                raise TooLarge(f"the archive holds more than {limits.entries_max} entries")
            if member.isdir():
                destination.joinpath(*parts).mkdir(parents=True, exist_ok=True)
                continue
            total += member.size
            if member.size > limits.file_bytes_max or total > limits.bytes_max:
                raise TooLarge(f"the archive unpacks to more than {limits.bytes_max} bytes")
            content = tar.extractfile(member)
            if not member.isreg() or member.issparse() or content is None:
                raise InvalidBytes(f"{member.name!r} is no regular file")
            _write(
                destination.joinpath(*parts), content, executable=bool(member.mode & stat.S_IXUSR)
            )
            files += 1
    return files


def _parts(name: str, limits: TreeLimits) -> list[str]:
    parts = [part for part in name.rstrip("/").split("/") if part != "."]
    if (
        not is_plain_name(name.encode(errors="surrogateescape"))
        or "" in parts
        or ".." in parts
        or "\\" in name
    ):
        raise InvalidBytes(f"{name!r} is no name for a file in a job's folder")
    if len(parts) > limits.depth_max:
        raise TooLarge(f"{name[:80]!r} lies deeper than {limits.depth_max} folders")
    return parts


def _write(path: Path, content: IO[bytes], *, executable: bool) -> None:
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o755 if executable else 0o644)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise InvalidBytes(f"{path.name!r} is in the archive twice") from error
    with os.fdopen(descriptor, "wb") as file:
        while chunk := content.read(CHUNK_BYTES):
            file.write(chunk)


class _Bounded(io.RawIOBase):
    """An archive that ends with an error where no honest one would still go on."""

    def __init__(self, file: IO[bytes], limits: TreeLimits) -> None:
        self._file = file
        self._left = (
            limits.bytes_max + limits.entries_max * 4 * KIB + MIB
        )  # contents, headers, padding

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes; tarfile always says how many."""
        assert size >= 0, "a whole archive is never read at once"
        self._left -= size
        if self._left < 0:
            raise TooLarge("the archive is larger than all it may unpack to")
        return self._file.read(size)


class _CheckedMember(tarfile.TarInfo):
    """A member whose header is checked before its size moves the reader."""

    @classmethod
    def frombuf(cls, buf: bytes, encoding: str, errors: str) -> "_CheckedMember":  # pyright: ignore
        """The member; refuses negative sizes and extended headers that no name needs."""
        member = super().frombuf(buf, encoding, errors)
        extended = member.type in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME,
                                   tarfile.GNUTYPE_LONGLINK, tarfile.SOLARIS_XHDTYPE)  # fmt: skip
        if member.size < 0 or (extended and member.size > HEADER_BYTES_MAX):
            raise tarfile.ReadError("a header gives a size that cannot be")
        return member
