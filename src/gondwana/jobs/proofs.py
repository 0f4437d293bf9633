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
    """Proofs that wait to be written. Losing some on a crash costs nothing: the next one covers the gap."""

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
            waiting, self._waiting = list(self._waiting.values()), {}
        return writer.submit(_write, waiting) if waiting else None


def _write(tx: Transaction, proofs: Sequence[Proof]) -> None:
    for proof in proofs:
        report.heartbeat(tx, proof.at, proof.machine_id, proof.leases)
