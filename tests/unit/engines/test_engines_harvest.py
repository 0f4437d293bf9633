import os
import socket
import tarfile

import pytest

from gondwana.core.errors import InvalidBytes, NoSuchThing, TooLarge
from gondwana.engines.harvest import LEFT_OUT_MAX, TreeLimits, Unfit, pack_outputs, read_output


def names_in(archive):
    with tarfile.open(archive) as tar:
        return [member.name for member in tar]


def reasons(harvest):
    return {left.name: left.reason for left in harvest.left_out}


def test_a_regular_file_is_read(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "delta").write_bytes(b"content")
    assert read_output(tmp_path, "out/delta", bytes_max=7) == b"content"


def test_a_file_over_the_limit_is_refused_also_when_it_is_sparse(tmp_path):
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(TooLarge):
        read_output(tmp_path, "sparse", bytes_max=1 << 20)
    (tmp_path / "exact").write_bytes(bytes(11))
    with pytest.raises(TooLarge):
        read_output(tmp_path, "exact", bytes_max=10)


@pytest.mark.parametrize("name, error", [("mem", InvalidBytes), ("maps", TooLarge)])
def test_a_file_that_claims_to_be_empty_is_not_read_for_ever(name, error):
    with pytest.raises(error):
        read_output(f"/proc/{os.getpid()}", name, bytes_max=100)


def make_link(path):
    path.symlink_to("/etc/passwd")


def make_pipe(path):
    os.mkfifo(path)


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def make_folder(path):
    path.mkdir()


@pytest.mark.parametrize("make", [make_link, make_pipe, make_socket, make_folder])
def test_only_a_regular_file_is_an_output(tmp_path, make):
    make(tmp_path / "delta")
    with pytest.raises(InvalidBytes):
        read_output(tmp_path, "delta", bytes_max=1 << 20)


def test_a_device_is_no_output():
    with pytest.raises(InvalidBytes):
        read_output("/dev", "zero", bytes_max=1 << 20)


def test_a_link_on_the_way_is_not_followed(tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_text("secret")
    (tmp_path / "work" / "out").symlink_to(tmp_path / "secret")
    with pytest.raises(InvalidBytes):
        read_output(tmp_path / "work", "out/key", bytes_max=100)


def test_the_folder_itself_may_not_be_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "key").write_text("secret")
    (tmp_path / "work").symlink_to(tmp_path / "real")
    with pytest.raises(InvalidBytes):
        read_output(tmp_path / "work", "key", bytes_max=100)


@pytest.mark.parametrize(
    "name", ["../key", "/etc/passwd", "a/../../key", "", ".", "a//b", "a/", "a\0b"]
)
def test_a_name_that_leaves_the_folder_is_refused(tmp_path, name):
    (tmp_path / "work" / "a").mkdir(parents=True)
    (tmp_path / "key").write_text("secret")
    with pytest.raises(InvalidBytes):
        read_output(tmp_path / "work", name, bytes_max=100)


def test_an_output_that_was_not_made_is_said_to_be_missing(tmp_path):
    with pytest.raises(NoSuchThing):
        read_output(tmp_path, "delta", bytes_max=100)


def test_all_that_is_fit_is_packed_and_the_rest_is_named(tmp_path):
    top = tmp_path / "top"
    (top / "sub").mkdir(parents=True)
    (top / "sub" / "b").write_bytes(b"b")
    (top / "a").write_bytes(b"a")
    (top / "run.sh").write_bytes(b"#!")
    (top / "run.sh").chmod(0o4777)
    os.link(top / "a", top / "again")
    (top / "link").symlink_to("/etc/passwd")
    (top / "links").symlink_to("/etc")
    os.mkfifo(top / "pipe")
    make_socket(top / "socket")
    for name in (b"new\nline", b"\xff\xfe", b"\x1b[2J"):
        os.close(os.open(os.fsencode(top) + b"/" + name, os.O_CREAT | os.O_WRONLY, 0o644))
    (top / "-rf").write_bytes(b"dash")
    with open(top / "sparse", "wb") as file:
        file.truncate(1 << 40)
    harvest = pack_outputs(top, tmp_path / "out.tar")
    first = "a" if "a" in names_in(tmp_path / "out.tar") else "again"
    assert sorted(names_in(tmp_path / "out.tar")) == sorted(["-rf", first, "run.sh", "sub/b"])
    left = reasons(harvest)
    assert {left["link"], left["links"], left["pipe"], left["socket"]} == {Unfit.NOT_A_FILE}
    assert left["sparse"] is Unfit.TOO_LARGE
    assert {left["b'new\\nline'"], left["b'\\xff\\xfe'"], left["b'\\x1b[2J'"]} == {Unfit.ODD_NAME}
    assert (left.get("a") or left.get("again")) is Unfit.SAME_FILE
    assert harvest.files == 4
    with tarfile.open(tmp_path / "out.tar") as tar:
        assert {member.mode for member in tar} == {0o644, 0o755}
        assert {(member.uid, member.mtime) for member in tar} == {(0, 0)}


def test_the_same_files_make_the_same_archive(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for file in ("x", "y") if name == "one" else ("y", "x"):
            (tmp_path / name / file).write_text(file)
        pack_outputs(tmp_path / name, tmp_path / f"{name}.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


def test_the_sum_the_count_and_the_depth_have_limits(tmp_path):
    top = tmp_path / "top"
    (top / "a" / "b" / "c" / "d").mkdir(parents=True)
    (top / "a" / "b" / "c" / "d" / "deep").write_text("x")
    for index in range(10):
        (top / f"file{index}").write_bytes(bytes(100))
    limits = TreeLimits(bytes_max=550, entries_max=1000, depth_max=3)
    harvest = pack_outputs(top, tmp_path / "sum.tar", limits)
    assert (harvest.files, harvest.bytes) == (5, 500)
    assert reasons(harvest)["a/b/c"] is Unfit.TOO_DEEP
    few = pack_outputs(top, tmp_path / "few.tar", TreeLimits(entries_max=4))
    assert few.files <= 4
    assert few.left_out[-1].reason is Unfit.TOO_MANY


def test_a_thousand_odd_things_are_counted_and_a_hundred_named(tmp_path):
    top = tmp_path / "top"
    top.mkdir()
    for index in range(1000):
        (top / f"link{index}").symlink_to("/etc/passwd")
    harvest = pack_outputs(top, tmp_path / "out.tar")
    assert (len(harvest.left_out), harvest.left_out_count) == (LEFT_OUT_MAX, 1000)
