"""A client that checks the books believes no server: each lie of it is found here."""

import hashlib
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from gondwana.wire import proofs
from gondwana.wire.ledger import AuditView
from gondwana.wire.proofs import BatchRecord, ChainProof, RootRecord

NOTHING = proofs.NOTHING.hex()


def chain(count, *, root_after=0):
    """So many commits, the first `root_after` of them under one root."""
    batches, before = [], proofs.NOTHING
    for number in range(1, count + 1):
        content = hashlib.sha256(str(number).encode()).digest()
        before = proofs.batch_hash(before, number, number, number, number * 1000, content)
        batches.append(
            BatchRecord(number=number, first=number, last=number, at_ms=number * 1000, content=content.hex(),
                        hash=before.hex())
        )  # fmt: skip
    if not root_after:
        return ChainProof(root_before=NOTHING, roots=(), batch_before=NOTHING, batch_path=(), batches=tuple(batches),
                          head=batches[-1].hash if batches else NOTHING)  # fmt: skip
    hashes = [bytes.fromhex(batch.hash) for batch in batches[:root_after]]
    content, totals = proofs.merkle_root(hashes), {"1000": -5, "2000": 5}
    hashed = proofs.root_hash(proofs.NOTHING, "2026-11-25", 1, root_after, totals, content)
    root = RootRecord(day="2026-11-25", first_batch=1, last_batch=root_after, totals=totals, content=content.hex(),
                      hash=hashed.hex())  # fmt: skip
    return ChainProof(root_before=NOTHING, roots=(root,), batch_before=hashes[-1].hex(),
                      batch_path=proofs.merkle_path(hashes, root_after - 1), batches=tuple(batches[root_after:]),
                      head=batches[-1].hash)  # fmt: skip


def audit(proof, *, batches=None, head=None, ok=True):
    number = proof.batches[-1].number if proof.batches else 0
    if proof.roots and not proof.batches:
        number = proof.roots[-1].last_batch
    return AuditView(
        ok=ok, accounts=1, entries=1, transfers=1, batches=number if batches is None else batches, roots=0,
        head=(proof.head if number else "") if head is None else head, root="", root_day="", held_micro_usd=0,
        unclear_micro_usd=0, sums_micro={"USD": 0},
    )  # fmt: skip


@pytest.fixture
def serve(plane, client):
    """A server that answers with a chain (its first commits only, then pages of the rest) and an audit."""

    def start(proof, audited, *, more=()):
        def respond(request):
            asked = urlsplit(request.path)
            match asked.path.removeprefix("/v1/ledger/"):
                case "chain":
                    body = proof
                case "audit":
                    body = audited
                case "batches":
                    after = int(parse_qs(asked.query)["after"][0])
                    body = {"items": [each for each in more if each.number > after], "cursor": None}
            return SimpleNamespace(
                status=200, body=msgspec.json.encode(body), headers={}, cut_after=None
            )

        plane.respond = respond
        return client.ledger

    return start


@pytest.mark.parametrize("proof", [chain(0), chain(1), chain(7), chain(7, root_after=3), chain(3, root_after=3)],
                         ids=["empty", "one", "some", "a root", "only a root"])  # fmt: skip
def test_books_that_follow_are_verified(serve, proof):
    told = serve(proof, audit(proof)).verify()
    assert (told.ok, told.wrong) == (True, "")
    assert told.newest_root == (proof.roots[-1].hash if proof.roots else "")


def test_commits_made_while_the_client_looks_are_fetched_and_checked_too(serve):
    whole = chain(9, root_after=3)
    part = msgspec.structs.replace(whole, batches=whole.batches[:2], head=whole.batches[1].hash)
    told = serve(part, audit(whole), more=whole.batches).verify()
    assert (told.ok, told.batches) == (True, 6)
    forged = msgspec.structs.replace(whole.batches[-1], at_ms=1)
    told = serve(part, audit(whole), more=(*whole.batches[:-1], forged)).verify()
    assert (told.ok, told.wrong) == (False, "batch 9 has another hash")
    told = serve(part, audit(whole), more=whole.batches[:-1]).verify()
    assert "another commit 9" in told.wrong


def lies(proof):
    replace = msgspec.structs.replace
    first = proof.batches[0]
    yield "not in order", replace(proof, batches=proof.batches[::-1])
    yield "left out", replace(proof, batches=(first, *proof.batches[2:]))
    yield "changed", replace(proof, batches=(replace(first, last=5), *proof.batches[1:]))
    yield "another past", replace(proof, batch_before="ab" * 32)
    yield "no hash", replace(proof, batch_before="x")
    yield "money made", replace(proof, roots=(replace(proof.roots[0], totals={"2000": 5}),))
    yield "a root moved", replace(proof, roots=(replace(proof.roots[0], day="2026-11-24"),))


@pytest.mark.parametrize(("name", "lie"), list(lies(chain(7, root_after=3))))
def test_a_chain_with_a_lie_in_it_does_not_hold(serve, name, lie):
    told = serve(lie, audit(chain(7, root_after=3))).verify()
    assert not told.ok, name
    assert told.wrong


def test_a_chain_that_holds_but_is_of_other_books_than_the_audits_does_not_count(serve):
    proof = chain(7, root_after=3)
    for audited in (audit(proof, head="cd" * 32), audit(proof, batches=6), audit(proof, batches=0, head=""),
                    audit(proof, ok=False)):  # fmt: skip
        assert not serve(proof, audited).verify().ok


def test_a_root_that_the_server_no_longer_knows_is_a_lie_too(serve, plane, client):
    proof = chain(7, root_after=3)
    other = "ab" * 32
    assert "not among the published ones" in serve(proof, audit(proof)).verify(other).wrong
    assert serve(proof, audit(proof)).verify(proof.roots[0].hash).ok
    plane.respond = None
    plane.problem(404, "no_such_thing", f"no root of these books is {other}")
    told = client.ledger.verify(other)
    assert (told.ok, told.wrong) == (False, f"no root of these books is {other}")
