"""Both blob stores keep the same promises."""

import os
import subprocess
import sys
import textwrap
import threading

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from gondwana.blobs.base import CHUNK_BYTES_MAX, BlobLimits, BlobStore
from gondwana.blobs.folder import FolderStore
from gondwana.blobs.memory import MemoryStore
from gondwana.core.clock import Instant, ManualClock
from gondwana.core.errors import (
    InvalidBytes,
    InvalidValue,
    NoSuchThing,
    StorageFull,
    TooLarge,
    WrongState,
)

SMALL = BlobLimits(blob_bytes_max=1_000, total_bytes_max=2_500)


def name_of(content):
    return blake3(content).hexdigest()


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture(params=["folder", "memory"])
def make(request, tmp_path, clock):
    def build(limits=None) -> BlobStore:
        if request.param == "memory":
            return MemoryStore(clock, limits=limits)
        return FolderStore(tmp_path / "blobs", clock, limits=limits)

    return build


def upload(store, content, piece=7):
    name = name_of(content)
    received = store.begin(name, len(content))
    while received < len(content):
        received = store.append(name, received, content[received : received + piece])
    return store.finish(name)


def test_what_is_put_comes_back_under_its_hash(make):
    store = make()
    name = store.put(b"hello")
    assert name == name_of(b"hello")
    assert store.read(name) == b"hello"
    assert store.size(name) == 5
    with store.open(name) as file:
        assert file.read() == b"hello"


def test_the_empty_blob_can_be_put_and_uploaded(make):
    store = make()
    assert upload(store, b"") == 0
    assert store.read(store.put(b"")) == b""


@given(start=st.integers(0, 30), length=st.none() | st.integers(0, 30))
def test_a_range_is_a_slice(start, length):
    store = MemoryStore(ManualClock())
    content = bytes(range(20))
    end = None if length is None else start + length
    assert store.read(store.put(content), start, length) == content[start:end]


def test_ranges_of_files_are_slices_too(make):
    store = make()
    name = store.put(bytes(range(20)))
    assert store.read(name, 5, 3) == bytes([5, 6, 7])
    assert store.read(name, 18, 10) == bytes([18, 19])
    assert store.read(name, 40) == b""


def test_an_upload_in_pieces_is_the_blob(make):
    store = make()
    content = os.urandom(100)
    assert upload(store, content) == 100
    assert store.read(name_of(content)) == content
    assert store.used_bytes() == 100


def test_an_upload_resumes_where_it_stopped(make):
    store = make()
    content = os.urandom(50)
    name = name_of(content)
    store.begin(name, 50)
    store.append(name, 0, content[:20])
    assert store.received(name) == 20
    assert store.begin(name, 50) == 20
    store.append(name, 20, content[20:])
    assert store.finish(name) == 50
    assert store.finish(name) == 50  # a lost answer makes the client ask again


def test_a_folder_resumes_an_upload_after_a_restart(tmp_path, clock):
    content = os.urandom(50)
    name = name_of(content)
    before = FolderStore(tmp_path, clock)
    before.begin(name, 50)
    before.append(name, 0, content[:30])
    after = FolderStore(tmp_path, clock)
    assert after.used_bytes() == 30
    assert after.begin(name, 50) == 30
    after.append(name, 30, content[30:])
    after.finish(name)
    assert FolderStore(tmp_path, clock).read(name) == content


def test_a_piece_at_the_wrong_place_is_told_the_right_one(make):
    store = make()
    name = name_of(b"abcdef")
    store.begin(name, 6)
    store.append(name, 0, b"abc")
    with pytest.raises(WrongState) as error:
        store.append(name, 0, b"abc")
    assert error.value.fields["received"] == 3
    assert store.received(name) == 3


def test_wrong_bytes_are_refused_and_nothing_of_them_is_left(make):
    store = make()
    name = name_of(b"right")
    store.begin(name, 5)
    store.append(name, 0, b"wrong")
    with pytest.raises(InvalidBytes):
        store.finish(name)
    assert store.size(name) is None
    assert store.received(name) == 0
    assert store.used_bytes() == 0


def test_an_upload_cut_short_is_not_a_blob(make):
    store = make()
    name = name_of(b"abcdef")
    store.begin(name, 6)
    store.append(name, 0, b"abc")
    assert store.size(name) is None
    with pytest.raises(NoSuchThing):
        store.read(name)


def test_the_same_bytes_are_stored_once(make):
    store = make()
    store.put(b"x" * 10)
    store.put(b"x" * 10)
    assert upload(store, b"x" * 10) == 10
    assert store.begin(name_of(b"x" * 10), 10) == 10
    assert store.used_bytes() == 10


def test_an_abandoned_upload_is_gone_and_a_blob_stays(make):
    store = make()
    name = name_of(b"abcdef")
    store.begin(name, 6)
    store.append(name, 0, b"abc")
    store.abandon(name)
    assert store.used_bytes() == 0
    store.put(b"abcdef")
    store.abandon(name)
    assert store.read(name) == b"abcdef"


@pytest.mark.parametrize(
    "name", ["", "../etc/passwd", "A" * 64, "a" * 63, "a" * 65, "a" * 64 + "\n"]
)
def test_a_name_that_is_not_a_hash_is_refused(make, name):
    store = make()
    for act in (store.size, store.read, store.open, store.finish, store.abandon, store.received):
        with pytest.raises(InvalidValue):
            act(name)
    with pytest.raises(InvalidValue):
        store.begin(name, 1)


def test_a_blob_that_is_not_there_is_named_in_the_error(make):
    store = make()
    name = name_of(b"nothing")
    assert store.size(name) is None
    for act in (store.read, store.open, store.finish):
        with pytest.raises(NoSuchThing, match=name):
            act(name)


def test_a_blob_above_the_limit_is_refused_before_and_while_it_comes(make):
    store = make(SMALL)
    with pytest.raises(TooLarge):
        store.put(b"x" * 1_001)
    name = name_of(b"x" * 1_001)
    with pytest.raises(TooLarge):
        store.begin(name, 1_001)
    store.begin(name, 10)  # a client that lies about the size
    store.append(name, 0, b"x" * 1_000)
    with pytest.raises(TooLarge):
        store.append(name, 1_000, b"x")


def test_one_piece_has_a_limit(make):
    store = make()
    name = name_of(b"")
    with pytest.raises(TooLarge):
        store.append(name, 0, bytes(CHUNK_BYTES_MAX + 1))


def test_a_full_quota_refuses_and_keeps_what_was_there(make):
    store = make(SMALL)
    kept = [store.put(bytes([number]) * 1_000) for number in range(2)]
    with pytest.raises(StorageFull):
        store.put(b"z" * 600)
    with pytest.raises(StorageFull):
        store.begin(name_of(b"z" * 600), 600)
    name = name_of(b"z" * 600)
    store.begin(name, 10)
    store.append(name, 0, b"z" * 400)
    with pytest.raises(StorageFull):
        store.append(name, 400, b"z" * 200)
    assert store.received(name) == 0
    assert store.used_bytes() == 2_000
    assert [store.size(blob) for blob in kept] == [1_000, 1_000]
    store.put(b"y" * 500)  # there is room for less


def test_garbage_is_what_nobody_holds_and_is_not_young(make, clock):
    store = make()
    old_held, old_free = store.put(b"held"), store.put(b"free")
    clock.advance(100)
    young_free = store.put(b"young")
    limit = Instant(clock.now() - 50)
    assert store.collect({old_held}, older_than=limit) == [old_free]
    assert store.size(old_free) is None
    assert store.size(old_held) == 4
    assert store.size(young_free) == 5
    assert store.used_bytes() == 9


def test_a_blob_that_is_put_again_is_young_again(make, clock):
    store = make()
    for renew in (lambda: store.put(b"again"), lambda: store.begin(name_of(b"again"), 5)):
        store.put(b"again")
        clock.advance(100)
        renew()
        assert store.collect(set(), older_than=Instant(clock.now() - 50)) == []


def test_an_upload_that_stands_still_expires_and_one_that_moves_does_not(make, clock):
    store = make()
    still, moving = name_of(b"aaaa"), name_of(b"bbbb")
    for name in (still, moving):
        store.begin(name, 4)
        store.append(name, 0, b"aa" if name == still else b"bb")
    clock.advance(100)
    store.append(moving, 2, b"b")
    store.collect(set(), older_than=Instant(clock.now() - 50))
    assert (store.received(still), store.received(moving)) == (0, 3)


def test_many_threads_putting_the_same_blobs_leave_each_once(make):
    store = make()
    contents = [bytes([number]) * 100 for number in range(8)]
    threads = [
        threading.Thread(target=lambda: [store.put(one) for one in contents]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.used_bytes() == 800
    assert [store.read(name_of(one)) for one in contents] == contents


def test_what_a_crash_left_half_put_is_cleared(tmp_path, clock):
    store = FolderStore(tmp_path, clock)
    (tmp_path / "partial" / f"{name_of(b'x')}.put").write_bytes(b"half")
    store = FolderStore(tmp_path, clock)
    assert store.used_bytes() == 0
    store.put(b"x")
    assert store.used_bytes() == 1


@pytest.mark.parametrize("way", ["put", "append"])
def test_a_full_disk_leaves_no_half_blob(tmp_path, way):
    """A process that may write 100 kB to a file meets the same error as one on a full disk."""
    script = f"""
        import resource, sys
        from pathlib import Path
        from blake3 import blake3
        from gondwana.blobs.folder import FolderStore
        from gondwana.core.clock import ManualClock
        from gondwana.core.errors import StorageFull
        store = FolderStore(Path(sys.argv[1]), ManualClock())
        kept = store.put(b"kept")
        big = bytes(200_000)
        name = blake3(big).hexdigest()
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
        try:
            if "{way}" == "put":
                store.put(big)
            else:
                store.begin(name, len(big))
                store.append(name, 0, big)
        except StorageFull:
            left = list((Path(sys.argv[1]) / "partial").iterdir())
            print(left, store.used_bytes(), store.size(name), store.read(kept))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        print(store.put(big) == name)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout.split("\n")[:2] == ["[] 4 None b'kept'", "True"], done.stderr
