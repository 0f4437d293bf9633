"""The killing side of the zygote: start a client, listen to its answers, kill it."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

ANSWER_SECONDS_MAX: Final = 60.0  # a client that says nothing for so long hangs


class Clients:
    """One client after the other, each forked from a process that has everything imported."""

    def __enter__(self) -> Self:
        self._zygote = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("zygote.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._heard = b""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._zygote.kill()
        self._zygote.stdin.close()
        self._zygote.stdout.close()
        self._zygote.wait()

    def start(self, **job: object) -> None:
        """A new client, with nothing answered."""
        self._zygote.stdin.write(json.dumps(job).encode() + b"\n")
        self._zygote.stdin.flush()
        self.answered: list[str] = []
        self._exit_code: int | None = None
        self._pid = int(self._line(ANSWER_SECONDS_MAX) or 0)
        assert self._pid, "no client was started"

    def wait_for(self, answers: int, *, then_seconds: float) -> None:
        """Listen until so many answers came, and then for so long."""
        while len(self.answered) < answers:
            assert self._exit_code is None, f"the client ended by itself: {self._exit_code}"
            assert self._listen(ANSWER_SECONDS_MAX), "the client hangs"
        ends = time.monotonic() + then_seconds
        while (left := ends - time.monotonic()) > 0:
            self._listen(left)

    def kill(self) -> None:
        """Kill -9; then `answered` holds also what the client still said before it died."""
        os.kill(self._pid, signal.SIGKILL)
        self.end()
        assert self._exit_code == -signal.SIGKILL, f"the client ended by itself: {self._exit_code}"

    def end(self) -> None:
        """Wait for the client to end, by a kill or by itself."""
        while self._exit_code is None:
            assert self._listen(ANSWER_SECONDS_MAX), "the client hangs"

    def _listen(self, seconds_max: float) -> bool:
        line = self._line(seconds_max)
        if line is None:
            return False
        if line.startswith("ended "):
            self._exit_code = int(line.removeprefix("ended "))
        else:
            self.answered.append(line)
        return True

    def _line(self, seconds_max: float) -> str | None:
        """The next line of the zygote or its client, or None when it does not come in time."""
        ends = time.monotonic() + seconds_max
        while b"\n" not in self._heard:
            left = ends - time.monotonic()
            if left <= 0 or not select.select([self._zygote.stdout], [], [], left)[0]:
                return None
            got = os.read(self._zygote.stdout.fileno(), 65_536)
            assert got, "the process that starts clients is gone"
            self._heard += got
        line, _, self._heard = self._heard.partition(b"\n")
        return line.decode()
