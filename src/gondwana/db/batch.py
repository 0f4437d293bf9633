"""Calls that share one transaction: run each in a savepoint, commit once, tell each its outcome."""

import collections
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from gondwana.core.errors import GondwanaError, NotLeader, Unavailable
from gondwana.core.events import Event
from gondwana.db.connection import Connection
from gondwana.db.errors import Failed
from gondwana.db.events import StoredEvent, numbered, numbers_asked
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
    events: list[Event] = field(default_factory=list[Event])
    has_undone: bool = False  # something of it: numbers of events are missing
    unsettled: str | None = None  # its savepoint, where the database may still refuse something


class Batches:
    """The transactions of one writer, one after the other."""

    def __init__(self, connection: Connection, before_commit: BeforeCommit | None = None) -> None:
        self.connection = connection
        self.lost = threading.Event()  # another leads: nothing is ever written through this again
        self._before_commit = before_commit
        # by table the first row that this batch inserted; None in the first: nobody knows what those before us left
        self._inserted: dict[str, Sequence[Any]] | None = None

    def commit(self, calls: "collections.deque[Call]", seconds_max: float) -> list[StoredEvent]:
        """Run calls from the left of `calls` in one transaction, tell each its outcome, return the events committed.

        Calls that did not fit into `seconds_max` stay in `calls`. When the transaction as a whole fails, every call
        in it is told why and nothing of it remains.
        """
        ran: list[_Ran] = []
        stored: list[StoredEvent] = []
        try:
            self.connection.begin_batch()
            ends = time.monotonic() + seconds_max
            while calls and (not ran or time.monotonic() < ends):
                self._settle(ran)
                ran.append(_Ran(calls.popleft()))
                self._run(ran[-1])
            stored = self._commit(ran)
            self._inserted = {}
        except Exception as error:  # whoever's it is, the batch cannot be committed
            refusal = self._refusal(error, len(ran))
            ran = ran or [_Ran(calls.popleft()) for _ in range(len(calls))]
            for one in ran:
                one.error = refusal
        finally:
            self.connection.rollback()
        for one in ran:
            _deliver(one)
        return stored

    def _run(self, ran: _Ran) -> None:
        """Run one call in a savepoint. Raises what ends the whole batch."""
        if not ran.call.future.set_running_or_notify_cancel():
            return
        tx = Transaction(self.connection)
        savepoint = self.connection.savepoint()
        try:
            ran.value = ran.call.run(tx)
        except Exception as error:  # whatever it is, it belongs to whoever submitted the call
            ran.error = error
        try:
            ran.events = tx.finish()
            if self._inserted is not None:
                self._inserted = tx.inserted | self._inserted
            if ran.error is None:
                self.connection.release(savepoint)
        except Failed:
            raise
        except Exception as error:  # the call hid it, or passed it on
            ran.error = ran.error or error
        ran.has_undone = tx.has_undone
        if ran.error is not None:
            self._undo(ran, savepoint)
            return
        ran.is_done = True
        ran.unsettled = savepoint if self.connection.may_refuse else None

    def _settle(self, ran: Sequence[_Ran]) -> None:
        """Have the database take what the last call inserted, or undo the call."""
        last = ran[-1] if ran else None
        if last is None or last.unsettled is None:
            return
        try:
            self.connection.flush()
        except Failed:
            raise
        except Exception as error:
            last.error = error
            self._undo(last, last.unsettled)
        else:
            last.unsettled = None

    def _undo(self, ran: _Ran, savepoint: str) -> None:
        ran.has_undone = True
        ran.is_done, ran.unsettled, ran.events = False, None, []
        self.connection.rollback_to(savepoint)

    def _commit(self, ran: Sequence[_Ran]) -> list[StoredEvent]:
        """The events committed. What the last call wrote may be refused only here: then that call is undone alone."""
        while True:
            last = ran[-1] if ran else None
            closing = Transaction(self.connection, self._inserted)
            try:
                if self._before_commit is not None and any(one.is_done for one in ran):
                    self._before_commit(closing)
                told = [*(one.events for one in ran), closing.finish()]
                events = list(chain.from_iterable(told))
                has_gaps = closing.has_undone or any(one.has_undone for one in ran)
                asked = numbers_asked(len(events), has_gaps=has_gaps)
                return numbered(events, self.connection.commit(asked if events else None))
            except (Failed, NotLeader):
                raise
            except Exception as error:
                is_databases = closing.is_spoilt or not closing.is_open
                if last is None or last.unsettled is None or not is_databases:
                    raise
                last.error = error
                try:
                    self._undo(last, last.unsettled)
                except Exception as gone:  # it was not the last call's: all of them are undone
                    raise error from gone

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
