"""Tamper evidence: commits are chained, days end with a root, and anybody can check both without us."""

import itertools

import msgspec
import pytest
from bookkeeping import TASK, UNIT, entry, fund, has, leg, put

from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidValue, NoSuchThing
from gondwana.core.values import replace
from gondwana.db.events import events_after
from gondwana.ledger import chain, rules
from gondwana.ledger.accounts import ext, income_fees, provider_holdback, tenant_available
from gondwana.ledger.audit import audit
from gondwana.ledger.chain import prove_chain, prove_entry, publish_roots, roots, seal, totals
from gondwana.ledger.model import TransferKind
from gondwana.ledger.statements import statement
from gondwana.ledger.store import post
from gondwana.wire import proofs
from gondwana.wire.proofs import check_chain, check_entry

DAY = 86_400.0
MONDAY = 20_000 * DAY  # 2024-10-04, midnight UTC
TENANT, HOLDBACK = tenant_available("t"), provider_holdback("p")
NUMBERS = itertools.count()


@pytest.fixture
def database(audited_database):
    return audited_database


def at(days):
    return Instant(MONDAY + days * DAY)


def pay(database, days, *, amount=1, legs=1):
    made = [leg(ext("bank"), TENANT, amount) for _ in range(legs)]
    put(database, entry(f"pay{next(NUMBERS)}", *made), at=at(days))


def publish(database, days):
    return database.writer.call(publish_roots, at(days))


def batches(database):
    return [
        dict(row) for row in database.reader().all("SELECT * FROM ledger_batch ORDER BY number")
    ]


# Sealing


def test_every_commit_that_posts_is_one_batch_and_others_are_none(database):
    pay(database, 0, legs=3)
    pay(database, 0, legs=2)
    database.writer.call(lambda tx: None)
    put(database, entry("nothing"))

    def several(tx):
        for number in range(3):
            post(tx, entry(f"s{number}", leg(ext("bank"), TENANT, 1)), at(0.5))

    database.writer.call(several)
    assert [(row["number"], row["first"], row["last"]) for row in batches(database)] == [
        (1, 1, 3), (2, 4, 5), (3, 6, 8)
    ]  # fmt: skip
    assert audit(database.reader()).head == bytes(batches(database)[-1]["hash"]).hex()


def test_a_call_that_fails_leaves_nothing_to_seal(database):
    pay(database, 0)

    def fails(tx):
        post(tx, entry("x", leg(ext("bank"), TENANT, 1)), at(0))
        raise ValueError

    assert isinstance(database.writer.submit(fails).exception(), ValueError)
    assert len(batches(database)) == 1


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 1_000])
def test_what_was_never_sealed_is_sealed_in_pieces_at_the_first_commit(
    make_database, monkeypatch, size
):
    database = make_database()
    for legs in (1, 4, 2, 7, 1, 1, 3):
        pay(database, 0, legs=legs)
    assert batches(database) == []
    assert audit(database.reader()).ok
    monkeypatch.setattr(chain, "BATCH_TRANSFERS_MAX", size)
    database.writer.call(seal)
    found = batches(database)
    assert found[0]["first"] == 1
    assert found[-1]["last"] == 19
    assert all(before["last"] + 1 == after["first"] for before, after in itertools.pairwise(found))
    assert all(row["last"] - row["first"] < size + 7 for row in found)
    assert len(found) == {1: 7, 2: 5, 3: 3, 5: 3, 8: 2, 1_000: 1}[size]
    publish(database, 1.5)
    for seq in range(1, 20):
        proof = prove_entry(database.reader(), seq)
        assert check_entry(proof, proof.root.hash) is None
    assert audit(database.reader()).ok


GOLDEN_HEAD = "42cdd98b140d1d1299e7fc9bf51c4ec07f7e816209ea2e2360bee464e0a10ad0"
GOLDEN_ROOT = "b36249790226c8a903af329af4c9005dc9271948dabd427c1431eec88973e4e6"


def test_the_same_entries_have_the_same_head_on_every_database_and_in_every_version(database):
    """These hashes are published: a change of them is a change of the format, and says so."""
    fund(database, 5_000_000)
    put(
        database,
        rules.open_task(TASK, 2_000_000),
        rules.assign_unit(TASK, UNIT),
        rules.reject_unit(TASK, UNIT, reason='zu groß: "3 ☃"'),
        at=at(0.25),
    )
    again = replace(UNIT, attempt=2)
    put(database, rules.assign_unit(TASK, again), rules.accept_unit(TASK, again), at=at(0.5))
    publish(database, 1.5)
    assert audit(database.reader()).head == GOLDEN_HEAD
    assert roots(database.reader())[-1].hash == GOLDEN_ROOT


def test_a_root_that_lies_about_its_day_s_totals_is_found(make_database, monkeypatch):
    """The hash of a lie fits the lie: only adding up again finds it."""
    database = make_database(before_commit=seal)
    pay(database, 0)
    monkeypatch.setattr(chain, "totals", lambda tx, until: {"1000": -5, "2000": 5})
    publish(database, 1.5)
    assert check_chain(prove_chain(database.reader())) is None
    wrongs = [difference.wrong for difference in audit(database.reader()).differences]
    assert wrongs == ["has other totals than its day's transfers add up to"]


# Roots


def test_a_root_is_published_once_for_each_day_that_had_entries(database):
    assert publish(database, 0) == 0
    pay(database, 0)
    pay(database, 0.9)
    assert publish(database, 0.95) == 0
    assert publish(database, 1) == 0  # something of the day may still wait for its commit
    assert publish(database, 1 + 2 / DAY) == 1
    assert publish(database, 1.1) == 0
    pay(database, 1.2)
    pay(database, 4)
    pay(database, 4.5)
    assert publish(database, 5.5) == 2
    assert publish(database, 9) == 0
    found = roots(database.reader())
    assert [(root.day, root.first_batch, root.last_batch) for root in found] == [
        ("2024-10-04", 1, 2), ("2024-10-05", 3, 3), ("2024-10-08", 4, 5)
    ]  # fmt: skip
    events = [stored.event for stored in events_after(database.reader(), 0)]
    assert [(event.kind, event.subject, event.data["batches"]) for event in events] == [
        ("ledger.root", root.day, root.last_batch - root.first_batch + 1) for root in found
    ]
    assert [root.day for root in roots(database.reader(), since_day="2024-10-05")] == [
        "2024-10-05", "2024-10-08"
    ]  # fmt: skip


def test_the_totals_of_a_root_are_those_at_the_end_of_its_day(database):
    pay(database, 0, amount=100)
    put(database, entry("hold", leg(TENANT, HOLDBACK, 50, TransferKind.PENDING)), at=at(0.5))
    pay(database, 1, amount=1_000)  # at midnight: already the next day
    resolution = leg(TENANT, HOLDBACK, 20, TransferKind.POST_PENDING, "hold#0")
    put(database, entry("paid", resolution, leg(TENANT, income_fees(), 1)), at=at(1.5))
    pay(database, 2.5, amount=5)
    publish(database, 2.5)
    days = [root.totals for root in roots(database.reader())][:2]
    assert days == [
        {"1000": -100, "2000": 100},
        {"1000": -1_100, "2000": 1_079, "2200": 20, "4000": 1},
    ]
    assert totals(database.reader()) == {"1000": -1_105, "2000": 1_084, "2200": 20, "4000": 1}
    ends = [statement(database.reader(), TENANT, until=at(days), limit=1)[0] for days in (1, 2)]
    assert ends[0].available_micro_usd == 50  # a hold moves no total
    assert ends[1].available_micro_usd == 1_079


def test_a_root_does_not_depend_on_when_it_is_published(make_database):
    """Lines of the chart that were first used the day after are no part of it."""
    database = make_database(before_commit=seal)
    pay(database, 0)
    put(database, entry("later", leg(TENANT, income_fees(), 1)), at=at(1.5))
    publish(database, 2.5)
    assert roots(database.reader())[0].totals == {"1000": -1, "2000": 1}


def test_an_entry_that_comes_after_its_day_s_root_is_under_the_next_one(database):
    """A call that waited, or a clock that was set back: no root may be left unpublished for ever."""
    pay(database, 0.5)
    assert publish(database, 1.5) == 1
    pay(database, 0.75)
    assert publish(database, 1.6) == 0
    pay(database, 1.7)
    assert publish(database, 2.5) == 1
    pay(database, 1.9)
    pay(database, 1.95)
    assert publish(database, 5) == 1
    found = roots(database.reader())
    assert [(root.day, root.first_batch, root.last_batch) for root in found] == [
        ("2024-10-04", 1, 1), ("2024-10-05", 2, 3), ("2024-10-06", 4, 5)
    ]  # fmt: skip
    for seq in range(1, 6):
        assert (
            check_entry(prove_entry(database.reader(), seq), found[[0, 1, 1, 2, 2][seq - 1]].hash)
            is None
        )


# Merkle trees


@pytest.mark.parametrize("size", [*range(1, 18), 31, 32, 33])
def test_every_leaf_of_a_tree_of_any_size_leads_to_its_root_and_no_other_leaf_does(size):
    leaves = [proofs.leaf_hash(b"%d" % n) for n in range(size)]
    root = proofs.merkle_root(leaves)
    stranger = proofs.leaf_hash(b"another")
    for index, leaf in enumerate(leaves):
        path = proofs.merkle_path(leaves, index)
        assert proofs.climb(leaf, path) == root
        assert proofs.climb(stranger, path) != root
        assert len(path) <= (size - 1).bit_length()
    assert len({proofs.merkle_root(leaves[:n]) for n in range(1, size + 1)}) == size


def test_an_inner_node_passes_for_no_leaf():
    leaves = [proofs.leaf_hash(b"a"), proofs.leaf_hash(b"b")]
    assert proofs.leaf_hash(leaves[0] + leaves[1]) != proofs.merkle_root(leaves)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 6, 7, 9])
def test_every_entry_of_a_batch_and_every_batch_of_a_day_is_proven(database, size):
    for number in range(size):
        made = [
            entry(f"e{number}.{n}", leg(ext("bank"), TENANT, 1 + n), facts=(n,))
            for n in range(size)
        ]
        put(database, *made, at=at(0.1))
    publish(database, 1.5)
    root = roots(database.reader())[0].hash
    leaves = set()
    for seq in range(1, size * size + 1):
        proof = prove_entry(database.reader(), seq)
        assert check_entry(proof, root) is None
        leaves.add(proof.entry)
    assert len(leaves) == size * size


# Proofs


@pytest.fixture
def three_days(database):
    """Batches of an odd number of entries on three days; the third has no root yet."""
    for day in (0, 1, 2):
        for number in range(3):
            made = [
                entry(f"d{day}.{number}.{n}", leg(ext("bank"), TENANT, 7 + n), leg(TENANT, HOLDBACK, 1))
                for n in range(5)
            ]  # fmt: skip
            put(database, *made, at=at(day + 0.1 + number / 10))
    publish(database, 2.9)
    return database


def test_the_head_follows_from_the_start_and_from_every_root_that_somebody_kept(three_days):
    reader = three_days.reader()
    head = audit(reader).head
    kept = [root.hash for root in roots(reader)]
    assert len(kept) == 2
    for since in ("", *kept):
        proof = prove_chain(reader, since)
        assert check_chain(proof, since) is None
        assert proof.head == head
        assert len(proof.batches) == 3
    assert len(prove_chain(reader, kept[-1]).roots) == 1
    assert check_chain(prove_chain(reader, kept[1]), kept[0]) is not None
    assert check_chain(prove_chain(reader, kept[0]), kept[1]) is not None
    assert check_chain(prove_chain(reader, kept[1])) is not None


def test_before_the_first_day_is_over_the_chain_is_the_batches(database):
    assert check_chain(prove_chain(database.reader())) is None
    pay(database, 0)
    pay(database, 0)
    proof = prove_chain(database.reader())
    assert check_chain(proof) is None
    assert (len(proof.roots), len(proof.batches)) == (0, 2)
    assert proof.head == audit(database.reader()).head


def test_a_page_of_a_long_chain_is_checked_by_itself(three_days, monkeypatch):
    monkeypatch.setattr(chain, "BATCHES_MAX", 2)
    proof = prove_chain(three_days.reader())
    assert check_chain(proof) is None
    assert proof.head == bytes(batches(three_days)[7]["hash"]).hex()


def test_a_root_that_is_none_of_ours_is_refused(three_days):
    with pytest.raises(NoSuchThing):
        prove_chain(three_days.reader(), "ab" * 32)
    for wrong in ("x", "ab", "zz" * 32, "ab" * 33):
        with pytest.raises(InvalidValue):
            prove_chain(three_days.reader(), wrong)


def test_only_entries_under_a_root_are_proven(three_days):
    reader = three_days.reader()
    for seq in (-1, 0, 91, 10**12):
        with pytest.raises(NoSuchThing):
            prove_entry(reader, seq)
    with pytest.raises(NoSuchThing, match="not over"):
        prove_entry(reader, 61)
    proof = prove_entry(reader, 60)
    assert proof == prove_entry(reader, 59)  # two legs of one entry
    assert check_entry(proof, roots(reader)[1].hash) is None
    assert check_entry(proof, roots(reader)[0].hash) is not None


def variations(value, field=""):
    """Everything that could be forged in a proof, one field at a time: (where, the forged proof)."""
    if isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            for where, forged in variations(getattr(value, name), name):
                yield f"{field}.{where}", msgspec.structs.replace(value, **{name: forged})
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield f"{field} without {index}", (*value[:index], *value[index + 1 :])
            for where, forged in variations(item, f"{field}[{index}]"):
                yield where, (*value[:index], forged, *value[index + 1 :])
        if len(value) > 1:
            yield f"{field} reversed", value[::-1]
    elif isinstance(value, dict):
        for key in value:
            yield f"{field} without {key}", {k: v for k, v in value.items() if k != key}
            yield f"{field}[{key}]", {**value, key: value[key] + 1}
        first, second, *_ = value
        yield f"{field} shifted", {**value, first: value[first] + 1, second: value[second] - 1}
    elif isinstance(value, bool):
        yield field, not value
    elif isinstance(value, int):
        yield field, value + 1
    elif len(value) == 64 and not value.startswith("["):
        yield field, value[:-1] + ("0" if value[-1] != "0" else "1")
    else:
        yield field, value.replace("1", "2", 1)


def is_refused(check, *args):
    """A checker answers what is wrong; bytes that are no proof at all may raise."""
    try:
        return check(*args) is not None
    except (ValueError, OverflowError):
        return True


@pytest.mark.parametrize("kept", ["", "first", "second"])
def test_a_forged_proof_of_the_chain_is_refused_whatever_was_forged(three_days, kept):
    reader = three_days.reader()
    since = {
        "": "",
        **dict(zip(("first", "second"), (root.hash for root in roots(reader)), strict=True)),
    }[kept]
    proof = prove_chain(reader, since)
    assert check_chain(proof, since) is None
    tried = list(variations(proof))
    assert len(tried) > 30
    accepted = [where for where, forged in tried if not is_refused(check_chain, forged, since)]
    assert accepted == []


def test_a_forged_proof_of_an_entry_is_refused_whatever_was_forged(three_days):
    reader = three_days.reader()
    root = roots(reader)[1].hash
    for seq in (31, 39, 60):
        proof = prove_entry(reader, seq)
        assert check_entry(proof, root) is None
        tried = list(variations(proof))
        assert len(tried) > 20
        accepted = [
            where
            for where, forged in tried
            if not is_refused(check_entry, forged, root) and where != ".root.hash"
        ]
        assert accepted == []


def test_the_root_in_a_proof_of_an_entry_is_the_root_that_was_asked_for(three_days):
    root = roots(three_days.reader())[1].hash
    proof = prove_entry(three_days.reader(), 31)
    forged = msgspec.structs.replace(proof.root, hash="ab" * 32)
    assert check_entry(msgspec.structs.replace(proof, root=forged), root) is not None


def test_a_proof_survives_the_wire(three_days):
    reader = three_days.reader()
    for proof, check, given in (
        (prove_chain(reader), check_chain, ()),
        (prove_entry(reader, 60), check_entry, (roots(reader)[1].hash,)),
    ):
        sent = msgspec.json.decode(msgspec.json.encode(proof), type=type(proof))
        assert sent == proof
        assert check(sent, *given) is None
    assert has(three_days, HOLDBACK) == 45
