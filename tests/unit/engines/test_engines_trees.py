import os
import socket

import pytest

from gondwana.engines.trees import DEPTH_MAX, measure_tree, remove_tree, walk

LARGE = {"bytes_max": 1 << 40, "entries_max": 1 << 20}


@pytest.fixture
def hostile(tmp_path):
    """A folder with all that a job could leave, and things beside it that must stay."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("keep")
    top = tmp_path / "top"
    top.mkdir()
    (top / "link to folder").symlink_to(outside)
    (top / "link to file").symlink_to(outside / "precious")
    (top / "link to nowhere").symlink_to("/nowhere")
    (top / "link to itself").symlink_to("link to itself")
    os.mkfifo(top / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(top / "socket"))
    for name in (b"new\nline", b"\xff\xfe", b"-rf", b" ", b"a" * 255, b"\x1b[2J"):
        os.close(os.open(os.fsencode(top) + b"/" + name, os.O_CREAT | os.O_WRONLY, 0))
    (top / "locked").mkdir()
    (top / "locked" / "inside").write_text("x")
    (top / "locked").chmod(0)
    return top


def test_a_hostile_folder_is_removed_and_nothing_else(hostile):
    remove_tree(hostile)
    assert not hostile.exists()
    assert (hostile.parent / "outside" / "precious").read_text() == "keep"


def test_a_link_in_place_of_the_folder_is_removed_and_not_followed(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "precious").write_text("keep")
    (tmp_path / "top").symlink_to(tmp_path / "outside")
    remove_tree(tmp_path / "top")
    assert not (tmp_path / "top").is_symlink()
    assert (tmp_path / "outside" / "precious").read_text() == "keep"


def test_removing_what_is_not_there_is_no_error(tmp_path):
    remove_tree(tmp_path / "nothing")


def test_a_tree_deeper_than_any_path_may_be_long_is_removed(tmp_path):
    top = tmp_path / "top"
    top.mkdir()
    holder = os.open(top, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("folder", dir_fd=holder)
        below = os.open("folder", os.O_RDONLY, dir_fd=holder)
        os.close(holder)
        holder = below
    os.close(holder)
    remove_tree(top)
    assert not top.exists()


def test_names_that_look_like_our_own_are_removed_too(tmp_path):
    for name in ("top/.removing-1/.removing-2/x", "top/.removing-2/.removing-1/y"):
        (tmp_path / name).mkdir(parents=True)
    remove_tree(tmp_path / "top")
    assert not (tmp_path / "top").exists()


def test_what_a_folder_holds_is_counted_once_and_links_are_not_followed(tmp_path):
    (tmp_path / "file").write_bytes(bytes(100_000))
    os.link(tmp_path / "file", tmp_path / "same")
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(1 << 30)
    (tmp_path / "up").symlink_to("/usr")
    size = measure_tree(tmp_path, **LARGE)
    assert 100_000 <= size.disk_bytes < 150_000
    assert size.entries == 4
    assert size.complete


def test_counting_stops_at_a_limit(tmp_path):
    for index in range(20):
        (tmp_path / f"file{index}").write_bytes(bytes(10_000))
    assert measure_tree(tmp_path, bytes_max=1 << 40, entries_max=5).entries == 6
    assert not measure_tree(tmp_path, bytes_max=30_000, entries_max=1 << 20).complete


def test_folders_too_deep_to_look_into_are_said_to_be(tmp_path):
    folder = tmp_path
    for _ in range(DEPTH_MAX + 5):
        folder = folder / "d"
    folder.mkdir(parents=True)
    assert not measure_tree(tmp_path, **LARGE).complete
    assert max(entry.path.count(b"/") for entry in walk(tmp_path)) == DEPTH_MAX - 1


def test_a_folder_that_is_gone_holds_nothing(tmp_path):
    assert measure_tree(tmp_path / "gone", **LARGE).entries == 0
