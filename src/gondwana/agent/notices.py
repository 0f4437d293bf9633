"""What a lease's work is told of its end: a file that appears, and a last call for what catches SIGTERM.

When it is told is decided here, by how much time was left when the control plane last spoke of the end: it may be out
of reach when that comes, and the machine's own clock may be wrong, so the time passes on a clock that nobody sets.
"""

import asyncio
import json
from pathlib import Path
from typing import Final

from gondwana.wire.agent import LAST_CALL_SECONDS, LEASE_ENDED, LeaseNotice

NOTICE_FILE: Final = "notice.json"


def seconds_until_last_call(seconds_left: float) -> float:
    """How long it is until what runs should save its work."""
    return max(0.0, seconds_left - LAST_CALL_SECONDS)


def seconds_until_shown(reason: str, seconds_left: float) -> float:
    """How long a notice is kept from the run: the end of an agreed time is no news, so it is told when it is near."""
    return seconds_until_last_call(seconds_left) if reason == LEASE_ENDED else 0.0


class Notices:
    """One lease's notices. The folder is the agent's own: the work may read it, and write nothing there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.last_call = asyncio.Event()  # it ends so soon that what runs should save its work now
        self.taken_back = asyncio.Event()  # the opposite: it goes on for longer than that
        self._timer: asyncio.TimerHandle | None = None

    def tell(self, notice: LeaseNotice | None, seconds_left: float) -> None:
        """The lease ends in so many seconds; without a notice it goes on. What was told before counts no more."""
        self.close()
        if notice is None:
            self._hide()
            self._take_back()
            return
        is_kept = seconds_until_shown(notice.reason, seconds_left) > 0
        if is_kept:
            self._hide()  # the old end was near, and it was extended
        else:
            self._show(notice, seconds_left)
        wait = seconds_until_last_call(seconds_left)
        if wait > 0:
            self._take_back()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(wait, self._call, notice if is_kept else None)

    def close(self) -> None:
        """Nothing more is told."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _call(self, kept: LeaseNotice | None) -> None:
        self.taken_back.clear()
        self.last_call.set()  # first: who waits for it runs after this, and also where the disk is full
        if kept is not None:
            self._show(kept, LAST_CALL_SECONDS)

    def _take_back(self) -> None:
        self.last_call.clear()
        self.taken_back.set()

    def _show(self, notice: LeaseNotice, seconds_left: float) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        told = {
            "reason": notice.reason,
            "ends_at": notice.ends_at,
            "seconds_left": round(seconds_left, 3),
        }
        path = self.folder / NOTICE_FILE
        new = path.with_suffix(".new")
        new.write_text(json.dumps(told))
        new.chmod(0o644)
        new.replace(path)  # nobody reads half a notice

    def _hide(self) -> None:
        (self.folder / NOTICE_FILE).unlink(missing_ok=True)
