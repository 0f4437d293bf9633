import gzip
import io
import os
import random
import tarfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gondwana.core.errors import GondwanaError, InvalidBytes, InvalidValue, TooLarge
from gondwana.core.units import MIB
from gondwana.engines.archive import pack_folder, unpack
from gondwana.engines.harvest import TreeLimits

SMALL = TreeLimits(bytes_max=MIB, entries_max=50, depth_max=8, file_bytes_max=MIB)


def archive_of(*members, format=tarfile.PAX_FORMAT):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def member(name, kind=tarfile.REGTYPE, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, 0o777
    return info


def unpacked(tmp_path, content, limits=SMALL):
    (tmp_path / "in.tar").write_bytes(content)
    return unpack(tmp_path / "in.tar", tmp_path / "to", limits)


def test_a_folder_goes_there_and_back(tmp_path):
    top = tmp_path / "job"
    (top / "data").mkdir(parents=True)
    (top / "train.py").write_text("print(1)")
    (top / "data" / "text").write_bytes(bytes(range(256)))
    (top / "run.sh").write_text("#!/bin/sh")
    (top / "run.sh").chmod(0o755)
    (top / ("long" * 60)).write_text("long names too")
    assert unpacked(tmp_path, pack_folder(top)) == 4
    assert (tmp_path / "to" / "data" / "text").read_bytes() == bytes(range(256))
    assert os.access(tmp_path / "to" / "run.sh", os.X_OK)
    assert (tmp_path / "to" / "train.py").stat().st_mode & 0o777 == 0o644


def test_when_and_in_which_order_files_were_made_does_not_matter(tmp_path):
    for name, order in (("one", "abc"), ("two", "cba")):
        (tmp_path / name).mkdir()
        for file in order:
            (tmp_path / name / file).write_text(file)
            os.utime(tmp_path / name / file, (random.randrange(10**9), random.randrange(10**9)))
    assert pack_folder(tmp_path / "one") == pack_folder(tmp_path / "two")


def test_what_no_job_needs_stays_at_home(tmp_path):
    for name in (
        ".git/config",
        "__pycache__/x.pyc",
        ".venv/bin/python",
        "sub/node_modules/x/y",
        "keep/a.py",
        "b.pyc",
    ):
        (tmp_path / "job" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "job" / name).write_text("x")
    with tarfile.open(fileobj=io.BytesIO(pack_folder(tmp_path / "job"))) as tar:
        assert tar.getnames() == ["keep/a.py"]
    packed = pack_folder(tmp_path / "job", excludes=["keep", ".git", ".venv", "sub", "*.pyc"])
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        assert tar.getnames() == []


def test_a_link_to_a_file_inside_becomes_that_file(tmp_path):
    (tmp_path / "a").write_text("content")
    (tmp_path / "b").symlink_to("a")
    with tarfile.open(fileobj=io.BytesIO(pack_folder(tmp_path))) as tar:
        assert [(one.name, one.isreg(), one.size) for one in tar] == [
            ("a", True, 7),
            ("b", True, 7),
        ]


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "nowhere", ".", "b"])
def test_a_link_that_leads_elsewhere_is_an_error_that_names_it(tmp_path, target):
    (tmp_path / "outside").write_text("x")
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "b").symlink_to(target)
    with pytest.raises(InvalidValue) as caught:
        pack_folder(tmp_path / "job")
    assert "b" in str(caught.value)


def test_a_folder_that_is_too_large_is_refused(tmp_path):
    (tmp_path / "data").write_bytes(bytes(2 * MIB))
    with pytest.raises(TooLarge):
        pack_folder(tmp_path, limits=SMALL)


@pytest.mark.parametrize(
    "hostile",
    [
        member("/etc/cron.d/x"),
        member("../x"),
        member("a/../../x"),
        member("a/./../x"),
        member("a//b"),
        member("new\nline"),
        member("tab\tbed"),
        member("\x1b[2J"),
        member("back\\slash"),
        member("."),
        member(""),
        member("n" * 2000),
        member("link", tarfile.SYMTYPE, "/etc"),
        member("link", tarfile.SYMTYPE, "a"),
        member("hard", tarfile.LNKTYPE, "a"),
        member("hard", tarfile.LNKTYPE, "/etc/passwd"),
        member("pipe", tarfile.FIFOTYPE),
        member("device", tarfile.CHRTYPE),
        member("disk", tarfile.BLKTYPE),
        member("contiguous", b"Z"),
        member("/".join("d" * 9)),
        member("a"),
        member("a/b"),
    ],
    ids=lambda one: f"{one.type!r} {one.name[:20]!r} {one.linkname}",
)
def test_a_member_that_no_jobs_folder_needs_refuses_the_whole_archive(tmp_path, hostile):
    content = archive_of((member("a"), b"first"), (hostile, b""), (member("last"), b""))
    with pytest.raises((InvalidBytes, TooLarge)):
        unpacked(tmp_path, content)
    assert not (tmp_path / "to").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.tar"]


def test_a_folder_through_which_a_file_was_written_stays_a_folder(tmp_path):
    content = archive_of(
        (member("d", tarfile.DIRTYPE), b""), (member("d/a"), b"1"), (member("d"), b"2")
    )
    with pytest.raises(InvalidBytes):
        unpacked(tmp_path, content)


@pytest.mark.parametrize(
    "members",
    [
        [(member(f"file{index}"), b"") for index in range(60)],
        [(member("large"), bytes(MIB + 1))],
        [(member(f"half{index}"), bytes(MIB // 2 + 1)) for index in range(2)],
    ],
    ids=["many", "one large", "large together"],
)
def test_an_archive_past_the_limits_is_refused(tmp_path, members):
    with pytest.raises(TooLarge):
        unpacked(tmp_path, archive_of(*members))
    assert not (tmp_path / "to").exists()


def test_a_compressed_bomb_is_no_archive(tmp_path):
    with pytest.raises(InvalidBytes):
        unpacked(tmp_path, gzip.compress(archive_of((member("a"), bytes(100 * 1024)))))


def test_a_sparse_member_that_claims_a_terabyte_is_refused(tmp_path):
    bomb = member("sparse")
    bomb.pax_headers = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.map": "0,1",
                        "GNU.sparse.size": str(1 << 40), "GNU.sparse.numblocks": "1"}  # fmt: skip
    with pytest.raises((InvalidBytes, TooLarge)):
        unpacked(tmp_path, archive_of((bomb, b"x")))
    assert not (tmp_path / "to").exists()


def header_with_size(size, kind=tarfile.REGTYPE):
    info = member("a", kind)
    info.size = 0
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[124:136] = (
        bytes([255]) + size.to_bytes(11, "big", signed=True) if size < 0 else b"%011o\0" % size
    )
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize(
    "kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XGLTYPE]
)
@pytest.mark.parametrize("size", [-1, -512, -1024, 1 << 30])
@pytest.mark.timeout(20)
def test_a_size_that_cannot_be_ends_the_reading(tmp_path, kind, size):
    content = (
        archive_of((member("first"), b"x"))[:1024] + header_with_size(size, kind) + bytes(4096)
    )
    with pytest.raises((InvalidBytes, TooLarge)):
        unpacked(tmp_path, content)


@pytest.mark.timeout(20)
def test_a_thousand_headers_about_headers_end_the_reading(tmp_path):
    content = (header_with_size(10, tarfile.XHDTYPE) + b"10 path=ab".ljust(512, b"\0")) * 3000
    with pytest.raises((InvalidBytes, TooLarge)):
        unpacked(tmp_path, content)


def test_an_archive_cut_short_leaves_nothing(tmp_path):
    content = archive_of((member("a"), bytes(5000)), (member("b"), bytes(5000)))
    for length in (1, 100, 512, 700, 3000, 7000):
        with pytest.raises(InvalidBytes):
            unpacked(tmp_path, content[:length])
        assert not (tmp_path / "to").exists()


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(changes=st.lists(st.tuples(st.integers(0, 6000), st.integers(0, 255)), max_size=12))
def test_whatever_bytes_come_an_archive_gives_files_inside_or_one_of_our_errors(
    tmp_path_factory, changes
):
    folder = tmp_path_factory.mktemp("fuzz")
    content = bytearray(archive_of((member("d", tarfile.DIRTYPE), b""), (member("d/a"), b"1" * 700),
                                   (member("long" * 40), b"2"), format=tarfile.GNU_FORMAT))  # fmt: skip
    for place, value in changes:
        content[place % len(content)] = value
    try:
        unpacked(folder, bytes(content))
    except GondwanaError:
        assert not (folder / "to").exists()
    else:
        found = [path for path in (folder / "to").rglob("*") if not path.is_dir()]
        assert all(path.is_file() and not path.is_symlink() for path in found)
    assert {path.name for path in folder.iterdir()} <= {"in.tar", "to"}
