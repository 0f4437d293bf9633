"""What a run saves is uploaded when it has changed and stands still."""

import asyncio
import tarfile

import pytest

from gondwana.agent import checkpoints as agent_checkpoints
from gondwana.agent.checkpoints import Checkpoints
from gondwana.core.errors import Unavailable
from gondwana.engines.harvest import TreeLimits
from gondwana.engines.trees import tree_mark


class Store:
    """Blobs as the link reaches them; may be away."""

    def __init__(self):
        self.taken, self.away = [], False

    async def blobs(self):
        if self.away:
            raise Unavailable("the link is down")
        return self

    def put_file(self, path):
        with tarfile.open(path) as tar:
            self.taken.append({each.name: tar.extractfile(each).read() for each in tar})
        return f"blob{len(self.taken)}"


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def saved():
    return []


@pytest.fixture
def checkpoints(tmp_path, store, saved):
    (tmp_path / "checkpoint").mkdir()
    return Checkpoints(
        tmp_path / "checkpoint", tmp_path / "checkpoint.tar", store.blobs, saved.append
    )


def write(tmp_path, name, text):
    path = tmp_path / "checkpoint" / name
    path.with_suffix(".tmp").write_text(text)
    path.with_suffix(".tmp").rename(path)


def test_a_checkpoint_is_uploaded_once_for_each_time_it_changed(
    checkpoints, store, saved, tmp_path
):
    async def story():
        checkpoints.begin()
        await checkpoints.save()
        assert saved == []  # nothing there yet
        write(tmp_path, "count", "3")
        await checkpoints.save()
        await checkpoints.save()
        write(tmp_path, "count", "4")
        await checkpoints.save()

    asyncio.run(story())
    assert saved == ["blob1", "blob2"]
    assert store.taken == [{"count": b"3"}, {"count": b"4"}]
    assert not (tmp_path / "checkpoint.tar").exists()


def test_what_an_earlier_attempt_left_is_not_uploaded_again(checkpoints, saved, tmp_path):
    write(tmp_path, "count", "3")
    checkpoints.begin()
    asyncio.run(checkpoints.save())
    assert saved == []


def test_a_checkpoint_that_could_not_be_uploaded_is_tried_again(
    checkpoints, store, saved, tmp_path
):
    write(tmp_path, "count", "3")
    store.away = True
    asyncio.run(checkpoints.save())
    store.away = False
    asyncio.run(checkpoints.save())
    assert saved == ["blob1"]


def test_a_folder_that_is_written_while_it_is_packed_waits_for_the_next_look(
    checkpoints, saved, tmp_path, monkeypatch
):
    write(tmp_path, "count", "3")
    packed = agent_checkpoints.pack_outputs

    def pack_slowly(*args):
        write(tmp_path, "count", "4")
        return packed(*args)

    with monkeypatch.context() as patch:
        patch.setattr(agent_checkpoints, "pack_outputs", pack_slowly)
        asyncio.run(checkpoints.save())
        assert saved == []
    asyncio.run(checkpoints.save())
    assert saved == ["blob1"]


def test_half_a_checkpoint_is_never_taken(checkpoints, saved, tmp_path, monkeypatch):
    monkeypatch.setattr(agent_checkpoints, "CHECKPOINT_LIMITS", TreeLimits(bytes_max=4))
    write(tmp_path, "a", "123")
    write(tmp_path, "b", "456")
    asyncio.run(checkpoints.save())
    assert saved == []


def test_a_hurry_saves_at_once_and_again(checkpoints, saved, tmp_path):
    async def story():
        hurry, came = asyncio.Event(), asyncio.Semaphore(0)
        checkpoints._saved = lambda blob: (saved.append(blob), came.release())
        keeping = asyncio.create_task(checkpoints.keep(hurry))
        write(tmp_path, "count", "1")
        hurry.set()
        for _ in range(2):
            async with asyncio.timeout(20):
                await came.acquire()
            write(tmp_path, "count", "2")
        keeping.cancel()

    asyncio.run(story())
    assert saved == ["blob1", "blob2"]


def test_a_mark_tells_apart_what_was_written_renamed_and_removed(tmp_path):
    seen = [tree_mark(tmp_path)]
    (tmp_path / "a").write_text("1")
    seen.append(tree_mark(tmp_path))
    (tmp_path / "a").rename(tmp_path / "b")
    seen.append(tree_mark(tmp_path))
    (tmp_path / "b").unlink()
    assert tree_mark(tmp_path) == seen[0] == b""
    assert len(set(seen)) == 3
