"""Folders that strangers wrote: measured and removed without ever following a link.

Everything goes through open folders (`openat`), so no name is looked up twice and no depth is too deep.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
DEPTH_MAX: Final = 64  # levels that are looked into; one open folder per level
MARKED_MAX: Final = 20_000  # entries of a folder that a mark is made of; more are not packed either


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeSize:
    """What a folder holds; a file with several names counts once."""

    disk_bytes: int = 0  # blocks in use: holes in sparse files cost nothing
    entries: int = 0
    complete: bool = (
        True  # False: past a limit, or with folders too deep or unreadable to be counted
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing found below a folder; `folder` stays open only until the next is asked for."""

    folder: int  # descriptor of the folder that holds it
    name: bytes
    path: bytes  # from the top, joined by `/`
    info: os.stat_result
    closed: bool = False  # a folder that was not looked into: too deep, or unreadable


def walk(folder: Path, depth_max: int = DEPTH_MAX) -> Iterator[Entry]:
    """Everything below `folder`, parents first, in no order; what vanishes meanwhile is passed over."""
    with suppress(FileNotFoundError):
        top = os.open(folder, FOLDER_FLAGS)
        try:
            yield from _walk(top, b"", depth_max)
        finally:
            os.close(top)


def _walk(descriptor: int, prefix: bytes, depth_left: int) -> Iterator[Entry]:
    with os.scandir(descriptor) as entries:
        for found in entries:
            name = os.fsencode(found.name)
            try:
                info = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            except FileNotFoundError:
                continue
            below = (
                _open_below(name, descriptor, depth_left) if stat.S_ISDIR(info.st_mode) else None
            )
            try:
                closed = stat.S_ISDIR(info.st_mode) and below is None
                yield Entry(
                    folder=descriptor, name=name, path=prefix + name, info=info, closed=closed
                )
                if below is not None:
                    yield from _walk(below, prefix + name + b"/", depth_left - 1)
            finally:
                if below is not None:
                    os.close(below)


def _open_below(name: bytes, descriptor: int, depth_left: int) -> int | None:
    if depth_left <= 1:
        return None
    try:
        return os.open(name, FOLDER_FLAGS, dir_fd=descriptor)
    except OSError:  # unreadable, or no folder any more
        return None


def measure_tree(folder: Path, *, bytes_max: int, entries_max: int) -> TreeSize:
    """What `folder` holds, counted until it is past a limit (a job may write faster than one can count)."""
    disk_bytes = entries = 0
    complete = True
    linked: set[tuple[int, int]] = set()
    for entry in walk(folder):
        entries += 1
        complete = complete and not entry.closed
        identity = (entry.info.st_dev, entry.info.st_ino)
        if entry.info.st_nlink > 1 and not stat.S_ISDIR(entry.info.st_mode):
            if identity in linked:
                continue
            linked.add(identity)
        disk_bytes += entry.info.st_blocks * 512
        if disk_bytes > bytes_max or entries > entries_max:
            return TreeSize(disk_bytes=disk_bytes, entries=entries, complete=False)
    return TreeSize(disk_bytes=disk_bytes, entries=entries, complete=complete)


def tree_mark(folder: Path) -> bytes:
    """A short mark of the files below `folder`, another one whenever a file comes, goes or is written; empty without.

    By names, sizes and times, without reading them. It looks at MARKED_MAX entries at most.
    """
    digest, files = hashlib.blake2b(digest_size=16), 0
    for entry in islice(walk(folder), MARKED_MAX):
        if stat.S_ISREG(entry.info.st_mode):
            files += 1
            told = (entry.path, entry.info.st_ino, entry.info.st_size, entry.info.st_mtime_ns)
            digest.update(repr(told).encode())
    return digest.digest() if files else b""


def remove_tree(folder: Path) -> None:
    """Remove `folder` with all in it, however deep, unreadable or oddly named; nothing outside is touched.

    Folders found inside are moved up beside one another before they are emptied, so two open folders are enough
    for any depth. Nothing may write there meanwhile; raises OSError when something cannot be removed.
    """
    try:
        info = os.lstat(folder)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(info.st_mode):
        os.unlink(folder)
        return
    _make_ours(os.fsencode(folder), None, info)
    top = os.open(folder, FOLDER_FLAGS)
    try:
        moved = _empty(top, top, 0)
        while pending := _names(top):
            for name in pending:
                below = os.open(name, FOLDER_FLAGS, dir_fd=top)
                try:
                    moved = _empty(below, top, moved)
                finally:
                    os.close(below)
                os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)
    os.rmdir(folder)


def _empty(descriptor: int, top: int, moved: int) -> int:
    """Unlink what `descriptor` holds and move its folders up to `top` under new names; the count of names used."""
    for name in _names(descriptor):
        info = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
        if not stat.S_ISDIR(info.st_mode):
            os.unlink(name, dir_fd=descriptor)
            continue
        _make_ours(name, descriptor, info)
        moved += 1
        while _exists(new := b".removing-%d" % moved, top):
            moved += 1
        os.rename(name, new, src_dir_fd=descriptor, dst_dir_fd=top)
    return moved


def _make_ours(name: bytes, descriptor: int | None, info: os.stat_result) -> None:
    """Let its owner (us) list and change a folder that was made unreadable; root needs no such leave."""
    if os.geteuid() != 0 and stat.S_IMODE(info.st_mode) & 0o700 != 0o700:
        os.chmod(name, 0o700, dir_fd=descriptor)


def _names(descriptor: int) -> list[bytes]:
    return [os.fsencode(name) for name in os.listdir(descriptor)]


def _exists(name: bytes, descriptor: int) -> bool:
    try:
        os.stat(name, dir_fd=descriptor, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
