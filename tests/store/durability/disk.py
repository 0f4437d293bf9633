"""What a disk may hold after a power cut, worked out from the journal of droplayer.c.

Before a file's last sync all is there. Of what came after, every write is kept, dropped, or torn at the disk's sectors,
and every change of size is kept or dropped. A name that was made or removed counts for sure when its folder was synced
after that. Not modelled: sectors that were already synced do not rot (SQLite calls it powersafe overwrite).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

ANSWERS: Final = (
    "answers"  # the file with the client's answers; it stands for the people who heard them
)
SECTOR_BYTES: Final = 512
KEPT_FRACTIONS: Final = (0.0, 0.1, 0.5, 0.9, 1.0)
_RECORD: Final = struct.Struct("=c3xiqq")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of the process to the disk; see droplayer.c."""

    kind: str
    file: int
    offset: int
    data: bytes


def read_journal(path: Path) -> Iterator[Call]:
    """The calls, in order."""
    journal, at = path.read_bytes(), 0
    while at < len(journal):
        kind, file, offset, length = _RECORD.unpack_from(journal, at)
        at += _RECORD.size + length
        data = journal[at - length : at]
        yield Call(kind=kind.decode(), file=file, offset=offset, data=data)


@dataclass(slots=True)
class _File:
    synced: bytearray = field(default_factory=bytearray)
    unsynced: list[Call] = field(default_factory=list)


class Disk:
    """The files of one folder: what is safe, and what is not yet."""

    def __init__(self, folder: Path) -> None:
        self.answered: list[str] = []
        self._folder = str(folder)
        self._names: dict[str, _File] = {}  # as the process sees them
        self._synced_names: dict[str, _File] = {}
        self._unsynced_names: list[tuple[str, _File | None]] = []
        self._open: dict[int, _File | None] = {}  # None is the folder

    def do(self, call: Call) -> None:
        """Take over the next call of the journal."""
        match call.kind:
            case "c" | "o" | "u":
                self._name(call)
            case "s":
                self._sync(self._open[call.file])
            case "w" if self._open[call.file] is self._names.get(ANSWERS):
                self.answered += call.data.decode().split()
            case "w" | "t":
                self._open[call.file].unsynced.append(call)

    def after_power_cut(self, random: Random) -> dict[str, bytes]:
        """One of the many states that the power may leave, the files by name."""
        kept = random.choice(KEPT_FRACTIONS)
        names = dict(self._synced_names)
        for name, file in self._unsynced_names:
            if random.random() < kept:
                _rename(names, name, file)
        return {
            name: _content(file, random, kept) for name, file in names.items() if _is_durable(name)
        }

    def now(self) -> dict[str, bytes]:
        """What the process itself would read."""
        return {
            name: _content(file, Random(0), 1.0)
            for name, file in self._names.items()
            if _is_durable(name)
        }

    def _name(self, call: Call) -> None:
        path = call.data.decode()
        if path == self._folder:
            self._open[call.file] = None
            return
        name = path.removeprefix(f"{self._folder}/")
        if call.kind != "o":
            file = _File() if call.kind == "c" else None
            _rename(self._names, name, file)
            self._unsynced_names.append((name, file))
        if call.kind != "u":
            self._open[call.file] = self._names[name]

    def _sync(self, file: _File | None) -> None:
        if file is not None:
            for call in file.unsynced:
                _apply(file.synced, call)
            file.unsynced.clear()
            return
        for name, named in self._unsynced_names:
            _rename(self._synced_names, name, named)
        self._unsynced_names.clear()


def _rename(names: dict[str, _File], name: str, file: _File | None) -> None:
    if file is None:
        names.pop(name, None)
    else:
        names[name] = file


def _is_durable(name: str) -> bool:
    """The index of the write-ahead log is shared memory, and the answers are no file of the database."""
    return not name.endswith("-shm") and name != ANSWERS


def _content(file: _File, random: Random, kept: float) -> bytes:
    content = bytearray(file.synced)
    for call in file.unsynced:
        if random.random() < kept:
            _apply(content, call)
        elif call.kind == "w" and kept > 0 and random.random() < 0.5:
            for sector in _sectors(call):
                if random.random() < kept:
                    _apply(content, sector)
    return bytes(content)


def _sectors(call: Call) -> Iterator[Call]:
    """The parts of a write that reach the disk or not, each as a whole."""
    at, end = call.offset, call.offset + len(call.data)
    while at < end:
        next_at = min(end, (at // SECTOR_BYTES + 1) * SECTOR_BYTES)
        data = call.data[at - call.offset : next_at - call.offset]
        yield Call(kind="w", file=call.file, offset=at, data=data)
        at = next_at


def _apply(content: bytearray, call: Call) -> None:
    size = call.offset if call.kind == "t" else call.offset + len(call.data)
    content.extend(bytes(max(0, size - len(content))))
    if call.kind == "t":
        del content[size:]
    else:
        content[call.offset : size] = call.data
