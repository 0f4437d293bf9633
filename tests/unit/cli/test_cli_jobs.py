import io
import tarfile

import pytest

from gondwana.cli.main import run
from gondwana.cli.prepare import prepare
from gondwana.cli.text import safe_file_name
from gondwana.core.errors import InvalidValue
from gondwana.sdk.blobs import blob_name
from gondwana.sdk.jobfile import read_job_file

JOB = {"id": "job_1", "name": "hello", "kind": "batch", "state": "succeeded", "created_at": 1.0}


@pytest.fixture
def outputs(plane, monkeypatch, tmp_path):
    """A job that left the given files; downloads are answered from memory."""
    monkeypatch.setenv("GONDWANA_URL", plane.url)
    monkeypatch.setenv("GONDWANA_TOKEN", "secret")
    monkeypatch.chdir(tmp_path)

    def outputs(files):
        blobs = {blob_name(data): data for data in files.values()}
        plane.reply(JOB | {"outputs": {name: blob_name(data) for name, data in files.items()}})
        job = plane.replies.pop()

        def respond(request):
            blob = blobs.get(request.path.rsplit("/", 1)[-1])
            return job if blob is None else type(job)(body=blob)

        plane.respond = respond

    return outputs


def names(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return sorted(tar.getnames())


def test_outputs_are_written_into_a_folder_named_after_the_job(outputs, tmp_path, capfd):
    outputs({"model.safetensors": b"weights", "log.txt": b"log"})
    assert run(["jobs", "download", "hello"]) == 0
    assert (tmp_path / "hello" / "model.safetensors").read_bytes() == b"weights"
    assert capfd.readouterr().out == "hello\n"


def test_a_name_from_the_server_never_leads_out_of_the_folder(outputs, tmp_path):
    outputs({"../../evil": b"1", "/etc/passwd": b"2", ".bashrc": b"3", "a\nb": b"4"})
    assert run(["jobs", "download", "hello", "--to", "here"]) == 0
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == [
        "_.._evil",
        "_etc_passwd",
        "a_b",
        "bashrc",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


def test_what_is_there_is_not_overwritten_without_force(outputs, tmp_path, capfd):
    outputs({"log.txt": b"new"})
    (tmp_path / "hello").mkdir()
    (tmp_path / "hello" / "log.txt").write_text("old")
    assert run(["jobs", "download", "hello"]) == 5
    assert (tmp_path / "hello" / "log.txt").read_text() == "old"
    assert "--force" in capfd.readouterr().err
    assert run(["jobs", "download", "hello", "--force"]) == 0
    assert (tmp_path / "hello" / "log.txt").read_text() == "new"


def test_two_names_that_become_one_both_arrive(outputs, tmp_path):
    outputs({"a/b": b"1", "a?b": b"2"})
    assert run(["jobs", "download", "hello", "--to", "here"]) == 0
    assert sorted(path.read_bytes() for path in (tmp_path / "here").iterdir()) == [b"1", b"2"]


def test_a_job_that_left_nothing_says_so(outputs, capfd):
    outputs({})
    assert run(["jobs", "download", "hello"]) == 4
    assert "has left nothing" in capfd.readouterr().err


@pytest.mark.parametrize("name", ["..", ".", "", "///", "\0", "a" * 500])
def test_every_name_becomes_a_plain_file_name(name):
    safe = safe_file_name(name)
    assert 0 < len(safe) <= 120
    assert "/" not in safe
    assert not safe.startswith(".")


@pytest.fixture
def draft(tmp_path):
    def draft(text):
        (tmp_path / "job.yaml").write_text(text)
        return read_job_file(tmp_path / "job.yaml")

    return draft


TRAIN = "gondwana: {train: {recipe: recipe.py, data: corpus}}"


def test_a_training_sends_its_folder_without_its_data_and_the_data_in_shards(draft, tmp_path):
    (tmp_path / "recipe.py").write_text("x = 1")
    (tmp_path / "corpus").mkdir()
    text = b"".join(f"line {number}\n".encode() for number in range(3000))
    (tmp_path / "corpus" / "a.txt").write_bytes(text)
    prepared = prepare(draft(TRAIN))
    train = prepared.spec.train
    assert names(prepared.blobs[prepared.spec.workdir]) == ["job.yaml", "recipe.py"]
    assert not set(train.shards) & set(train.heldout)
    assert sum(len(prepared.blobs[name]) for name in (*train.shards, *train.heldout)) == len(text)


def test_data_that_only_repeats_itself_is_refused(draft, tmp_path):
    (tmp_path / "recipe.py").write_text("x = 1")
    (tmp_path / "corpus").write_bytes(b"0" * 4096)
    with pytest.raises(InvalidValue, match="repeats itself"):
        prepare(draft(TRAIN))


def test_single_files_that_share_a_folder_travel_together(draft, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "three").write_text("three")
    text = "run: x\nfile_mounts: {/etc/app/uno: one, /etc/app/: two, data: folder}"
    prepared = prepare(draft(text))
    found = {
        target: names(prepared.blobs[name]) for target, name in prepared.spec.file_mounts.items()
    }
    assert found == {"/etc/app": ["two", "uno"], "data": ["three"]}


@pytest.mark.parametrize("mounts", ["{/data: folder, /data/one: one}", "{/data: folder, /data/: folder}",
                                    "{/data/one: one, /data/: one}"])  # fmt: skip
def test_two_things_for_one_place_are_refused(draft, tmp_path, mounts):
    (tmp_path / "one").write_text("1")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InvalidValue, match="two things go to"):
        prepare(draft(f"run: x\nfile_mounts: {mounts}"))


@pytest.mark.parametrize("target", ["one", "/one", "~/one", "./"])
def test_a_single_file_never_hides_the_folder_it_goes_to(draft, tmp_path, target):
    (tmp_path / "one").write_text("1")
    with pytest.raises(InvalidValue, match=r"a folder of its own|not a place"):
        prepare(draft(f"run: x\nfile_mounts: {{{target}: one}}"))


def test_the_same_folder_always_makes_the_same_job(draft, tmp_path):
    (tmp_path / "a.py").write_text("a")
    text = "run: x\nworkdir: ."
    first = prepare(draft(text)).spec
    (tmp_path / "a.py").touch()
    assert prepare(draft(text)).spec == first
