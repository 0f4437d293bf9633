import pytest
from hypothesis import given
from hypothesis import strategies as st

from gondwana.core import dataset
from gondwana.core.errors import InvalidValue, TooLarge


@given(st.integers(min_value=2 * dataset.SHARD_BYTES_MIN, max_value=3 * 1024 * 1024))
def test_shards_join_to_the_data_and_keep_their_limits(size):
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    shards = dataset.shard_bytes(data)
    assert b"".join(shards) == data
    assert 2 <= len(shards) <= max(dataset.SHARDS_WANTED, -(-size // dataset.SHARD_BYTES_MAX))
    assert all(len(shard) == len(shards[0]) for shard in shards[:-1])
    assert all(len(shard) % dataset.SHARD_BYTES_STEP == 0 for shard in shards[:-1])


@given(st.integers(min_value=2, max_value=500))
def test_held_out_shards_are_few_and_none_is_lost(count):
    shards = [index.to_bytes(2, "big") for index in range(count)]
    train, heldout = dataset.split_heldout(shards)
    assert sorted(train + heldout) == shards
    assert 1 <= len(heldout) <= dataset.HELDOUT_SHARDS_MAX
    assert train


def test_too_little_data_says_how_much_is_needed():
    with pytest.raises(InvalidValue) as caught:
        dataset.shard_bytes(b"abc")
    assert "2048" in str(caught.value.hint)


def test_a_folder_is_read_in_the_order_of_its_paths(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "two.txt").write_text("second")
    (tmp_path / "a.txt").write_text("first")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    assert dataset.read_dataset(tmp_path) == b"first\nsecond"


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    (tmp_path / "secret").write_text("secret")
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.txt").write_text("open")
    (folder / "b.txt").symlink_to(tmp_path / "secret")
    assert dataset.read_dataset(folder) == b"open"


def test_data_past_the_limit_is_refused_before_it_is_read(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"x" * 100)
    with pytest.raises(TooLarge):
        dataset.read_dataset(tmp_path / "a.txt", bytes_max=99)


def test_missing_data_and_empty_folders_are_named(tmp_path):
    with pytest.raises(InvalidValue, match="no training data"):
        dataset.read_dataset(tmp_path / "nothing")
    with pytest.raises(InvalidValue, match="no text files"):
        dataset.read_dataset(tmp_path)
