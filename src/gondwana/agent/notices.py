"""What a lease's work is told of its end: a file that appears, and a last call for what catches SIGTERM."""

import asyncio
import json
from pathlib import Path
from typing import Final

from gondwana.wire.agent import LeaseNotice

NOTICE_FILE: Final = "notice.json"
LAST_CALL_SECONDS: Final = 120.0  # before the end: time for a program to save its work


class Notices:
    """One lease's notices. The folder is the agent's own: the work may read it, and write nothing there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.last_call = asyncio.Event()  # it ends so soon that what runs should save its work now
        self._timer: asyncio.TimerHandle | None = None

    def tell(self, notice: LeaseNotice | None, seconds_left: float) -> None:
        """The lease ends in so many seconds; without a notice it goes on, and the file is gone."""
        self.close()
        path = self.folder / NOTICE_FILE
        if notice is None:
            path.unlink(missing_ok=True)
            self.last_call.clear()
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        told = {
            "reason": notice.reason,
            "ends_at": notice.ends_at,
            "seconds_left": round(seconds_left, 3),
        }
        new = path.with_suffix(".new")
        new.write_text(json.dumps(told))
        new.chmod(0o644)
        new.replace(path)  # nobody reads half a notice
        delay = max(0.0, seconds_left - LAST_CALL_SECONDS)
        self._timer = asyncio.get_running_loop().call_later(delay, self.last_call.set)

    def close(self) -> None:
        """Nothing more is told."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
