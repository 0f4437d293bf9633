"""The books of everyone, and the check of them that trusts no server."""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from gondwana.core.errors import NoSuchThing
from gondwana.sdk.pages import every
from gondwana.sdk.transport import Transport
from gondwana.wire import proofs
from gondwana.wire.ledger import AuditView, EntryView
from gondwana.wire.proofs import BatchRecord, ChainProof, EntryProof, RootRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was checked of the books, and what is wrong with them."""

    ok: bool
    wrong: str  # "" where it holds
    since: str  # the root that was kept; "" for the start
    roots: int  # that follow from each other
    batches: int  # commits after the last root
    newest_root: str  # to keep for the next time; "" before the first day is over
    newest_day: str
    head: str  # hash of the newest commit; "" while nothing is posted


class Ledger:
    """The books of everyone."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def audit(self) -> AuditView:
        """The books recomputed from every transfer, and where they differ from what is stored."""
        return self._transport.get("/v1/ledger/audit").decode(AuditView)

    def roots(self) -> Iterator[RootRecord]:
        """What was published at the end of each day, oldest first."""
        return every(self._transport, "/v1/ledger/roots", RootRecord)

    def chain(self, since: str = "") -> ChainProof:
        """How the newest commits follow from a root; of a very long chain the first part."""
        return self._transport.get("/v1/ledger/chain", since=since).decode(ChainProof)

    def batches(self, after: int) -> Iterator[BatchRecord]:
        """Commits numbered above `after`, in order."""
        return every(self._transport, "/v1/ledger/batches", BatchRecord, after=after)

    def proof(self, transfer: int) -> EntryProof:
        """That a transfer is under its day's root: check it with `wire.proofs.check_entry`."""
        return self._transport.get(f"/v1/ledger/proof/{transfer}").decode(EntryProof)

    def entries(self, after: int = 0) -> Iterator[EntryView]:
        """Entries numbered above `after`, in order: those that touch the caller's accounts; all for an operator."""
        return every(self._transport, "/v1/ledger/entries", EntryView, after=after)

    def verify(self, since: str = "") -> Verification:
        """Check here that the books follow from the root `since`, and that they end in what the server audits."""
        try:
            proof = self.chain(since)
        except NoSuchThing as error:  # who kept a root knows that it was published
            return _disproved(since, error.message)
        audit = self.audit()
        proof = self._up_to(proof, audit.batches)
        wrong = _wrong(proof, since) or _ends_elsewhere(proof, audit)
        newest = proof.roots[-1] if proof.roots else None
        return Verification(
            ok=wrong is None,
            wrong=wrong or "",
            since=since,
            roots=len(proof.roots),
            batches=len(proof.batches),
            newest_root=newest.hash if newest else "",
            newest_day=newest.day if newest else "",
            head=audit.head,
        )

    def _up_to(self, proof: ChainProof, number: int) -> ChainProof:
        """The proof with the commits that are missing in it up to the one of that number."""
        more: list[BatchRecord] = []
        if _last_number(proof) < number:
            for batch in self.batches(_last_number(proof)):
                if batch.number > number:
                    break
                more.append(batch)
        if not more:
            return proof
        return msgspec.structs.replace(proof, batches=(*proof.batches, *more), head=more[-1].hash)


def _disproved(since: str, wrong: str) -> Verification:
    return Verification(
        ok=False,
        wrong=wrong,
        since=since,
        roots=0,
        batches=0,
        newest_root="",
        newest_day="",
        head="",
    )


def _wrong(proof: ChainProof, since: str) -> str | None:
    try:
        return proofs.check_chain(proof, since)
    except ValueError:  # a hash that is none
        return "the proof is not written as one"


def _last_number(proof: ChainProof) -> int:
    if proof.batches:
        return proof.batches[-1].number
    return proof.roots[-1].last_batch if proof.roots else 0


def _ends_elsewhere(proof: ChainProof, audit: AuditView) -> str | None:
    """What is wrong where the chain that was checked is not the books that were audited."""
    if audit.batches == 0:
        return None if proof.head == proofs.NOTHING.hex() else "the audit knows of no commit"
    hashes = {batch.number: batch.hash for batch in proof.batches}
    if not proof.batches and proof.roots:
        hashes[proof.roots[-1].last_batch] = proof.batch_before
    if hashes.get(audit.batches) != audit.head:
        return f"the audit ends in another commit {audit.batches} than the chain"
    return "the audit found differences" if not audit.ok else None
