"""Heartbeats that were answered, gathered so that thousands share one transaction."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.errors import Unavailable
from gondwana.db.transaction import Transaction
from gondwana.db.writer import Writer
from gondwana.jobs import report
from gondwana.wire.agent import LeaseProof

PROOFS_MAX: Final = (
    100_000  # waiting to be written; past it the oldest are dropped, and unproven time is not paid
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """One signed heartbeat that answered the nonce it was asked."""

    machine_id: str
    at: Instant
    leases: tuple[LeaseProof, ...]


class Proofs:
    """Proofs that wait to be written. Losing some on a crash costs nothing: the next one covers the gap.

    Those that could not be written wait on: a database that is full is no reason to call its machines silent.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, Proof] = {}
        self._lock = threading.Lock()

    def add(self, proof: Proof) -> None:
        """Remember the newest proof of a machine; raises Unavailable when far too many wait."""
        with self._lock:
            if len(self._waiting) >= PROOFS_MAX:
                raise Unavailable("too many heartbeats wait to be written")
            self._waiting[proof.machine_id] = proof

    def flush(self, writer: Writer) -> "Future[None] | None":
        """Write what waits in one transaction; None when nothing does."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        if not waiting:
            return None
        try:
            written = writer.submit(_write, list(waiting.values()))
        except BaseException:
            self._restore(waiting)
            raise
        written.add_done_callback(lambda done: self._restore(waiting) if done.exception() else None)
        return written

    def _restore(self, unwritten: dict[str, Proof]) -> None:
        with self._lock:
            self._waiting = {**unwritten, **self._waiting}


def _write(tx: Transaction, proofs: Sequence[Proof]) -> None:
    for proof in proofs:
        report.heartbeat(tx, proof.at, proof.machine_id, proof.leases)
