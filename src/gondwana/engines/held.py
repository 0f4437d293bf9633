"""Files that were deleted but are still open: they fill the disk, and no folder shows them."""

import os
import stat
from collections.abc import Iterable
from typing import Final

LOOKED_AT_MAX: Final = (
    20_000  # open files per look; a job that has more is stopped by the free disk's floor
)


def held_bytes(pids: Iterable[int], device: int) -> int:
    """Bytes on the disk `device` in deleted files that these processes keep open; each file counts once."""
    seen: set[int] = set()
    total = looked_at = 0
    for pid in pids:
        folder = f"/proc/{pid}/fd"
        try:
            names = os.listdir(folder)
        except OSError:  # gone, or no such folder on this system
            continue
        for name in names:
            looked_at += 1
            if looked_at > LOOKED_AT_MAX:
                return total
            try:
                info = os.stat(f"{folder}/{name}")
            except OSError:
                continue
            deleted = stat.S_ISREG(info.st_mode) and info.st_nlink == 0 and info.st_dev == device
            if deleted and info.st_ino not in seen:
                seen.add(info.st_ino)
                total += info.st_blocks * 512
    return total
