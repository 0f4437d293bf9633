"""Calls that share one transaction: run each in a savepoint, commit once, tell each its outcome."""

import collections
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from gondwana.core.errors import GondwanaError, NotLeader, Unavailable
from gondwana.db.connection import Connection
from gondwana.db.errors import Failed
from gondwana.db.events import StoredEvent
from gondwana.db.transaction import Transaction

BeforeCommit = Callable[[Transaction], None]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What somebody submitted, and where its outcome goes."""

    run: Callable[[Transaction], Any]
    future: Future[Any]


@dataclass(slots=True)
class _Ran:
    call: Call
    value: Any = None
    error: BaseException | None = None
    is_done: bool = False  # it ran to its end, and nobody cancelled it


class Batches:
    """The transactions of one writer, one after the other."""

    def __init__(self, connection: Connection, before_commit: BeforeCommit | None = None) -> None:
        self.connection = connection
        self.lost = threading.Event()  # another leads: nothing is ever written through this again
        self._before_commit = before_commit
        # tables that this batch inserted into; None in the first: nobody knows what those before us left
        self._inserted: set[str] | None = None

    def commit(self, calls: "collections.deque[Call]", seconds_max: float) -> list[StoredEvent]:
        """Run calls from the left of `calls` in one transaction, tell each its outcome, return the events committed.

        Calls that did not fit into `seconds_max` stay in `calls`. When the transaction as a whole fails, every call
        in it is told why and nothing of it remains.
        """
        ran: list[_Ran] = []
        events: list[StoredEvent] = []
        try:
            self.connection.begin_batch()
            ends = time.monotonic() + seconds_max
            while calls and (not ran or time.monotonic() < ends):
                ran.append(_Ran(calls.popleft()))
                events += self._run(ran[-1])
            if any(one.is_done for one in ran):
                events += self._finish()
            self.connection.commit()
            self._inserted = set()
        except Exception as error:  # whoever's it is, the batch cannot be committed
            refusal = self._refusal(error, len(ran))
            ran = ran or [_Ran(calls.popleft()) for _ in range(len(calls))]
            for one in ran:
                one.error = refusal
            events = []
        finally:
            self.connection.rollback()
        for one in ran:
            _deliver(one)
        return events

    def _run(self, ran: _Ran) -> list[StoredEvent]:
        """Run one call in a savepoint; its events, or none when it failed. Raises what ends the whole batch."""
        if not ran.call.future.set_running_or_notify_cancel():
            return []
        tx = Transaction(self.connection)
        savepoint = self.connection.savepoint()
        events: list[StoredEvent] = []
        try:
            ran.value = ran.call.run(tx)
        except Exception as error:  # whatever it is, it belongs to whoever submitted the call
            ran.error = error
        try:
            events = tx.finish()
            if self._inserted is not None:
                self._inserted |= tx.inserted
            if ran.error is None:
                self.connection.flush()
        except Failed:
            raise
        except Exception as error:  # the call hid it, or passed it on
            ran.error = ran.error or error
        if ran.error is not None:
            self.connection.rollback_to(savepoint)
            return []
        self.connection.release(savepoint)
        ran.is_done = True
        return events

    def _finish(self) -> list[StoredEvent]:
        if self._before_commit is None:
            return []
        tx = Transaction(self.connection, self._inserted)
        self._before_commit(tx)
        return tx.finish()

    def _refusal(self, error: Exception, calls: int) -> GondwanaError:
        if isinstance(error, NotLeader):
            self.lost.set()
            return error
        if calls:
            _log.warning("a batch of %d writes was undone: %s", calls, error)
        if isinstance(error, Failed):
            return error.to_unavailable()
        if isinstance(error, GondwanaError):
            return error
        _log.error("it was undone by a mistake of ours", exc_info=error)
        return Unavailable(f"The database cannot write now: {error}.", hint="try again in a moment")


def _deliver(ran: _Ran) -> None:
    if ran.call.future.cancelled():
        return
    if not ran.call.future.running():
        ran.call.future.set_running_or_notify_cancel()
    if ran.error is not None:
        ran.call.future.set_exception(ran.error)
    else:
        ran.call.future.set_result(ran.value)
