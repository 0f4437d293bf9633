"""What a run saves to go on from elsewhere: its checkpoint folder, uploaded when it has changed and stands still."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from gondwana.core.errors import GondwanaError
from gondwana.core.units import MIB
from gondwana.engines.harvest import TreeLimits, pack_outputs
from gondwana.engines.trees import tree_mark
from gondwana.sdk.blobs import Blobs

CHECKPOINT_LIMITS: Final = TreeLimits(bytes_max=1024 * MIB, file_bytes_max=1024 * MIB)
REST_SECONDS: Final = 30.0  # between two looks: a machine that is lost costs no more work than that
HURRY_SECONDS: Final = 0.5  # the same once the lease is about to end
SAVING_SHARE_MAX: Final = 0.2  # of the time may go into saving, unless the end is near
_log = logging.getLogger(__name__)


class Checkpoints:
    """One run's checkpoint folder. All or nothing is taken of it: half a checkpoint is worse than the one before."""

    def __init__(
        self, folder: Path, archive: Path, blobs: Callable[[], Awaitable[Blobs]], saved: Callable[[str], None]
    ) -> None:  # fmt: skip
        """`saved` is told the blob of each checkpoint; `archive` is a file of ours, while one is packed."""
        self._folder = folder
        self._archive = archive
        self._blobs = blobs
        self._saved = saved
        self._mark = b""  # of what is saved already

    def begin(self) -> None:
        """What lies in the folder now came from an earlier attempt."""
        self._mark = tree_mark(self._folder)

    async def keep(self, hurry: asyncio.Event) -> None:
        """Save again and again, sooner while `hurry` is set; ends by being cancelled."""
        rest = REST_SECONDS
        while True:
            if hurry.is_set():
                await asyncio.sleep(HURRY_SECONDS)
            else:
                try:
                    async with asyncio.timeout(rest):
                        await hurry.wait()
                except TimeoutError:
                    pass
            began = time.monotonic()
            await self.save()
            rest = max(REST_SECONDS, (time.monotonic() - began) / SAVING_SHARE_MAX)

    async def save(self) -> None:
        """Upload the folder if it has changed since the last time; what cannot be saved now is tried again."""
        try:
            await self._save()
        except (GondwanaError, OSError) as error:
            _log.warning("a checkpoint could not be saved: %s", error)

    async def _save(self) -> None:
        mark = await asyncio.to_thread(tree_mark, self._folder)
        if mark == self._mark:
            return
        try:
            harvest = await asyncio.to_thread(
                pack_outputs, self._folder, self._archive, CHECKPOINT_LIMITS
            )
            if await asyncio.to_thread(tree_mark, self._folder) != mark:
                return  # it was written meanwhile
            if harvest.left_out:
                _log.warning("a checkpoint is not taken: %s", harvest.left_out[0])
            elif harvest.files:
                blobs = await self._blobs()
                self._saved(await asyncio.to_thread(blobs.put_file, self._archive))
            self._mark = mark
        finally:
            self._archive.unlink(missing_ok=True)
