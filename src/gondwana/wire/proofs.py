"""How anybody checks the books against a root that was published: hashes, Merkle trees, the chain.

Standard library only: a checker needs neither a server nor our database. SHA-256 throughout; trees as in RFC 6962
(a leaf's hash begins with byte 0, an inner node's with byte 1, so that neither passes for the other).

    entry   leaf: compact JSON [seq, event, kind, subject, job, at_ms, facts, legs], a leg being
            [debit, credit, amount, kind, pending]
    batch   one commit: hash(hash of the batch before, number, first, last, at_ms, Merkle root of its entries)
    root    one day: hash(hash of the root before, day, first batch, last batch, totals, Merkle root of its
            batches' hashes)
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Final

import msgspec

NOTHING: Final = bytes(32)  # what the first batch and the first root are chained to
_BATCH: Final = b"gondwana ledger batch 1\n"
_ROOT: Final = b"gondwana ledger root 1\n"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One level of a Merkle path: the sibling's hash, and whether it stands on the left."""

    hash: str
    left: bool


class BatchRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One commit of the ledger, as published."""

    number: int
    first: int  # transfers first to last
    last: int
    at_ms: int
    content: str  # hexadecimal Merkle root of its entries
    hash: str


class RootRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What was published at the end of one day."""

    day: str  # UTC
    first_batch: int
    last_batch: int
    totals: dict[str, int]  # line of the chart -> credits less debits
    content: str  # hexadecimal Merkle root of its batches' hashes
    hash: str


class ChainProof(msgspec.Struct, frozen=True, kw_only=True):
    """How the head of the books follows from a root that somebody kept: that root, those after it, later batches."""

    root_before: str  # hash of the root that `roots` follow
    roots: tuple[RootRecord, ...]  # the kept one first; none before the first day is over
    batch_before: str  # hash of the batch that `batches` follow: the last one under the last root
    batch_path: tuple[Step, ...]  # from that batch's hash to the last root's content
    batches: tuple[BatchRecord, ...]
    head: str  # hash of the newest batch


class EntryProof(msgspec.Struct, frozen=True, kw_only=True):
    """That one entry is in the books of one day."""

    entry: str  # the leaf, as text
    path: tuple[Step, ...]  # from the entry to its batch's content
    batch: BatchRecord
    batch_before: str
    batch_path: tuple[Step, ...]  # from the batch's hash to its root's content
    root: RootRecord
    root_before: str


_CANONICAL: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def leaf_bytes(fields: Sequence[Any]) -> bytes:
    """The canonical text of an entry."""
    return _CANONICAL.encode(fields).encode()


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of a leaf."""
    return hashlib.sha256(b"\0" + leaf).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def merkle_root(hashes: Sequence[bytes]) -> bytes:
    """The root over leaf hashes; an odd one at the end of a level moves up as it is."""
    assert hashes, "an empty tree has no root"
    level = list(hashes)
    while len(level) > 1:
        level = _above(level)
    return level[0]


def merkle_path(hashes: Sequence[bytes], index: int) -> tuple[Step, ...]:
    """What leads from the leaf at `index` to the root."""
    level, path = list(hashes), list[Step]()
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            path.append(Step(hash=level[sibling].hex(), left=sibling < index))
        level, index = _above(level), index // 2
    return tuple(path)


def _above(level: list[bytes]) -> list[bytes]:
    pairs = zip(level[::2], level[1::2], strict=False)
    odd = level[-1:] if len(level) % 2 else []
    return [_node(left, right) for left, right in pairs] + odd


def climb(leaf: bytes, path: Sequence[Step]) -> bytes:
    """The root that a leaf's hash leads to by a path."""
    for step in path:
        other = bytes.fromhex(step.hash)
        leaf = _node(other, leaf) if step.left else _node(leaf, other)
    return leaf


def batch_hash(
    before: bytes, number: int, first: int, last: int, at_ms: int, content: bytes
) -> bytes:
    """The hash of one commit, chained to the one before."""
    numbers = b"".join(
        value.to_bytes(8, "big", signed=True) for value in (number, first, last, at_ms)
    )
    return hashlib.sha256(_BATCH + before + numbers + content).digest()


def root_hash(
    before: bytes,
    day: str,
    first_batch: int,
    last_batch: int,
    totals: dict[str, int],
    content: bytes,
) -> bytes:
    """The hash of one day, chained to the one before."""
    told = json.dumps([day, first_batch, last_batch, totals], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(_ROOT + before + told.encode() + content).digest()


def check_entry(proof: EntryProof, root: str) -> str | None:
    """What is wrong with the proof that an entry is under a published root; None where it holds."""
    content = climb(leaf_hash(proof.entry.encode()), proof.path)
    if content.hex() != proof.batch.content:
        return "the entry is not in its batch"
    if _hash_of_batch(proof.batch_before, proof.batch) != proof.batch.hash:
        return f"batch {proof.batch.number} has another hash"
    if climb(bytes.fromhex(proof.batch.hash), proof.batch_path).hex() != proof.root.content:
        return f"batch {proof.batch.number} is not in the books of {proof.root.day}"
    if _hash_of_root(proof.root_before, proof.root) != root or proof.root.hash != root:
        return f"the books of {proof.root.day} have another root than the one given"
    return None


def check_chain(proof: ChainProof, since: str = "") -> str | None:
    """What is wrong with the proof that the head follows from the root kept; None where it holds.

    Without a root the proof must begin at the very beginning.
    """
    if since and (not proof.roots or proof.roots[0].hash != since):
        return "the root that you kept is not among the published ones"
    if not since and proof.root_before != NOTHING.hex():
        return "the roots do not begin at the beginning"
    return _check_roots(proof) or _check_batches(proof)


def _check_roots(proof: ChainProof) -> str | None:
    before, next_batch = proof.root_before, None if proof.root_before != NOTHING.hex() else 1
    for root in proof.roots:
        if next_batch is not None and root.first_batch != next_batch:
            return f"the root of {root.day} leaves batches out"
        next_batch = root.last_batch + 1
        if _hash_of_root(before, root) != root.hash:
            return f"the root of {root.day} does not follow from the one before"
        if _sums(root.totals) != (0, 0):
            return f"the totals of {root.day} do not sum to zero"
        before = root.hash
    content = climb(bytes.fromhex(proof.batch_before), proof.batch_path).hex()
    if proof.roots and content != proof.roots[-1].content:
        return f"the batches do not follow from the root of {proof.roots[-1].day}"
    if not proof.roots and proof.batch_before != NOTHING.hex():
        return "the batches do not begin at the beginning"
    return None


def _check_batches(proof: ChainProof) -> str | None:
    before, transfer = proof.batch_before, None
    number = proof.roots[-1].last_batch + 1 if proof.roots else 1
    for batch in proof.batches:
        if batch.number != number or transfer not in (None, batch.first):
            return f"batch {batch.number} does not follow the one before"
        if _hash_of_batch(before, batch) != batch.hash:
            return f"batch {batch.number} has another hash"
        before, number, transfer = batch.hash, batch.number + 1, batch.last + 1
    return None if before == proof.head else "the head is not the last batch"


def _sums(totals: dict[str, int]) -> tuple[int, int]:
    """Money and budgets, each of which must come to nothing."""
    money = sum(amount for code, amount in totals.items() if int(code) < BUDGET_CODES)
    return money, sum(totals.values()) - money


BUDGET_CODES: Final = 9000  # lines of the chart from here on count limits, not money


def _hash_of_batch(before: str, batch: BatchRecord) -> str:
    content = bytes.fromhex(batch.content)
    return batch_hash(
        bytes.fromhex(before), batch.number, batch.first, batch.last, batch.at_ms, content
    ).hex()


def _hash_of_root(before: str, root: RootRecord) -> str:
    content = bytes.fromhex(root.content)
    return root_hash(
        bytes.fromhex(before), root.day, root.first_batch, root.last_batch, root.totals, content
    ).hex()
